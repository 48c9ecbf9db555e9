"""Values that are text, in any encoding that Python knows."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import Final, Literal

import pyarrow as pa

from ottla.client.columns.arrow import as_column, as_strings, is_text
from ottla.client.columns.binary import BinaryColumn
from ottla.client.values.interface import Counts, Decoded, Errors, ValuesError, check_errors

__all__ = ["TextValues"]

_UTF_8: Final = codecs.lookup("utf-8").name


@dataclass(frozen=True, slots=True)
class TextValues:
    """Text in `encoding`. Bytes that are none are broken, or become U+FFFD with `invalid="replace"`."""

    encoding: str = "utf-8"
    errors: Errors = "raise"
    invalid: Literal["broken", "replace"] = "broken"

    def __post_init__(self) -> None:
        check_errors(self.errors)
        if self.invalid not in ("broken", "replace"):
            raise ValuesError(f'invalid is "broken" or "replace", not {self.invalid!r}')
        try:
            name = codecs.lookup(self.encoding).name
            "".encode(name)
        except LookupError:
            raise ValuesError(f"there is no text encoding {self.encoding!r}") from None
        object.__setattr__(self, "encoding", name)

    def decoder(self) -> TextDecoder:
        return TextDecoder(self)

    def encode(self, array: pa.Array) -> BinaryColumn:
        if pa.types.is_null(array.type):
            return BinaryColumn.of([None] * len(array))
        if pa.types.is_dictionary(array.type):
            array = array.cast(array.type.value_type)
        if not is_text(array.type):
            raise ValuesError(f"text is written from strings, not from {array.type}: cast the column")
        if self.encoding == _UTF_8:
            return as_column(array)
        rows = array.to_pylist()
        try:
            return BinaryColumn.of([None if row is None else row.encode(self.encoding) for row in rows])
        except UnicodeEncodeError as error:
            raise ValuesError(f"{self.encoding} cannot hold {error.object[error.start]!r}") from None


@dataclass(slots=True)
class TextDecoder:
    """UTF-8 is checked and given on without a copy; other encodings go row by row."""

    values: TextValues
    counts: Counts = field(default_factory=Counts)
    type: pa.DataType = field(default_factory=pa.string)

    def decode(self, column: BinaryColumn) -> Decoded:
        broken: dict[int, str] = {}
        array = _checked(column) if self.values.encoding == _UTF_8 else None
        if array is None:
            array = pa.array(self._row_by_row(column, broken), self.type)
        self.counts.records += len(column)
        self.counts.nulls += array.null_count - len(broken)
        self.counts.broken += len(broken)
        return Decoded(array if array.type == self.type else array.cast(self.type), broken)

    def _row_by_row(self, column: BinaryColumn, broken: dict[int, str]) -> list[str | None]:
        encoding = self.values.encoding
        handling = "replace" if self.values.invalid == "replace" else "strict"
        rows: list[str | None] = []
        for index, value in enumerate(column):
            try:
                text = None if value is None else value.decode(encoding, handling)
                if text is not None and not text.isascii():
                    text.encode()  # UTF-7 and its like let lone surrogates through, Arrow does not
                rows.append(text)
            except UnicodeError as error:
                broken[index] = str(error)
                rows.append(None)
        return rows


def _checked(column: BinaryColumn) -> pa.Array | None:
    array = as_strings(column, text=True)
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return None
    return array
