"""Joins of tables by a foreign key, as Kafka Streams does them (KIP-213).

A row of the left table sends a subscription to where its foreign key lies. There it is answered with what the
right table has, at once and whenever that changes; the answer comes back to where the row lies, and counts
only if the row is still the one that asked: its hash tells.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, NamedTuple

from ottla.streams.errors import SerializationError
from ottla.streams.processors.base import AnyRecord, Operator
from ottla.streams.processors.murmur3 import hash128
from ottla.streams.processors.table_store import value_of
from ottla.streams.processors.views import ValueGetter
from ottla.streams.records import Record, ValueAndTimestamp
from ottla.streams.serdes import Serde

__all__ = [
    "AnswerForeignChanges",
    "AnswerSubscriptions",
    "ForeignKeySerdes",
    "Instruction",
    "KeepSubscriptions",
    "ResolveResponses",
    "Response",
    "ResponseSerde",
    "Subscribe",
    "Subscription",
    "SubscriptionSerde",
]

_INT: Final = struct.Struct(">i")
_NO_HASH: Final = 0x80
_VERSION: Final = 0x7F


class Instruction(IntEnum):
    """What is to be done about a subscription."""

    DELETE = 0
    """It ends, and nobody waits for an answer."""
    DELETE_AND_ANSWER = 1
    """It ends, and the result with it."""
    ANSWER_ALWAYS = 2
    """It begins, and if there is nothing to join with that is the answer."""
    ANSWER_IF_FOUND = 3
    """It begins; nothing needs to be deleted if there is nothing to join with."""


class Subscription(NamedTuple):
    hash: bytes | None
    """Of the row that asks; None: it was deleted."""
    instruction: Instruction
    primary_key: Any
    partition: int | None
    """Of the row: where the answer goes."""


class Response(NamedTuple):
    hash: bytes | None
    value: Any
    partition: int | None = None
    """Not written: it is what the answer is sent to."""


class ForeignKeySerdes:
    """How keys and values are written; the topics that serdes are told of are pseudo topics, as in Java."""

    def __init__(
        self,
        topic: str,
        primary: Serde[Any],
        foreign: Serde[Any],
        value: Serde[Any],
    ) -> None:
        """`topic`: that of the subscriptions, without the application's id; `value`: of the left table."""
        self._topic = topic
        self._primary = primary
        self._foreign = foreign
        self._value = value

    def primary_bytes(self, key: Any) -> bytes:
        return self._primary.serialize(f"{self._topic}-pk", key) or b""

    def primary_key(self, data: bytes) -> Any:
        return self._primary.deserialize(f"{self._topic}-pk", data)

    def foreign_bytes(self, key: Any) -> bytes | None:
        return self._foreign.serialize(f"{self._topic}-fk", key)

    def value_hash(self, value: Any) -> bytes | None:
        data = None if value is None else self._value.serialize(f"{self._topic}-vh", value)
        return None if data is None else hash128(data)

    def prefix(self, foreign_key: Any) -> bytes:
        """What the subscriptions to a foreign key begin with."""
        data = self.foreign_bytes(foreign_key) or b""
        return _INT.pack(len(data)) + data

    def combined(self, foreign_key: Any, primary_key: Any) -> bytes:
        return self.prefix(foreign_key) + self.primary_bytes(primary_key)

    def primary_of(self, combined: bytes) -> Any:
        size = _INT.unpack_from(combined)[0]
        return self.primary_key(combined[_INT.size + size :])


class SubscriptionSerde:
    """A byte for the version and whether there is a hash, the instruction, the hash, the key, the
    partition."""

    def __init__(self, serdes: ForeignKeySerdes) -> None:
        self._serdes = serdes

    def serialize(self, topic: str, value: Subscription | None) -> bytes | None:  # noqa: ARG002
        if value is None:
            return None
        version = 1 if value.hash is not None else 1 | _NO_HASH
        key = self._serdes.primary_bytes(value.primary_key)
        partition = _INT.pack(0 if value.partition is None else value.partition)
        return bytes((version, value.instruction)) + (value.hash or b"") + key + partition

    def deserialize(self, topic: str, data: bytes | None) -> Subscription | None:  # noqa: ARG002
        if data is None:
            return None
        version, found, at = _read_head(data, 2)
        end = len(data) - (_INT.size if version else 0)
        if version > 1 or data[1] > 3 or end < at:
            raise SerializationError(f"a subscription of {len(data)} bytes and version {version}")
        partition = _INT.unpack_from(data, end)[0] if version else None
        key = self._serdes.primary_key(data[at:end])
        return Subscription(found, Instruction(data[1]), key, partition)


class ResponseSerde:
    """A byte for the version and whether there is a hash, the hash, the value."""

    def __init__(self, value: Serde[Any]) -> None:
        self._value = value

    def serialize(self, topic: str, value: Response | None) -> bytes | None:
        if value is None:
            return None
        data = b"" if value.value is None else self._value.serialize(topic, value.value) or b""
        version = 0 if value.hash is not None else _NO_HASH
        return bytes((version,)) + (value.hash or b"") + data

    def deserialize(self, topic: str, data: bytes | None) -> Response | None:
        if data is None:
            return None
        version, found, at = _read_head(data, 1)
        if version:
            raise SerializationError(f"a response of version {version}")
        return Response(found, self._value.deserialize(topic, data[at:]) if len(data) > at else None)


