"""The cells of Arrow arrays as bytes: what encoders of rows put together. Needs the extra `arrow`."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from ottla.client.columns.arrow import as_column
from ottla.client.columns.implementation import IMPLEMENTATION

__all__ = ["Rows", "binaries", "fixed_width", "scattered", "storage_of", "with_nulls"]

Rows = list[bytes]


def storage_of(array: pa.Array) -> pa.Array:
    """Without dictionaries and extensions."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def with_nulls(encode: Callable[[pa.Array], Rows], array: pa.Array) -> list[bytes | None]:
    """What `encode` makes of the rows that are there; None for the others."""
    if not array.null_count:
        return list(encode(array))
    rows = iter(encode(array.drop_null()))
    return [next(rows) if each else None for each in array.is_valid().to_pylist()]


def scattered(rows: Rows, array: pa.Array, missing: bytes) -> Rows:
    """`rows` where `array` is not null, `missing` where it is."""
    given = iter(rows)
    return [next(given) if each else missing for each in array.is_valid().to_pylist()]


def fixed_width(array: pa.Array, kind: pa.DataType) -> Rows:
    """The bytes of numbers as they lie in an array of `kind`; there are no nulls."""
    whole, width = array.cast(kind), kind.bit_width // 8
    if not len(whole):
        return []
    data = memoryview(whole.buffers()[1])[whole.offset * width : (whole.offset + len(whole)) * width]
    return [bytes(data[at : at + width]) for at in range(0, len(data), width)]


def binaries(array: pa.Array) -> Rows:
    """Texts or byte strings."""
    return [each or b"" for each in IMPLEMENTATION.strings(as_column(array).raw)]
