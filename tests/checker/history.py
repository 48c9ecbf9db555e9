"""What clients did and saw, and its form as JSON lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple


class Partition(NamedTuple):
    """Of a topic that is never made again."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.number}"


class Outcome(StrEnum):
    """What is known of an operation."""

    ok = "ok"
    failed = "failed"
    """It had no effect, and never will."""
    unknown = "unknown"


class Kind(StrEnum):
    """What an operation is."""

    send = "send"
    """Values outside of transactions."""
    transaction = "transaction"
    """Sends, polls and commits of offsets; ok is committed, failed is aborted."""
    poll = "poll"
    assign = "assign"
    """These partitions from now on; a position is where the process seeks to, None where it goes on."""
    subscribe = "subscribe"
    rebalance = "rebalance"
    """Of a process that subscribes: its positions are whatever the group has committed."""
    crash = "crash"
    """The end of the process."""
    init = "init"
    """InitProducerId of a transactional id: who used it before is fenced."""
    commit = "commit"
    """Offsets, outside of transactions."""
    committed = "committed"
    """The offsets of a group are read."""
    drain = "drain"


@dataclass(slots=True)
class Send:
    """A value on its way into a partition."""

    partition: Partition
    value: str
    """Used once in the partition."""
    invoked: float = 0.0
    acknowledged: bool = False
    offset: int | None = None
    """Where it was acknowledged; None where the broker does not say."""
    era: int = 0
    """When it was acknowledged."""

    def acknowledge(self, offset: int | None = None, era: int = 0) -> None:
        self.acknowledged, self.offset, self.era = True, offset, era


@dataclass(slots=True)
class Poll:
    """What one answer had of a partition."""

    partition: Partition
    records: Sequence[tuple[int, str]]
    """(offset, value)"""
    completed: float = 0.0
    end: int | None = None
    """The position after it, where that is not behind the last record."""
    high_watermark: int | None = None
    stable_offset: int | None = None
    is_committed: bool = True
    """Isolation: read_committed, or read_uncommitted."""
    era: int = 0
    leader_epoch: int = -1
    """Of who answered, where there are several: another one may not know yet how far its predecessor came."""

    @property
    def next_position(self) -> int | None:
        """None where nothing was read and nothing is known."""
        if self.end is not None:
            return self.end
        return self.records[-1][0] + 1 if self.records else None


class Position(NamedTuple):
    """An offset of a group that is committed, or was read; None where there is none."""

    group: str
    partition: Partition
    offset: int | None


@dataclass(slots=True)
class Operation:
    """Begun by `History.begin`; `end` says what became of it."""

    process: str
    number: int
    """In the order in which its process began them."""
    kind: Kind
    invoked: float
    completed: float | None = None
    outcome: Outcome = Outcome.unknown
    transactional_id: str | None = None
    asked: float | None = None
    """When the transaction first asked to be committed."""
    sends: list[Send] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)
    offsets: list[Position] = field(default_factory=list)
    """To be committed, or as they were read."""
    positions: list[tuple[Partition, int | None]] = field(default_factory=list)
    """Of an assignment."""
    now: Callable[[], float] = field(default=float, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.process}/{self.number} ({self.kind}, {self.outcome})"

    def send(self, partition: Partition, value: str) -> Send:
        """It is about to be sent."""
        self.sends.append(Send(partition, value, self.now()))
        return self.sends[-1]

    def poll(self, partition: Partition, records: Sequence[tuple[int, str]], **known: Any) -> Poll:
        """It was read just now; `known` are fields of `Poll`."""
        self.polls.append(Poll(partition, records, self.now(), **known))
        return self.polls[-1]

    def commit_offset(self, group: str, partition: Partition, offset: int) -> None:
        """It is about to be committed (with the transaction)."""
        self.offsets.append(Position(group, partition, offset))

    def read_offset(self, group: str, partition: Partition, offset: int | None) -> None:
        """It was read just now."""
        self.offsets.append(Position(group, partition, offset))

    def ask_to_commit(self) -> None:
        """From now on the transaction may be committed."""
        if self.asked is None:
            self.asked = self.now()

    def end(self, outcome: Outcome) -> None:
        self.outcome, self.completed = outcome, self.now()

    def as_line(self) -> str:
        """One line of JSON, without what is at its default."""
        return json.dumps(_plain(self), separators=(",", ":"), ensure_ascii=False)


class History:
    """Operations in the order in which they began."""

    def __init__(self, now: Callable[[], float] = float) -> None:
        """`now` is a clock that all processes share, in seconds."""
        self._now = now
        self._begun: Counter[str] = Counter()
        self.operations: list[Operation] = []

    def begin(
        self,
        kind: Kind,
        process: str,
        *,
        transactional_id: str | None = None,
        positions: Iterable[tuple[Partition, int | None]] = (),
    ) -> Operation:
        """A process does something; its outcome is unknown until `Operation.end`."""
        number = self._begun[process]
        self._begun[process] += 1
        begun = Operation(
            process, number, kind, self._now(), transactional_id=transactional_id, now=self._now
        )
        begun.positions += positions
        self.operations.append(begun)
        return begun

    def note(self, kind: Kind, process: str, positions: Iterable[tuple[Partition, int | None]] = ()) -> None:
        """Something that a process does by itself: assign, subscribe, rebalance, crash."""
        self.begin(kind, process, positions=positions).end(Outcome.ok)

    def save(self, path: Path) -> None:
        path.write_text("".join(f"{operation.as_line()}\n" for operation in self.operations))

    @classmethod
    def load(cls, *paths: Path) -> History:
        """From files that may be in pieces; of what is written several times the last line counts.

        A process that may be killed at any time writes each operation again whenever more of it is known; a
        torn last line is left out. Raises ValueError for anything else that is no history.
        """
        history = cls()
        found: dict[tuple[str, int], Operation] = {}
        for path in paths:
            lines = path.read_text().splitlines(keepends=True)
            for number, line in enumerate(lines, 1):
                if number == len(lines) and not line.endswith("\n"):
                    continue
                try:
                    operation = _operation(json.loads(line))
                except (TypeError, KeyError, ValueError) as error:
                    raise ValueError(f"{path}, line {number}: no operation: {error}") from error
                found[operation.process, operation.number] = operation
        history.operations = sorted(
            found.values(), key=lambda each: (each.invoked, each.process, each.number)
        )
        return history


def _plain(thing: Send | Poll | Operation) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for each in fields(thing):
        value = getattr(thing, each.name)
        if each.name == "now" or (each.default is not MISSING and value == each.default) or value == []:
            continue
        if each.name in {"sends", "polls"}:
            value = [_plain(inner) for inner in value]
        plain[each.name] = value
    return plain


def _operation(plain: dict[str, Any]) -> Operation:
    lists = {name: plain.pop(name, []) for name in ("sends", "polls", "offsets", "positions")}
    operation = Operation(**{**plain, "kind": Kind(plain["kind"])})
    operation.outcome = Outcome(operation.outcome)
    operation.sends += [Send(**_located(each)) for each in lists["sends"]]
    for each in lists["polls"]:
        records = [(offset, value) for offset, value in each.pop("records", [])]
        operation.polls.append(Poll(**_located(each), records=records))
    operation.offsets += [Position(group, Partition(*at), offset) for group, at, offset in lists["offsets"]]
    operation.positions += [(Partition(*at), offset) for at, offset in lists["positions"]]
    return operation


def _located(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {**plain, "partition": Partition(*plain["partition"])}
