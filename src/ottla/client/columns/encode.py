"""Columns to record batches, for a producer to send: the inverse of `decode`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ottla.client.columns.columns import Columns
from ottla.client.columns.implementation import IMPLEMENTATION, Builder, Implementation
from ottla.records.batch import (
    ATTRIBUTES,
    CODEC_MASK,
    CRC,
    HEADER_SIZE,
    LENGTH,
    LOG_OVERHEAD,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
)
from ottla.records.compression import Codec, compress

__all__ = ["EncodedBatch", "encode_columns", "finish", "seal"]

_LENGTH: Final = struct.Struct(">i")
_CRC: Final = struct.Struct(">I")
_LOW_ATTRIBUTES: Final = ATTRIBUTES + 1


class EncodedBatch(NamedTuple):
    """A batch of one partition; `seal` says who sends it."""

    partition: int
    records: int
    data: bytearray


def encode_columns(
    columns: Columns,
    partition: memoryview,
    partitions: int,
    *,
    max_bytes: int,
    codec: Codec = Codec.none,
    level: int | None = None,
    now: int = NO_TIMESTAMP,
    implementation: Implementation = IMPLEMENTATION,
) -> Iterator[EncodedBatch]:
    """Key, value, timestamp and headers of each row, in batches for the `partition` (int32) that it is given,
    below `partitions`. The rows of a partition keep their order; partitions take turns.

    A batch has at most `max_bytes` before it is compressed, or one record. A row with the timestamp -1 gets
    `now`, in milliseconds. Batches are made as they are asked for.
    """
    if len(partition) != len(columns):
        raise ValueError(f"{len(partition)} partitions for {len(columns)} rows")
    order, starts = implementation.group_rows(partition, partitions)
    raw = columns.raw
    left = {number: starts[number] for number in range(partitions) if starts[number] < starts[number + 1]}
    while left:
        for number, start in list(left.items()):
            builder = implementation.BatchBuilder(max_bytes)
            stop = starts[number + 1]
            left[number] = builder.append_rows(raw, order, start, stop, now)
            if left[number] == stop:
                del left[number]
            count = builder.count
            yield EncodedBatch(number, count, finish(builder, codec, level, implementation))


def finish(
    builder: Builder,
    codec: Codec = Codec.none,
    level: int | None = None,
    implementation: Implementation = IMPLEMENTATION,
) -> bytearray:
    """The batch that `builder` holds, its records compressed, under its CRC; no producer sends it so far."""
    data = builder.finish()
    if codec != Codec.none:
        payload = compress(codec, bytes(memoryview(data)[HEADER_SIZE:]), level)
        data[HEADER_SIZE:] = payload
        _LENGTH.pack_into(data, LENGTH, len(data) - LOG_OVERHEAD)
        data[_LOW_ATTRIBUTES] = data[_LOW_ATTRIBUTES] & ~CODEC_MASK | codec
        with memoryview(data) as view:
            _CRC.pack_into(data, CRC, implementation.crc32c(view[ATTRIBUTES:]))
    return data


def seal(
    batch: bytearray,
    *,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    base_sequence: int = NO_SEQUENCE,
    is_transactional: bool = False,
    implementation: Implementation = IMPLEMENTATION,
) -> None:
    """Write into a batch of `finish` who sends it and as what. It may be sealed again, as another."""
    implementation.seal(batch, producer_id, producer_epoch, base_sequence, is_transactional)
