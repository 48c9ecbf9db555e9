"""What follows from a history as a whole: which transactions were committed, and which value is where."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from itertools import accumulate
from typing import NamedTuple

from tests.checker.history import History, Kind, Operation, Outcome, Partition, Poll, Send


class Anomaly(NamedTuple):
    """Something that must not be."""

    name: str
    text: str
    operations: tuple[str, ...] = ()
    partition: Partition | None = None
    offsets: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = (
            "" if self.partition is None else f" in {self.partition} at {', '.join(map(str, self.offsets))}"
        )
        return f"{self.name}{where}: {self.text}; {', '.join(self.operations)}"


def anomaly(
    name: str, text: str, operations: Iterable[Operation], partition: Partition | None = None, *offsets: int
) -> Anomaly:
    return Anomaly(name, text, tuple(map(str, operations)), partition, offsets)


class Fate(Enum):
    """Of what was sent."""

    visible = auto()
    """Whoever reads its place reads it."""
    hidden = auto()
    """Nobody reads it with read_committed."""
    open = auto()
    """Not known."""


class Written(NamedTuple):
    """A value, and who sent it."""

    operation: Operation
    send: Send


class Place(NamedTuple):
    """What is at an offset, from an era on."""

    value: str
    since: int


class Contents:
    """What a partition holds, as far as somebody was told."""

    def __init__(self) -> None:
        self.places: dict[int, Place] = {}
        self.offsets: dict[str, int] = {}
        self.visible: list[int] = []
        """Offsets that a reader of committed records must not miss, ascending."""
        self.physical: list[int] = []
        """The same for all others."""


class Facts:
    """What is true of a history."""

    def __init__(self, history: History) -> None:
        """Raises ValueError where a value is sent to a partition twice: then nothing can be told."""
        self.operations = history.operations
        self.written: dict[tuple[Partition, str], Written] = {}
        self.readers: dict[tuple[Partition, str], Operation] = {}
        """The first that read a value with read_committed."""
        self.drained: dict[Partition, Poll] = {}
        self.inits: dict[str | None, Inits] = {}
        """By transactional id."""
        self.last_era = 0
        self.contents: dict[Partition, Contents] = defaultdict(Contents)
        self.anomalies: list[Anomaly] = []
        self._reported: set[tuple[str, str, Partition, tuple[int, ...]]] = set()
        self._index()
        self._fates: Mapping[int, Fate] = {
            id(operation): self._fate_of_transaction(operation)
            for operation in self.operations
            if operation.kind is Kind.transaction
        }
        self._place()

    def settled(self, operation: Operation) -> float:
        """When it can no longer take effect.

        A transaction without an answer is over when its transactional id has been initialised anew: that
        waits for its end, and fences what is still on its way.
        """
        if operation.outcome is Outcome.unknown and operation.transactional_id in self.inits:
            by = self.inits[operation.transactional_id].first_since(operation.asked or operation.invoked)
            return math.inf if by is None else ended(by)
        return ended(operation)

    def polls(self) -> Iterator[tuple[Operation, Poll]]:
        for operation in self.operations:
            for poll in operation.polls:
                yield operation, poll

    def fate_of_transaction(self, transaction: Operation) -> Fate:
        """Visible is committed, hidden is aborted."""
        return self._fates[id(transaction)]

    def fate(self, written: Written) -> Fate:
        operation, send = written
        if operation.kind is not Kind.transaction:
            if send.acknowledged or operation.outcome is Outcome.ok:
                return Fate.visible
            return Fate.hidden if operation.outcome is Outcome.failed else Fate.open
        fate = self._fates[id(operation)]
        return Fate.open if fate is Fate.visible and not send.acknowledged else fate

    def is_durable(self, partition: Partition, value: str, era: int) -> bool:
        """What was read is there for good: it was acknowledged by then, or no power loss came after that.

        What was acknowledged later may be there again, at another place: it was sent again.
        """
        if era == self.last_era:
            return True
        written = self.written.get((partition, value))
        return written is not None and written.send.acknowledged and written.send.era <= era

    def _index(self) -> None:
        inits: dict[str | None, list[Operation]] = defaultdict(list)
        for operation in self.operations:
            if operation.kind is Kind.init and operation.outcome is Outcome.ok:
                inits[operation.transactional_id].append(operation)
        self.inits = {id_: Inits(some) for id_, some in inits.items()}
        for operation in self.operations:
            for send in operation.sends:
                written = Written(operation, send)
                if self.written.setdefault((send.partition, send.value), written) is not written:
                    raise ValueError(f"{send.value!r} was sent to {send.partition} twice: {operation}")
            for poll in operation.polls:
                self.last_era = max(self.last_era, poll.era)
                if operation.kind is Kind.drain:
                    self.drained[poll.partition] = poll
                if poll.is_committed:
                    for _, value in poll.records:
                        self.readers.setdefault((poll.partition, value), operation)

    def _fate_of_transaction(self, operation: Operation) -> Fate:
        if operation.outcome is Outcome.ok:
            return Fate.visible
        if operation.outcome is Outcome.failed or operation.asked is None:
            return Fate.hidden
        if any((send.partition, send.value) in self.readers for send in operation.sends):
            return Fate.visible
        for send in operation.sends:
            drained = self.drained.get(send.partition)
            if send.offset is not None and drained is not None and send.offset < (drained.next_position or 0):
                return Fate.hidden
        return Fate.open

    # -- which value is at which offset

    def _place(self) -> None:
        by_era: dict[tuple[Partition, int], Contents] = defaultdict(Contents)
        for (partition, value), (operation, send) in self.written.items():
            if send.acknowledged and send.offset is not None:
                self._claim(
                    self.contents[partition], partition, send.offset, Place(value, send.era), operation
                )
        for operation, poll in self.polls():
            for offset, value in poll.records:
                if self.is_durable(poll.partition, value, poll.era):
                    written = self.written.get((poll.partition, value))
                    since = poll.era if written is None or not written.send.acknowledged else written.send.era
                    contents = self.contents[poll.partition]
                else:
                    since, contents = poll.era, by_era[poll.partition, poll.era]
                self._claim(contents, poll.partition, offset, Place(value, since), operation)
        for partition, contents in self.contents.items():
            contents.physical = sorted(contents.places)
            contents.visible = [
                offset
                for offset in contents.physical
                if self._must_be_seen(partition, contents.places[offset])
            ]

    def _must_be_seen(self, partition: Partition, place: Place) -> bool:
        written = self.written.get((partition, place.value))
        if written is None:
            return False
        fate = self.fate(written)
        return fate is Fate.visible or (fate is Fate.open and (partition, place.value) in self.readers)

    def _claim(
        self, contents: Contents, partition: Partition, offset: int, place: Place, by: Operation
    ) -> None:
        other = contents.places.setdefault(offset, place)
        if other.value != place.value:
            self._found("inconsistent offset", f"{other.value!r} and {place.value!r}", by, partition, offset)
        elsewhere = contents.offsets.setdefault(place.value, offset)
        if elsewhere != offset:
            self._found("duplicate", f"{place.value!r} is at both", by, partition, elsewhere, offset)

    def _found(self, name: str, text: str, by: Operation, partition: Partition, *offsets: int) -> None:
        if (name, text, partition, offsets) not in self._reported:
            self._reported.add((name, text, partition, offsets))
            self.anomalies.append(anomaly(name, text, [by], partition, *offsets))


class Inits:
    """The successful InitProducerIds of one transactional id."""

    def __init__(self, inits: Iterable[Operation]) -> None:
        self._done = sorted(inits, key=lambda each: each.invoked)
        self._began = [each.invoked for each in self._done]
        # For each of them what was answered first of it and those that began later.
        self._first = list(accumulate(reversed(self._done), _earlier))[::-1]

    def first_since(self, time: float, other_than: str | None = None) -> Operation | None:
        """What was answered first of those that began since then; None if a process itself is next."""
        at = bisect_left(self._began, time)
        if at == len(self._done) or self._done[at].process == other_than:
            return None
        return self._first[at]


def _earlier(one: Operation, other: Operation) -> Operation:
    return one if ended(one) <= ended(other) else other


def ended(operation: Operation) -> float:
    """When it was answered; never, if it was not."""
    if operation.outcome is Outcome.unknown or operation.completed is None:
        return math.inf
    return operation.completed
