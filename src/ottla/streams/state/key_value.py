"""Stores of a value, or of a list of values, for each key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from ottla.client.columns.columns import Columns
from ottla.streams.records import ValueAndTimestamp
from ottla.streams.serdes.lists import List
from ottla.streams.serdes.scalars import Bytes
from ottla.streams.serdes.serde import Serde
from ottla.streams.state.stack import Stack, StoreEnvironment, StoreOptions, prefix_end
from ottla.streams.state.stores import FlushListener, RecordContext, StoreContext
from ottla.streams.state.values import TimestampedSerde, timestamp_of, with_timestamp

K = TypeVar("K")
V = TypeVar("V")
_LISTS: Final = List(Bytes())


class KeyValue(Stack[K, V]):
    """A value for each key. `timestamped`: a ValueAndTimestamp; the changelog has its time in the record."""

    def __init__(
        self,
        name: str,
        key: Serde[K],
        value: Serde[V],
        options: StoreOptions,
        context: StoreContext,
        environment: StoreEnvironment,
        *,
        timestamped: bool = False,
    ) -> None:
        super().__init__(name, key, value, options, context, environment)
        self._timestamped = timestamped

    def set_flush_listener(self, listener: FlushListener[K, V], send_old_values: bool) -> bool:
        return self._tell(listener, self._key_of, send_old_values)

    def get(self, key: K) -> V | None:
        return self._value.deserialize(self.topic, self.top.get(self._bytes_of(key)))

    def get_many(self, keys: Sequence[K]) -> list[V | None]:
        topic, read = self.topic, self._value.deserialize
        return [read(topic, data) for data in self.top.get_many([self._bytes_of(key) for key in keys])]

    def put(self, key: K, value: V | None) -> None:
        self.top.put(self._bytes_of(key), self._value.serialize(self.topic, value))

    def put_together(
        self,
        keys: Sequence[bytes],
        values: Sequence[bytes | None],
        contexts: Sequence[RecordContext | None],
        log: Callable[[], Columns],
    ) -> None:
        """Put the last value that each of some keys has been given, as bytes; `log`: all of them, which go to
        the changelog unless a cache has them."""
        self._put_together(list(zip(keys, values, contexts, strict=True)), log)

    def put_if_absent(self, key: K, value: V | None) -> V | None:
        data = self._bytes_of(key)
        old = self.top.get(data)
        if old is None:
            self.top.put(data, self._value.serialize(self.topic, value))
        return self._value.deserialize(self.topic, old)

    def put_all(self, entries: Iterable[tuple[K, V | None]]) -> None:
        topic, write = self.topic, self._value.serialize
        self.top.put_many([(self._bytes_of(key), write(topic, value)) for key, value in entries])

    def delete(self, key: K) -> V | None:
        data = self._bytes_of(key)
        old = self.top.get(data)
        self.top.put(data, None)
        return self._value.deserialize(self.topic, old)

    def range(self, start: K | None, end: K | None) -> Iterator[tuple[K, V]]:
        return self._scan(*self._bounds(start, end), reverse=False)

    def reverse_range(self, start: K | None, end: K | None) -> Iterator[tuple[K, V]]:
        return self._scan(*self._bounds(start, end), reverse=True)

    def prefix_scan(self, prefix: bytes) -> Iterator[tuple[K, V]]:
        return self._scan(prefix, prefix_end(prefix), reverse=False)

    def all(self) -> Iterator[tuple[K, V]]:
        return self._scan(b"", None, reverse=False)

    def reverse_all(self) -> Iterator[tuple[K, V]]:
        return self._scan(b"", None, reverse=True)

    def approximate_num_entries(self) -> int:
        return self.top.approximate_count()

    def restore(self, records: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        base = self._base_to_restore()
        if self._timestamped:
            base.put_many((key, with_timestamp(value, timestamp)) for key, value, timestamp in records)
        else:
            base.put_many((key, value) for key, value, _ in records)

    def _log(self, key: bytes, value: bytes | None) -> None:
        if self._timestamped and value is not None:
            self.context.log_change(self.name, key, value[8:], timestamp_of(value))
        else:
            self.context.log_change(self.name, key, value, self._timestamp())

    def _bounds(self, start: K | None, end: K | None) -> tuple[bytes, bytes | None]:
        low = b"" if start is None else self._bytes_of(start)
        return low, None if end is None else self._bytes_of(end) + b"\0"

    def _scan(self, low: bytes, high: bytes | None, *, reverse: bool) -> Iterator[tuple[K, V]]:
        for key, data in self.top.scan(low, high, reverse=reverse):
            value = self._value_of(data)
            if value is not None:
                yield self._key_of(key), value


def timestamped_key_value(
    name: str,
    key: Serde[K],
    value: Serde[V],
    options: StoreOptions,
    context: StoreContext,
    environment: StoreEnvironment,
) -> KeyValue[K, ValueAndTimestamp[V]]:
    serde: Serde[ValueAndTimestamp[V]] = TimestampedSerde(value)
    return KeyValue(name, key, serde, options, context, environment, timestamped=True)


class ListValue(Stack[K, V]):
    """Several values for each key, in the order in which they came: what an outer join keeps until it is due.

    `put` adds one; None removes all of a key. The changelog has the whole list each time, as in Java.
    """

    def put(self, key: K, value: V | None) -> None:
        place = self._bytes_of(key)
        if value is None:
            self.top.put(place, None)
            return
        values = _LISTS.deserialize(self.topic, self.top.get(place)) or []
        values.append(self._value.serialize(self.topic, value))
        self.top.put(place, _LISTS.serialize(self.topic, values))

    def get(self, key: K) -> list[V]:
        return self._values(self.top.get(self._bytes_of(key)))

    def all(self) -> Iterator[tuple[K, V]]:
        """Each value with its key, in the order of the keys."""
        return self._scan(b"", None)

    def range(self, start: K | None, end: K | None) -> Iterator[tuple[K, V]]:
        low = b"" if start is None else self._bytes_of(start)
        return self._scan(low, None if end is None else self._bytes_of(end) + b"\0")

    def restore(self, records: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        self._base_to_restore().put_many((key, value) for key, value, _ in records)

    def _log(self, key: bytes, value: bytes | None) -> None:
        self.context.log_change(self.name, key, value, self._timestamp())

    def _scan(self, low: bytes, high: bytes | None) -> Iterator[tuple[K, V]]:
        for place, data in self.top.scan(low, high):
            key = self._key.deserialize(self.topic, place)
            if key is not None:
                for value in self._values(data):
                    yield key, value

    def _values(self, data: bytes | None) -> list[V]:
        items = _LISTS.deserialize(self.topic, data) or []
        read: Callable[[str, bytes | None], V | None] = self._value.deserialize
        return [value for item in items if (value := read(self.topic, item)) is not None]
