"""Columns of byte strings and of headers, laid out as Arrow's `binary`, `large_binary` and `list`.

They are buffers and two numbers each, so that a slice costs nothing and pyarrow takes them without a copy.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, overload

__all__ = [
    "ROW_BYTES",
    "BinaryColumn",
    "HeadersColumn",
    "RawBinary",
    "RawColumns",
    "RawHeaders",
    "pack_bits",
]

Data = bytes | bytearray | memoryview

RawBinary = tuple[memoryview, Data, Data | None, int, int]
"""offsets, data, validity, start, length: what compiled code takes of a `BinaryColumn`."""

RawHeaders = tuple[memoryview, RawBinary, RawBinary, int, int]
"""offsets, names, values, start, length: what compiled code takes of a `HeadersColumn`."""

RawColumns = tuple[memoryview, memoryview, memoryview, memoryview, RawBinary, RawBinary, RawHeaders]
"""partition, offset, timestamp, timestamp_type, key, value, headers."""

ROW_BYTES: Final = 32
"""What a row is counted with beside the bytes of its key, value and headers."""

_MAX_INT32: Final = (1 << 31) - 1


class BinaryColumn:
    """`length` byte strings or nulls. Immutable by custom: slices share the buffers.

    String i lies in `data` from `offsets[start + i]` up to `offsets[start + i + 1]` (a memoryview of int32 or
    int64, formats "i" and "q"). It is null where bit `start + i` of `validity`, the lowest bit of a byte
    first, is 0; without `validity` none is null.
    """

    __slots__ = ("data", "length", "offsets", "start", "validity")

    def __init__(
        self,
        offsets: memoryview,
        data: Data,
        validity: Data | None = None,
        start: int = 0,
        length: int | None = None,
    ) -> None:
        length = _checked_length(offsets, start, length, "strings")
        if validity is not None and len(validity) * 8 < start + length:
            raise ValueError(f"{len(validity)} bytes of validity do not hold {length} bits from {start} on")
        self.offsets = offsets
        self.data = data
        self.validity = validity
        self.start = start
        self.length = length

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> BinaryColumn:
        """A column of `values`; its offsets are int64 where they have to be."""
        validity = None
        if None in values:
            validity = pack_bits([value is not None for value in values])
            values = [b"" if value is None else value for value in values]
        data = b"".join(values)  # type: ignore[arg-type]  # the nulls are gone
        ends = accumulate(map(len, values), initial=0)  # type: ignore[arg-type]
        return cls(memoryview(array("i" if len(data) <= _MAX_INT32 else "q", ends)), data, validity)

    @property
    def raw(self) -> RawBinary:
        return self.offsets, self.data, self.validity, self.start, self.length

    @property
    def content(self) -> memoryview:
        """What these strings take of `data`, one behind the other."""
        first, last = self.offsets[self.start], self.offsets[self.start + self.length]
        return memoryview(self.data)[first:last]

    @property
    def nbytes(self) -> int:
        """The bytes that these strings take themselves; the buffers may hold more."""
        return int(self.offsets[self.start + self.length] - self.offsets[self.start])

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> bytes | None: ...
    @overload
    def __getitem__(self, index: slice) -> BinaryColumn: ...
    def __getitem__(self, index: int | slice) -> bytes | BinaryColumn | None:
        if isinstance(index, slice):
            start, length = _bounds(index, self.length)
            return BinaryColumn(self.offsets, self.data, self.validity, self.start + start, length)
        at = self.start + _position(index, self.length)
        if self.validity is not None and not self.validity[at >> 3] >> (at & 7) & 1:
            return None
        return bytes(self.data[self.offsets[at] : self.offsets[at + 1]])

    def __iter__(self) -> Iterator[bytes | None]:
        data, validity = self.data, self.validity
        end = self.start + self.length
        position = self.offsets[self.start]
        for at, stop in enumerate(self.offsets[self.start + 1 : end + 1], self.start):
            if validity is not None and not validity[at >> 3] >> (at & 7) & 1:
                yield None
            else:
                yield bytes(data[position:stop])
            position = stop

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BinaryColumn):
            return NotImplemented
        return self.length == other.length and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self.length} byte strings, {self.nbytes} bytes>"


class HeadersColumn:
    """The headers of `length` records: those of record i are entries `offsets[start + i]` up to
    `offsets[start + i + 1]` of `names`, in which nothing is null, and of `values`.

    Names may repeat, and need not be UTF-8. Offsets are int32 or int64, as those of a `BinaryColumn`.
    """

    __slots__ = ("length", "names", "offsets", "start", "values")

    def __init__(
        self,
        offsets: memoryview,
        names: BinaryColumn,
        values: BinaryColumn,
        start: int = 0,
        length: int | None = None,
    ) -> None:
        length = _checked_length(offsets, start, length, "records' headers")
        if len(names) != len(values):
            raise ValueError(f"{len(names)} names of headers and {len(values)} values")
        self.offsets = offsets
        self.names = names
        self.values = values
        self.start = start
        self.length = length

    @classmethod
    def of(cls, rows: Sequence[Sequence[tuple[bytes, bytes | None]]]) -> HeadersColumn:
        """A column of each record's (name, value) pairs."""
        pairs = [pair for row in rows for pair in row]
        ends = accumulate(map(len, rows), initial=0)
        names = BinaryColumn.of([name for name, _ in pairs])
        values = BinaryColumn.of([value for _, value in pairs])
        return cls(memoryview(array("i" if len(pairs) <= _MAX_INT32 else "q", ends)), names, values)

    @classmethod
    def from_raw(cls, raw: RawHeaders) -> HeadersColumn:
        offsets, names, values, start, length = raw
        return cls(offsets, BinaryColumn(*names), BinaryColumn(*values), start, length)

    @classmethod
    def none(cls, length: int) -> HeadersColumn:
        """No headers, for so many records."""
        none = BinaryColumn.of(())
        return cls(memoryview(bytes(4 * (length + 1))).cast("i"), none, none)

    @property
    def raw(self) -> RawHeaders:
        return self.offsets, self.names.raw, self.values.raw, self.start, self.length

    @property
    def count(self) -> int:
        """How many headers the records have together."""
        return int(self.offsets[self.start + self.length] - self.offsets[self.start])

    @property
    def nbytes(self) -> int:
        """The bytes of names and values themselves."""
        first, last = self.offsets[self.start], self.offsets[self.start + self.length]
        return self.names[first:last].nbytes + self.values[first:last].nbytes

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> tuple[tuple[bytes, bytes | None], ...]: ...
    @overload
    def __getitem__(self, index: slice) -> HeadersColumn: ...
    def __getitem__(self, index: int | slice) -> tuple[tuple[bytes, bytes | None], ...] | HeadersColumn:
        if isinstance(index, slice):
            start, length = _bounds(index, self.length)
            return HeadersColumn(self.offsets, self.names, self.values, self.start + start, length)
        at = self.start + _position(index, self.length)
        first, last = self.offsets[at], self.offsets[at + 1]
        if first == last:
            return ()
        return tuple((self.names[i] or b"", self.values[i]) for i in range(first, last))

    def __iter__(self) -> Iterator[tuple[tuple[bytes, bytes | None], ...]]:
        if not self.count:
            for _ in range(self.length):
                yield ()
            return
        for index in range(self.length):
            yield self[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HeadersColumn):
            return NotImplemented
        return self.length == other.length and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self.count} headers of {self.length} records>"


def pack_bits(bits: Sequence[bool]) -> bytes:
    """A validity of `bits`: eight a byte, the first lowest."""
    digits = "".join("1" if bit else "0" for bit in reversed(bits))
    return int(digits or "0", 2).to_bytes((len(bits) + 7) // 8, "little")


def _checked_length(offsets: memoryview, start: int, length: int | None, what: str) -> int:
    """`length`, or all that there is from `start` on. ValueError where `offsets` do not hold it."""
    if offsets.format not in ("i", "q"):
        raise ValueError(f"offsets are int32 or int64, not of format {offsets.format}")
    if length is None:
        length = len(offsets) - 1 - start
    if start < 0 or length < 0 or start + length >= len(offsets):
        raise ValueError(f"{len(offsets)} offsets do not hold {length} {what} from {start} on")
    return length


def _bounds(index: slice, length: int) -> tuple[int, int]:
    start, stop, step = index.indices(length)
    if step != 1:
        raise ValueError("columns are sliced without a step")
    return start, max(stop - start, 0)


def _position(index: int, length: int) -> int:
    if not -length <= index < length:
        raise IndexError(f"{index} of {length}")
    return index if index >= 0 else index + length
