"""Protobuf messages into columns, in plain Python: what `native/protobuf.c` does, and says why."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from ottla.client.values.programs.machine import BrokenError, Input, Machine, Run
from ottla.client.values.programs.ops import (
    ABSENT_IS_EMPTY,
    ABSENT_IS_NULL,
    ABSENT_IS_ZERO,
    FIELD_WORDS,
    MAX_DEPTH,
    Op,
    Reason,
)
from ottla.client.values.programs.plain_avro import check_text

__all__ = ["PROTOBUF"]


class _Wire(IntEnum):
    VARINT = 0
    EIGHT = 1
    DELIMITED = 2
    GROUP = 3
    END_GROUP = 4
    FOUR = 5


_MASK32: Final = (1 << 32) - 1
_DELIMITED: Final = (Op.MESSAGE, Op.TEXT, Op.BLOB, Op.INSTANT, Op.WRAPPER)


def _wire_type(op: int) -> int:
    if op in _DELIMITED:
        return _Wire.DELIMITED
    return {Op.FIXED32: _Wire.FOUR, Op.FIXED64: _Wire.EIGHT}.get(Op(op), _Wire.VARINT)


class _Field(NamedTuple):
    number: int
    is_repeated: int
    column: int
    op: int
    slot: int
    absence: int


class _Tagged(NamedTuple):
    """A field, and where its value is; of what is delimited, without its length."""

    number: int
    type: int
    at: int
    end: int

    def fits(self, expected: int) -> bool:
        return self.type == expected or (self.type == _Wire.GROUP and expected == _Wire.DELIMITED)


def _read_tagged(data: Input, depth: int = 0) -> _Tagged:
    place = data.place()
    tag = data.varint()
    if tag >> 32 or tag < 8:
        raise BrokenError(Reason.BAD_TAG, place)
    number, wire, at = tag >> 3, tag & 7, data.at
    match wire:
        case _Wire.VARINT:
            data.varint()
        case _Wire.DELIMITED:
            size = data.varint()
            at = data.at
            data.take(size)
        case _Wire.FOUR | _Wire.EIGHT:
            data.take(4 if wire == _Wire.FOUR else 8)
        case _Wire.GROUP:
            return _Tagged(number, wire, at, _skip_group(data, number, depth + 1))
        case _Wire.END_GROUP:
            pass
        case _:
            raise BrokenError(Reason.BAD_TAG, place)
    return _Tagged(number, wire, at, data.at)


def _skip_group(data: Input, number: int, depth: int) -> int:
    """Where it ends, before the tag that says so."""
    if depth > MAX_DEPTH:
        raise BrokenError(Reason.TOO_DEEP, 0)
    while True:
        end, place = data.at, data.place()
        if data.at == data.end:
            raise BrokenError(Reason.ENDS_EARLY, place)
        inner = _read_tagged(data, depth)
        if inner.type == _Wire.END_GROUP:
            break
    if inner.number != number:
        raise BrokenError(Reason.BAD_TAG, place)
    return end


def _read_field(data: Input) -> _Tagged:
    place = data.place()
    tagged = _read_tagged(data)
    if tagged.type == _Wire.END_GROUP:
        raise BrokenError(Reason.BAD_TAG, place)
    return tagged


def _part(data: Input, tagged: _Tagged) -> Input:
    return Input(data.data, tagged.at, tagged.end, data.begin)


def _signed(number: int, bits: int) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> bits - 1 else number


def _instant(machine: Machine, data: Input, op: int) -> None:
    column, per_second, is_duration = machine.words[op + 1 : op + 4]
    place, seconds, nanos = data.place(), 0, 0
    while data.at < data.end:
        tagged = _read_field(data)
        if tagged.type == _Wire.VARINT and tagged.number <= 2:
            number = _part(data, tagged).varint()
            if tagged.number == 1:
                seconds = _signed(number, 64)
            else:
                nanos = _signed(number, 32)
    least = -999_999_999 if is_duration and seconds <= 0 else 0
    most = 0 if is_duration and seconds < 0 else 999_999_999
    size = 1_000_000_000 // per_second
    parts = nanos // size if nanos >= 0 else -(-nanos // size)
    number = seconds * per_second + parts
    # The product has to fit by itself, as in compiled code.
    if not least <= nanos <= most or any(
        not -(1 << 63) <= each < 1 << 63 for each in (number, seconds * per_second)
    ):
        raise BrokenError(Reason.OUT_OF_RANGE, place)
    machine.store.append_fixed(column, number.to_bytes(8, "little", signed=True))


def _wrapper(machine: Machine, data: Input, op: int) -> None:
    column, inner = machine.words[op + 1 : op + 3]
    last: _Tagged | None = None
    while data.at < data.end:
        tagged = _read_field(data)
        if tagged.number == 1 and tagged.type == _wire_type(machine.words[inner]):
            last = tagged
    if last is None:
        machine.store.append_zero(column)
    else:
        machine.run(_part(data, last), inner)


def _numbered(machine: Machine, data: Input, op: int) -> None:
    """A number that has no name is its digits or, of a closed enum, nothing."""
    column, is_closed, count = machine.words[op + 1 : op + 4]
    number = _signed(data.varint(), 32)
    pairs = machine.words[op + 4 : op + 4 + 2 * count]
    names = dict(zip(pairs[::2], pairs[1::2], strict=True))
    if number in names:
        machine.store.append_bytes(column, machine.constants[names[number]])
    elif not is_closed:
        machine.store.append_bytes(column, str(number).encode())


def _number(machine: Machine, data: Input, op: int) -> None:
    code, column = machine.words[op : op + 2]
    match code:
        case Op.FIXED32 | Op.FIXED64:
            machine.store.append_fixed(column, data.take(4 if code == Op.FIXED32 else 8))
        case Op.VARINT_BOOL:
            machine.store.append_bool(column, data.varint() != 0)
        case Op.VARINT32:
            machine.store.append_fixed(column, (data.varint() & _MASK32).to_bytes(4, "little"))
        case Op.ZIGZAG32:
            half = data.varint() & _MASK32
            number = half >> 1 ^ -(half & 1)
            machine.store.append_fixed(column, number.to_bytes(4, "little", signed=True))
        case Op.VARINT64:
            machine.store.append_fixed(column, data.varint().to_bytes(8, "little"))
        case _:
            machine.store.append_fixed(column, data.zigzag().to_bytes(8, "little", signed=True))


def _text(machine: Machine, data: Input, op: int) -> None:
    place = data.place()
    text = data.take(data.end - data.at)
    if machine.words[op] == Op.TEXT:
        check_text(text, place)
    machine.store.append_bytes(machine.words[op + 1], text)


# -- Messages


def _fields(machine: Machine, op: int) -> list[_Field]:
    start, count = op + 4, machine.words[op + 3]
    words = machine.words[start : start + count * FIELD_WORDS]
    return [_Field(*words[at : at + FIELD_WORDS]) for at in range(0, len(words), FIELD_WORDS)]


def _find(fields: Sequence[_Field], number: int) -> int:
    """Its index, or -1."""
    index = bisect_left(fields, number, key=lambda field: field.number)
    return index if index < len(fields) and fields[index].number == number else -1


def _message(machine: Machine, data: Input, op: int) -> None:
    fields = _fields(machine, op)
    start = data.at
    slots: dict[int, tuple[int, _Tagged, bool]] = {}
    while data.at < data.end:
        tagged = _read_field(data)
        index = _find(fields, tagged.number)
        if index < 0:
            continue
        field = fields[index]
        expected = _wire_type(machine.words[field.op])
        if field.is_repeated:
            _add_repeated(machine, data, tagged, field, expected)
        elif tagged.fits(expected):
            before = slots.get(field.slot)
            slots[field.slot] = index, tagged, before is not None and before[0] == index
    for index, field in enumerate(fields):
        if field.is_repeated:
            machine.store.append_list(field.column)
            continue
        held = slots.get(field.slot)
        if held is None or held[0] != index:
            _absent(machine, field)
            continue
        _, tagged, is_repeated = held
        value = _part(data, tagged)
        if is_repeated and machine.words[field.op] in (Op.MESSAGE, Op.INSTANT, Op.WRAPPER):
            value = _merged(machine, fields, field, Input(data.data, start, data.end, data.begin))
        length = machine.store.length(field.column)
        machine.run(value, field.op)
        if machine.store.length(field.column) == length:
            _absent(machine, field)
    machine.store.append_struct(machine.words[op + 1])


def _add_repeated(machine: Machine, data: Input, tagged: _Tagged, field: _Field, expected: int) -> None:
    value = _part(data, tagged)
    if tagged.fits(expected):
        machine.run(value, field.op)
    elif tagged.type == _Wire.DELIMITED and expected != _Wire.DELIMITED:
        while value.at < value.end:
            machine.run(value, field.op)


def _absent(machine: Machine, field: _Field) -> None:
    match field.absence:
        case _ if field.absence == ABSENT_IS_NULL:
            machine.store.append_null(field.column)
        case _ if field.absence == ABSENT_IS_ZERO:
            machine.store.append_zero(field.column)
        case _ if field.absence == ABSENT_IS_EMPTY:
            machine.run(Input(b"", 0, 0, 0), field.op)
        case constant:
            machine.store.append_bytes(field.column, machine.constants[constant])


def _merged(machine: Machine, fields: Sequence[_Field], field: _Field, message: Input) -> Input:
    machine.steps -= (message.end - message.at) // 8
    if machine.steps < 0:
        raise BrokenError(Reason.TOO_MUCH, 0)
    pieces: list[bytes] = []
    while message.at < message.end:
        tagged = _read_field(message)
        index = _find(fields, tagged.number)
        if index < 0 or fields[index].is_repeated or fields[index].slot != field.slot:
            continue
        if not tagged.fits(_wire_type(machine.words[fields[index].op])):
            continue
        if fields[index] is field:
            pieces.append(message.data[tagged.at : tagged.end])
        else:
            pieces.clear()
    whole = b"".join(pieces)
    return Input(whole, 0, len(whole), 0)


PROTOBUF: Final[dict[int, Run]] = {
    Op.MESSAGE: _message,
    **dict.fromkeys(range(Op.VARINT32, Op.NUMBERED), _number),
    Op.NUMBERED: _numbered,
    Op.TEXT: _text,
    Op.BLOB: _text,
    Op.INSTANT: _instant,
    Op.WRAPPER: _wrapper,
}
