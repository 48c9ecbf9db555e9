"""Values as they are."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from ottla.client.columns.arrow import as_column, as_strings, is_binary
from ottla.client.columns.binary import BinaryColumn
from ottla.client.values.interface import Counts, Decoded, Errors, ValuesError

__all__ = ["RawValues"]


@dataclass(frozen=True, slots=True)
class RawValues:
    """Bytes, which are never broken. Text is written as UTF-8."""

    errors: Errors = "raise"

    def decoder(self) -> RawDecoder:
        return RawDecoder()

    def encode(self, array: pa.Array) -> BinaryColumn:
        if pa.types.is_null(array.type):
            return BinaryColumn.of([None] * len(array))
        if not is_binary(array.type):
            raise ValuesError(f"raw values are binary or text, not {array.type}: name a format, such as JSON")
        return as_column(array)


@dataclass(slots=True)
class RawDecoder:
    """Gives buffers on, without a copy."""

    counts: Counts = field(default_factory=Counts)
    type: pa.DataType = field(default_factory=pa.binary)

    def decode(self, column: BinaryColumn) -> Decoded:
        array = as_strings(column)
        self.counts.records += len(array)
        self.counts.nulls += array.null_count
        return Decoded(array if array.type == self.type else array.cast(self.type))
