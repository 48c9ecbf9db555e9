"""What a database says of its tables, and what events become of their rows: keys, values, schemas. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ottla.cdc.envelope import Envelopes
from ottla.connect.data import Schema, Struct, Value, struct_of
from ottla.connect.errors import ConnectError, DataError

__all__ = [
    "Column",
    "Conversion",
    "Raw",
    "Shape",
    "TableId",
    "Toast",
    "UNCHANGED",
    "make_column",
    "make_shape",
]

_log: Final = logging.getLogger(__name__)


class Toast:
    """Stands for a value that the database did not tell, since it did not change."""


UNCHANGED: Final = Toast()
Raw = bytes | Toast | None
"""A value as the database writes it"""


class TableId(NamedTuple):
    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


class Conversion(NamedTuple):
    """What a column's values become. `decode` raises ValueError and its kind for what is no value of it."""

    schema: Schema
    decode: Callable[[bytes], Value]
    zero: Value
    """In place of null where that is not allowed, as in the old row of which only the key was sent"""
    unavailable: Value
    """In place of one that is UNCHANGED"""
    bind: Callable[[Schema], tuple[Callable[[bytes], Value], Value]] | None = None
    """Of structs, which have the schema of their field: `decode` and `zero` for that"""

    def bound(self, schema: Schema) -> Conversion:
        """For a field of this schema."""
        if self.bind is None:
            return self
        decode, zero = self.bind(schema)
        return self._replace(decode=decode, zero=zero, unavailable=zero)


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    schema: Schema
    conversion: Conversion

    @property
    def absent(self) -> Value:
        """In place of null."""
        if self.schema.optional:
            return None
        return self.conversion.zero if self.schema.default is None else self.schema.default


def make_column(
    name: str, made: Conversion, *, optional: bool, default: Value, parameters: Mapping[str, str]
) -> Column:
    schema = made.schema.replace(
        optional=optional,
        default=default,
        without_default=default is None,
        parameters={**(made.schema.parameters or {}), **parameters},
    )
    return Column(name, schema, made.bound(schema))


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as its events have it, in the order of the columns that its rows come with."""

    table: TableId
    topic: str
    key_schema: Schema | None
    value_schema: Schema
    envelope_schema: Schema
    columns: Sequence[tuple[int, Column]]
    """The columns that events have, with where each is in a row"""
    key_columns: Sequence[int]
    """Where those of the key are among the values"""
    on_failure: str
    """fail, warn or skip"""

    def values(self, raw: Sequence[Raw], old: Sequence[Raw] | None = None) -> list[Value]:
        """Of a row; of `old` what the row leaves out as unchanged."""
        found: list[Value] = []
        for at, column in self.columns:
            given = raw[at]
            if given is UNCHANGED and old is not None:
                given = old[at]
            if given is None:
                found.append(column.absent)
            elif isinstance(given, Toast):
                found.append(column.conversion.unavailable)
            else:
                try:
                    found.append(column.conversion.decode(given))
                except (ValueError, ArithmeticError, DataError) as error:
                    found.append(self._failed(column, error))
        return found

    def _failed(self, column: Column, error: Exception) -> Value:
        text = f"{self.table}.{column.name}: {error}"
        if self.on_failure == "fail":
            raise ConnectError(f"A value cannot be converted: {text}") from error
        if self.on_failure == "warn":
            _log.warning("a value cannot be converted, null is sent in its place: %s", text)
        return None

    def row(self, values: Sequence[Value]) -> Struct:
        made = Struct(self.value_schema)
        made.values[:] = values
        return made

    def key(self, values: Sequence[Value]) -> Struct | None:
        if self.key_schema is None:
            return None
        made = Struct(self.key_schema)
        made.values[:] = [values[at] for at in self.key_columns]
        return made


def make_shape(
    table: TableId,
    columns: Sequence[tuple[int, Column]],
    keys: Sequence[str],
    envelopes: Envelopes,
    on_failure: str,
) -> Shape:
    """`columns` are those that events have; `keys` are columns' names, and none for a table without a key."""
    names = [column.name for _, column in columns]
    keys = [name for name in keys if name in names]
    key_columns = [names.index(name) for name in keys]
    adjust = envelopes.adjust_field
    base = envelopes.schema_name(table)
    value = struct_of(
        [(adjust(column.name), column.schema) for _, column in columns], name=f"{base}.Value", optional=True
    )
    key = None
    if keys:
        fields = [(adjust(columns[at][1].name), columns[at][1].schema) for at in key_columns]
        key = struct_of(fields, name=f"{base}.Key")
    return Shape(
        table,
        envelopes.topic(table),
        key,
        value,
        envelopes.schema(f"{base}.Envelope", value),
        columns,
        key_columns,
        on_failure,
    )
