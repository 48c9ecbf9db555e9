"""Unsigned variable-length integers (KIP-482): 7 bits a byte, least significant first, at most 5 bytes."""

from __future__ import annotations

from typing import Final

from ottla.protocol.errors import DecodeError


def encode_uvarint(value: int) -> bytes:
    """For values from 0; a negative one is a ValueError."""
    if value < 0:
        raise ValueError(f"{value} is negative")
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def decode_uvarint(buffer: bytes | memoryview, offset: int) -> tuple[int, int]:
    """The value, and the offset behind it. IndexError at the end of the buffer, DecodeError past 32 bits."""
    value = shift = 0
    while True:
        byte = buffer[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 28:
            raise DecodeError("a variable-length integer of more than 5 bytes")
    if value > 0xFFFFFFFF:
        raise DecodeError("a variable-length integer of more than 32 bits")
    return value, offset


class _Uvarints(dict[int, bytes]):
    def __missing__(self, value: int) -> bytes:
        return encode_uvarint(value)


UVARINT: Final = _Uvarints((value, encode_uvarint(value)) for value in range(1024))
"""Encoded integers by value: a look-up for small ones, computed for the rest."""
