"""What clients did and saw, and what in it must not be (Jepsen's definitions, where it has one).

Values are unique. An answer that did not come is *unknown*: the request may have been carried out, or be
carried out still. What is forbidden:

- lost: an acknowledged value is gone, though durability was asked for, and neither retention nor a newer
  value of its key explains it
- two values at one offset, or one value at two offsets
- acknowledged values of one producer out of order
- a high watermark that goes back while the broker is up
- an acknowledged commit of an offset that is gone, or an older one in its place; likewise one that was told
- a partition that two members of a group own at the same time

A broker without replicas lets clients read what is not on the disk yet, as Kafka does. So what was read is
held against what was acknowledged, and against what others read between the same two power losses.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Log(NamedTuple):
    """A partition of a topic that is never made again."""

    machine: str
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition} on {self.machine}"


@dataclass(slots=True)
class Send:
    """A value on its way into a log."""

    producer: str
    key: bytes | None
    value: bytes
    is_durable: bool
    """Durability was asked for."""
    offset: int | None = None
    is_acknowledged: bool = False
    life: int = 0
    """Of the machine, when it acknowledged."""


class Seen(NamedTuple):
    """A record as it was read."""

    offset: int
    key: bytes | None
    value: bytes


class Drained(NamedTuple):
    """All that a log holds in the end, once the faults are over."""

    life: int
    log_start: int
    records: list[Seen]


@dataclass(slots=True)
class Commit:
    """Of an offset, which is unique for its place."""

    offset: int
    began: float
    ended: float = math.inf
    """When it was answered; it may take effect until then."""
    is_acknowledged: bool = False


class FetchedOffset(NamedTuple):
    """What a group was told of what it has committed; None for nothing."""

    offset: int | None
    began: float
    ended: float


@dataclass(slots=True)
class Ownership:
    """A member may work on a partition."""

    member: str
    began: float
    ended: float = math.inf


Place = tuple[str, str, Log]
"""What is committed: machine, group, and the log."""


@dataclass(slots=True)
class History:
    """Written by clients; `check` adds to `violations` what is found in the end."""

    now: Callable[[], float]
    violations: list[str] = field(default_factory=list)
    sends: dict[Log, list[Send]] = field(default_factory=lambda: defaultdict(list))
    seen: dict[tuple[Log, int], dict[int, Seen]] = field(default_factory=lambda: defaultdict(dict))
    """By log, and by life of its machine."""
    drained: dict[Log, Drained] = field(default_factory=dict)
    compacted: set[str] = field(default_factory=set)
    """Topics in which a newer value replaces an older one of its key."""
    retained: set[str] = field(default_factory=set)
    """Topics whose beginning may be removed."""
    commits: dict[Place, list[Commit]] = field(default_factory=lambda: defaultdict(list))
    fetched: dict[Place, list[FetchedOffset]] = field(default_factory=lambda: defaultdict(list))
    owners: dict[Place, list[Ownership]] = field(default_factory=lambda: defaultdict(list))
    _watermarks: dict[tuple[str, Log, int], int] = field(default_factory=dict)

    def forbid(self, what: str) -> None:
        """It happened, and must not."""
        self.violations.append(what)

    def saw(self, reader: str, log: Log, life: int, high_watermark: int, records: Iterable[Seen]) -> None:
        """A reader got this from one answer."""
        before = self._watermarks.get((reader, log, life), -1)
        if high_watermark < before:
            self.forbid(f"the high watermark of {log} went from {before} back to {high_watermark}")
        self._watermarks[reader, log, life] = high_watermark
        seen = self.seen[log, life]
        for record in records:
            other = seen.setdefault(record.offset, record)
            if other != record:
                self.forbid(f"offset {record.offset} of {log} has two values: {other} and {record}")

    def check(self) -> None:
        """Look at everything, when `drained` is complete."""
        for log, drained in self.drained.items():
            self.saw("the last reader", log, drained.life, 0, drained.records)
            self.violations += _lost(log, self.sends[log], drained, self._may_lack(log))
            self.violations += _disordered(log, self.sends[log], drained)
        for (log, life), seen in self.seen.items():
            self.violations += _doubled(log, life, seen.values())
            self.violations += _unread(log, life, seen, self.sends[log])
        for place, fetched in self.fetched.items():
            for each in fetched:
                self.violations += _stale(place, each, self.commits[place])
            self.violations += _gone_back(place, fetched, self.commits[place])
        for place, owners in self.owners.items():
            self.violations += _shared(place, owners)

    def _may_lack(self, log: Log) -> tuple[bool, bool]:
        return log.topic in self.compacted, log.topic in self.retained


def _lost(log: Log, sends: Iterable[Send], drained: Drained, may_lack: tuple[bool, bool]) -> Iterable[str]:
    is_compacted, is_retained = may_lack
    records = {record.offset: record for record in drained.records}
    newest = {record.key: record.offset for record in drained.records}
    if drained.log_start and not is_retained:
        yield f"lost: the beginning of {log} up to {drained.log_start}"
    for send in sends:
        if not (send.is_acknowledged and send.is_durable) or send.offset is None:
            continue
        found = records.get(send.offset)
        if found is not None:
            if found.value != send.value:
                yield f"lost: {send.value!r} from offset {send.offset} of {log}, which has {found.value!r}"
        elif is_compacted:
            if newest.get(send.key, -1) < send.offset:
                yield f"lost: {send.value!r} from offset {send.offset} of {log}, nothing newer has its key"
        elif send.offset >= drained.log_start:
            yield f"lost: {send.value!r} from offset {send.offset} of {log}, which has nothing there"


def _disordered(log: Log, sends: Iterable[Send], drained: Drained) -> Iterable[str]:
    """Of what was not to be durable, a second power loss may bring back what a first one took."""
    sent = {send.value: (number, send) for number, send in enumerate(sends)}
    last: dict[str, tuple[int, Send]] = {}
    for record in drained.records:
        if record.value not in sent:
            yield f"{record.value!r} at offset {record.offset} of {log} was never sent there"
            continue
        number, send = sent[record.value]
        if not (send.is_acknowledged and send.is_durable):
            continue
        before = last.get(send.producer)
        if before is not None and before[0] > number:
            yield f"{send.value!r} comes behind {before[1].value!r} in {log}, but was sent before it"
        last[send.producer] = number, send


def _doubled(log: Log, life: int, seen: Iterable[Seen]) -> Iterable[str]:
    offsets: dict[bytes, int] = {}
    for record in seen:
        other = offsets.setdefault(record.value, record.offset)
        if other != record.offset:
            yield f"{record.value!r} is at {other} and {record.offset} of {log} in life {life}"


def _unread(log: Log, life: int, seen: Mapping[int, Seen], sends: Iterable[Send]) -> Iterable[str]:
    """From when a value is acknowledged, whoever reads its offset reads it."""
    for send in sends:
        if send.is_acknowledged and send.is_durable and send.offset is not None and send.life <= life:
            found = seen.get(send.offset)
            if found is not None and found.value != send.value:
                yield (
                    f"offset {send.offset} of {log} has two values: {send.value!r}, which was acknowledged, "
                    f"and {found.value!r}, read in life {life}"
                )


def _stale(place: Place, fetched: FetchedOffset, commits: Iterable[Commit]) -> Iterable[str]:
    """A read of a register that has one writer at a time, some of whose writes may come late."""
    settled = [commit for commit in commits if commit.is_acknowledged and commit.ended <= fetched.began]
    where = f"group {place[1]} at {place[2]}"
    if fetched.offset is None:
        if settled:
            yield f"commit lost: {where} had {settled[-1].offset}, and then nothing"
        return
    mine = next((commit for commit in commits if commit.offset == fetched.offset), None)
    if mine is None or mine.began > fetched.ended:
        yield f"{where} was told {fetched.offset}, which nobody had committed"
        return
    newer = [commit for commit in settled if commit.began > mine.ended]
    if newer:
        yield f"commit lost: {where} was told {fetched.offset}, though {newer[-1].offset} had been committed"


def _gone_back(place: Place, fetched: Iterable[FetchedOffset], commits: Iterable[Commit]) -> Iterable[str]:
    """What was told once is there from then on, though whoever committed it may have had no answer."""
    by_offset = {commit.offset: commit for commit in commits}
    newest: tuple[FetchedOffset, Commit] | None = None
    for each in sorted(fetched, key=lambda read: read.began):
        commit = by_offset.get(-1 if each.offset is None else each.offset)
        if newest is not None and newest[0].ended < each.began:
            is_older = commit is not None and commit.ended < newest[1].began
            if each.offset is None or is_older:
                yield f"group {place[1]} at {place[2]} was told {newest[1].offset}, and then {each.offset}"
        if commit is not None and (newest is None or commit.began > newest[1].ended):
            newest = each, commit


def _shared(place: Place, owners: Iterable[Ownership]) -> Iterable[str]:
    before: Ownership | None = None
    for each in sorted(owners, key=lambda owner: owner.began):
        if before is not None and each.began < before.ended and each.member != before.member:
            yield (
                f"{place[2]} is owned by {each.member} in group {place[1]} from {each.began:.3f} on, and by "
                f"{before.member} until {before.ended:.3f}"
            )
        if before is None or each.ended > before.ended:
            before = each
