"""Walking the batches of a segment's file, headers only or whole, in a few large reads."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ottla.records.batch import HEADER_SIZE, LOG_OVERHEAD, MAGIC_V2, BatchHeader, parse_header

if TYPE_CHECKING:
    from ottla.storage.fs import File

__all__ = ["LOCATOR", "find_batch", "scan_batches", "scan_headers"]

# Base offset, length and last offset delta: what it takes to find a batch and step over it.
LOCATOR: Final = struct.Struct(">qi11xi")

_HEADER_CHUNK: Final = 64 << 10
_BATCH_CHUNK: Final = 256 << 10
_FIND_CHUNK: Final = 4 << 10


def scan_headers(file: File, start: int, end: int) -> Iterator[tuple[int, BatchHeader]]:
    """Yield (position, header) of the batches in [start, end), until one is cut off or is no batch."""
    position = chunk_start = start
    chunk = b""
    while position + HEADER_SIZE <= end:
        if position + HEADER_SIZE > chunk_start + len(chunk):
            chunk_start = position
            chunk = file.pread(min(_HEADER_CHUNK, end - position), position)
            if len(chunk) < HEADER_SIZE:
                return
        header = parse_header(chunk, position - chunk_start)
        size = header.batch_length + LOG_OVERHEAD
        if size < HEADER_SIZE or header.magic != MAGIC_V2 or position + size > end:
            return
        yield position, header
        position += size


def scan_batches(file: File, start: int, end: int) -> Iterator[tuple[int, BatchHeader, memoryview]]:
    """Yield (position, header, whole batch), until one is cut off or is no batch."""
    chunk_start = start
    chunk = memoryview(b"")
    position = start
    while position + HEADER_SIZE <= end:
        offset = position - chunk_start
        if len(chunk) - offset < HEADER_SIZE:
            chunk_start, offset = position, 0
            chunk = memoryview(file.pread(min(_BATCH_CHUNK, end - position), position))
            if len(chunk) < HEADER_SIZE:
                return
        header = parse_header(chunk, offset)
        size = header.batch_length + LOG_OVERHEAD
        if size < HEADER_SIZE or header.magic != MAGIC_V2 or position + size > end:
            return
        if len(chunk) - offset < size:
            chunk_start, offset = position, 0
            chunk = memoryview(file.pread(min(max(_BATCH_CHUNK, size), end - position), position))
            if len(chunk) < size:
                return
        yield position, header, chunk[offset : offset + size]
        position += size


def find_batch(file: File, offset: int, start: int, end: int) -> int | None:
    """The position of the first batch in [start, end) whose last offset is not below `offset`.

    `start` must be a batch's position, and the file sound in between.
    """
    position = chunk_start = start
    chunk = b""
    while position + HEADER_SIZE <= end:
        if position - chunk_start + LOCATOR.size > len(chunk):
            chunk_start = position
            chunk = file.pread(min(_FIND_CHUNK, end - position), position)
        base_offset, length, last_offset_delta = LOCATOR.unpack_from(chunk, position - chunk_start)
        if base_offset + last_offset_delta >= offset:
            return position
        position += length + LOG_OVERHEAD
    return None
