"""Rows of a chunk by what they are aggregated by."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from ottla.client.columns.implementation import IMPLEMENTATION
from ottla.streams.columnar.column import Column
from ottla.streams.columnar.objects import objects_of
from ottla.streams.expressions.errors import NotColumnar

__all__ = ["Groups", "codes_of", "combined"]


class Groups:
    """Which group each of some rows is of. Groups are numbered by their first rows."""

    def __init__(self, ids: pa.Array, count: int) -> None:
        """`ids`: int32, below `count`, each of which has a row."""
        numbers = memoryview(ids.buffers()[1]).cast("B")[ids.offset * 4 :][: len(ids) * 4].cast("i")
        order, starts = IMPLEMENTATION.group_rows(numbers, count)
        self.ids: Final = numbers
        self.count: Final = count
        self.order: Final = pa.Array.from_buffers(pa.int64(), len(ids), [None, pa.py_buffer(order)])
        """The rows group by group, those of each in their order."""
        ends = starts.tolist()
        self.spans: Final[list[tuple[int, int]]] = list(pairwise(ends))
        """Where each group lies in `order`."""
        self.last: Final[list[int]] = [order[end - 1] for end in ends[1:]]
        """The last row of each."""

    def by_last_row(self) -> list[int]:
        """The groups in the order of their last rows."""
        return sorted(range(self.count), key=self.last.__getitem__)

    def in_row_order(self, values: pa.Array) -> pa.Array:
        """`values` in the order of `order`, put back into that of the rows."""
        return values.take(pc.inverse_permutation(self.order))

    def listed_in_row_order(self, values: list[Any]) -> list[Any]:
        made: list[Any] = [None] * len(values)
        for row, value in zip(objects_of(self.order), values, strict=True):
            made[row] = value
        return made


def codes_of(column: Column) -> tuple[pa.Array, list[Any]]:
    """A number for each row (int32), the same for the same value, and the values by their numbers. There are
    no nulls. Raises NotColumnar where values are none that serdes write alike if, and only if, they are
    alike."""
    values = column.array()
    kind = values.type
    types = pa.types
    if not (
        types.is_string(kind)
        or types.is_binary(kind)
        or types.is_large_string(kind)
        or types.is_large_binary(kind)
        or types.is_integer(kind)
        or types.is_boolean(kind)
    ):
        raise NotColumnar(f"{kind} is no key to group by in columns")
    encoded = values.dictionary_encode()
    return encoded.indices, objects_of(encoded.dictionary)


def combined(codes: pa.Array, others: pa.Array) -> tuple[pa.Array, list[int], list[Any]]:
    """A number for each pair of a code and another number (int64), and what they stand for."""
    other = others.dictionary_encode()
    width = max(len(other.dictionary), 1)
    pairs = pc.add(pc.multiply(codes.cast(pa.int64()), width), other.indices.cast(pa.int64()))
    encoded = pairs.dictionary_encode()
    numbers = objects_of(encoded.dictionary)
    values = objects_of(other.dictionary)
    return encoded.indices, [each // width for each in numbers], [values[each % width] for each in numbers]
