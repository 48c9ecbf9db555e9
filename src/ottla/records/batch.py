"""A record batch's header, read and patched in place without touching its records.

Only magic 2 (KIP-98) exists here: Kafka 4 dropped the older message formats (KIP-724). The layout, all of
it big-endian: base offset i64, batch length i32 (bytes after this field), partition leader epoch i32, magic
i8, CRC-32C u32, attributes i16, last offset delta i32, base timestamp i64, max timestamp i64, producer id
i64, producer epoch i16, base sequence i32, record count i32, then the records, compressed as one block when
the attributes say so.

The CRC covers everything from the attributes on. The base offset and the leader epoch lie outside of it, so a
broker stamps both into a batch without recomputing anything.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

import google_crc32c

from ottla.protocol.errors import ErrorCode, KafkaError

__all__ = [
    "HEADER_SIZE",
    "LOG_OVERHEAD",
    "MAGIC_V2",
    "NO_PRODUCER_EPOCH",
    "NO_PRODUCER_ID",
    "NO_SEQUENCE",
    "NO_TIMESTAMP",
    "BatchHeader",
    "Buffer",
    "TimestampType",
    "compute_crc",
    "has_valid_crc",
    "iter_headers",
    "parse_header",
]

Buffer = bytes | bytearray | memoryview

BASE_OFFSET: Final = 0
LENGTH: Final = 8
LEADER_EPOCH: Final = 12
MAGIC: Final = 16
CRC: Final = 17
ATTRIBUTES: Final = 21
LAST_OFFSET_DELTA: Final = 23
BASE_TIMESTAMP: Final = 27
MAX_TIMESTAMP: Final = 35
PRODUCER_ID: Final = 43
PRODUCER_EPOCH: Final = 51
BASE_SEQUENCE: Final = 53
RECORD_COUNT: Final = 57

HEADER_SIZE: Final = 61
LOG_OVERHEAD: Final = 12  # base offset and length: what the length field does not count
MAGIC_V2: Final = 2

CODEC_MASK: Final = 0x07
TIMESTAMP_TYPE_MASK: Final = 0x08
TRANSACTIONAL_MASK: Final = 0x10
CONTROL_MASK: Final = 0x20
DELETE_HORIZON_MASK: Final = 0x40

NO_TIMESTAMP: Final = -1
NO_PRODUCER_ID: Final = -1
NO_PRODUCER_EPOCH: Final = -1
NO_SEQUENCE: Final = -1

# Base offset, length, leader epoch, magic, CRC: what comes before the attributes and is not under the CRC. A
# leader writes its own, and behind it batch[ATTRIBUTES:], the client's bytes.
PREFIX: Final = struct.Struct(">qiibI")
BODY_HEADER: Final = struct.Struct(">hiqqqhii")  # from the attributes to the record count
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")

_new_tuple: Final = tuple.__new__


class TimestampType(IntEnum):
    """What a batch's timestamps mean: when the client made the record, or when the broker appended it."""

    create_time = 0
    log_append_time = 1


class BatchHeader(NamedTuple):
    """The 61 header bytes of one batch. Offsets are the log's, timestamps milliseconds since the epoch."""

    base_offset: int
    batch_length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch, header included."""
        return self.batch_length + LOG_OVERHEAD

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def last_sequence(self) -> int:
        """The last record's sequence number, which wraps to 0 after 2**31 - 1; -1 where there is none."""
        if self.base_sequence == NO_SEQUENCE:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) & 0x7FFF_FFFF

    @property
    def codec(self) -> int:
        """The compression codec's number; 5 to 7 name none (see `compression.Codec`)."""
        return self.attributes & CODEC_MASK

    @property
    def timestamp_type(self) -> TimestampType:
        if self.attributes & TIMESTAMP_TYPE_MASK:
            return TimestampType.log_append_time
        return TimestampType.create_time

    @property
    def is_transactional(self) -> bool:
        return self.attributes & TRANSACTIONAL_MASK != 0

    @property
    def is_control(self) -> bool:
        return self.attributes & CONTROL_MASK != 0

    @property
    def has_delete_horizon(self) -> bool:
        return self.attributes & DELETE_HORIZON_MASK != 0

    @property
    def delete_horizon_ms(self) -> int | None:
        """When compaction may drop this batch's tombstones and markers (KIP-534); None when not yet set."""
        return self.base_timestamp if self.attributes & DELETE_HORIZON_MASK else None

    @property
    def has_producer_id(self) -> bool:
        return self.producer_id > NO_PRODUCER_ID


def parse_header(buffer: Buffer, pos: int = 0) -> BatchHeader:
    """Read the header at `pos`. Checks nothing but that 61 bytes are there.

    Raises KafkaError(corrupt_message) when they are not.
    """
    try:
        return _new_tuple(BatchHeader, _HEADER.unpack_from(buffer, pos))
    except struct.error:
        raise KafkaError(ErrorCode.corrupt_message, "the buffer ends inside a batch header") from None


def iter_headers(
    buffer: Buffer, pos: int = 0, *, allow_partial: bool = True
) -> Iterator[tuple[int, BatchHeader]]:
    """Yield (position, header) of every whole batch in `buffer` from `pos` on.

    A batch cut off by the buffer's end, as the last one of a fetch or of a torn write is, ends the iteration;
    with `allow_partial=False` it raises KafkaError(corrupt_message), as an impossible length or another magic
    than 2 does in any case.
    """
    end = len(buffer)
    while pos < end:
        if end - pos < HEADER_SIZE:
            if allow_partial:
                return
            raise KafkaError(ErrorCode.corrupt_message, f"{end - pos} stray bytes after the last batch")
        header = _new_tuple(BatchHeader, _HEADER.unpack_from(buffer, pos))
        size = header.batch_length + LOG_OVERHEAD
        if size < HEADER_SIZE:
            raise KafkaError(ErrorCode.corrupt_message, f"batch at byte {pos} says it has {size} bytes")
        if header.magic != MAGIC_V2:
            raise KafkaError(ErrorCode.corrupt_message, f"batch at byte {pos} has magic {header.magic}")
        if pos + size > end:
            if allow_partial:
                return
            raise KafkaError(ErrorCode.corrupt_message, f"batch at byte {pos} is cut off")
        yield pos, header
        pos += size


def compute_crc(buffer: Buffer, pos: int = 0, size: int | None = None) -> int:
    """The CRC-32C of the batch at `pos` with `size` bytes (to the buffer's end without it)."""
    end = len(buffer) if size is None else pos + size
    # The extension only takes bytes: one copy, which costs less than half of what the checksum itself does.
    checksum: int = google_crc32c.value(bytes(memoryview(buffer)[pos + ATTRIBUTES : end]))
    return checksum


def has_valid_crc(buffer: Buffer, header: BatchHeader, pos: int = 0) -> bool:
    """Whether the batch at `pos`, of which `header` is the header, is whole and carries its own checksum."""
    size = header.batch_length + LOG_OVERHEAD
    return HEADER_SIZE <= size <= len(buffer) - pos and compute_crc(buffer, pos, size) == header.crc
