"""Batches as clients may send them, and what a leader makes of them."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from ottla.config.broker import broker_config
from ottla.protocol.errors import KafkaError
from ottla.records.batch import (
    ATTRIBUTES,
    CRC,
    HEADER_SIZE,
    LAST_OFFSET_DELTA,
    LENGTH,
    PREFIX,
    RECORD_COUNT,
    BatchHeader,
    TimestampType,
    compute_crc,
    has_valid_crc,
    parse_header,
)
from ottla.records.codec import Record, encode_batch
from ottla.records.compression import Codec, compress
from ottla.records.validation import ValidationOptions, validate
from ottla.replica.partitions import validation_options

NOW = 1_700_000_000_000
HOUR = 3_600_000  # as far ahead as timestamps may be by default
_BROKER = broker_config()
DEFAULT = validation_options(_BROKER.topic_defaults, _BROKER)


def options_with(**changes: Any) -> ValidationOptions:
    return replace(DEFAULT, **changes)


COMPACTED = options_with(is_compacted=True)
LOG_APPEND = options_with(timestamp_type=TimestampType.log_append_time)
RECORDS = [
    Record(i, NOW + 40 * i, b"k" * i, b"v" * 20 * i, (("h", b"x"), ("n", None)) if i % 3 else ())
    for i in range(150)
]
MIB = 1 << 20


def patched(batch: bytes, *patches: tuple[int, bytes], crc: bool = True) -> bytes:
    data = bytearray(batch)
    for offset, patch in patches:
        data[offset : offset + len(patch)] = patch
    if crc:
        data[CRC:ATTRIBUTES] = compute_crc(data).to_bytes(4, "big")
    return bytes(data)


def payload_batch(payload: bytes, count: int, codec: Codec = Codec.none, timestamp: int = NOW) -> bytes:
    """A batch whose header is in order and says `count`, around any bytes."""
    shape = encode_batch([Record(0, timestamp, b"", b"")])[:HEADER_SIZE]
    body = compress(codec, payload)
    return patched(
        shape + body,
        (LENGTH, (HEADER_SIZE - 12 + len(body)).to_bytes(4, "big")),
        (ATTRIBUTES, int(codec).to_bytes(2, "big")),
        (LAST_OFFSET_DELTA, (count - 1).to_bytes(4, "big", signed=True)),
        (RECORD_COUNT, count.to_bytes(4, "big", signed=True)),
    )


def refusal(records: bytes, options: ValidationOptions = DEFAULT, *, allow_zstd: bool = True) -> KafkaError:
    with pytest.raises(KafkaError) as caught:
        validate(memoryview(records), options, NOW, allow_zstd=allow_zstd)
    return caught.value


class Validated(NamedTuple):
    header: BatchHeader
    body: bytes
    log_append_time_ms: int

    def to_bytes(self, base_offset: int, leader_epoch: int) -> bytes:
        _, length, _, magic, crc, *_ = self.header
        return PREFIX.pack(base_offset, length, leader_epoch, magic, crc) + self.body


def accepted(records: bytes, options: ValidationOptions = DEFAULT) -> tuple[Validated, bytes]:
    """The result, and the batch at offset 0 with what every batch must keep to already checked."""
    result = Validated(*validate(memoryview(records), options, NOW))
    batch = result.to_bytes(0, -1)
    assert parse_header(batch) == result.header
    assert has_valid_crc(batch, result.header)
    assert result.header.size == len(batch)
    return result, batch
