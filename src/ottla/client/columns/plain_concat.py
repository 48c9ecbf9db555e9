"""Columns one after the other, in plain Python: a part of `plain`."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Final

from ottla.client.columns.binary import BinaryColumn, HeadersColumn, RawColumns, pack_bits

_MAX_INT32: Final = (1 << 31) - 1


def concat(parts: list[RawColumns], /) -> RawColumns:
    """The rows of `parts`, of which there is one at least, in new buffers."""
    partition, offset, timestamp, timestamp_type, keys, values, headers = zip(*parts, strict=True)
    return (
        memoryview(b"".join(partition)).cast("i"),
        memoryview(b"".join(offset)).cast("q"),
        memoryview(b"".join(timestamp)).cast("q"),
        memoryview(b"".join(timestamp_type)).cast("b"),
        _concat_binary([BinaryColumn(*raw) for raw in keys]).raw,
        _concat_binary([BinaryColumn(*raw) for raw in values]).raw,
        _concat_headers([HeadersColumn.from_raw(raw) for raw in headers]).raw,
    )


def _concat_binary(columns: Sequence[BinaryColumn]) -> BinaryColumn:
    """The strings of `columns`, one column after the other, in new buffers."""
    views = [each.content for each in columns]
    size = sum(map(len, views))
    validity = None
    if any(each.validity is not None for each in columns):
        validity = pack_bits([bit for each in columns for bit in _valid_bits(each)])
    offsets = _join_offsets([(each.offsets, each.start, each.length) for each in columns], size)
    return BinaryColumn(offsets, b"".join(views), validity)


def _concat_headers(columns: Sequence[HeadersColumn]) -> HeadersColumn:
    """The headers of `columns`, one column after the other, in new buffers."""
    names, values = [], []
    for each in columns:
        held = slice(each.offsets[each.start], each.offsets[each.start + each.length])
        names.append(each.names[held])
        values.append(each.values[held])
    offsets = [(each.offsets, each.start, each.length) for each in columns]
    return HeadersColumn(
        _join_offsets(offsets, sum(map(len, names))), _concat_binary(names), _concat_binary(values)
    )


def _join_offsets(columns: Sequence[tuple[memoryview, int, int]], last: int) -> memoryview:
    """The offsets of columns that follow one another, the last of which ends at `last`."""
    joined = array("i" if last <= _MAX_INT32 else "q", (0,))
    shift = 0
    for offsets, start, length in columns:
        shift -= offsets[start]
        held = offsets[start + 1 : start + length + 1]
        if shift:
            joined.extend([offset + shift for offset in held])
        elif held.format == joined.typecode:
            joined.frombytes(held.cast("B"))
        else:
            joined.extend(held)
        shift = joined[-1]
    return memoryview(joined)


def _valid_bits(column: BinaryColumn) -> Iterator[bool]:
    validity = column.validity
    if validity is None:
        return iter((True,) * column.length)
    return (
        validity[at >> 3] >> (at & 7) & 1 == 1 for at in range(column.start, column.start + column.length)
    )
