"""What `_columns` does, in plain Python for where that is not compiled: the same calls, the same answers.

It is slower by an order of magnitude. The same tests hold both.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeVar

from ottla.client.columns.binary import ROW_BYTES, BinaryColumn, HeadersColumn, RawBinary, RawColumns
from ottla.client.columns.plain_checksums import crc32c, group_rows, hash_key, hash_keys
from ottla.client.columns.plain_concat import concat
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import (
    ATTRIBUTES,
    BODY_HEADER,
    CRC,
    HEADER_SIZE,
    LENGTH,
    LOG_OVERHEAD,
    MAGIC,
    MAGIC_V2,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    PREFIX,
    PRODUCER_ID,
    TRANSACTIONAL_MASK,
    BatchHeader,
    Buffer,
    has_valid_crc,
    parse_header,
)
from ottla.records.codec import ControlType, Record, decode_batch, decode_control_type
from ottla.records.varint import encode_varint

__all__ = [
    "NAME",
    "BatchBuilder",
    "Decoded",
    "Sink",
    "allocate",
    "concat",
    "crc32c",
    "decode",
    "group_rows",
    "hash_key",
    "hash_keys",
    "join",
    "last_batch",
    "records",
    "seal",
    "split",
    "strings",
]

NAME: Final = "plain"

_MIN_INT64: Final = -(1 << 63)
_MAX_INT64: Final = (1 << 63) - 1
_MAX_INT32: Final = (1 << 31) - 1
_NULL: Final = b"\x01"

R = TypeVar("R")
Fault = KafkaError | None

Decoded = tuple[int, int, int, Fault]
"""The position of the first batch that was not decoded, the next offset and the leader epoch reached; what is
wrong with the batch there."""


class Sink:
    """Where decoded records go, of one partition after the other, until they are taken as columns. `expected`
    are the bytes of all that will come, so far as that is known.
    """

    def __init__(self, expected: int = 0, /) -> None:
        del expected  # memory is found as it is needed here
        self._clear()

    def _clear(self) -> None:
        self._rows: list[Record] = []
        self._partitions = array("i")
        self._kinds = array("b")
        self.size = 0

    @property
    def count(self) -> int:
        """The rows so far."""
        return len(self._rows)

    def add(self, partition: int, kind: int, rows: list[Record]) -> None:
        self._rows += rows
        self._partitions.extend((partition,) * len(rows))
        self._kinds.frombytes(bytes((kind,)) * len(rows))
        self.size += _size(rows)

    def take(self, /) -> RawColumns:
        """The rows; it is empty afterwards."""
        columns = _columns(self._partitions, self._rows, self._kinds)
        self._clear()
        return columns


def decode(
    sink: Sink,
    data: Buffer,
    pos: int,
    partition: int,
    fetch_offset: int,
    reached: tuple[int, int],
    aborted: list[tuple[int, int]],
    active: set[int],
    check_crcs: bool,
    limits: tuple[int, int, int],
) -> Decoded:
    """Decode the whole batches of `data` from `pos` on to `sink`, leaving out records before `fetch_offset`.

    `reached` is the next offset and the leader epoch so far. `aborted` are the (first offset, producer id)
    still to come, the next one last, `active` the producers inside of an aborted transaction; both are
    changed. `limits` are of the rows in the sink, of their bytes (with `ROW_BYTES` for each), and of those
    of a batch when inflated. Unless the sink is empty no batch is begun that would have more rows than there
    may be, nor any once the bytes have been reached.

    It stops as well before a batch that is cut off, one of magic 0 or 1, and one that cannot be read, which
    the last item tells of.
    """
    next_offset, leader_epoch = reached
    max_records, max_bytes, max_batch_bytes = limits
    fault: Fault = None
    while True:
        try:
            header = _whole_header(data, pos)
            if header is None or not _has_room(sink, header.record_count, max_records, max_bytes):
                break
            size = header.size
            batch = memoryview(data)[pos : pos + size]
            _check(batch, header, check_crcs)
            last_offset = header.last_offset
            while aborted and aborted[-1][0] <= last_offset:
                active.add(aborted.pop()[1])
            if last_offset >= fetch_offset or header.is_control:
                found = _records(header, batch, active, max_batch_bytes)
                if found and min([record.offset for record in found]) < fetch_offset:
                    found = [record for record in found if record.offset >= fetch_offset]
                sink.add(partition, header.timestamp_type, found)
        except KafkaError as error:
            fault = error
            break
        pos += size
        next_offset, leader_epoch = last_offset + 1, header.leader_epoch
    return pos, next_offset, leader_epoch, fault


def last_batch(data: Buffer, /) -> int:
    """Where the last whole batch begins, by the lengths alone, of any magic; -1 where there is none."""
    at, last, size = 0, -1, len(data)
    while at + HEADER_SIZE <= size:
        length = int.from_bytes(data[at + LENGTH : at + LOG_OVERHEAD], "big", signed=True)
        if length < HEADER_SIZE - LOG_OVERHEAD or at + LOG_OVERHEAD + length > size:
            break
        last = at
        at += LOG_OVERHEAD + length
    return last


def _has_room(sink: Sink, more: int, max_records: int, max_bytes: int) -> bool:
    return not sink.count or (sink.size < max_bytes and sink.count + max(more, 1) <= max_records)


def _whole_header(data: Buffer, pos: int) -> BatchHeader | None:
    """The header of the batch at `pos`, None where it is cut off or older than magic 2."""
    left = len(data) - pos
    if left <= MAGIC or data[pos + MAGIC] < MAGIC_V2:
        return None
    if data[pos + MAGIC] != MAGIC_V2:
        raise _malformed(f"there is no magic {data[pos + MAGIC]}")
    if left < HEADER_SIZE:
        return None
    header = parse_header(data, pos)
    if header.size < HEADER_SIZE:
        raise _malformed(f"it says that it has {header.size} bytes")
    return header if header.size <= left else None


def _check(batch: Buffer, header: BatchHeader, check_crcs: bool) -> None:
    if check_crcs and not has_valid_crc(batch, header):
        raise _malformed("its CRC is wrong")
    if header.base_offset < 0 or header.last_offset_delta < 0 or header.last_offset >= _MAX_INT64:
        raise _malformed(f"its offsets are {header.base_offset} and {header.last_offset_delta} more")


def _records(header: BatchHeader, batch: Buffer, active: set[int], max_batch_bytes: int) -> list[Record]:
    """What a reader is to see of the batch. The end of an aborted transaction is taken out of `active`."""
    is_aborted = header.is_transactional and header.producer_id in active
    if is_aborted and not header.is_control:
        return []
    if header.is_control and not is_aborted:
        return []
    if len(batch) - HEADER_SIZE > max_batch_bytes:
        raise KafkaError(ErrorCode.message_too_large, f"it has more than {max_batch_bytes} bytes")
    records = decode_batch(batch, max_bytes=max_batch_bytes)
    if not header.is_control:
        return records
    if records and decode_control_type(records[0].key) == ControlType.abort:
        active.remove(header.producer_id)
    return []


def _size(rows: list[Record]) -> int:
    size = ROW_BYTES * len(rows)
    for _, _, key, value, headers in rows:
        if key:
            size += len(key)
        if value:
            size += len(value)
        for name, held in headers:
            size += len(name.encode("utf-8", "surrogateescape")) + len(held or b"")
    return size


def _columns(partitions: array[int], rows: list[Record], kinds: array[int]) -> RawColumns:
    offsets, timestamps, keys, values, headers = zip(*rows, strict=True) if rows else ((),) * 5
    if any(headers):
        encoded = [
            [(name.encode("utf-8", "surrogateescape"), held) for name, held in each] for each in headers
        ]
        header_column = HeadersColumn.of(encoded)
    else:
        header_column = HeadersColumn.none(len(rows))
    return (
        memoryview(partitions),
        memoryview(array("q", offsets)),
        memoryview(array("q", timestamps)),
        memoryview(kinds),
        BinaryColumn.of(keys).raw,
        BinaryColumn.of(values).raw,
        header_column.raw,
    )


def records(record_type: Callable[..., R], topic: str, columns: RawColumns) -> Iterator[R]:
    """Each row of `columns` as a `record_type`, which is called with the fields of `columns.Record`."""
    partition, offset, timestamp, timestamp_type, key, value, raw_headers = columns
    for *fields, pairs in zip(
        partition,
        offset,
        timestamp,
        timestamp_type,
        BinaryColumn(*key),
        BinaryColumn(*value),
        HeadersColumn.from_raw(raw_headers),
        strict=True,
    ):
        headers = tuple([(name.decode("utf-8", "surrogateescape"), held) for name, held in pairs])
        yield record_type(topic, *fields, headers)


def allocate(size: int, /) -> memoryview:
    """Memory to receive into: whoever takes it writes all of it before it reads any."""
    return memoryview(bytearray(size))


def _malformed(message: str) -> KafkaError:
    return KafkaError(ErrorCode.corrupt_message, message)


def strings(column: RawBinary, /) -> list[bytes | None]:
    """Each of the byte strings, None for a null."""
    offsets, data, validity, start, length = column
    ends = offsets[start : start + length + 1].tolist()
    whole = bytes(data)
    if validity is None:
        return [whole[begin:end] for begin, end in pairwise(ends)]
    return [
        whole[begin:end] if validity[at >> 3] >> (at & 7) & 1 else None
        for at, (begin, end) in enumerate(pairwise(ends), start)
    ]


# Text.


def split(data: Buffer, delimiter: bytes, /) -> tuple[RawBinary, int]:
    """What is between delimiters, as `bytes.split` has it, and how long the longest of it is; up to 2 GiB."""
    if len(data) > _MAX_INT32:
        raise ValueError("too much to split at once")
    parts = bytes(data).split(delimiter)
    return BinaryColumn.of(parts).raw, max(map(len, parts))


def join(column: RawBinary, delimiter: bytes, null: bytes, /) -> tuple[bytes, int]:
    """Each of the byte strings, `null` for a null, and a delimiter behind it; how many are inside of them."""
    parts = [null if each is None else each for each in strings(column)]
    inside = sum([each.count(delimiter) for each in parts]) if delimiter else 0
    parts.append(b"")
    return delimiter.join(parts), inside


# To batches.

_CRC: Final = struct.Struct(">I")
_PRODUCER: Final = struct.Struct(">qhi")  # id, epoch, base sequence
Pairs = Sequence[tuple[str | bytes, Buffer | None]]


class BatchBuilder:
    """Takes records, gives them as one uncompressed batch of no more than `max_bytes`, its header included,
    unless the first record alone has more."""

    def __init__(self, max_bytes: int, /) -> None:
        if not 0 < max_bytes <= _MAX_INT32:
            raise ValueError(f"a batch of {max_bytes} bytes")
        self._max_bytes = max_bytes
        self._parts: list[bytes] | None = []
        self._base_timestamp = NO_TIMESTAMP
        self._max_timestamp = NO_TIMESTAMP
        self.count = 0
        """The records so far."""
        self.size = HEADER_SIZE
        """The bytes so far, header included."""

    def append(self, timestamp: int, key: Buffer | None, value: Buffer | None, headers: Pairs, /) -> bool:
        """Add a record; False where there is no room for it. Header names may be text or bytes."""
        if self._parts is None:
            raise ValueError("the batch is finished")
        if not _MIN_INT64 <= timestamp <= _MAX_INT64:
            raise OverflowError(f"a timestamp of {timestamp}")
        since = timestamp - self._base_timestamp if self.count else 0
        if not _MIN_INT64 <= since <= _MAX_INT64:
            return False
        fields = [b"\0", encode_varint(since), encode_varint(self.count), *_field(key), *_field(value)]
        fields.append(encode_varint(len(headers)))
        for name, held in headers:
            encoded = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
            if encoded is None:
                raise TypeError("a header needs a name")
            fields += (*_field(encoded), *_field(held))
        record = b"".join(fields)
        length = encode_varint(len(record))
        size = self.size + len(length) + len(record)
        if self.count and size > self._max_bytes:
            return False
        if size > _MAX_INT32:
            raise ValueError(f"a record of {len(record)} bytes is too large for any batch")
        if not self.count:
            self._base_timestamp = self._max_timestamp = timestamp
        self._max_timestamp = max(self._max_timestamp, timestamp)
        self._parts += (length, record)
        self.size = size
        self.count += 1
        return True

    def append_rows(
        self, columns: RawColumns, order: memoryview | None, start: int, stop: int, now: int, /
    ) -> int:
        """Add rows as long as there is room: those that `order` (int64) has from `start` up to `stop`, or the
        rows of these numbers without it. The position of the first that was not added.

        A timestamp of -1 becomes `now`, in milliseconds.
        """
        if self._parts is None:
            raise ValueError("the batch is finished")
        timestamps = columns[2]
        keys, values = BinaryColumn(*columns[4]), BinaryColumn(*columns[5])
        headers = HeadersColumn.from_raw(columns[6])
        if not 0 <= start <= stop <= (len(keys) if order is None else len(order)):
            raise ValueError(f"there are no rows {start} to {stop}")
        for at in range(start, stop):
            row = at if order is None else order[at]
            if not 0 <= row < len(keys):
                raise ValueError(f"there is no row {row} of {len(keys)}")
            timestamp = timestamps[row]
            if timestamp == NO_TIMESTAMP:
                timestamp = now
            if not self.append(timestamp, keys[row], values[row], headers[row]):
                return at
        return stop

    def finish(self) -> bytearray:
        """The batch, without a producer, under its CRC. Nothing can be added any more."""
        if self._parts is None:
            raise ValueError("the batch is finished")
        prefix = PREFIX.pack(0, self.size - LOG_OVERHEAD, -1, MAGIC_V2, 0)
        header = BODY_HEADER.pack(
            0,
            self.count - 1,
            self._base_timestamp,
            self._max_timestamp,
            NO_PRODUCER_ID,
            NO_PRODUCER_EPOCH,
            NO_SEQUENCE,
            self.count,
        )
        batch = bytearray().join((prefix, header, *self._parts))
        self._parts = None
        _sum_up(batch)
        return batch


def seal(
    batch: bytearray, producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool, /
) -> None:
    """Write into a batch that has its CRC who sends it and as what; it has its CRC again."""
    if len(batch) < HEADER_SIZE:
        raise ValueError(f"a batch of {len(batch)} bytes")
    _PRODUCER.pack_into(batch, PRODUCER_ID, producer_id, producer_epoch, base_sequence)
    if is_transactional:
        batch[ATTRIBUTES + 1] |= TRANSACTIONAL_MASK
    else:
        batch[ATTRIBUTES + 1] &= ~TRANSACTIONAL_MASK
    _sum_up(batch)


def _sum_up(batch: bytearray) -> None:
    with memoryview(batch) as view:
        _CRC.pack_into(batch, CRC, crc32c(view[ATTRIBUTES:]))


def _field(data: Buffer | None) -> tuple[Buffer, ...]:
    return (_NULL,) if data is None else (encode_varint(len(data)), data)
