"""Some records of one partition of the input on their way through a task, as columns.

Records keep their order. Each knows which record of the input it comes from, so that it can be taken out and
handled by itself at any node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.columns.columns import Columns
from ottla.client.columns.implementation import IMPLEMENTATION
from ottla.streams.columnar.column import Column
from ottla.streams.columnar.composed import ChangedValues
from ottla.streams.columnar.objects import int64s, objects_of
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.records import Headers, Record
from ottla.streams.serdes import Serde
from ottla.streams.state.stores import RecordContext
from ottla.streams.task.chunks import Updates
from ottla.streams.task.input import RawRecord, raw_records

__all__ = ["Chunk"]

AnySerde = Serde[Any]


class Origin:
    """The records of the input that a chunk was made of, one behind the other in their partition."""

    def __init__(self, topic: str, columns: Columns, stream_time: int) -> None:
        """`stream_time` is the task's before these records, -1 for none."""
        self.topic = topic
        self.columns = columns
        self.stream_time = stream_time
        self._raw: list[RawRecord] | None = None
        self._times: list[int] | None = None

    @property
    def raw(self) -> list[RawRecord]:
        """Each record of the input."""
        if self._raw is None:
            self._raw = list(raw_records(self.topic, self.columns))
        return self._raw

    @property
    def stream_times(self) -> list[int]:
        """The task's stream time at each record."""
        if self._times is None:
            times = accumulate(self.columns.timestamp, max, initial=self.stream_time)
            next(times)
            self._times = list(times)
        return self._times

    @property
    def has_headers(self) -> bool:
        return self.columns.headers.count > 0


