"""Records on their way: from a source to a topic, from a topic to a sink, with their headers."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, Self

from ottla.connect.data.schema import Schema, SchemaAndValue, Struct, Value, validate_value
from ottla.connect.errors import DataError

__all__ = ["ConnectHeaders", "ConnectRecord", "Header", "SinkRecord", "SourceRecord", "TimestampType"]


class Header(NamedTuple):
    """A header: its key, and a value with its schema, which is None for a value without one."""

    key: str
    schema: Schema | None
    value: Value


class ConnectHeaders:
    """A record's headers in order; keys may come several times."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Iterable[Header] = ()) -> None:
        self._headers: list[Header] = list(headers)

    def __iter__(self) -> Iterator[Header]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)

    def add(self, key: str, value: Value, schema: Schema | None = None) -> ConnectHeaders:
        """One more header. Raises DataError where the value is not what its schema says."""
        if schema is not None:
            if value is None and not schema.optional:
                raise DataError(f"A null value requires an optional schema but was {schema}")
            validate_value(schema, value)
        elif isinstance(value, Struct):
            schema = value.schema
        self._headers.append(Header(key, schema, value))
        return self

    def append(self, header: Header) -> None:
        """One more header, whose value is held to its schema already."""
        self._headers.append(header)

    def last_with_name(self, key: str) -> Header | None:
        return next((header for header in reversed(self._headers) if header.key == key), None)

    def all_with_name(self, key: str) -> list[Header]:
        return [header for header in self._headers if header.key == key]

    def remove(self, key: str) -> ConnectHeaders:
        self._headers = [header for header in self._headers if header.key != key]
        return self

    def clear(self) -> ConnectHeaders:
        self._headers = []
        return self

    def retain_latest(self, key: str | None = None) -> ConnectHeaders:
        """Keep the last header of this key, or of each."""
        seen: set[str] = set()
        kept: list[Header] = []
        for header in reversed(self._headers):
            if header.key not in seen or (key is not None and header.key != key):
                kept.append(header)
            seen.add(header.key)
        self._headers = kept[::-1]
        return self

    def apply(self, change: Callable[[Header], Header | None], key: str | None = None) -> ConnectHeaders:
        """Put what `change` makes of each header, or of this key's, in its place; None removes it."""
        changed = (header if key not in (None, header.key) else change(header) for header in self._headers)
        self._headers = [header for header in changed if header is not None]
        return self

    def duplicate(self) -> ConnectHeaders:
        return ConnectHeaders(self._headers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConnectHeaders) and self._headers == other._headers

    __hash__ = None  # type: ignore[assignment]  # they change

    def __repr__(self) -> str:
        return f"ConnectHeaders({self._headers})"


class _Keep(enum.Enum):
    KEEP = "keep"


_KEEP: Final = _Keep.KEEP


class ConnectRecord:
    """What source and sink records share. A transform gives another by `replace`; headers change in place."""

    __slots__ = ("headers", "key", "key_schema", "partition", "timestamp", "topic", "value", "value_schema")

    def __init__(
        self,
        topic: str,
        partition: int | None,
        key_schema: Schema | None,
        key: Value,
        value_schema: Schema | None,
        value: Value,
        timestamp: int | None,
        headers: Iterable[Header] = (),
    ) -> None:
        """`timestamp` is in milliseconds since the epoch; a `partition` of None leaves it to the producer."""
        self.topic = topic
        self.partition = partition
        self.key_schema = key_schema
        self.key = key
        self.value_schema = value_schema
        self.value = value
        self.timestamp = timestamp
        self.headers = headers if isinstance(headers, ConnectHeaders) else ConnectHeaders(headers)

    def replace(
        self,
        *,
        topic: str | None = None,
        partition: int | _Keep | None = _KEEP,
        key: SchemaAndValue | None = None,
        value: SchemaAndValue | None = None,
        timestamp: int | _Keep | None = _KEEP,
        headers: ConnectHeaders | None = None,
    ) -> Self:
        """This record with what is given changed; its headers are copied, so that the two share none."""
        copy = self._copy()
        copy.topic = self.topic if topic is None else topic
        copy.partition = self.partition if partition is _KEEP else partition
        copy.key_schema, copy.key = (self.key_schema, self.key) if key is None else key
        copy.value_schema, copy.value = (self.value_schema, self.value) if value is None else value
        copy.timestamp = self.timestamp if timestamp is _KEEP else timestamp
        copy.headers = self.headers.duplicate() if headers is None else headers
        return copy

    def _copy(self) -> Self:
        """A record of the same class, its own fields taken over; those of `ConnectRecord` follow."""
        raise NotImplementedError

    def _said(self) -> tuple[object, ...]:
        parts = (self.topic, self.partition, self.key_schema, self.key, self.value_schema, self.value)
        return (*parts, self.timestamp, self.headers)

    def __eq__(self, other: object) -> bool:
        return (
            type(self) is type(other) and isinstance(other, ConnectRecord) and self._said() == other._said()
        )

    __hash__ = None  # type: ignore[assignment]  # headers change

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(topic={self.topic!r}, partition={self.partition}, key={self.key!r}, "
            f"value={self.value!r}, timestamp={self.timestamp}, headers={self.headers!r})"
        )


