"""Records as columns: what fetches decode to and what batches are encoded from. Buffers only.

Nothing here needs pyarrow; with it, `Columns` is taken by whatever speaks the Arrow PyCapsule interface
(Polars, pandas, DuckDB).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ottla.client.columns.binary import (
    BinaryColumn,
    HeadersColumn,
    RawColumns,
    pack_bits,
)
from ottla.client.columns.implementation import IMPLEMENTATION, Implementation
from ottla.client.errors import missing_extra

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Columns", "Headers", "Record"]

_NO_TIMESTAMP: Final = b"\xff" * 8

Headers = tuple[tuple[str, bytes | None], ...]


class Record(NamedTuple):
    """One record. It owns its bytes: it keeps no batch alive.

    `timestamp` is in milliseconds since the epoch, -1 for none; `timestamp_type` 0 where the client made it,
    1 where the broker did on appending, -1 where records had none yet. Header names are UTF-8; other bytes in
    them become surrogate escapes.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Columns:
    """Columns of the same length, a row for each record. Immutable by custom: slices share the buffers.

    `partition` is a memoryview of int32, `offset` and `timestamp` (milliseconds since the epoch, -1 for none)
    of int64, `timestamp_type` (0 create time, 1 log append time, -1 none) of int8.
    """

    __slots__ = ("headers", "key", "offset", "partition", "timestamp", "timestamp_type", "value")

    def __init__(
        self,
        partition: memoryview,
        offset: memoryview,
        timestamp: memoryview,
        timestamp_type: memoryview,
        key: BinaryColumn,
        value: BinaryColumn,
        headers: HeadersColumn,
    ) -> None:
        formats = partition.format, offset.format, timestamp.format, timestamp_type.format
        if formats != ("i", "q", "q", "b"):
            raise ValueError(f"columns of formats {formats} in place of i, q, q, b")
        lengths = [len(each) for each in (partition, offset, timestamp, timestamp_type, key, value, headers)]
        if lengths != lengths[:1] * 7:
            raise ValueError(f"columns of lengths {lengths}")
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
        self.timestamp_type = timestamp_type
        self.key = key
        self.value = value
        self.headers = headers

    @classmethod
    def of(cls, records: Iterable[Record]) -> Columns:
        """The columns of `records`, whose topics are left out."""
        rows = list(records)
        return cls(
            memoryview(array("i", [row.partition for row in rows])),
            memoryview(array("q", [row.offset for row in rows])),
            memoryview(array("q", [row.timestamp for row in rows])),
            memoryview(array("b", [row.timestamp_type for row in rows])),
            BinaryColumn.of([row.key for row in rows]),
            BinaryColumn.of([row.value for row in rows]),
            HeadersColumn.of(
                [
                    [(name.encode("utf-8", "surrogateescape"), value) for name, value in row.headers]
                    for row in rows
                ]
            ),
        )

    @classmethod
    def unsent(
        cls,
        key: BinaryColumn,
        value: BinaryColumn,
        timestamp: memoryview,
        headers: HeadersColumn | None = None,
        partition: int = -1,
    ) -> Columns:
        """Records that are to be written: of one partition, -1 for any, and of offset -1."""
        length = len(timestamp)
        return cls(
            memoryview(array("i", [partition]) * length),
            memoryview(array("q", [-1]) * length),
            timestamp,
            memoryview(bytes(length)).cast("b"),
            key,
            value,
            HeadersColumn.none(length) if headers is None else headers,
        )

    def to_partitions(self, partition: memoryview) -> Columns:
        """The same records for other partitions, an int32 for each."""
        return Columns(
            partition, self.offset, self.timestamp, self.timestamp_type, self.key, self.value, self.headers
        )

    @classmethod
    def from_raw(cls, raw: RawColumns) -> Columns:
        """The columns that an `Implementation` gives."""
        partition, offset, timestamp, timestamp_type, key, value, headers = raw
        return cls(
            partition,
            offset,
            timestamp,
            timestamp_type,
            BinaryColumn(*key),
            BinaryColumn(*value),
            HeadersColumn.from_raw(headers),
        )

    @classmethod
    def concat(cls, parts: Sequence[Columns], *, implementation: Implementation = IMPLEMENTATION) -> Columns:
        """The rows of `parts`, one after the other. One part is given back as it is."""
        if len(parts) < 2:
            return parts[0] if parts else cls.of(())
        return cls.from_raw(implementation.concat([part.raw for part in parts]))

    def __len__(self) -> int:
        return len(self.offset)

    def __getitem__(self, rows: slice) -> Columns:
        """Those `rows`, without a copy; the slice has no step."""
        return Columns(
            self.partition[rows],
            self.offset[rows],
            self.timestamp[rows],
            self.timestamp_type[rows],
            self.key[rows],
            self.value[rows],
            self.headers[rows],
        )

    def records(
        self, topic: str = "", *, implementation: Implementation = IMPLEMENTATION
    ) -> Iterator[Record]:
        """Each row as a record of `topic`, made when it is asked for."""
        return implementation.records(Record, topic, self.raw)

    @property
    def raw(self) -> RawColumns:
        """What an `Implementation` takes."""
        return (
            self.partition,
            self.offset,
            self.timestamp,
            self.timestamp_type,
            self.key.raw,
            self.value.raw,
            self.headers.raw,
        )

    def to_arrow(self) -> pa.RecordBatch:
        """These rows for Arrow, without a copy; `arrow.as_record_batch` has the types. A timestamp of -1 is
        null. It needs the extra `arrow`."""
        try:
            from ottla.client.columns.arrow import as_record_batch
        except ImportError as error:
            raise missing_extra("Arrow tables", error) from error
        return as_record_batch(self.raw, self._known_timestamps())

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """The Arrow PyCapsule interface, for those who take one batch."""
        capsules: tuple[object, object] = self.to_arrow().__arrow_c_array__(requested_schema)
        return capsules

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The Arrow PyCapsule interface: Polars, pandas, DuckDB and others take these columns as a table."""
        import pyarrow as pa

        batch = self.to_arrow()
        return pa.RecordBatchReader.from_batches(batch.schema, [batch]).__arrow_c_stream__(requested_schema)

    def _known_timestamps(self) -> bytes | None:
        """The validity of the timestamps, which is cleared for -1; None where all are there."""
        if _NO_TIMESTAMP not in bytes(self.timestamp):
            return None
        known = [timestamp != -1 for timestamp in self.timestamp]
        return None if all(known) else pack_bits(known)

    @property
    def nbytes(self) -> int:
        """The bytes of these rows, without what the buffers may hold besides."""
        fixed = 4 + 8 + 8 + 1 + self.key.offsets.itemsize + self.value.offsets.itemsize
        return len(self) * fixed + self.key.nbytes + self.value.nbytes + self.headers.nbytes

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Columns):
            return NotImplemented
        return (
            self.partition == other.partition
            and self.offset == other.offset
            and self.timestamp == other.timestamp
            and self.timestamp_type == other.timestamp_type
            and self.key == other.key
            and self.value == other.value
            and self.headers == other.headers
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Columns of {len(self)} records, {self.nbytes} bytes>"
