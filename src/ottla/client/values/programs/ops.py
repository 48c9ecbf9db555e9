"""The instructions of programs, their columns, why values are broken: the same numbers as in `native/`."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

__all__ = [
    "ABSENT_IS_EMPTY",
    "ABSENT_IS_NULL",
    "ABSENT_IS_ZERO",
    "FIELD_WORDS",
    "MAX_DEPTH",
    "Broken",
    "ColumnKind",
    "Op",
    "Reason",
]

MAX_DEPTH: Final = 128
"""Of programs while they run, and of columns in one another."""

FIELD_WORDS: Final = 6
"""Of each field in a MESSAGE."""

ABSENT_IS_NULL: Final = -1
ABSENT_IS_ZERO: Final = -2
ABSENT_IS_EMPTY: Final = -3
"""What a field that is absent becomes: its instruction is run on no bytes. A constant from 0 on."""


class ColumnKind(IntEnum):
    """Of three words (kind, width, end) for each column; those within it follow it, up to `end`."""

    NULL = 0
    BOOL = 1
    FIXED = 2
    BINARY = 3
    LIST = 4
    STRUCT = 5


class Op(IntEnum):
    """What follows the code: columns by their number (-1: what was read is dropped), instructions by where
    they begin, constants by their number. `[` is a count, and that many of what follows."""

    FAIL = 0  # number of the text
    NULL = 1  # column; reads nothing
    BOOLEAN = 2  # column
    INT = 3  # column of int32
    INT_LONG = 4
    INT_FLOAT = 5
    INT_DOUBLE = 6
    LONG = 7  # column of int64
    LONG_FLOAT = 8
    LONG_DOUBLE = 9
    FLOAT = 10
    FLOAT_DOUBLE = 11
    DOUBLE = 12
    TIME_MILLIS = 13  # as INT, within a day
    TIME_MICROS = 14  # as LONG, within a day
    BYTES = 15  # column
    STRING = 16  # column; UTF-8
    FIXED = 17  # column, size
    ENUM = 18  # column, constant of what has none or -1, [ constant or -1 of each symbol
    DECIMAL = 19  # column, size or -1 for bytes, constant: the largest magnitude, little-endian
    UUID = 20  # column of text, from 16 bytes
    DURATION = 21  # column: struct of three uint32
    ARRAY = 22  # column: list, instruction of its items
    MAP = 23  # column: list of structs (text, value), instruction of values
    UNION = 24  # [ instruction of each branch
    MEMBER = 25  # column: struct, which member, its instruction; the others become null
    RECORD = 26  # column: struct, [ instruction
    DEFAULT = 27  # instruction, constant that it reads
    RAW = 28  # column, instruction that passes over what the column gets
    # Protobuf. Their columns are never -1. Each reads a value whose extent is known.
    MESSAGE = 29  # column: struct, first slot, [ number, is repeated, column, instruction, slot, absence
    VARINT32 = 30
    VARINT64 = 31
    ZIGZAG32 = 32
    ZIGZAG64 = 33
    VARINT_BOOL = 34
    FIXED32 = 35
    FIXED64 = 36
    NUMBERED = 37  # column of text, is closed, [ number, constant
    TEXT = 38
    BLOB = 39
    INSTANT = 40  # column, units in a second, is a duration
    WRAPPER = 41  # column, instruction of field 1


class Reason(IntEnum):
    """Why a value is broken; `detail` is the byte of the payload unless the comment says another thing."""

    SHORT_FRAME = 1  # bytes there are
    NO_FRAME = 2  # the first byte
    UNKNOWN_ID = 3  # the id
    OTHER_MESSAGE = 4
    ENDS_EARLY = 5
    LEFT_OVER = 6  # bytes
    BAD_NUMBER = 7
    BAD_LENGTH = 8
    BAD_TEXT = 9
    BAD_BRANCH = 10
    BAD_SYMBOL = 11
    OUT_OF_RANGE = 12
    TOO_DEEP = 13
    TOO_MUCH = 14
    BAD_TAG = 15
    FAILED = 16  # number of the text


class Broken(NamedTuple):
    """A value that cannot be decoded. `id` is that of its program, or 0."""

    row: int
    reason: int
    detail: int
    id: int


_TEXTS: Final = {
    Reason.SHORT_FRAME: "{} bytes are too few for a schema's id",
    Reason.NO_FRAME: "the value begins with byte {} instead of 0: no schema's id is in front of it",
    Reason.UNKNOWN_ID: "the registry has no schema {}",
    Reason.OTHER_MESSAGE: "the value is another message of its schema",
    Reason.ENDS_EARLY: "the value ends too early, at byte {}",
    Reason.LEFT_OVER: "{} bytes are left over: the value has another schema",
    Reason.BAD_NUMBER: "byte {} begins no number of its type",
    Reason.BAD_LENGTH: "byte {} begins no length",
    Reason.BAD_TEXT: "the text at byte {} is not UTF-8",
    Reason.BAD_BRANCH: "byte {} begins no branch of its union",
    Reason.BAD_SYMBOL: "byte {} begins no symbol of its enum",
    Reason.OUT_OF_RANGE: "the number at byte {} is out of the range of its type",
    Reason.TOO_DEEP: f"the value is nested deeper than {MAX_DEPTH}",
    Reason.TOO_MUCH: "the value asks for far more than its bytes can hold",
    Reason.BAD_TAG: "byte {} begins no field",
}


def explain(broken: Broken, texts: dict[int, list[str]]) -> str:
    """Words for it; `texts` are those of FAIL, by the id of the program."""
    if broken.reason == Reason.FAILED:
        return texts[broken.id][broken.detail]
    return _TEXTS[Reason(broken.reason)].format(broken.detail)
