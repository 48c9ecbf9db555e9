"""What control logic answers: a transaction for the store, and what each item of the request comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

from ottla.metadata.transaction import Compare, Transaction, Write
from ottla.protocol.errors import ErrorCode, KafkaError

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")

PARTITIONS_PER_REQUEST_MAX = 10_000


class Plan(NamedTuple, Generic[_Item, _Outcome]):
    """Commit `transaction`, then answer `results`; to validate only, answer without committing.

    When the commit fails, something changed since the image: plan again on a newer one.
    """

    transaction: Transaction
    results: Mapping[_Item, _Outcome | KafkaError]


class Changes:
    """The comparisons and writes of a transaction as they come together."""

    def __init__(self) -> None:
        self._compares: list[Compare] = []
        self._writes: list[Write] = []

    def expect(self, *compares: Compare) -> None:
        self._compares.extend(compares)

    def write(self, *writes: Write) -> None:
        self._writes.extend(writes)

    def transaction(self) -> Transaction:
        return Transaction(tuple(dict.fromkeys(self._compares)), tuple(self._writes))


def check_partition_count(total: int) -> None:
    """Kafka's bound on one request, so that one client cannot make the controller write without end."""
    if total > PARTITIONS_PER_REQUEST_MAX:
        raise KafkaError(ErrorCode.policy_violation, "Excessively large number of partitions per request.")
