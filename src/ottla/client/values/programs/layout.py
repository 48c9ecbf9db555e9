"""Columns of programs as Arrow's arrays. Needs the extra `arrow`."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from ottla.client.values.interface import ValuesError
from ottla.client.values.programs.ops import ColumnKind
from ottla.client.values.programs.plain_columns import RawColumn

__all__ = ["Column", "Layout"]

_MAX_COLUMNS: Final = 10_000
_MAX_NESTING: Final = 100


@dataclass(slots=True)
class Column:
    """A column of a layout: its number, the Arrow type that it has, and the columns within it."""

    at: int
    kind: ColumnKind
    type: pa.DataType
    width: int = 0
    children: list[Column] = field(default_factory=list)


class Layout:
    """Columns in the making: those within one are added between `begin` and `end` of it."""

    def __init__(self) -> None:
        self._columns: list[Column] = []
        self._ends: list[int] = []
        self._open: list[Column] = []

    def fixed(self, kind: pa.DataType, width: int) -> Column:
        return self._add(Column(0, ColumnKind.FIXED, kind, width))

    def leaf(self, kind: ColumnKind, type_: pa.DataType) -> Column:
        return self._add(Column(0, kind, type_))

    def begin(self, kind: ColumnKind) -> Column:
        if len(self._open) >= _MAX_NESTING:
            raise ValuesError(f"the schema is nested deeper than {_MAX_NESTING}")
        column = self._add(Column(0, kind, pa.null()))
        self._open.append(column)
        return column

    def end(self, column: Column, type_: pa.DataType) -> Column:
        self._open.pop()
        column.type = type_
        self._ends[column.at] = len(self._columns)
        return column

    def _add(self, column: Column) -> Column:
        if len(self._columns) >= _MAX_COLUMNS:
            raise ValuesError(f"the schema has more than {_MAX_COLUMNS} columns")
        column.at = len(self._columns)
        if self._open:
            self._open[-1].children.append(column)
        self._columns.append(column)
        self._ends.append(column.at + 1)
        return column

    def words(self) -> bytes:
        """As programs take it."""
        words = array("i")
        for column, end in zip(self._columns, self._ends, strict=True):
            words.extend((column.kind, column.width, end))
        return words.tobytes()


def as_array(column: Column, raw: Sequence[RawColumn]) -> pa.Array:
    """The array that `column` has become; nothing is copied."""
    length, validity, offsets, data = raw[column.at]
    if column.kind == ColumnKind.NULL:
        return pa.nulls(length)
    children = [as_array(each, raw) for each in column.children]
    buffers: list[pa.Buffer | None] = [None if validity is None else pa.py_buffer(validity)]
    if offsets is not None:
        buffers.append(pa.py_buffer(offsets))
    if data is not None:
        buffers.append(pa.py_buffer(data))
    return pa.Array.from_buffers(column.type, length, buffers, children=children)
