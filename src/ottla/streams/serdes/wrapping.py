"""Serdes around others: windowed keys of topics, and the changes of a table that is grouped anew."""

from __future__ import annotations

import struct
from typing import Generic, TypeVar

from ottla.protocol.errors import KafkaError
from ottla.records.varint import MAX_INT32_BYTES, encode_varint, read_varint
from ottla.streams.errors import SerializationError
from ottla.streams.records import Change, Window, Windowed
from ottla.streams.serdes.serde import Serde
from ottla.streams.windows import MAX_LONG, Duration, milliseconds, window_end

T = TypeVar("T")
_LONG = struct.Struct(">q")
_TWO_LONGS = struct.Struct(">qq")


class TimeWindowedSerde(Generic[T]):
    """A key and its window's start; the window's size is known from elsewhere (without one: unlimited)."""

    def __init__(self, inner: Serde[T], size: Duration | None = None) -> None:
        self.inner = inner
        self.size_ms = MAX_LONG if size is None else milliseconds(size, "size")

    def serialize(self, topic: str, value: Windowed[T] | None) -> bytes | None:
        if value is None:
            return None
        return _key_bytes(self.inner, topic, value) + _LONG.pack(value.window.start)

    def deserialize(self, topic: str, data: bytes | None) -> Windowed[T] | None:
        if not data:
            return None
        _check_length(data, _LONG.size)
        start: int = _LONG.unpack_from(data, len(data) - 8)[0]
        return _windowed(self.inner, topic, data[:-8], Window(start, window_end(start, self.size_ms)))


class SessionWindowedSerde(Generic[T]):
    """A key and its session's end and start."""

    def __init__(self, inner: Serde[T]) -> None:
        self.inner = inner

    def serialize(self, topic: str, value: Windowed[T] | None) -> bytes | None:
        if value is None:
            return None
        return _key_bytes(self.inner, topic, value) + _TWO_LONGS.pack(value.window.end, value.window.start)

    def deserialize(self, topic: str, data: bytes | None) -> Windowed[T] | None:
        if not data:
            return None
        _check_length(data, _TWO_LONGS.size)
        end, start = _TWO_LONGS.unpack_from(data, len(data) - 16)
        return _windowed(self.inner, topic, data[:-16], Window(start, end))


def _key_bytes(inner: Serde[T], topic: str, value: Windowed[T]) -> bytes:
    data = inner.serialize(topic, value.key)
    if data is None:
        raise SerializationError(f"{value!r} has no key")
    return data


def _windowed(inner: Serde[T], topic: str, data: bytes, window: Window) -> Windowed[T]:
    key = inner.deserialize(topic, data)
    if key is None:
        raise SerializationError("a windowed key without a key")
    return Windowed(key, window)


def _check_length(data: bytes, suffix: int) -> None:
    if len(data) < suffix:
        raise SerializationError(f"a windowed key of {len(data)} bytes, of which {suffix} say its window")


_OLD, _NEW, _BOTH, _OLD_LATEST, _NEW_LATEST, _BOTH_LATEST = range(6)


class ChangeSerde(Generic[T]):
    """A table's change in a repartition topic, the last byte saying how (KIP-904).

    Written in the newest format that every release from 3.5 on reads; read in all of them.
    """

    def __init__(self, inner: Serde[T]) -> None:
        self.inner = inner

    def serialize(self, topic: str, value: Change[T] | None) -> bytes | None:
        if value is None:
            return None
        new = self.inner.serialize(topic, value.new)
        old = self.inner.serialize(topic, value.old)
        if new is not None and old is not None:
            return b"".join((encode_varint(len(new)), new, old, bytes([_BOTH])))
        if new is not None:
            return new + bytes([_NEW])
        if old is not None:
            return old + bytes([_OLD])
        raise SerializationError("a change has a new value, or an old one, or both; this has none")

    def deserialize(self, topic: str, data: bytes | None) -> Change[T] | None:
        if data is None:
            return None
        if not data:
            raise SerializationError("a change of no bytes")
        flag = data[-1]
        if flag > _BOTH_LATEST:
            raise SerializationError(f"a change that ends in {flag}, which says no way to read it")
        body, is_latest = data[:-1], True
        if flag >= _OLD_LATEST:
            if not body or body[-1] > 1:
                raise SerializationError("a change that does not say whether it is the latest")
            body, is_latest = body[:-1], body[-1] == 1
        new: bytes | None = None
        old: bytes | None = None
        if flag in (_BOTH, _BOTH_LATEST):
            length, at = _read_length(body)
            if not 0 <= length <= len(body) - at:
                raise SerializationError(f"a change of {len(body)} bytes cannot have a new value of {length}")
            new, old = body[at : at + length], body[at + length :]
        elif flag in (_NEW, _NEW_LATEST):
            new = body
        else:
            old = body
        return Change(self.inner.deserialize(topic, new), self.inner.deserialize(topic, old), is_latest)


def _read_length(data: bytes) -> tuple[int, int]:
    """What a change's new value takes, and where it begins."""
    try:
        return read_varint(data, 0, MAX_INT32_BYTES)
    except (IndexError, KafkaError):
        raise SerializationError("a change whose length has no end") from None
