"""What a leader checks of a produced batch before it appends it, and what it changes in it.

The usual batch is uncompressed, goes to a topic that leaves compression and timestamps to the producer, and
is appended as it came: its header is checked, its CRC, and that it holds as many records as it says, by
walking their lengths. Records are looked into only where a topic's configuration or compression asks for it:
then keys, timestamps, offsets and the structure of every record are checked.

Error codes are those of Kafka's LogValidator and ProduceRequest. Where Kafka would answer
UNKNOWN_SERVER_ERROR (a codec that does not exist, data that does not decompress) the answer names the cause.
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
from ottla.records.structure import RecordRules, count_records, walk_records

__all__ = ["NO_LIMIT_MS", "RecordValidationError", "ValidationOptions", "validate"]

NO_LIMIT_MS: Final = (1 << 63) - 1

_MIN_INT64: Final = -(1 << 63)
_MAX_INT64: Final = (1 << 63) - 1
_crc32c: Final = google_crc32c.value
_BODY_RECORDS: Final = HEADER_SIZE - ATTRIBUTES
_MIN_LEGACY_LENGTH: Final = 14  # below it no message format has ever been


@dataclass(frozen=True, slots=True)
class ValidationOptions:
    """The topic configuration that produced batches are held to; sizes in bytes."""

    max_message_bytes: int = 1_048_588
    codec: Codec | None = None  # compression.type; None for "producer"
    level: int | None = None
    is_compacted: bool = False
    timestamp_type: TimestampType = TimestampType.create_time
    timestamp_before_max_ms: int = NO_LIMIT_MS
    timestamp_after_max_ms: int = 3_600_000
    max_inflated_bytes: int = 100 * 1024 * 1024  # as much as Kafka's largest request by default


class RecordValidationError(KafkaError):
    """Some records of a batch are refused, and with them the batch (KIP-467)."""

    def __init__(self, code: ErrorCode, message: str, record_errors: Sequence[tuple[int, str]]) -> None:
        super().__init__(code, message)
        self.record_errors = tuple(record_errors)  # (index in the batch, message)


def validate(
    records: Buffer, options: ValidationOptions, now_ms: int, *, allow_zstd: bool = True
) -> tuple[BatchHeader, bytes, int]:
    """Check one partition's `records` of a produce request, which must be exactly one batch.

    Returns what to append and the log append time in ms, -1 unless the topic uses it: the header tells what
    is in the body, which has everything from the attributes on, as the client sent it or as the topic's
    configuration changed it.

    `allow_zstd` is False for requests before version 7 (KIP-110). Raises KafkaError with the code that the
    client is to get, RecordValidationError where it can be said which records are at fault.
    """
    header, body = _check_frame(records, options.max_message_bytes)
    # Unpacked once: each attribute of a named tuple is a look-up, in compiled code as well.
    _, _, _, _, _, attributes, last_delta, base_timestamp, batch_timestamp, producer_id, _, _, count = header
    if attributes or producer_id >= 0 or count <= 0 or last_delta != count - 1:
        _check_header(header)
    source = attributes & CODEC_MASK
    target: int = source if options.codec is None else options.codec
    payload = None
    max_timestamp = batch_timestamp
    if source:
        if source == Codec.zstd and not allow_zstd:
            raise KafkaError(ErrorCode.unsupported_compression_type, "zstd needs produce version 7")
        payload = decompress(source, body[_BODY_RECORDS:], options.max_inflated_bytes)
        max_timestamp = _inspect_records(header, payload, 0, options, now_ms)
    elif _must_inspect(base_timestamp, batch_timestamp, options, now_ms):
        max_timestamp = _inspect_records(header, body, _BODY_RECORDS, options, now_ms)
    else:
        count_records(body, _BODY_RECORDS, count)

    log_append_time_ms = NO_TIMESTAMP
    if options.timestamp_type:
        log_append_time_ms = max_timestamp = now_ms
        attributes |= TIMESTAMP_TYPE_MASK
    if target != source:
        attributes = attributes & ~CODEC_MASK | target
        if payload is None:
            payload = body[_BODY_RECORDS:]
        body = _encode_body_header(header, attributes, max_timestamp) + compress(
            target, payload, options.level
        )
        if len(body) + ATTRIBUTES > options.max_message_bytes:
            raise _too_large(len(body) + ATTRIBUTES, options.max_message_bytes)
    elif max_timestamp != batch_timestamp or attributes != header.attributes:
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


def _check_frame(records: Buffer, max_message_bytes: int) -> tuple[BatchHeader, bytes]:
    """The header, and everything under the CRC, of the one batch that fills `records`."""
    end = len(records)
    if end < HEADER_SIZE:
        raise KafkaError(ErrorCode.invalid_record, "a partition's records must be one record batch")
    header = parse_header(records)
    base_offset, length, _, magic, crc, _, _, _, _, _, _, _, _ = header
    size = length + LOG_OVERHEAD
    if size != end or magic != MAGIC_V2:
        raise _frame_error(header, end)
    if base_offset:
        raise KafkaError(ErrorCode.invalid_record, f"the base offset is {base_offset} and must be 0")
    if size > max_message_bytes:
        raise _too_large(size, max_message_bytes)
    # The checksum needs bytes, and the caller the data out of the network buffer: one copy serves both.
    body = bytes(records[ATTRIBUTES:])
    if _crc32c(body) != crc:
        raise KafkaError(ErrorCode.corrupt_message, "the record batch does not match its CRC")
    return header, body


def _frame_error(header: BatchHeader, end: int) -> KafkaError:
    if header.batch_length < _MIN_LEGACY_LENGTH:
        return KafkaError(
            ErrorCode.corrupt_message, f"a record batch says its length is {header.batch_length}"
        )
    if not 0 <= header.magic <= MAGIC_V2:
        return KafkaError(ErrorCode.corrupt_message, f"there is no message format with magic {header.magic}")
    if header.magic != MAGIC_V2:
        return KafkaError(ErrorCode.invalid_record, f"only magic 2 is supported, not {header.magic}")
    if header.size < HEADER_SIZE:
        return KafkaError(ErrorCode.corrupt_message, f"a record batch says it has {header.size} bytes")
    return KafkaError(
        ErrorCode.invalid_record,
        f"a partition's records must be exactly one record batch: this one has {header.size} bytes of {end}",
    )


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
    if attributes & TIMESTAMP_TYPE_MASK:
        raise KafkaError(ErrorCode.invalid_timestamp, "producers may not set the log append time")
    if header.producer_id < 0:
        if attributes & TRANSACTIONAL_MASK:
            raise KafkaError(ErrorCode.invalid_record, "a transactional batch needs a producer id")
    elif header.base_sequence < 0 or header.producer_epoch < 0:
        raise KafkaError(
            ErrorCode.invalid_record,
            f"the batch of producer {header.producer_id} has epoch {header.producer_epoch} "
            f"and sequence {header.base_sequence}",
        )


def _must_inspect(base_timestamp: int, max_timestamp: int, options: ValidationOptions, now_ms: int) -> bool:
    """Whether records must be looked into one by one.

    Without a limit on old timestamps the header's own claim about the latest one is enough: a producer that
    lies there gets its records indexed by the lie, and nothing else.
    """
    if options.is_compacted:
        return True
    if options.timestamp_type:
        return False
    return (
        options.timestamp_before_max_ms != NO_LIMIT_MS
        or max_timestamp - now_ms > options.timestamp_after_max_ms
        or max_timestamp < base_timestamp
    )


def _inspect_records(
    header: BatchHeader, data: bytes, pos: int, options: ValidationOptions, now_ms: int
) -> int:
    """Check every record in `data` from `pos` on; the latest timestamp of them."""
    earliest, latest = _MIN_INT64, _MAX_INT64
    if not options.timestamp_type:
        earliest = max(earliest, now_ms - options.timestamp_before_max_ms)
        latest = min(latest, now_ms + options.timestamp_after_max_ms)
    rules = RecordRules(header.base_timestamp, earliest, latest, options.is_compacted)
    max_timestamp, faults = walk_records(data, pos, header.record_count, rules)
    if not faults:
        return max_timestamp
    code = ErrorCode.invalid_record
    errors: list[tuple[int, str]] = []
    for index, timestamp in faults:
        if timestamp is None:
            errors.append((index, "a compacted topic takes no record without a key"))
        else:
            code = ErrorCode.invalid_timestamp
            errors.append((index, f"timestamp {timestamp} is outside of [{earliest}, {latest}]"))
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
