"""Protobuf's encoding: a message's fields by number, and scalars in them.

Every length is held to what is left of the value before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import Struct as Packed
from struct import error as PackedError  # noqa: N812
from typing import Final, NamedTuple

from ottla.connect.data.schema import Value
from ottla.connect.errors import DataError

__all__ = [
    "BYTES",
    "GROUP",
    "SCALARS",
    "VARINT",
    "Member",
    "Raw",
    "Scalar",
    "fields_of",
    "varint",
    "write_varint",
]

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
GROUP: Final = 3
END_GROUP: Final = 4
FIXED32: Final = 5
_MAX_GROUPS: Final = 100
_MASK: Final = (1 << 64) - 1
_SIZES: Final = {FIXED64: 8, FIXED32: 4}

Raw = tuple[int, "int | memoryview"]
"""A wire type, and what was found: of a varint the number without a sign, of all others the bytes."""


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it. Raises DataError, or IndexError at the end."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7
        if shift > 63:
            raise DataError("an integer of more than 64 bits")


def write_varint(value: int, out: bytearray) -> None:
    """Of a number below 2**64, a negative one as 64 bits have it."""
    value &= _MASK
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


class Member(NamedTuple):
    """Of a oneof: its wire type, and the numbers of the others."""

    wire: int
    others: Sequence[int]


_NO_MEMBERS: Final[Mapping[int, Member]] = {}


def fields_of(data: memoryview, members: Mapping[int, Member] = _NO_MEMBERS) -> dict[int, list[Raw]]:
    """All fields of a message, by their numbers. Raises DataError for what is no message.

    Of a oneof's `members` the last one counts, and what came of it before another did is gone with that.
    """
    found: dict[int, list[Raw]] = {}
    at, end = 0, len(data)
    try:
        while at < end:
            key, at = varint(data, at)
            number, wire = key >> 3, key & 7
            raw, at = _value(data, at, number, wire, 0)
            if number in members:
                member = members[number]
                if wire != member.wire:
                    continue
                for other in member.others:
                    found.pop(other, None)
            found.setdefault(number, []).append((wire, raw))
    except IndexError:
        raise DataError("a Protobuf message that ends early") from None
    return found


def _value(data: memoryview, at: int, number: int, wire: int, depth: int) -> tuple[int | memoryview, int]:
    if wire == VARINT:
        return varint(data, at)
    if wire == GROUP:
        return _group(data, at, number, depth)
    if wire == BYTES:
        size, at = varint(data, at)
    elif wire in _SIZES:
        size = _SIZES[wire]
    else:
        raise DataError(f"a Protobuf message has a field of the wire type {wire}")
    if number == 0 or size > len(data) - at:
        raise DataError(f"{size} bytes, where {len(data) - at} are left")
    return data[at : at + size], at + size


def _group(data: memoryview, at: int, number: int, depth: int) -> tuple[memoryview, int]:
    """The fields up to the group's end."""
    if depth > _MAX_GROUPS:
        raise DataError(f"a Protobuf message has groups more than {_MAX_GROUPS} deep")
    start = at
    while True:
        before = at
        key, at = varint(data, at)
        if key & 7 == END_GROUP:
            if key >> 3 != number:
                raise DataError("a group in a Protobuf message ends another")
            return data[start:before], at
        _, at = _value(data, at, key >> 3, key & 7, depth + 1)


class Scalar(NamedTuple):
    """How one of Protobuf's types is encoded. `read` takes what has its wire type, `write` what `allowed` has
    (None: everything of the Python type)."""

    wire: int
    zero: Value
    read: Callable[[int | memoryview], Value]
    write: Callable[[Value, bytearray], None]
    allowed: range | None = None


def _signed(bits: int) -> Callable[[int | memoryview], Value]:
    sign, mask = 1 << (bits - 1), (1 << bits) - 1

    def read(raw: int | memoryview) -> Value:
        assert isinstance(raw, int)
        value = raw & mask
        return value - 2 * sign if value & sign else value

    return read


def _zigzag(bits: int) -> Callable[[int | memoryview], Value]:
    mask = (1 << bits) - 1

    def read(raw: int | memoryview) -> Value:
        assert isinstance(raw, int)
        return ((raw & mask) >> 1) ^ -(raw & 1)

    return read


def _write_integer(value: Value, out: bytearray) -> None:
    assert isinstance(value, int)
    write_varint(value, out)


def _write_zigzag(value: Value, out: bytearray) -> None:
    assert isinstance(value, int)
    write_varint((value << 1) ^ (value >> 63), out)


def _fixed(wire: int, letter: str, zero: Value, allowed: range | None = None) -> Scalar:
    packed = Packed(f"<{letter}")

    def read(raw: int | memoryview) -> Value:
        assert isinstance(raw, memoryview)
        value: Value = packed.unpack(raw)[0]
        return value

    def write(value: Value, out: bytearray) -> None:
        try:
            out.extend(packed.pack(value))
        except (PackedError, OverflowError):
            raise DataError(f"{value!r} does not fit {8 * packed.size} bits") from None

    return Scalar(wire, zero, read, write, allowed)


def _write_bytes(value: Value, out: bytearray) -> None:
    data = value.encode() if isinstance(value, str) else value
    assert isinstance(data, bytes)
    write_varint(len(data), out)
    out += data


def _text(raw: int | memoryview) -> Value:
    assert isinstance(raw, memoryview)
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError:
        raise DataError("a text in a Protobuf message that is no UTF-8") from None


def _data(raw: int | memoryview) -> Value:
    assert isinstance(raw, memoryview)
    return bytes(raw)


def _unsigned32(raw: int | memoryview) -> Value:
    assert isinstance(raw, int)
    return raw & 0xFFFFFFFF


_INT32: Final = range(-(1 << 31), 1 << 31)
_UINT32: Final = range(1 << 32)
_INT64: Final = range(-(1 << 63), 1 << 63)
# Connect has no unsigned numbers of 64 bits: as Java's they are those with a sign.
SCALARS: Final[Mapping[str, Scalar]] = {
    "int32": Scalar(VARINT, 0, _signed(32), _write_integer, _INT32),
    "int64": Scalar(VARINT, 0, _signed(64), _write_integer, _INT64),
    "uint32": Scalar(VARINT, 0, _unsigned32, _write_integer, _UINT32),
    "uint64": Scalar(VARINT, 0, _signed(64), _write_integer, _INT64),
    "sint32": Scalar(VARINT, 0, _zigzag(32), _write_zigzag, _INT32),
    "sint64": Scalar(VARINT, 0, _zigzag(64), _write_zigzag, _INT64),
    "bool": Scalar(VARINT, False, lambda raw: raw != 0, _write_integer),
    "fixed32": _fixed(FIXED32, "I", 0, _UINT32),
    "sfixed32": _fixed(FIXED32, "i", 0, _INT32),
    "fixed64": _fixed(FIXED64, "q", 0, _INT64),
    "sfixed64": _fixed(FIXED64, "q", 0, _INT64),
    "float": _fixed(FIXED32, "f", 0.0),
    "double": _fixed(FIXED64, "d", 0.0),
    "string": Scalar(BYTES, "", _text, _write_bytes),
    "bytes": Scalar(BYTES, b"", _data, _write_bytes),
}
