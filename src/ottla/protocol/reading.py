"""Primitive types of the protocol, read from a place in a buffer: the value, and where the next one begins.

For the decoders that are written by hand. All raise MalformedRequest, IndexError, ValueError or struct.error.
"""

from __future__ import annotations

import struct as binary
from functools import lru_cache
from typing import Final
from uuid import UUID

from ottla.protocol.errors import MalformedRequest
from ottla.protocol.varint import decode_uvarint

MAX_TAGGED_FIELDS: Final = 100
"""Of one struct (KIP-482), known and unknown. None of Kafka's requests has more than two in one so far;
millions of empty ones would take seconds to pass over."""
_INT16: Final = binary.Struct(">h")
_NO_UUID: Final = bytes(16)


def legacy_string(view: memoryview, p: int) -> tuple[str | None, int]:
    (size,) = _INT16.unpack_from(view, p)
    data, p = sliced(view, p + 2, size)
    return None if data is None else str(data, "utf-8"), p


def compact_string(view: memoryview, p: int) -> tuple[str | None, int]:
    size, p = compact_length(view, p)
    data, p = sliced(view, p, size)
    return None if data is None else str(data, "utf-8"), p


def legacy_text(view: memoryview, p: int) -> tuple[str, int]:
    """A string that may not be null."""
    text, p = legacy_string(view, p)
    if text is None:
        raise MalformedRequest("null where a string must be")
    return text, p


def compact_text(view: memoryview, p: int) -> tuple[str, int]:
    """A string that may not be null."""
    text, p = compact_string(view, p)
    if text is None:
        raise MalformedRequest("null where a string must be")
    return text, p


def entity_id(view: memoryview, p: int) -> tuple[UUID | None, int]:
    """A UUID; None for the zero one."""
    return uuid_of(bytes(view[p : p + 16])), p + 16


@lru_cache(maxsize=4096)
def uuid_of(data: bytes) -> UUID | None:
    """Of 16 bytes, ValueError for others; None for the zero UUID. Kept, as making one is slow."""
    return None if data == _NO_UUID else UUID(bytes=data)


def compact_length(view: memoryview, p: int) -> tuple[int, int]:
    """A length, -1 for null."""
    size: int = view[p]
    if size < 128:
        return size - 1, p + 1
    size, p = decode_uvarint(view, p)
    return size - 1, p


def sliced(view: memoryview, p: int, size: int) -> tuple[memoryview | None, int]:
    end = p + size
    if end > len(view) or size < -1:
        raise MalformedRequest(f"a length of {size} with {len(view) - p} bytes left")
    return (None, p) if size < 0 else (view[p:end], end)


def skip_tagged_fields(buffer: bytes | memoryview, p: int) -> int:
    """Those of one struct, which are to be ignored where they are unknown."""
    if buffer[p] == 0:
        return p + 1
    count, p = decode_uvarint(buffer, p)
    if count > MAX_TAGGED_FIELDS:
        raise MalformedRequest(f"{count} tagged fields in one struct")
    for _ in range(count):
        _, p = decode_uvarint(buffer, p)
        size, p = decode_uvarint(buffer, p)
        p += size
        if p > len(buffer):
            raise MalformedRequest("a tagged field longer than the request")
    return p
