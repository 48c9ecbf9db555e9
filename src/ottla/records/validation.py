"""What a leader checks of a produced batch before it appends it, and what it changes in it.

Nothing that a producer says of its records is believed: every field of every record is read, in every codec,
and the latest timestamp in the header is what the records say. The usual batch is kept as it came.

Error codes are those of Kafka's LogValidator and ProduceRequest, with these differences. Where Kafka would
answer UNKNOWN_SERVER_ERROR (a codec that does not exist, data that does not decompress) the answer names the
cause. What Kafka takes although not every client could read it is written anew (`rewrite_records`), or
refused where there is no sense in it: numbers of more bits than they may have, and lengths in compressed
records that are not those of the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import google_crc32c

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import (
    ATTRIBUTES,
    BODY_HEADER,
    CODEC_MASK,
    CONTROL_MASK,
    HEADER_SIZE,
    LOG_OVERHEAD,
    MAGIC_V2,
    NO_TIMESTAMP,
    TIMESTAMP_TYPE_MASK,
    TRANSACTIONAL_MASK,
    BatchHeader,
    Buffer,
    TimestampType,
    parse_header,
)
from ottla.records.compression import Codec, compress, decompress
from ottla.records.structure import (
    IRREGULAR,
    NULL_KEY,
    check_records,
    iter_records,
    longest_record,
    rewrite_records,
)

__all__ = ["RecordValidationError", "ValidationOptions", "validate"]

_MIN_INT64: Final = -(1 << 63)
_MAX_INT64: Final = (1 << 63) - 1
_crc32c: Final = google_crc32c.value
_BODY_RECORDS: Final = HEADER_SIZE - ATTRIBUTES
MAX_RECORD_ERRORS: Final = 1000  # of one batch, so that a response stays smaller than the request
_MIN_LEGACY_LENGTH: Final = 14  # below it no message format has ever been


@dataclass(frozen=True, slots=True)
class ValidationOptions:
    """The topic configuration that produced batches are held to; sizes in bytes."""

    max_message_bytes: int
    codec: Codec | None  # compression.type; None for "producer"
    level: int | None
    is_compacted: bool
    timestamp_type: TimestampType
    timestamp_before_max_ms: int
    timestamp_after_max_ms: int
    max_inflated_bytes: int  # of a batch
    max_inflated_record_bytes: int


class RecordValidationError(KafkaError):
    """Some records of a batch are refused, and with them the batch (KIP-467)."""

    def __init__(self, code: ErrorCode, message: str, record_errors: Sequence[tuple[int, str]]) -> None:
        super().__init__(code, message)
        self.record_errors = tuple(record_errors)  # (index in the batch, message)


def validate(
    records: Buffer, options: ValidationOptions, now_ms: int, *, allow_zstd: bool = True
) -> tuple[BatchHeader, bytes, int]:
    """Check one partition's `records` of a produce request, which must be exactly one batch.

    Returns what to append and the log append time in ms, -1 unless the topic uses it: the header of the body,
    which has all from the attributes on, as the client sent it or the topic's configuration changed it.

    `allow_zstd` is False for requests before version 7 (KIP-110). Raises KafkaError with the code that the
    client is to get, RecordValidationError where it can be said which records are at fault.
    """
    end = len(records)
    if end < HEADER_SIZE:
        raise KafkaError(ErrorCode.invalid_record, "a partition's records must be one record batch")
    header = parse_header(records)
    # Unpacked once: each attribute of a named tuple is a look-up, in compiled code as well.
    base_offset, length, _, magic, crc, attributes, last_delta, base_time, batch_time, pid, _, _, count = (
        header
    )
    if length + LOG_OVERHEAD != end or magic != MAGIC_V2 or base_offset or end > options.max_message_bytes:
        raise _frame_error(header, end, options.max_message_bytes)
    # The checksum needs bytes, and the caller the data out of the network buffer: one copy serves both.
    body = bytes(records[ATTRIBUTES:])
    if _crc32c(body) != crc:
        raise KafkaError(ErrorCode.corrupt_message, "the record batch does not match its CRC")
    if attributes or pid >= 0 or count <= 0 or last_delta != count - 1:
        _check_header(header)
    source = attributes & CODEC_MASK
    target: int = source if options.codec is None else options.codec
    data, start = body, _BODY_RECORDS
    if source:
        data, start = _inflate(source, body[_BODY_RECORDS:], options, allow_zstd=allow_zstd), 0
    lowest, highest, seen = check_records(data, start, count)
    max_timestamp = base_time + highest
    if max_timestamp < NO_TIMESTAMP:
        max_timestamp = NO_TIMESTAMP
    if (
        attributes & TIMESTAMP_TYPE_MASK
        or (seen & NULL_KEY and options.is_compacted)
        or max_timestamp > now_ms + options.timestamp_after_max_ms
        or base_time + lowest < now_ms - options.timestamp_before_max_ms
        or max_timestamp > _MAX_INT64
        or (source and len(data) > options.max_inflated_record_bytes)
    ):
        _refuse_faults(header, data, start, options, now_ms)
        attributes &= ~TIMESTAMP_TYPE_MASK

    log_append_time_ms = NO_TIMESTAMP
    if options.timestamp_type:
        log_append_time_ms = max_timestamp = now_ms
        attributes |= TIMESTAMP_TYPE_MASK
    if target != source or seen & IRREGULAR:
        attributes = attributes & ~CODEC_MASK | target
        payload = rewrite_records(data, start, count) if seen & IRREGULAR else data[start:]
        body = _encode_body_header(header, attributes, max_timestamp) + compress(
            target, payload, options.level
        )
        if len(body) + ATTRIBUTES > options.max_message_bytes:
            raise _too_large(len(body) + ATTRIBUTES, options.max_message_bytes)
    elif max_timestamp != batch_time or attributes != header.attributes:
        body = _encode_body_header(header, attributes, max_timestamp) + body[_BODY_RECORDS:]
    else:
        return header, body, log_append_time_ms
    header = header._replace(
        batch_length=len(body) + ATTRIBUTES - LOG_OVERHEAD,
        crc=_crc32c(body),
        attributes=attributes,
        max_timestamp=max_timestamp,
    )
    return header, body, log_append_time_ms


def _frame_error(header: BatchHeader, end: int, max_message_bytes: int) -> KafkaError:
    """Why `header` is not that of the one batch that fills the `end` bytes of a partition's records."""
    size = header.size
    if header.batch_length < _MIN_LEGACY_LENGTH:
        code, message = ErrorCode.corrupt_message, f"a record batch says its length is {header.batch_length}"
    elif not 0 <= header.magic <= MAGIC_V2:
        code, message = ErrorCode.corrupt_message, f"there is no message format with magic {header.magic}"
    elif header.magic != MAGIC_V2:
        code, message = ErrorCode.invalid_record, f"only magic 2 is supported, not {header.magic}"
    elif size < HEADER_SIZE:
        code, message = ErrorCode.corrupt_message, f"a record batch says it has {size} bytes"
    elif size != end:
        code, message = (
            ErrorCode.invalid_record,
            f"a partition's records must be exactly one record batch: this one has {size} bytes of {end}",
        )
    elif header.base_offset:
        code, message = ErrorCode.invalid_record, f"the base offset is {header.base_offset} and must be 0"
    else:
        return _too_large(size, max_message_bytes)
    return KafkaError(code, message)


