"""Zigzag variable-length integers, as record fields have them.

Decoders of whole batches inline the one-byte form, which nearly every field has, and call this for the rest.
"""

from __future__ import annotations

from typing import Final

from ottla.protocol.errors import ErrorCode, KafkaError

__all__ = ["MAX_INT32_BYTES", "MAX_INT64_BYTES", "encode_varint", "read_long_varint", "read_varint"]

MAX_INT32_BYTES: Final = 5
MAX_INT64_BYTES: Final = 10


def read_long_varint(data: bytes, pos: int, max_bytes: int = MAX_INT64_BYTES) -> tuple[int, int]:
    """The signed value whose first byte (at `pos`) has its continuation bit set, and the position after it.

    `max_bytes` is that of 32 or of 64 bits. Raises KafkaError(corrupt_message) for one that is longer or has
    more bits than that, IndexError where the data ends.
    """
    second = data[pos + 1]
    if second < 0x80:
        value = data[pos] & 0x7F | second << 7
        return (value >> 1) ^ -(value & 1), pos + 2
    value = data[pos] & 0x7F | (second & 0x7F) << 7
    shift = 14
    for index in range(pos + 2, pos + max_bytes):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> (32 if max_bytes == MAX_INT32_BYTES else 64):
                break
            return (value >> 1) ^ -(value & 1), index + 1
        shift += 7
    raise KafkaError(ErrorCode.corrupt_message, "a variable-length integer is too long")


def read_varint(data: bytes, pos: int, max_bytes: int = MAX_INT64_BYTES) -> tuple[int, int]:
    """The signed value at `pos` and the position after it; raises as `read_long_varint` does."""
    if (byte := data[pos]) < 0x80:
        return (byte >> 1) ^ -(byte & 1), pos + 1
    return read_long_varint(data, pos, max_bytes)


def _encode(value: int) -> bytes:
    zigzag = (value << 1) ^ (value >> 63)
    if 0x80 <= zigzag < 0x4000:
        return bytes((zigzag & 0x7F | 0x80, zigzag >> 7))
    encoded = bytearray()
    while zigzag >= 0x80:
        encoded.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    encoded.append(zigzag)
    return bytes(encoded)


# Lengths and deltas are mostly small: all up to 2 KiB, the negative ones at the negative
# indices. A table of all of two bytes takes 8 ms of every start and 1.5 MB.
_SMALL: Final = 1 << 11
_ENCODED: Final = tuple(_encode(value) for value in (*range(_SMALL), *range(-_SMALL, 0)))


def encode_varint(value: int) -> bytes:
    """`value`, which must fit 64 bits, in its shortest form."""
    if -_SMALL <= value < _SMALL:
        return _ENCODED[value]
    return _encode(value)