class SourceRecord(ConnectRecord):
    """A record that a source task read, with where it was read: `source_offset` of `source_partition`."""

    __slots__ = ("source_offset", "source_partition")

    def __init__(
        self,
        source_partition: Mapping[str, Value],
        source_offset: Mapping[str, Value],
        topic: str,
        *,
        partition: int | None = None,
        key_schema: Schema | None = None,
        key: Value = None,
        value_schema: Schema | None = None,
        value: Value = None,
        timestamp: int | None = None,
        headers: Iterable[Header] = (),
    ) -> None:
        """Both maps hold numbers, texts, bools and None: what JSON has."""
        super().__init__(topic, partition, key_schema, key, value_schema, value, timestamp, headers)
        self.source_partition = source_partition
        self.source_offset = source_offset

    def _copy(self) -> Self:
        copy = self.__new__(type(self))
        copy.source_partition = self.source_partition
        copy.source_offset = self.source_offset
        return copy

    def _said(self) -> tuple[object, ...]:
        return (*super()._said(), self.source_partition, self.source_offset)


class TimestampType(enum.IntEnum):
    """Where a record's timestamp is from."""

    NO_TIMESTAMP_TYPE = -1
    CREATE_TIME = 0
    LOG_APPEND_TIME = 1


class SinkRecord(ConnectRecord):
    """A record of a topic, for a sink task; `original_*` is where it was before any transform (KIP-793)."""

    __slots__ = ("offset", "original_offset", "original_partition", "original_topic", "timestamp_type")

    def __init__(
        self,
        topic: str,
        partition: int | None,
        offset: int,
        *,
        key_schema: Schema | None = None,
        key: Value = None,
        value_schema: Schema | None = None,
        value: Value = None,
        timestamp: int | None = None,
        timestamp_type: TimestampType = TimestampType.NO_TIMESTAMP_TYPE,
        headers: Iterable[Header] = (),
    ) -> None:
        super().__init__(topic, partition, key_schema, key, value_schema, value, timestamp, headers)
        self.offset = offset
        self.timestamp_type = timestamp_type
        self.original_topic = topic
        self.original_partition = partition
        self.original_offset = offset

    @property
    def where(self) -> str:
        """Where it was read, as errors say it: `record 7 of orders-0`."""
        return f"record {self.original_offset} of {self.original_topic}-{self.original_partition}"

    def _copy(self) -> Self:
        copy = self.__new__(type(self))
        copy.offset = self.offset
        copy.timestamp_type = self.timestamp_type
        copy.original_topic = self.original_topic
        copy.original_partition = self.original_partition
        copy.original_offset = self.original_offset
        return copy

    def _said(self) -> tuple[object, ...]:
        origin = (self.original_topic, self.original_partition, self.original_offset)
        return (*super()._said(), self.offset, self.timestamp_type, *origin)
