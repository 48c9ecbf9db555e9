"""Murmur3 with 128 bits, as Kafka Streams hashes values of foreign-key joins."""

from __future__ import annotations

from typing import Final

__all__ = ["hash128"]

_MASK: Final = (1 << 64) - 1
_C1: Final = 0x87C37B91114253D5
_C2: Final = 0x4CF5AD432745937F
SEED: Final = 104729


def hash128(data: bytes, seed: int = SEED) -> bytes:
    """16 bytes: both halves, big endian."""
    one = two = seed
    whole = len(data) & ~15
    for at in range(0, whole, 16):
        one ^= _first(int.from_bytes(data[at : at + 8], "little"))
        one = (_rotated(one, 27) + two) * 5 + 0x52DCE729 & _MASK
        two ^= _second(int.from_bytes(data[at + 8 : at + 16], "little"))
        two = (_rotated(two, 31) + one) * 5 + 0x38495AB5 & _MASK
    rest = data[whole:]
    if len(rest) > 8:
        two ^= _second(int.from_bytes(rest[8:], "little"))
    if rest:
        one ^= _first(int.from_bytes(rest[:8], "little"))
    one ^= len(data)
    two ^= len(data)
    one = one + two & _MASK
    two = two + one & _MASK
    one, two = _final(one), _final(two)
    one = one + two & _MASK
    two = two + one & _MASK
    return one.to_bytes(8) + two.to_bytes(8)


def _rotated(number: int, by: int) -> int:
    return (number << by | number >> 64 - by) & _MASK


def _first(block: int) -> int:
    return _rotated(block * _C1 & _MASK, 31) * _C2 & _MASK


def _second(block: int) -> int:
    return _rotated(block * _C2 & _MASK, 33) * _C1 & _MASK


def _final(number: int) -> int:
    number = (number ^ number >> 33) * 0xFF51AFD7ED558CCD & _MASK
    number = (number ^ number >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return number ^ number >> 33