class Chunk:
    """Rows of keys and values. `timestamps` is an int64 column, in milliseconds.

    Row i comes from record `places[i]` of the origin; without `places`, from record i.
    """

    __slots__ = ("keys", "origin", "places", "timestamps", "values")

    def __init__(
        self,
        origin: Origin,
        keys: Column,
        values: Column,
        timestamps: pa.Array,
        places: pa.Array | None = None,
    ) -> None:
        self.origin: Final = origin
        self.keys: Final = keys
        self.values: Final = values
        self.timestamps: Final = timestamps
        self.places: Final = places

    @classmethod
    def read(cls, topic: str, columns: Columns, key: AnySerde, value: AnySerde, stream_time: int) -> Chunk:
        """Records of `topic`, as a source reads them. Raises NotColumnar where a serde cannot read one."""
        timestamps = pa.Array.from_buffers(pa.int64(), len(columns), [None, pa.py_buffer(columns.timestamp)])
        return cls(
            Origin(topic, columns, stream_time),
            Column.of_bytes(columns.key, key, topic),
            Column.of_bytes(columns.value, value, topic),
            timestamps,
        )

    def __len__(self) -> int:
        return len(self.timestamps)

    # What is made of it

    def with_keys(self, keys: Column) -> Chunk:
        return Chunk(self.origin, keys, self.values, self.timestamps, self.places)

    def with_values(self, values: Column) -> Chunk:
        return Chunk(self.origin, self.keys, values, self.timestamps, self.places)

    def with_key_objects(self, keys: list[Any]) -> Chunk:
        return self.with_keys(Column.of_objects(keys))

    def with_value_objects(self, values: list[Any]) -> Chunk:
        return self.with_values(Column.of_objects(values))

    def with_pairs(self, pairs: list[tuple[Any, Any]]) -> Chunk:
        made = self.with_keys(Column.of_objects([key for key, _ in pairs]))
        return made.with_values(Column.of_objects([value for _, value in pairs]))

    def with_timestamps(self, timestamps: pa.Array) -> Chunk:
        return Chunk(self.origin, self.keys, self.values, timestamps, self.places)

    def take(self, indices: pa.Array) -> Chunk:
        """The rows at `indices`, which go up."""
        if len(indices) == len(self):
            return self
        places = indices if self.places is None else self.places.take(indices)
        return Chunk(
            self.origin,
            self.keys.take(indices),
            self.values.take(indices),
            self.timestamps.take(indices),
            places,
        )

    def repeat(self, rows: pa.Array | None) -> Chunk:
        """The rows at `rows` (None: all), in their order, some of them perhaps more than once."""
        if rows is None:
            return self
        places = rows if self.places is None else self.places.take(rows)
        return Chunk(
            self.origin, self.keys.take(rows), self.values.take(rows), self.timestamps.take(rows), places
        )

    def without_nulls(self, *, values: bool, keys: bool = True) -> Chunk:
        """The rows that have a key, and a value as well if that is wanted; or a value alone."""
        nulls = self.keys.is_null() if keys else None
        if values and (none := self.values.is_null()) is not None:
            nulls = none if nulls is None else pc.or_(nulls, none)
        return self if nulls is None else self.where(pc.invert(nulls))

    def first_timestamp(self) -> int:
        return int64s(self.timestamps)[0]

    def keep(self, wanted: list[bool]) -> Chunk:
        return self.where(pa.array(wanted, pa.bool_()))

    def where(self, mask: pa.Array) -> Chunk:
        """The rows where `mask`, which has no nulls, is true."""
        return self.take(pc.indices_nonzero(mask).cast(pa.int64()))

    def slice(self, start: int, stop: int) -> Chunk:
        return self.take(pa.array(range(start, stop), pa.int64()))

    def with_changes(self, new: list[Any], old: list[Any] | None) -> Chunk:
        return self.with_values(
            ChangedValues(Column.of_objects(new), None if old is None else Column.of_objects(old))
        )

    def with_new_values(self) -> Chunk:
        """What changes make of the values. Raises NotColumnar where a value is no change."""
        return self.with_values(self.values.changes()[0])

    # One record at a time

    def where_from(self) -> list[int]:
        """Which record of the origin each row comes from."""
        return list(range(len(self))) if self.places is None else objects_of(self.places)

    def headers(self) -> Sequence[Headers]:
        if not self.origin.has_headers:
            return [()] * len(self)
        raw = self.origin.raw
        return [raw[place].headers for place in self.where_from()]

    def rows(self) -> Iterator[tuple[RawRecord, int, Record[Any, Any]]]:
        """Each row: the record of the input, the task's stream time at it, and the record that it is here."""
        raw, times = self.origin.raw, self.origin.stream_times
        keys, values, timestamps = self.keys.objects(), self.values.objects(), objects_of(self.timestamps)
        for row, place in enumerate(self.where_from()):
            source = raw[place]
            yield source, times[place], Record(keys[row], values[row], timestamps[row], source.headers)

    def pairs(self) -> tuple[list[Any], list[Any]]:
        return self.keys.objects(), self.values.objects()

    def changes(self) -> tuple[list[Any], list[Any] | None]:
        """The new and the old values of changes; None where no change has an old one. Raises NotColumnar."""
        new, old = self.values.changes()
        return new.objects(), None if old is None else old.objects()

    def contexts(self, rows: Sequence[int]) -> list[RecordContext]:
        """Where some rows come from, with the times and headers that they have by now."""
        columns, topic = self.origin.columns, self.origin.topic
        places = (
            list(rows) if self.places is None else objects_of(self.places.take(pa.array(rows, pa.int64())))
        )
        times = int64s(self.timestamps)
        offsets, partition = columns.offset, columns.partition[0]
        if not self.origin.has_headers:
            return [
                RecordContext(topic, partition, offsets[place], times[row])
                for row, place in zip(rows, places, strict=True)
            ]
        raw = self.origin.raw
        return [
            RecordContext(topic, partition, offsets[place], times[row], raw[place].headers)
            for row, place in zip(rows, places, strict=True)
        ]

    def times(self) -> list[int]:
        return objects_of(self.timestamps)

    def window_ends(self) -> list[int]:
        return objects_of(self.keys.window_bounds("end"))

    def source(self, row: int) -> tuple[RawRecord, int]:
        """The record of the input that a row comes from, and the task's stream time at it."""
        place = row if self.places is None else self.places[row].as_py()
        return self.origin.raw[place], self.origin.stream_times[place]

    def records(self) -> list[Record[Any, Any]]:
        keys, values, timestamps = self.keys.objects(), self.values.objects(), objects_of(self.timestamps)
        return list(map(Record, keys, values, timestamps, self.headers()))

    # What expressions read

    def field(self, part: str, path: tuple[str, ...]) -> pa.Array:
        return self.values.field(path) if part == "value" else self.keys.unwindowed().field(path)

    def metadata(self, name: str) -> pa.Array:
        if name == "timestamp":
            return _times(self.timestamps)
        if name == "topic":
            return pa.repeat(self.origin.topic, len(self))
        columns = self.origin.columns
        if name in ("offset", "partition"):
            held = columns.offset if name == "offset" else columns.partition
            kind = pa.int64() if name == "offset" else pa.int32()
            found = pa.Array.from_buffers(kind, len(columns), [None, pa.py_buffer(held)])
            return found if self.places is None else found.take(self.places)
        return _times(self.keys.window_bounds(name.removeprefix("window_")))

    def header(self, name: str) -> pa.Array:
        if not self.origin.has_headers:
            return pa.nulls(len(self), pa.binary())
        found = [
            next((value for each, value in reversed(headers) if each == name), None)
            for headers in self.headers()
        ]
        return pa.array(found, pa.binary())

    # What a sink writes

    def encode(self, topic: str, key: AnySerde, value: AnySerde) -> Columns:
        """The rows as records for `topic`, of partition -1 and offset -1. Raises NotColumnar where a serde
        does not take one, or a time is negative."""
        times = int64s(self.timestamps)
        if len(times) and pc.min(self.timestamps).as_py() < 0:
            raise NotColumnar("a record has no time")
        return Columns.unsent(
            self.keys.encode(key, topic, as_keys=True),
            self.values.encode(value, topic),
            times,
            self._encoded_headers(),
        )

    def encode_changes(self, topic: str, key: AnySerde, value: AnySerde) -> Updates:
        new, old = self.values.changes()
        keys = IMPLEMENTATION.strings(self.keys.encode(key, topic, as_keys=True).raw)
        if None in keys:
            raise NotColumnar("a change of nothing")
        news = IMPLEMENTATION.strings(new.encode(value, topic).raw)
        olds = None if old is None else IMPLEMENTATION.strings(old.encode(value, topic).raw)
        return keys, news, olds  # type: ignore[return-value] # no key is None

    def encode_keys(self, topic: str, key: AnySerde) -> BinaryColumn:
        """The keys, of windowed ones the keys that are in windows. Raises NotColumnar."""
        return self.keys.unwindowed().encode(key, topic, as_keys=True)

    def _encoded_headers(self) -> HeadersColumn:
        if not self.origin.has_headers:
            return HeadersColumn.none(len(self))
        if self.places is None:
            return self.origin.columns.headers
        return HeadersColumn.of(
            [
                [(name.encode("utf-8", "surrogateescape"), value) for name, value in headers]
                for headers in self.headers()
            ]
        )


def _times(milliseconds: pa.Array) -> pa.Array:
    known = pc.if_else(pc.less(milliseconds, 0), pa.scalar(None, pa.int64()), milliseconds)
    return known.cast(pa.timestamp("ms", "UTC"))
