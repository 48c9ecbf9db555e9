"""What the catalog says of columns, made into those of events: types, defaults, masks, keys. Pure."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from ottla.cdc.envelope import Envelopes
from ottla.cdc.filters import Keys, Masks, Names
from ottla.cdc.postgres.types import Modes, TypeInfo, conversion, numeric_scale
from ottla.cdc.semantic import rescaled
from ottla.cdc.tables import Column, Conversion, Shape, TableId, make_column, make_shape
from ottla.connect.data import Struct, Type, Value
from ottla.connect.errors import DataError

__all__ = ["ColumnInfo", "Columns", "TableInfo"]

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A row of pg_attribute."""

    name: str
    type: TypeInfo
    modifier: int
    not_null: bool
    default: str | None = None
    """SQL"""


@dataclass(frozen=True, slots=True)
class TableInfo:
    id: TableId
    columns: Sequence[ColumnInfo]
    keys: Sequence[str]
    """Of the primary key, or of a unique index where there is none"""


class Columns:
    """Makes tables' shapes by the connector's settings."""

    def __init__(
        self,
        modes: Modes,
        wanted: Names,
        keys: Keys,
        masks: Masks,
        told_columns: re.Pattern[str] | None,
        told_types: re.Pattern[str] | None,
        envelopes: Envelopes,
        on_failure: str,
    ) -> None:
        self._modes = modes
        self._wanted = wanted
        self._keys = keys
        self._masks = masks
        self._told_columns = told_columns
        self._told_types = told_types
        self._envelopes = envelopes
        self._on_failure = on_failure

    def shape(self, table: TableInfo) -> Shape:
        """Raises ConnectError where the columns cannot be a schema."""
        found = []
        for at, info in enumerate(table.columns):
            if self._wanted.has(f"{table.id}.{info.name}"):
                column = self._column(table.id, info)
                if column is not None:
                    found.append((at, column))
        keys = self._keys.of(table.id)
        return make_shape(
            table.id, found, table.keys if keys is None else keys, self._envelopes, self._on_failure
        )

    def _column(self, table: TableId, info: ColumnInfo) -> Column | None:
        made = conversion(info.type, info.modifier, self._modes)
        if made is None:
            return None
        default = _default(info, made)
        parameters = {}
        if self._is_told(table, info):
            parameters = _source_type(info)
        elif (mask := self._masks.of(table, info.name)) is not None:
            made = _masked(made, mask.change, _length(info))
            parameters = dict(mask.parameters)
        return make_column(
            info.name, made, optional=not info.not_null, default=default, parameters=parameters
        )

    def _is_told(self, table: TableId, info: ColumnInfo) -> bool:
        columns, types = self._told_columns, self._told_types
        return (columns is not None and columns.fullmatch(f"{table}.{info.name}") is not None) or (
            types is not None and types.fullmatch(f"{table}.{info.type.name}") is not None
        )


def _masked(
    made: Conversion, change: Callable[[str | None, int | None], str | None], length: int | None
) -> Conversion:
    """Only texts are changed."""
    if made.schema.type is not Type.STRING or made.schema.name is not None:
        return made
    decode = made.decode

    def masked(text: bytes) -> Value:
        value = decode(text)
        assert isinstance(value, str)  # the schema says so
        return change(value, length)

    return made._replace(decode=masked)


_UNBOUNDED: Final = 2**31 - 1
_FIXED: Final = {
    "int2": 5,
    "int4": 10,
    "int8": 19,
    "float4": 8,
    "float8": 17,
    "bool": 1,
    "date": 13,
    "uuid": _UNBOUNDED,
}


def _length(info: ColumnInfo) -> int:
    """As JDBC's driver tells it."""
    modifier = info.type.modifier_of(info.modifier)
    name = info.type.name
    if name in ("varchar", "bpchar"):
        return modifier - 4 if modifier >= 4 else _UNBOUNDED
    if name == "numeric":
        return (modifier - 4) >> 16 & 0xFFFF if modifier >= 4 else 131_089
    if name in ("bit", "varbit"):
        return modifier if modifier >= 0 else _UNBOUNDED
    if name == "timestamp":
        digits = 6 if modifier < 0 else modifier
        return 22 + (1 + digits if digits else 0)
    return _FIXED.get(name, _UNBOUNDED)


def _scale(info: ColumnInfo) -> int:
    modifier = info.type.modifier_of(info.modifier)
    name = info.type.name
    if name == "numeric":
        return numeric_scale(modifier)
    if name in ("time", "timetz", "timestamp", "timestamptz", "interval"):
        return 6 if modifier < 0 else modifier
    return {"float4": 8, "float8": 17}.get(name, 0)


def _source_type(info: ColumnInfo) -> dict[str, str]:
    prefix = "__debezium.source.column."
    return {
        f"{prefix}type": info.type.name.upper(),
        f"{prefix}length": str(_length(info)),
        f"{prefix}scale": str(_scale(info)),
        f"{prefix}name": info.name,
    }


_LITERAL: Final = re.compile(r"'((?:[^']|'')*)'")
_FUNCTION: Final = re.compile(r"[(]?[A-Za-z0-9_.]+\(", re.DOTALL)
_NOW: Final = frozenset(("current_timestamp", "current_time", "current_date", "localtime", "localtimestamp"))
_COMPUTED: Final = {
    **dict.fromkeys(("int2", "int4", "int8"), "0"),
    **dict.fromkeys(("numeric", "float4", "float8"), "0.0"),
    **dict.fromkeys(("bpchar", "varchar", "text", "xml"), ""),
    **dict.fromkeys(("json", "jsonb"), "{}"),
    "bool": "false",
    "bit": "0",
    "varbit": "0",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "date": "1970-01-01",
    "time": "00:00:00",
    "timestamp": "1970-01-01 00:00:00",
    "timestamptz": "1970-01-01 00:00:00+00",
    "interval": "00:00:00",
}
"""The types whose defaults schemas have, and what stands for one that is computed"""


def _default(info: ColumnInfo, made: Conversion) -> Value:
    """None where there is none that a schema can say."""
    sql, name = info.default, info.type.name
    if sql is None or sql.startswith("NULL::"):
        return None
    if info.type.kind == "e":
        literal = _LITERAL.match(sql)
        return None if literal is None else literal[1].replace("''", "'")
    if name not in _COMPUTED:
        return None
    literal = _LITERAL.search(sql)
    if _FUNCTION.match(sql) or sql.lower() in _NOW:
        text = _COMPUTED[name]
    else:
        text = sql.strip() if literal is None else literal[1].replace("''", "'")
    if name == "bool":
        text = text[:1]
    try:
        value = made.decode(text.encode())
    except (ValueError, ArithmeticError, DataError) as error:
        _log.warning("the default of %s, %s, is not in its schema: %s", info.name, sql, error)
        return None
    if isinstance(value, Struct):
        return None
    if name == "numeric" and info.type.modifier_of(info.modifier) >= 0:  # as many digits as values have
        if isinstance(value, Decimal):
            return rescaled(value, _scale(info))
        if isinstance(value, str):
            return str(rescaled(Decimal(value), _scale(info)))
    return value
