"""What the members of a Connect group tell each other, in Kafka's bytes. Pure.

Versions: 0 `eager`, 1 `compatible` (incremental cooperative rebalancing, KIP-415), 2 `sessioned` (requests
between workers are signed, KIP-507). The newest that all members speak is used.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import Final, NamedTuple

from ottla.connect.worker.ids import ConnectorTaskId, Work

_CONNECTOR_ITSELF: Final = -1
_MAX_ELEMENTS: Final = 1_000_000

NO_ERROR: Final = 0
CONFIG_MISMATCH: Final = 1
"""The leader has not read as far as another member: read to the end of the configs, and join again"""


class ProtocolError(ValueError):
    """Bytes of a member that are not what they should be."""


class Protocol(Enum):
    """Of `connect.protocol`; its value is the version in the bytes."""

    EAGER = 0
    COMPATIBLE = 1
    SESSIONED = 2

    @property
    def label(self) -> str:
        """As it is called in the group."""
        return {"EAGER": "default"}.get(self.name, self.name.lower())

    @classmethod
    def of_label(cls, label: str | None) -> Protocol:
        for each in cls:
            if each.label == label:
                return each
        raise ProtocolError(f"a Connect group has no protocol {label!r}")


class Assignment(NamedTuple):
    """Who leads and what a member has to do. From version 1 on `work` is what is new and `revoked` what goes;
    of version 0 `work` is everything.
    """

    error: int = NO_ERROR
    leader: str = ""
    leader_url: str = ""
    offset: int = -1
    """Up to where the configs must have been read to act on this"""
    work: Work = Work()
    revoked: Work = Work()
    delay_ms: int = 0
    """After which to join again"""


class WorkerState(NamedTuple):
    url: str
    offset: int
    """Of the configs, up to where they have been read"""
    assignment: Assignment | None = None
    """What it does now"""


class _Writer:
    def __init__(self, version: int) -> None:
        self._parts = [struct.pack(">h", version)]

    def number(self, form: str, value: int) -> None:
        self._parts.append(struct.pack(form, value))

    def text(self, value: str) -> None:
        data = value.encode()
        if len(data) > 0x7FFF:
            raise ProtocolError(f"a text of {len(data)} bytes")
        self._parts += [struct.pack(">h", len(data)), data]

    def data(self, value: bytes | None) -> None:
        self._parts.append(struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value)

    def work(self, work: Work) -> None:
        by_connector: dict[str, list[int]] = {each: [_CONNECTOR_ITSELF] for each in work.connectors}
        for task in work.tasks:
            by_connector.setdefault(task.connector, []).append(task.task)
        self.number(">i", len(by_connector))
        for connector, numbers in by_connector.items():
            self.text(connector)
            self._parts.append(struct.pack(f">i{len(numbers)}i", len(numbers), *numbers))

    def finished(self) -> bytes:
        return b"".join(self._parts)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self.version: int = self.number(">h")
        if self.version < 0:
            raise ProtocolError(f"version {self.version}")

    @property
    def is_at_end(self) -> bool:
        return self._position >= len(self._data)

    def number(self, form: str) -> int:
        size = struct.calcsize(form)
        return int(struct.unpack(form, self._take(size))[0])

    def _take(self, size: int) -> bytes:
        end = self._position + size
        if size < 0 or end > len(self._data):
            raise ProtocolError("the bytes end too early")
        part = self._data[self._position : end]
        self._position = end
        return part

    def text(self) -> str:
        try:
            return self._take(self.number(">h")).decode()
        except UnicodeDecodeError:
            raise ProtocolError("a text is no UTF-8") from None

    def data(self) -> bytes | None:
        size = self.number(">i")
        return None if size < 0 else self._take(size)

    def work(self) -> Work:
        connectors: list[str] = []
        tasks: list[ConnectorTaskId] = []
        for _ in range(self._count()):
            connector = self.text()
            for _ in range(self._count()):
                number = self.number(">i")
                if number == _CONNECTOR_ITSELF:
                    connectors.append(connector)
                else:
                    tasks.append(ConnectorTaskId(connector, number))
        return Work.of(connectors, tasks)

    def _count(self) -> int:
        count = self.number(">i")
        if count > _MAX_ELEMENTS or count > len(self._data):
            raise ProtocolError(f"an array of {count} elements")
        return max(count, 0)  # -1 is null


def encode_state(state: WorkerState, protocol: Protocol) -> bytes:
    """What a member says of itself when it joins."""
    writer = _Writer(protocol.value)
    writer.text(state.url)
    writer.number(">q", state.offset)
    if protocol is not Protocol.EAGER:
        current = state.assignment
        writer.data(None if current is None else encode_assignment(current, protocol))
    return writer.finished()


def decode_state(data: bytes) -> WorkerState:
    """ProtocolError for bytes that are none."""
    reader = _Reader(data)
    url, offset = reader.text(), reader.number(">q")
    current = None
    if reader.version > 0 and not reader.is_at_end:
        current = reader.data()
    return WorkerState(url, offset, None if current is None else decode_assignment(current))


def encode_assignment(assignment: Assignment, protocol: Protocol) -> bytes:
    writer = _Writer(protocol.value)
    writer.number(">h", assignment.error)
    writer.text(assignment.leader)
    writer.text(assignment.leader_url)
    writer.number(">q", assignment.offset)
    writer.work(assignment.work)
    if protocol is not Protocol.EAGER:
        writer.work(assignment.revoked)
        writer.number(">i", assignment.delay_ms)
    return writer.finished()


def decode_assignment(data: bytes) -> Assignment:
    """ProtocolError for bytes that are none."""
    reader = _Reader(data)
    error, leader, url, offset = reader.number(">h"), reader.text(), reader.text(), reader.number(">q")
    work = Work() if reader.is_at_end else reader.work()
    revoked = Work() if reader.is_at_end else reader.work()
    delay_ms = 0 if reader.is_at_end else reader.number(">i")
    return Assignment(error, leader, url, offset, work, revoked, delay_ms)
