"""What members of an application tell each other through the group's coordinator, in Kafka Streams' bytes.

Version 11 of SubscriptionInfo and AssignmentInfo, which every release since 3.2 writes. The protocol has a
name of its own all the same: so the broker keeps Java's members and ours apart, whose functions differ.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from ottla.streams.errors import StreamsError

PROTOCOL: Final = "ottla-streams"
VERSION: Final = 11
RUNNING: Final = -2
"""The sum of offsets of a task that runs there: it is as new as can be."""
UNKNOWN: Final = -3
INCOMPLETE_SOURCE_TOPICS: Final = 1
"""AssignorError: all members are told that topics are missing."""
SHUTDOWN_REQUESTED: Final = 4
"""AssignorError: a member asks for the whole application to end, and all members are told (KIP-671)."""
NO_REBALANCE: Final = 2**63 - 1

_INT: Final = struct.Struct(">i")
_LONG: Final = struct.Struct(">q")
_SHORT: Final = struct.Struct(">H")

Partition = tuple[str, int]


class TaskId(NamedTuple):
    """A sub-topology at work on one partition."""

    group: int
    partition: int

    def __str__(self) -> str:
        return f"{self.group}_{self.partition}"


@dataclass(frozen=True)
class Subscription:
    """What a member says of itself: its process, and how far each task's state there is (sums of offsets)."""

    process_id: UUID
    offset_sums: Mapping[TaskId, int] = field(default_factory=dict)
    endpoint: str = ""
    unique: int = 0
    """Differs from the subscription before where the leader is to be asked again."""
    tags: Mapping[str, str] = field(default_factory=dict)
    error: int = 0
    """SHUTDOWN_REQUESTED, or 0."""


@dataclass(frozen=True)
class Assignment:
    """What a member gets: for each partition of its assignment, in order, the task that reads it; the tasks
    whose state it only follows, with their changelogs; who has what, for queries."""

    active: tuple[TaskId, ...] = ()
    standby: Mapping[TaskId, tuple[Partition, ...]] = field(default_factory=dict)
    hosts: Mapping[tuple[str, int], tuple[Partition, ...]] = field(default_factory=dict)
    standby_hosts: Mapping[tuple[str, int], tuple[Partition, ...]] = field(default_factory=dict)
    error: int = 0
    next_rebalance_ms: int = NO_REBALANCE
    """When to ask for a rebalance that looks at the lags again; by the wall clock."""


def encode_subscription(info: Subscription) -> bytes:
    parts = [_INT.pack(VERSION), _INT.pack(VERSION), info.process_id.bytes, _bytes(info.endpoint.encode())]
    parts.append(_INT.pack(len(info.offset_sums)))
    for task, total in sorted(info.offset_sums.items()):
        parts += [_INT.pack(task.group), _INT.pack(task.partition), _LONG.pack(total), b"\xff\xff"]
    parts += [info.unique.to_bytes(1, signed=True), _INT.pack(info.error), _INT.pack(len(info.tags))]
    for name, value in sorted(info.tags.items()):
        parts += [_bytes(name.encode()), _bytes(value.encode())]
    return b"".join(parts)


def decode_subscription(data: bytes | None) -> Subscription:
    """Raises StreamsError for what is no subscription, or is one of another version."""
    reader = _Reader(data or b"", "subscription")
    reader.check_version()
    process_id = UUID(bytes=reader.take(16))
    endpoint = reader.text(reader.take(reader.number()))
    sums = {}
    for _ in range(reader.count(18)):
        task = TaskId(reader.number(), reader.number())
        sums[task] = reader.long()
        if (length := reader.short()) != 0xFFFF:
            reader.take(length)
    unique = int.from_bytes(reader.take(1), signed=True)
    error = reader.number()
    tags = {}
    for _ in range(reader.count(8)):
        name = reader.text(reader.take(reader.number()))
        tags[name] = reader.text(reader.take(reader.number()))
    return Subscription(process_id, sums, endpoint, unique, tags, error)


