"""What control logic answers: transactions for the store, and what each item of the request comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from ottla.metadata.transaction import BYTES_MAX, OPERATIONS_MAX, Compare, Transaction, Write, size_of
from ottla.protocol.errors import ErrorCode, KafkaError

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")

PARTITIONS_PER_REQUEST_MAX = 10_000


class Step(NamedTuple, Generic[_Item]):
    """One transaction of a plan, and the items that it is for: all of them or none."""

    transaction: Transaction
    items: tuple[_Item, ...]


class Plan(NamedTuple, Generic[_Item, _Outcome]):
    """Commit the `steps` in order, then answer `results`; to validate only, answer without committing.

    When a commit fails, something changed since the image: plan again on a newer one. What has been committed
    by then needs no more writes, and its results stand.
    """

    steps: tuple[Step[_Item], ...]
    results: Mapping[_Item, _Outcome | KafkaError]


class Changes(Generic[_Item]):
    """What is to be compared and written for each item, to be put together into as few steps as can be."""

    def __init__(self, *always: Compare) -> None:
        """`always` are compared in each step."""
        self._always = always
        self._items: list[tuple[_Item, Sequence[Compare], Sequence[Write]]] = []

    def add(self, item: _Item, compares: Sequence[Compare], writes: Sequence[Write]) -> None:
        """Raises KafkaError(policy_violation) for an item that no transaction can hold."""
        if size_of(writes) > BYTES_MAX:
            raise KafkaError(ErrorCode.policy_violation, f"The change is larger than {BYTES_MAX} bytes.")
        self._items.append((item, compares, writes))

    def steps(self) -> tuple[Step[_Item], ...]:
        steps: list[Step[_Item]] = []
        items: list[_Item] = []
        compares = dict.fromkeys(self._always)
        writes: list[Write] = []
        size = 0
        for item, its_compares, its_writes in self._items:
            added = size_of(its_writes)
            operations = max(len(compares) + len(its_compares), len(writes) + len(its_writes))
            if operations > OPERATIONS_MAX or size + added > BYTES_MAX:
                steps.append(Step(Transaction(tuple(compares), tuple(writes)), tuple(items)))
                items, compares, writes, size = [], dict.fromkeys(self._always), [], 0
            items.append(item)
            compares.update(dict.fromkeys(its_compares))
            writes.extend(its_writes)
            size += added
        if items:
            steps.append(Step(Transaction(tuple(compares), tuple(writes)), tuple(items)))
        return tuple(steps)


def check_partition_count(total: int) -> None:
    """Kafka's bound on one request, so that one client cannot make the controller write without end."""
    if total > PARTITIONS_PER_REQUEST_MAX:
        raise KafkaError(ErrorCode.policy_violation, "Excessively large number of partitions per request.")
