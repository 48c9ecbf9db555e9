"""Stores of all values of a key over its history (KIP-889)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypeVar

from ottla.streams.serdes.serde import Serde
from ottla.streams.state.ordered_bytes import OrderedBytes
from ottla.streams.state.stack import Stack, StoreEnvironment, StoreOptions
from ottla.streams.state.stores import (
    NO_TIMESTAMP,
    NOT_PUT,
    VALID_TO_UNDEFINED,
    StoreContext,
    Time,
    VersionedRecord,
)
from ottla.streams.windows import MAX_LONG, instant

K = TypeVar("K")
V = TypeVar("V")
_LONG: Final = struct.Struct(">q")
_LENGTH: Final = struct.Struct(">I")
_DELETED: Final = b""
"""A version that says: from now on there is nothing. Values have a byte in front."""


class VersionedValues(Stack[K, V]):
    """Each version of a key's value lies at its timestamp; it holds until the next one.

    Versions that ended before the history's retention go when the key is written again.
    """

    def __init__(
        self,
        name: str,
        key: Serde[K],
        value: Serde[V],
        options: StoreOptions,
        context: StoreContext,
        environment: StoreEnvironment,
        *,
        history_retention_ms: int,
    ) -> None:
        # A cache that keeps the last write of a key would lose versions: Java has none here either.
        super().__init__(name, key, value, replace(options, caching=False), context, environment)
        self._history_ms = history_retention_ms
        self._observed = NO_TIMESTAMP

    def put(self, key: K, value: V | None, timestamp: int) -> int:
        data = self._value.serialize(self.topic, value)
        result = self._write(self.top, self._bytes_of(key), data, timestamp)
        if result == NOT_PUT:
            self.context.record_dropped(self.name)
        return result

    def delete(self, key: K, timestamp: int) -> VersionedRecord[V] | None:
        old = self.get_as_of(key, timestamp)
        self.put(key, None, timestamp)
        return old

    def get(self, key: K) -> VersionedRecord[V] | None:
        prefix = _prefix(self._bytes_of(key))
        newest = next(self.top.scan(prefix, _end(prefix), reverse=True), None)
        if newest is None:
            return None
        return self._record(newest[1], _timestamp(newest[0]), None)

    def get_as_of(self, key: K, timestamp: Time) -> VersionedRecord[V] | None:
        asked = instant(timestamp)
        prefix = _prefix(self._bytes_of(key))
        found = next(self.top.scan(prefix, _place(prefix, asked) + b"\0", reverse=True), None)
        if found is None:
            return None
        following = next(self.top.scan(found[0] + b"\0", _end(prefix)), None)
        if following is not None and asked < self._observed - self._history_ms:
            return None
        valid_to = None if following is None else _timestamp(following[0])
        return self._record(found[1], _timestamp(found[0]), valid_to)

    def restore(self, records: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        base = self._base_to_restore()
        for key, value, timestamp in records:
            self._write(base, key, value, timestamp)

    def _write(self, store: OrderedBytes, key: bytes, value: bytes | None, timestamp: int) -> int:
        self._observed = max(self._observed, timestamp)
        oldest = self._observed - self._history_ms
        if timestamp < oldest:
            return NOT_PUT
        prefix = _prefix(key)
        place = _place(prefix, timestamp)
        store.put(place, _DELETED if value is None else b"\x01" + value)
        self._forget(prefix, oldest)
        following = next(store.scan(place + b"\0", _end(prefix)), None)
        return VALID_TO_UNDEFINED if following is None else _timestamp(following[0])

    def _forget(self, prefix: bytes, oldest: int) -> None:
        """Drop the versions of a key that ended at `oldest` or before."""
        if oldest <= 0:
            return
        last = next(self.base.scan(prefix, _place(prefix, oldest) + b"\0", reverse=True), None)
        if last is not None:
            for place, _ in list(self.base.scan(prefix, last[0])):
                self.base.put(place, None)

    def _log(self, place: bytes, value: bytes | None) -> None:
        assert value is not None
        key, timestamp = place[_LENGTH.size : -_LONG.size], _timestamp(place)
        self.context.log_change(self.name, key, None if value == _DELETED else value[1:], timestamp)

    def _record(self, data: bytes, timestamp: int, valid_to: int | None) -> VersionedRecord[V] | None:
        value = None if data == _DELETED else self._value_of(data[1:])
        return None if value is None else VersionedRecord(value, timestamp, valid_to)


def _prefix(key: bytes) -> bytes:
    """Where a key's versions begin: its length keeps keys apart of which one begins with the other."""
    return _LENGTH.pack(len(key)) + key


def _place(prefix: bytes, timestamp: int) -> bytes:
    return prefix + _LONG.pack(max(timestamp, 0))


def _end(prefix: bytes) -> bytes:
    return prefix + _LONG.pack(MAX_LONG) + b"\0"


def _timestamp(place: bytes) -> int:
    timestamp: int = _LONG.unpack_from(place, len(place) - _LONG.size)[0]
    return timestamp