def _check_header(header: BatchHeader) -> None:
    count = header.record_count
    if count <= 0:
        raise KafkaError(ErrorCode.invalid_record, f"the batch says it has {count} records")
    if header.last_offset_delta != count - 1:
        raise KafkaError(
            ErrorCode.invalid_record,
            f"the batch has {count} records and a last offset delta of {header.last_offset_delta}",
        )
    attributes = header.attributes
    if attributes & CODEC_MASK > Codec.zstd:
        raise KafkaError(
            ErrorCode.unsupported_compression_type, f"there is no codec {attributes & CODEC_MASK}"
        )
    if attributes & CONTROL_MASK:
        raise KafkaError(ErrorCode.invalid_record, "clients may not write control records")
    if header.producer_id < 0:
        if attributes & TRANSACTIONAL_MASK:
            raise KafkaError(ErrorCode.invalid_record, "a transactional batch needs a producer id")
    elif header.base_sequence < 0 or header.producer_epoch < 0:
        raise KafkaError(
            ErrorCode.invalid_record,
            f"the batch of producer {header.producer_id} has epoch {header.producer_epoch} "
            f"and sequence {header.base_sequence}",
        )


def _inflate(codec: int, payload: bytes, options: ValidationOptions, *, allow_zstd: bool) -> bytes:
    if codec == Codec.zstd and not allow_zstd:
        raise KafkaError(ErrorCode.unsupported_compression_type, "zstd needs produce version 7")
    return decompress(codec, payload, options.max_inflated_bytes)


