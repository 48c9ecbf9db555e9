"""Protobuf's wire format, as far as descriptors go, read within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ottla.schemas.limits import Budget
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["Record", "number", "record", "text"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT: Final = 10
_SIGN: Final = 1 << 63


class Record:
    """A message whose fields are asked for by number; one of another wire type is not there."""

    def __init__(self, data: bytes, budget: Budget) -> None:
        self._budget = budget
        self._numbers: dict[int, list[int]] = {}
        self._bytes: dict[int, list[bytes]] = {}
        at = 0
        while at < len(data):
            budget.spend()
            key, at = _varint(data, at)
            number, wire_type = key >> 3, key & 7
            if wire_type == _VARINT:
                value, at = _varint(data, at)
                self._numbers.setdefault(number, []).append(value)
                continue
            if wire_type == _BYTES:
                length, at = _varint(data, at)
            elif wire_type in (_FIXED64, _FIXED32):
                length = 8 if wire_type == _FIXED64 else 4
            else:
                raise InvalidSchemaError("No descriptor: a wire type that it has not")
            end = at + length
            if number == 0 or end > len(data):
                raise InvalidSchemaError("No descriptor: it ends too early")
            if wire_type == _BYTES:
                self._bytes.setdefault(number, []).append(data[at:end])
            at = end

    def has(self, number: int) -> bool:
        return number in self._numbers or number in self._bytes

    def number(self, number: int) -> int:
        """The last one, or 0."""
        return self._numbers.get(number, [0])[-1]

    def integer(self, number: int) -> int:
        """The same with a sign."""
        value = self.number(number)
        return value - 2 * _SIGN if value >= _SIGN else value

    def numbers(self, number: int) -> Sequence[int]:
        """Packed ones as well."""
        numbers = list(self._numbers.get(number, ()))
        for data in self._bytes.get(number, ()):
            at = 0
            while at < len(data):
                self._budget.spend()
                value, at = _varint(data, at)
                numbers.append(value)
        return numbers

    def text(self, number: int) -> str:
        return self._text(self._bytes[number][-1]) if number in self._bytes else ""

    def texts(self, number: int) -> Sequence[str]:
        return [self._text(each) for each in self._bytes.get(number, ())]

    def _text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise InvalidSchemaError("No descriptor: a text is no UTF-8") from None

    def records(self, number: int) -> Sequence[Record]:
        return [Record(each, self._budget) for each in self._bytes.get(number, ())]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(_MAX_VARINT):
        if at + shift >= len(data):
            break
        byte = data[at + shift]
        value |= (byte & 127) << (7 * shift)
        if byte < 128:
            return value & ((1 << 64) - 1), at + shift + 1
    raise InvalidSchemaError("No descriptor: a number does not end")


def number(field: int, value: int) -> bytes:
    """A varint, negative ones as an int32 is written."""
    return _key(field, _VARINT) + _written(value & (2 * _SIGN - 1))


def text(field: int, value: str) -> bytes:
    return record(field, value.encode(errors="surrogateescape"))


def record(field: int, data: bytes) -> bytes:
    return _key(field, _BYTES) + _written(len(data)) + data


def _key(field: int, wire_type: int) -> bytes:
    return _written(field << 3 | wire_type)


def _written(value: int) -> bytes:
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)
    return bytes(data)
