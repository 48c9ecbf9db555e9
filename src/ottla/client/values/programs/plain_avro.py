"""Avro's binary encoding into columns, in plain Python: what `native/avro.c` does."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from ottla.client.values.programs.machine import BrokenError, Input, Machine, Run
from ottla.client.values.programs.ops import Op, Reason

__all__ = ["NESTED", "SCALARS", "check_text"]

_DAY_MS: Final = 86_400_000
_INT32: Final = 1 << 31


def _fail(machine: Machine, _: Input, op: int) -> None:
    raise BrokenError(Reason.FAILED, machine.words[op + 1])


def _null(machine: Machine, _: Input, op: int) -> None:
    if machine.words[op + 1] >= 0:
        machine.store.append_null(machine.words[op + 1])


def _boolean(machine: Machine, data: Input, op: int) -> None:
    byte = data.take(1)[0]
    if byte > 1:
        raise BrokenError(Reason.BAD_NUMBER, data.place() - 1)
    if machine.words[op + 1] >= 0:
        machine.store.append_bool(machine.words[op + 1], bool(byte))


def read_int(data: Input) -> int:
    place = data.place()
    number = data.zigzag()
    if not -_INT32 <= number < _INT32:
        raise BrokenError(Reason.BAD_NUMBER, place)
    return number


def _number(read: Callable[[Input], int], form: str, below: int | None = None) -> Run:
    pack = struct.Struct(form).pack

    def run_number(machine: Machine, data: Input, op: int) -> None:
        place = data.place()
        number = read(data)
        column = machine.words[op + 1]
        if column < 0:
            return
        if below is not None and not 0 <= number < below:
            raise BrokenError(Reason.OUT_OF_RANGE, place)
        machine.store.append_fixed(column, pack(number))

    return run_number


def _float(size: int, form: str) -> Run:
    read, pack = struct.Struct("<f" if size == 4 else "<d").unpack, struct.Struct(form).pack

    def run_float(machine: Machine, data: Input, op: int) -> None:
        raw = data.take(size)
        if machine.words[op + 1] >= 0:
            machine.store.append_fixed(
                machine.words[op + 1], raw if size == struct.calcsize(form) else pack(*read(raw))
            )

    return run_float


def read_string(data: Input) -> bytes:
    place = data.place()
    size = data.zigzag()
    if size < 0:
        raise BrokenError(Reason.BAD_LENGTH, place)
    return data.take(size)


def check_text(text: bytes, place: int) -> None:
    try:
        text.decode()
    except UnicodeDecodeError:
        raise BrokenError(Reason.BAD_TEXT, place) from None


def _text(machine: Machine, data: Input, column: int, *, is_text: bool) -> None:
    raw = read_string(data)
    if column < 0:
        return
    if is_text:
        check_text(raw, data.place() - len(raw))
    machine.store.append_bytes(column, raw)


def _bytes(machine: Machine, data: Input, op: int) -> None:
    _text(machine, data, machine.words[op + 1], is_text=False)


def _string(machine: Machine, data: Input, op: int) -> None:
    _text(machine, data, machine.words[op + 1], is_text=True)


def _fixed(machine: Machine, data: Input, op: int) -> None:
    raw = data.take(machine.words[op + 2])
    if machine.words[op + 1] >= 0:
        machine.store.append_fixed(machine.words[op + 1], raw)


def _enum(machine: Machine, data: Input, op: int) -> None:
    column, default, count = machine.words[op + 1 : op + 4]
    place = data.place()
    symbol = read_int(data)
    if not 0 <= symbol < count:
        raise BrokenError(Reason.BAD_SYMBOL, place)
    if column < 0:
        return
    constant = machine.words[op + 4 + symbol]
    constant = default if constant < 0 else constant
    if constant < 0:
        raise BrokenError(Reason.BAD_SYMBOL, place)
    machine.store.append_bytes(column, machine.constants[constant])


def _decimal(machine: Machine, data: Input, op: int) -> None:
    column, size, most = machine.words[op + 1 : op + 4]
    place = data.place()
    raw = read_string(data) if size < 0 else data.take(size)
    number = int.from_bytes(raw, "big", signed=True)
    if abs(number) > int.from_bytes(machine.constants[most], "little"):
        raise BrokenError(Reason.OUT_OF_RANGE, place)
    machine.store.append_fixed(
        column, number.to_bytes(machine.store.columns[column].width, "little", signed=True)
    )


def _uuid(machine: Machine, data: Input, op: int) -> None:
    text = data.take(16).hex()
    parts = (text[:8], text[8:12], text[12:16], text[16:20], text[20:])
    if machine.words[op + 1] >= 0:
        machine.store.append_bytes(machine.words[op + 1], "-".join(parts).encode())


def _duration(machine: Machine, data: Input, op: int) -> None:
    raw = data.take(12)
    column = machine.words[op + 1]
    if column >= 0:
        for index in range(3):
            machine.store.append_fixed(column + 1 + index, raw[index * 4 : index * 4 + 4])
        machine.store.append_struct(column)


def _blocks(machine: Machine, data: Input, op: int, *, is_map: bool) -> None:
    column, item = machine.words[op + 1 : op + 3]
    while True:
        place = data.place()
        count = data.zigzag()
        if not count:
            break
        if count < 0:
            if count == -(1 << 63):
                raise BrokenError(Reason.BAD_LENGTH, place)
            size = data.zigzag()
            if not 0 <= size <= data.end - data.at:
                raise BrokenError(Reason.BAD_LENGTH, place)
            count = -count
            if column < 0:
                data.at += size
                continue
        for _ in range(count):
            if is_map:
                machine.step()
                _text(machine, data, column if column < 0 else column + 2, is_text=True)
            machine.run(data, item)
            if is_map and column >= 0:
                machine.store.append_struct(column + 1)
    if column >= 0:
        machine.store.append_list(column)


def _array(machine: Machine, data: Input, op: int) -> None:
    _blocks(machine, data, op, is_map=False)


def _map(machine: Machine, data: Input, op: int) -> None:
    _blocks(machine, data, op, is_map=True)


def _union(machine: Machine, data: Input, op: int) -> None:
    place = data.place()
    branch = data.zigzag()
    if not 0 <= branch < machine.words[op + 1]:
        raise BrokenError(Reason.BAD_BRANCH, place)
    machine.run(data, machine.words[op + 2 + branch])


def _member(machine: Machine, data: Input, op: int) -> None:
    column, chosen, member = machine.words[op + 1 : op + 4]
    for index, child in enumerate(machine.store.members(column)):
        if index == chosen:
            machine.run(data, member)
        else:
            machine.store.append_null(child)
    machine.store.append_struct(column)


def _record(machine: Machine, data: Input, op: int) -> None:
    column, count = machine.words[op + 1 : op + 3]
    for each in machine.words[op + 3 : op + 3 + count]:
        machine.run(data, each)
    if column >= 0:
        machine.store.append_struct(column)


def _default(machine: Machine, _: Input, op: int) -> None:
    constant = machine.constants[machine.words[op + 2]]
    machine.run(Input(constant, 0, len(constant), 0), machine.words[op + 1])


def _raw(machine: Machine, data: Input, op: int) -> None:
    start = data.at
    machine.run(data, machine.words[op + 2])
    if machine.words[op + 1] >= 0:
        machine.store.append_bytes(machine.words[op + 1], data.data[start : data.at])


NESTED: Final[dict[int, Run]] = {
    Op.ARRAY: _array,
    Op.MAP: _map,
    Op.UNION: _union,
    Op.MEMBER: _member,
    Op.RECORD: _record,
    Op.DEFAULT: _default,
    Op.RAW: _raw,
}

SCALARS: Final[dict[int, Run]] = {
    Op.FAIL: _fail,
    Op.NULL: _null,
    Op.BOOLEAN: _boolean,
    Op.INT: _number(read_int, "<i"),
    Op.INT_LONG: _number(read_int, "<q"),
    Op.INT_FLOAT: _number(read_int, "<f"),
    Op.INT_DOUBLE: _number(read_int, "<d"),
    Op.LONG: _number(Input.zigzag, "<q"),
    Op.LONG_FLOAT: _number(Input.zigzag, "<f"),
    Op.LONG_DOUBLE: _number(Input.zigzag, "<d"),
    Op.FLOAT: _float(4, "<f"),
    Op.FLOAT_DOUBLE: _float(4, "<d"),
    Op.DOUBLE: _float(8, "<d"),
    Op.TIME_MILLIS: _number(read_int, "<i", _DAY_MS),
    Op.TIME_MICROS: _number(Input.zigzag, "<q", _DAY_MS * 1000),
    Op.BYTES: _bytes,
    Op.STRING: _string,
    Op.FIXED: _fixed,
    Op.ENUM: _enum,
    Op.DECIMAL: _decimal,
    Op.UUID: _uuid,
    Op.DURATION: _duration,
}