def _read_head(data: bytes, size: int) -> tuple[int, bytes | None, int]:
    """The version, the hash if there is one, and where they end."""
    has_hash = bool(data) and not data[0] & _NO_HASH
    end = size + (16 if has_hash else 0)
    if len(data) < end:
        raise SerializationError(f"{len(data)} bytes are no message of a foreign-key join")
    return data[0] & _VERSION, data[size:end] if has_hash else None, end


class Subscribe(Operator):
    """Changes of the left table become subscriptions."""

    def __init__(
        self,
        foreign_key: Callable[[Any, Any], Any],
        serdes: ForeignKeySerdes,
        *,
        is_left: bool,
        versioned: bool,
    ) -> None:
        self._foreign_key = foreign_key
        self._serdes = serdes
        self._is_left = is_left
        self._versioned = versioned

    def process(self, record: AnyRecord) -> None:
        change = record.value
        if self._versioned and not change.is_latest:
            self.drop()
            return
        old_key = None if change.old is None else self._foreign_key(record.key, change.old)
        new_key = None if change.new is None else self._foreign_key(record.key, change.new)
        moved = old_key is not None and self._differ(old_key, new_key)
        if self._is_left:
            if change.old is None and change.new is None:
                return
            if moved:
                self._send(record, old_key, Instruction.DELETE)
            self._send(record, new_key, Instruction.ANSWER_ALWAYS)
        elif new_key is None:
            if change.new is not None:
                self.drop()
            if old_key is not None:
                self._send(record, old_key, Instruction.DELETE_AND_ANSWER)
        elif moved:
            self._send(record, old_key, Instruction.DELETE)
            self._send(record, new_key, Instruction.ANSWER_ALWAYS)
        else:
            self._send(record, new_key, Instruction.ANSWER_IF_FOUND)

    def _differ(self, one: Any, other: Any) -> bool:
        return self._serdes.foreign_bytes(one) != self._serdes.foreign_bytes(other)

    def _send(self, record: AnyRecord, foreign_key: Any, instruction: Instruction) -> None:
        metadata = self.step.record_metadata
        partition = 0 if metadata is None else metadata.partition
        row_hash = self._serdes.value_hash(record.value.new)
        subscription = Subscription(row_hash, instruction, record.key, partition)
        self.forward(Record(foreign_key, subscription, record.timestamp, record.headers))


class KeepSubscriptions(Operator):
    """Keeps who subscribes to what."""

    def __init__(self, store: str, serdes: ForeignKeySerdes) -> None:
        self._name = store
        self._serdes = serdes

    def prepare(self) -> None:
        self._store = self.store(self._name)

    def process(self, record: AnyRecord) -> None:
        foreign_key, subscription = record.key, record.value
        if foreign_key is None:
            if subscription.instruction is not Instruction.ANSWER_ALWAYS:
                self.drop()
                return
        else:
            place = self._serdes.combined(foreign_key, subscription.primary_key)
            if subscription.instruction in (Instruction.DELETE, Instruction.DELETE_AND_ANSWER):
                self._store.put(place, None)
            else:
                self._store.put(place, ValueAndTimestamp(subscription, record.timestamp))
        self.forward(record)


class AnswerSubscriptions(Operator):
    """Answers a subscription with what the right table has."""

    def __init__(self, table: ValueGetter) -> None:
        self._table = table

    def prepare(self) -> None:
        self._table.prepare(self.step)

    def process(self, record: AnyRecord) -> None:
        subscription = record.value
        instruction = subscription.instruction
        found = None if record.key is None else self._table.get(record.key)
        if instruction is Instruction.DELETE or (
            instruction is Instruction.ANSWER_IF_FOUND and found is None
        ):
            return
        timestamp = record.timestamp if found is None else max(record.timestamp, found.timestamp)
        value = None if instruction is Instruction.DELETE_AND_ANSWER else value_of(found)
        response = Response(subscription.hash, value, subscription.partition)
        self.forward(Record(subscription.primary_key, response, timestamp, record.headers))


class AnswerForeignChanges(Operator):
    """Changes of the right table go to all who subscribe to their key."""

    def __init__(self, store: str, serdes: ForeignKeySerdes, *, versioned: bool) -> None:
        self._name = store
        self._serdes = serdes
        self._versioned = versioned

    def prepare(self) -> None:
        self._store = self.store(self._name)

    def process(self, record: AnyRecord) -> None:
        if record.key is None or (self._versioned and not record.value.is_latest):
            self.drop()
            return
        for place, found in self._store.prefix_scan(self._serdes.prefix(record.key)):
            subscription = found.value
            response = Response(subscription.hash, record.value.new, subscription.partition)
            key = self._serdes.primary_of(place)
            self.forward(Record(key, response, record.timestamp, record.headers))


class ResolveResponses(Operator):
    """Makes results of answers, if the row is still the one that asked."""

    def __init__(
        self,
        table: ValueGetter,
        joiner: Callable[[Any, Any], Any],
        serdes: ForeignKeySerdes,
        *,
        is_left: bool,
    ) -> None:
        self._table = table
        self._joiner = joiner
        self._serdes = serdes
        self._is_left = is_left

    def prepare(self) -> None:
        self._table.prepare(self.step)

    def process(self, record: AnyRecord) -> None:
        response = record.value
        row = value_of(self._table.get(record.key))
        if response.hash != self._serdes.value_hash(row):
            self.drop()
            return
        result = None
        if row is not None and (response.value is not None or self._is_left):
            result = self._joiner(row, response.value)
        self.forward(Record(record.key, result, record.timestamp, record.headers))