def encode_assignment(info: Assignment) -> bytes:
    parts = [_INT.pack(VERSION), _INT.pack(VERSION), _INT.pack(len(info.active))]
    parts += [_task(task) for task in info.active]
    parts.append(_INT.pack(len(info.standby)))
    for task, partitions in info.standby.items():
        parts += [_task(task), _INT.pack(len(partitions))]
        for topic, partition in partitions:
            parts += [_utf(topic), _INT.pack(partition)]
    topics: dict[str, int] = {}
    for hosts in (info.hosts, info.standby_hosts):
        for partitions in hosts.values():
            for topic, _ in partitions:
                topics.setdefault(topic, len(topics))
    parts.append(_INT.pack(len(topics)))
    for topic, number in topics.items():
        parts += [_INT.pack(number), _utf(topic)]
    for hosts in (info.hosts, info.standby_hosts):
        parts.append(_INT.pack(len(hosts)))
        for (host, port), partitions in hosts.items():
            parts += [_utf(host), _INT.pack(port), _INT.pack(len(partitions))]
            parts += [_INT.pack(topics[topic]) + _INT.pack(partition) for topic, partition in partitions]
    parts += [_INT.pack(info.error), _LONG.pack(info.next_rebalance_ms)]
    return b"".join(parts)


def decode_assignment(data: bytes | None) -> Assignment:
    """Raises StreamsError for what is no assignment, or is one of another version."""
    reader = _Reader(data or b"", "assignment")
    reader.check_version()
    active = tuple(reader.task() for _ in range(reader.count(12)))
    standby = {}
    for _ in range(reader.count(16)):
        task = reader.task()
        standby[task] = tuple((reader.utf(), reader.number()) for _ in range(reader.count(6)))
    topics = {}
    for _ in range(reader.count(6)):
        number = reader.number()
        topics[number] = reader.utf()
    hosts = reader.hosts(topics)
    standby_hosts = reader.hosts(topics)
    return Assignment(active, standby, hosts, standby_hosts, reader.number(), reader.long())


def _bytes(data: bytes) -> bytes:
    return _INT.pack(len(data)) + data


def _utf(text: str) -> bytes:
    data = text.encode()
    return _SHORT.pack(len(data)) + data


def _task(task: TaskId) -> bytes:
    # Behind it the length of a named topology's name, of which there is none.
    return _INT.pack(task.group) + _INT.pack(task.partition) + _INT.pack(0)


class _Reader:
    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise StreamsError(f"a member's {self._what} of {len(self._data)} bytes is cut short")
        start, self._at = self._at, end
        return self._data[start:end]

    def short(self) -> int:
        number: int = _SHORT.unpack(self.take(2))[0]
        return number

    def number(self) -> int:
        number: int = _INT.unpack(self.take(4))[0]
        return number

    def long(self) -> int:
        number: int = _LONG.unpack(self.take(8))[0]
        return number

    def count(self, size: int) -> int:
        count = self.number()
        if not 0 <= count <= len(self._data) // size:
            raise StreamsError(f"a member's {self._what} cannot have {count} entries")
        return count

    def text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise StreamsError(f"a member's {self._what} has text that is no UTF-8") from None

    def utf(self) -> str:
        return self.text(self.take(self.short()))

    def task(self) -> TaskId:
        task = TaskId(self.number(), self.number())
        self.take(2 * self.number())
        return task

    def hosts(self, topics: Mapping[int, str]) -> dict[tuple[str, int], tuple[Partition, ...]]:
        found = {}
        for _ in range(self.count(10)):
            host = self.utf(), self.number()
            partitions = []
            for _ in range(self.count(8)):
                number, partition = self.number(), self.number()
                if number not in topics:
                    raise StreamsError(f"a member's {self._what} names a topic by a number it does not say")
                partitions.append((topics[number], partition))
            found[host] = tuple(partitions)
        return found

    def check_version(self) -> None:
        version, latest = self.number(), self.number()
        if version != VERSION:
            raise StreamsError(
                f"a member's {self._what} is of version {version} (up to {latest}), this one speaks {VERSION}"
            )
