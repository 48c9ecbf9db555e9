"""What `_columns` does, in plain Python for where that is not compiled: the same calls, the same answers.

It is slower by an order of magnitude. The same tests hold both.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from ottla.client.columns.binary import BinaryColumn, HeadersColumn, RawColumns
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import (
    HEADER_SIZE,
    MAGIC,
    MAGIC_V2,
    BatchHeader,
    Buffer,
    has_valid_crc,
    parse_header,
)
from ottla.records.codec import ControlType, Record, decode_batch, decode_control_type

__all__ = ["NAME", "ROW_BYTES", "Decoded", "decode", "records"]

NAME: Final = "plain"

ROW_BYTES: Final = 32
"""What a row is counted with beside the bytes of its key, value and headers."""

_MAX_INT64: Final = (1 << 63) - 1

R = TypeVar("R")
Fault = KafkaError | None

Decoded = tuple[RawColumns, int, int, int, Fault]
"""The columns; the position of the first batch that is not in them, the next offset and the leader epoch
reached; what is wrong with the batch there."""


def decode(
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
    """Decode the whole batches of `data` from `pos` on, leaving out records before `fetch_offset`.

    `reached` is the next offset and the leader epoch so far. `aborted` are the (first offset, producer id)
    still to come, the next one last, `active` the producers inside of an aborted transaction; both are
    changed. `limits` are of rows, of their bytes (with `ROW_BYTES` for each), and of a batch's when inflated:
    no further batch is begun once one of the first two is reached.

    It stops as well before a batch that is cut off, one of magic 0 or 1, and one that cannot be read, which
    the last item tells of.
    """
    next_offset, leader_epoch = reached
    max_records, max_bytes, max_batch_bytes = limits
    rows: list[Record] = []
    kinds = array("b")
    used = 0
    fault: Fault = None
    while not rows or (len(rows) < max_records and used < max_bytes):
        try:
            header = _whole_header(data, pos)
            if header is None:
                break
            size = header.size
            batch = memoryview(data)[pos : pos + size]
            _check(batch, header, check_crcs)
            last_offset = header.last_offset
            while aborted and aborted[-1][0] <= last_offset:
                active.add(aborted.pop()[1])
            if last_offset >= fetch_offset or header.is_control:
                for record in _records(header, batch, active, max_batch_bytes):
                    if record.offset >= fetch_offset:
                        rows.append(record)
                        kinds.append(header.timestamp_type)
                        used += _size(record)
        except KafkaError as error:
            fault = error
            break
        pos += size
        next_offset, leader_epoch = last_offset + 1, header.leader_epoch
    return (_columns(partition, rows, kinds), pos, next_offset, leader_epoch, fault)


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


def _size(record: Record) -> int:
    size = ROW_BYTES
    if record.key is not None:
        size += len(record.key)
    if record.value is not None:
        size += len(record.value)
    for name, value in record.headers:
        size += len(name.encode("utf-8", "surrogateescape"))
        if value is not None:
            size += len(value)
    return size


def _columns(partition: int, rows: list[Record], kinds: array[int]) -> RawColumns:
    headers = HeadersColumn.of(
        [[(name.encode("utf-8", "surrogateescape"), value) for name, value in row.headers] for row in rows]
    )
    return (
        memoryview(array("i", (partition,)) * len(rows)),
        memoryview(array("q", [row.offset for row in rows])),
        memoryview(array("q", [row.timestamp for row in rows])),
        memoryview(kinds),
        BinaryColumn.of([row.key for row in rows]).raw,
        BinaryColumn.of([row.value for row in rows]).raw,
        headers.raw,
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


def _malformed(message: str) -> KafkaError:
    return KafkaError(ErrorCode.corrupt_message, message)
