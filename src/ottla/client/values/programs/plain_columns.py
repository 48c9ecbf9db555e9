"""Columns that grow row by row, in plain Python: what `native/columns.c` does."""

from __future__ import annotations

from array import array

from ottla.client.columns.binary import pack_bits
from ottla.client.values.programs.ops import ColumnKind

__all__ = ["ColumnStore", "RawColumn"]

RawColumn = tuple[int, memoryview | None, memoryview | None, memoryview | None]
"""length, validity, offsets (int32), data: of each column of a layout, what Arrow has of its kind."""

_MAX_INT32 = (1 << 31) - 1


class _Column:
    """Rows so far: whether each is valid, and what Arrow has of its kind."""

    __slots__ = ("bits", "data", "end", "kind", "offsets", "valid", "width")

    def __init__(self, kind: int, width: int, end: int) -> None:
        self.kind = kind
        self.width = width
        self.end = end
        self.valid: list[bool] = []
        self.bits: list[bool] = []
        self.offsets = [0]
        self.data = bytearray()


class ColumnStore:
    """The columns of a layout."""

    def __init__(self, layout: bytes, max_bytes: int) -> None:
        words = array("i", layout)
        self.columns = [_Column(*words[at : at + 3]) for at in range(0, len(words), 3)]
        self.memory_left = max_bytes

    def length(self, at: int) -> int:
        return len(self.columns[at].valid)

    def append_fixed(self, at: int, data: bytes) -> None:
        self._count(len(data))
        column = self.columns[at]
        column.data += data
        column.valid.append(True)

    def append_bool(self, at: int, value: bool) -> None:
        column = self.columns[at]
        column.bits.append(value)
        column.valid.append(True)

    def append_bytes(self, at: int, data: bytes) -> None:
        self._count(len(data) + 4)
        column = self.columns[at]
        column.data += data
        column.offsets.append(len(column.data))
        column.valid.append(True)

    def append_list(self, at: int) -> None:
        """Its items are there already."""
        self._count(4)
        column = self.columns[at]
        column.offsets.append(self.length(at + 1))
        column.valid.append(True)

    def append_struct(self, at: int) -> None:
        """Its members are appended by themselves."""
        self.columns[at].valid.append(True)

    def append_null(self, at: int) -> None:
        self._append_empty(at, is_valid=False)

    def append_zero(self, at: int) -> None:
        """A row of zeros, empty strings and lists."""
        self._append_empty(at, is_valid=True)

    def _append_empty(self, at: int, *, is_valid: bool) -> None:
        column = self.columns[at]
        self._count(column.width)
        match column.kind:
            case ColumnKind.BOOL:
                column.bits.append(False)
            case ColumnKind.FIXED:
                column.data += bytes(column.width)
            case ColumnKind.BINARY | ColumnKind.LIST:
                column.offsets.append(column.offsets[-1])
            case ColumnKind.STRUCT:
                for child in self.members(at):
                    self._append_empty(child, is_valid=is_valid)
        column.valid.append(is_valid or column.kind == ColumnKind.NULL)

    def members(self, at: int) -> list[int]:
        """The columns of a struct's members."""
        found = []
        child = at + 1
        while child < self.columns[at].end:
            found.append(child)
            child = self.columns[child].end
        return found

    def truncate(self, at: int, length: int) -> None:
        """Forget rows from `length` on."""
        column = self.columns[at]
        del column.valid[length:], column.bits[length:], column.offsets[length + 1 :]
        match column.kind:
            case ColumnKind.FIXED:
                del column.data[length * column.width :]
            case ColumnKind.BINARY:
                del column.data[column.offsets[-1] :]
            case ColumnKind.LIST:
                self.truncate(at + 1, column.offsets[-1])
            case ColumnKind.STRUCT:
                for child in self.members(at):
                    self.truncate(child, length)

    def take(self) -> list[RawColumn]:
        return [_taken(column) for column in self.columns]

    def _count(self, size: int) -> None:
        self.memory_left -= size
        if self.memory_left < 0:
            raise OverflowError("the columns of these values are too large")


def _taken(column: _Column) -> RawColumn:
    has_offsets = column.kind in (ColumnKind.BINARY, ColumnKind.LIST)
    if has_offsets and column.offsets[-1] > _MAX_INT32:
        raise OverflowError("the columns of these values are too large")
    data: memoryview | None = None
    if column.kind == ColumnKind.BOOL:
        data = memoryview(pack_bits(column.bits))
    elif column.kind in (ColumnKind.FIXED, ColumnKind.BINARY):
        data = memoryview(column.data)
    return (
        len(column.valid),
        None if all(column.valid) else memoryview(pack_bits(column.valid)),
        memoryview(array("i", column.offsets)).cast("B") if has_offsets else None,
        data,
    )