def _refuse_long_records(data: bytes, count: int, options: ValidationOptions) -> None:
    longest = longest_record(data, 0, count)
    if longest > options.max_inflated_record_bytes:
        raise KafkaError(
            ErrorCode.invalid_record,
            f"a record has {longest} bytes when it is decompressed, more than max.decompressed.message.bytes "
            f"({options.max_inflated_record_bytes})",
        )


def _refuse_faults(
    header: BatchHeader, data: bytes, pos: int, options: ValidationOptions, now_ms: int
) -> None:
    """Look at each record for what `validate` has seen of all of them together.

    Raises RecordValidationError where one is at fault: a timestamp of -1 for none is never out of bounds.
    """
    if header.codec:
        _refuse_long_records(data, header.record_count, options)
    earliest = max(now_ms - options.timestamp_before_max_ms, _MIN_INT64)
    latest = min(now_ms + options.timestamp_after_max_ms, _MAX_INT64)
    is_create_time = options.timestamp_type == TimestampType.create_time
    # A producer has no business with the log append time. Kafka takes such a batch for one of create time, if
    # its maximum, which is each record's timestamp then, is within the bounds.
    is_append_time = header.timestamp_type == TimestampType.log_append_time and not (
        is_create_time and header.max_timestamp != NO_TIMESTAMP and earliest <= header.max_timestamp <= latest
    )
    errors: list[tuple[int, str]] = []
    code = ErrorCode.invalid_record
    for index, (delta, has_key) in enumerate(iter_records(data, pos, header.record_count)):
        timestamp = header.base_timestamp + delta
        if options.is_compacted and not has_key:
            error = "a compacted topic takes no record without a key"
        elif is_append_time:
            code = ErrorCode.invalid_timestamp
            error = "producers may not set the log append time"
        elif is_create_time and timestamp != NO_TIMESTAMP and not earliest <= timestamp <= latest:
            code = ErrorCode.invalid_timestamp
            error = f"timestamp {timestamp} is outside of [{earliest}, {latest}]"
        else:
            continue
        if len(errors) < MAX_RECORD_ERRORS:
            errors.append((index, error))
    if errors:
        raise RecordValidationError(code, "one or more records have been rejected", errors)


def _encode_body_header(header: BatchHeader, attributes: int, max_timestamp: int) -> bytes:
    return BODY_HEADER.pack(
        attributes,
        header.last_offset_delta,
        header.base_timestamp,
        max_timestamp,
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
        header.record_count,
    )


def _too_large(size: int, max_message_bytes: int) -> KafkaError:
    return KafkaError(
        ErrorCode.message_too_large,
        f"the record batch has {size} bytes, more than max.message.bytes ({max_message_bytes})",
    )
