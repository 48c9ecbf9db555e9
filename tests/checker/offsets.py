"""Offsets that groups commit, and output that must be made of input exactly once."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from tests.checker.facts import Anomaly, Facts, Fate, anomaly
from tests.checker.history import Kind, Operation, Outcome, Partition

Register = tuple[str, Partition]
"""A group, and a partition: what was committed last is what is read."""


class Transform(NamedTuple):
    """Workers of a group make each record of the input one of the output, in transactions with its offset."""

    group: str
    input: str
    """A topic, and so is `output`."""
    output: str
    source: Callable[[str], str | None]
    """The value of the input that a value of the output was made of; None if it can't be made of any."""


class _Write(NamedTuple):
    offset: int | None
    invoked: float
    completed: float
    """inf where it may take effect later."""
    by: Operation


class _Writes:
    """All commits to one register."""

    def __init__(self, writes: Iterable[_Write], settled: Iterable[_Write]) -> None:
        self._by_offset: dict[int | None, list[_Write]] = defaultdict(list)
        for write in sorted(writes, key=lambda each: each.invoked):
            self._by_offset[write.offset].append(write)
        self._latest_end = {
            offset: list(accumulate((each.completed for each in some), max))
            for offset, some in self._by_offset.items()
        }
        self._settled = sorted(settled, key=lambda each: each.completed)
        self._newest = list(accumulate(self._settled, _later))

    def newest_before(self, time: float) -> _Write | None:
        """The commit that was begun last among those that had been acknowledged by then."""
        at = bisect_right(self._settled, time, key=lambda each: each.completed)
        return self._newest[at - 1] if at else None

    def may_explain(self, offset: int, began: float, ended: float) -> bool:
        """Whether a read between these times may have found an offset."""
        some = self._by_offset.get(offset, [])
        at = bisect_right(some, ended, key=lambda each: each.invoked)
        newest = self.newest_before(began)
        return at > 0 and (newest is None or self._latest_end[offset][at - 1] >= newest.invoked)

    def __contains__(self, offset: int) -> bool:
        return offset in self._by_offset


def _later(one: _Write, two: _Write) -> _Write:
    return two if two.invoked > one.invoked else one


def wrong_offsets(facts: Facts) -> Iterator[Anomaly]:
    """Reads of offsets that were never committed, or of older ones than the last."""
    writes: dict[Register, list[_Write]] = defaultdict(list)
    settled: dict[Register, list[_Write]] = defaultdict(list)
    for operation in facts.operations:
        if operation.kind not in {Kind.commit, Kind.transaction} or _is_without_effect(facts, operation):
            continue
        for group, partition, offset in operation.offsets:
            began = operation.asked if operation.asked is not None else operation.invoked
            write = _Write(offset, began, facts.settled(operation), operation)
            writes[group, partition].append(write)
            if _has_effect(facts, operation) and write.completed < math.inf:
                settled[group, partition].append(write)
    registers = {at: _Writes(some, settled[at]) for at, some in writes.items()}
    none = _Writes([], [])
    for operation in facts.operations:
        if operation.kind is Kind.committed and operation.outcome is Outcome.ok:
            ended = operation.completed if operation.completed is not None else math.inf
            for group, partition, offset in operation.offsets:
                register = registers.get((group, partition), none)
                newest = register.newest_before(operation.invoked)
                if offset is not None and offset not in register:
                    text = f"group {group} was told {offset}, which was not committed"
                    yield anomaly("unfounded offset", text, [operation], partition, offset)
                elif newest is not None and (
                    offset is None or not register.may_explain(offset, operation.invoked, ended)
                ):
                    text = f"group {group} was told {offset} after {newest.offset}"
                    yield anomaly("offset commit lost", text, [newest.by, operation], partition)
                elif offset is not None and not register.may_explain(offset, operation.invoked, ended):
                    text = f"group {group} was told {offset} before it was committed"
                    yield anomaly("unfounded offset", text, [operation], partition, offset)


def _is_without_effect(facts: Facts, operation: Operation) -> bool:
    if operation.kind is Kind.transaction:
        return facts.fate_of_transaction(operation) is Fate.hidden
    return operation.outcome is Outcome.failed


def _has_effect(facts: Facts, operation: Operation) -> bool:
    if operation.kind is Kind.transaction:
        return facts.fate_of_transaction(operation) is Fate.visible
    return operation.outcome is Outcome.ok


def wrong_outputs(facts: Facts, transform: Transform) -> Iterator[Anomaly]:
    """The output is made of all input below the committed offsets, of nothing else, once, and in order."""
    done = _final_offsets(facts, transform.group)
    due: dict[str, tuple[Partition, int]] = {}
    """Values of the input, and where they are."""
    for partition, poll in facts.drained.items():
        if partition.topic == transform.input:
            end = done.get(partition) or 0
            due.update((value, (partition, offset)) for offset, value in poll.records if offset < end)
    made: Counter[str] = Counter()
    for partition, poll in facts.drained.items():
        if partition.topic != transform.output:
            continue
        last: dict[Partition, int] = {}
        for offset, value in poll.records:
            source = transform.source(value)
            by = [found.operation] if (found := facts.written.get((partition, value))) else []
            if source is None or source not in due:
                text = f"{value!r} was made of nothing that the group has committed"
                yield anomaly("wrong output", text, by, partition, offset)
                continue
            made[source] += 1
            at, place = due[source]
            if made[source] > 1:
                yield anomaly("doubled output", f"{value!r} was made again", by, partition, offset)
            elif place < last.get(at, -1):
                yield anomaly("disordered output", f"{value!r} comes late", by, partition, offset)
            last[at] = max(place, last.get(at, -1))
    for value, (partition, offset) in due.items():
        if not made[value]:
            text = f"nothing was made of {value!r}, though the group has committed it"
            yield anomaly("missing output", text, [], partition, offset)


def _final_offsets(facts: Facts, group: str) -> Mapping[Partition, int | None]:
    """As they were read last."""
    return {
        partition: offset
        for operation in facts.operations
        if operation.kind is Kind.committed and operation.outcome is Outcome.ok
        for name, partition, offset in operation.offsets
        if name == group
    }
