"""Framed values to columns in plain Python: what `native/` does, for where it is not compiled, and to hold
it to. It believes its program, which compiled code checks.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Final

from ottla.client.columns.binary import BinaryColumn, RawBinary
from ottla.client.values.programs.machine import BrokenError, Input, Machine
from ottla.client.values.programs.ops import Reason
from ottla.client.values.programs.plain_avro import NESTED, SCALARS
from ottla.client.values.programs.plain_columns import ColumnStore, RawColumn
from ottla.client.values.programs.plain_protobuf import PROTOBUF

__all__ = ["NAME", "Program", "RawBroken", "decode", "ids"]

NAME: Final = "plain"

_NESTED: Final = {**NESTED, **PROTOBUF}

RawBroken = tuple[int, int, int, int]
"""row, reason, detail, id: what `ops.Broken` is made of."""


class Program:
    """How values of one schema become the columns of a layout.

    `words` are instructions (`ops.Op`, int32 each) and `entry` is where it begins; `layout` has three int32
    (kind, width, end) for each column, the first for the values themselves; `slots` is how many fields that
    are not repeated are open at a time, and `indexes` (int32) says which message of its file this is, None
    for formats other than Protobuf. Compiled, ValueError for what is none.
    """

    __slots__ = ("constants", "entry", "indexes", "layout", "slots", "words")

    def __init__(
        self,
        words: bytes,
        entry: int,
        constants: list[bytes],
        layout: bytes,
        slots: int,
        indexes: bytes | None,
        /,
    ) -> None:
        self.words = array("i", words)
        self.entry = entry
        self.constants = constants
        self.layout = layout
        self.slots = slots
        self.indexes = None if indexes is None else array("i", indexes).tolist()


def decode(
    layout: bytes,
    programs: Mapping[int, Program],
    column: RawBinary,
    assigned: memoryview | None,
    max_bytes: int,
    /,
) -> tuple[list[RawColumn], list[RawBroken]]:
    """The columns of all values, and which are broken: null, as those that are null already.

    A value's program is that of the id in its frame or, where it is not 0, of `assigned` (int32 for each
    row): then the value has no frame. OverflowError where columns would take more than `max_bytes`.
    """
    store = ColumnStore(layout, max_bytes)
    broken: list[RawBroken] = []
    for row, value in enumerate(BinaryColumn(*column)):
        if value is None:
            store.append_null(0)
            continue
        schema_id = 0 if assigned is None else assigned[row]
        try:
            payload = Input(value, 0, len(value), 0)
            if not schema_id:
                schema_id = _read_frame(payload)
            if schema_id not in programs:
                raise BrokenError(Reason.UNKNOWN_ID, schema_id)
            _decode_value(store, programs[schema_id], payload, schema_id)
        except BrokenError as error:
            store.truncate(0, row)
            store.append_null(0)
            broken.append((row, int(error.reason), error.detail, schema_id if error.has_id else 0))
    return store.take(), broken


def ids(column: RawBinary, assigned: memoryview | None, /) -> list[int]:
    """The ids in the frames of values that have none assigned, each once, in the order in which they come."""
    found: dict[int, None] = {}
    for row, value in enumerate(BinaryColumn(*column)):
        if value is not None and len(value) >= 5 and not value[0] and not (assigned and assigned[row]):
            found[int.from_bytes(value[1:5])] = None
    return list(found)


def _read_frame(payload: Input) -> int:
    value = payload.data
    if len(value) < 5:
        raise BrokenError(Reason.SHORT_FRAME, len(value), has_id=False)
    if value[0]:
        raise BrokenError(Reason.NO_FRAME, value[0], has_id=False)
    payload.at = payload.begin = 5
    return int.from_bytes(value[1:5])


def _decode_value(store: ColumnStore, program: Program, payload: Input, schema_id: int) -> None:
    size = payload.end - payload.at
    steps = (size + 16) * len(program.words) + 65536
    machine = Machine(store, SCALARS, _NESTED, program.words, program.constants, steps)
    if schema_id >= 0 and program.indexes is not None:
        _read_indexes(payload, program.indexes)
    machine.run(payload, program.entry)
    if payload.at != payload.end:
        raise BrokenError(Reason.LEFT_OVER, payload.end - payload.at)


def _read_indexes(payload: Input, expected: Sequence[int]) -> None:
    count = payload.zigzag()
    if not count:
        if expected != [0]:
            raise BrokenError(Reason.OTHER_MESSAGE, 0)
        return
    if count != len(expected):
        raise BrokenError(Reason.OTHER_MESSAGE, 0)
    for each in expected:
        if payload.zigzag() != each:
            raise BrokenError(Reason.OTHER_MESSAGE, 0)
