"""Columns of tables as Connect's schemas, and schemas as columns; values between the two."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from ottla.connect.data.logical import DATE, EPOCH, TIME, TIMESTAMP, decimal_schema, scale_of
from ottla.connect.data.numbers import to_float32
from ottla.connect.data.schema import (
    DATE_NAME,
    DECIMAL_NAME,
    RANGES,
    TIME_NAME,
    TIMESTAMP_NAME,
    Schema,
    Struct,
    Type,
    Value,
)
from ottla.connect.errors import DataError

__all__ = ["NumericMapping", "column_schema", "column_type", "from_database", "to_database"]

NumericMapping = str
"""`none`: NUMERIC as Decimal; `best_fit`: as an integer where that holds all its numbers, else as FLOAT64."""

_KEY_LENGTH: Final = 255
_BINARY: Final = (
    sa.LargeBinary, sa.BINARY, sa.VARBINARY, mysql.TINYBLOB, mysql.MEDIUMBLOB, mysql.LONGBLOB,
)  # fmt: skip
_MAX_DIGITS: Final = {"postgresql": 1000, "mysql": 65, "mariadb": 65, "mssql": 38, "oracle": 38}


def column_schema(
    kind: sa.types.TypeEngine[Any], *, optional: bool, numbers: NumericMapping = "none"
) -> Schema:
    """The schema of a column's values; what has no type of its own in Connect is a text."""
    return _schema(kind, numbers).replace(optional=optional)


def _schema(kind: sa.types.TypeEngine[Any], numbers: NumericMapping) -> Schema:
    if isinstance(kind, sa.ARRAY) and (kind.dimensions or 1) == 1:
        return Schema(Type.ARRAY, value_schema=column_schema(kind.item_type, optional=True, numbers=numbers))
    if isinstance(kind, sa.Boolean):
        return Schema(Type.BOOLEAN)
    if isinstance(kind, sa.Integer):
        return Schema(_integer(kind))
    if isinstance(kind, sa.Float | mysql.FLOAT | mysql.DOUBLE):
        single = isinstance(kind, sa.REAL | mysql.FLOAT) or (kind.precision or 53) <= 24
        return Schema(Type.FLOAT32 if single else Type.FLOAT64)
    if isinstance(kind, sa.Numeric):
        return _numeric(kind, numbers)
    if isinstance(kind, sa.DateTime):
        return TIMESTAMP
    if isinstance(kind, sa.Date):
        return DATE
    if isinstance(kind, sa.Time):
        return TIME
    if isinstance(kind, _BINARY):
        return Schema(Type.BYTES)
    return Schema(Type.STRING)


def _integer(kind: sa.Integer) -> Type:
    unsigned = bool(getattr(kind, "unsigned", False))
    if isinstance(kind, mysql.TINYINT):
        return Type.INT16 if unsigned else Type.INT8
    if isinstance(kind, sa.SmallInteger):
        return Type.INT32 if unsigned else Type.INT16
    return Type.INT64 if unsigned or isinstance(kind, sa.BigInteger) else Type.INT32


def _numeric(kind: sa.Numeric[Any], numbers: NumericMapping) -> Schema:
    scale, precision = kind.scale, kind.precision
    if numbers == "best_fit" and scale == 0 and precision is not None and precision < 19:
        limits = ((3, Type.INT8), (5, Type.INT16), (10, Type.INT32), (19, Type.INT64))
        return Schema(next(of for limit, of in limits if precision < limit))
    if numbers == "best_fit" and scale:
        return Schema(Type.FLOAT64)
    # As many digits as each number has, which only a text keeps.
    return Schema(Type.STRING) if scale is None and precision is None else decimal_schema(scale or 0)


def from_database(schema: Schema, value: Any, column: str) -> Value:
    """What a driver gave, as a value of the schema. Raises DataError, which names the column."""
    if value is None:
        return None
    try:
        return _CONVERSIONS[schema.name or schema.type.value](schema, value)
    except (TypeError, ValueError, InvalidOperation, KeyError) as error:
        raise DataError(
            f"the column {column}: {value!r} is no {schema.name or schema.type}: {error}"
        ) from None


def _to_integer(schema: Schema, value: Any) -> int:
    number = int(value)
    if number not in RANGES[schema.type]:
        raise ValueError("out of range")
    return number


def _to_text(_schema: Schema, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode()
    return format(value, "f") if isinstance(value, Decimal) and value.is_finite() else str(value)


def _to_decimal(schema: Schema, value: Any) -> Decimal:
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    with localcontext() as context:
        context.prec = max(38, len(number.as_tuple().digits) + scale_of(schema) + 1)
        return number.quantize(Decimal((0, (1,), -scale_of(schema))))


def _to_date(_schema: Schema, value: Any) -> dt.date:
    if isinstance(value, dt.datetime):
        return value.date()
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(value)


def _to_time(_schema: Schema, value: Any) -> dt.time:
    if isinstance(value, dt.timedelta):  # MariaDB's
        return (EPOCH + value).time()
    return value.replace(tzinfo=None) if isinstance(value, dt.time) else dt.time.fromisoformat(value)


def _to_timestamp(_schema: Schema, value: Any) -> dt.datetime:
    moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def _to_list(schema: Schema, value: Any) -> list[Value]:
    element = schema.value_schema
    assert element is not None  # arrays of columns have elements
    return [from_database(element, one, "an array's element") for one in value]


_CONVERSIONS: Final[dict[str, Callable[[Schema, Any], Value]]] = {
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64"), _to_integer),
    "FLOAT32": lambda _, value: to_float32(float(value)),
    "FLOAT64": lambda _, value: float(value),
    "BOOLEAN": lambda _, value: bool(value),
    "STRING": _to_text,
    "BYTES": lambda _, value: bytes(value),
    "ARRAY": _to_list,
    DECIMAL_NAME: _to_decimal,
    DATE_NAME: _to_date,
    TIME_NAME: _to_time,
    TIMESTAMP_NAME: _to_timestamp,
}


def column_type(schema: Schema, dialect: str, *, key: bool = False) -> sa.types.TypeEngine[Any]:
    """The type of a new column for such values. Raises DataError for maps, structs and arrays of those."""
    of_mysql = dialect in ("mysql", "mariadb")
    if schema.name == DECIMAL_NAME:
        return sa.Numeric(min(_MAX_DIGITS.get(dialect, 38), max(38, scale_of(schema))), scale_of(schema))
    if schema.name == DATE_NAME:
        return sa.Date()
    if schema.name == TIME_NAME:
        return mysql.TIME(fsp=3) if of_mysql else sa.Time()
    if schema.name == TIMESTAMP_NAME:
        return mysql.DATETIME(fsp=6) if of_mysql else sa.DateTime()
    if schema.type is Type.STRING:
        if key and dialect not in ("postgresql", "sqlite"):
            return sa.String(_KEY_LENGTH)
        return mysql.LONGTEXT() if of_mysql else sa.Text()
    if schema.type is Type.BYTES:
        if key and of_mysql:
            return mysql.VARBINARY(_KEY_LENGTH)
        return mysql.LONGBLOB() if of_mysql else sa.LargeBinary()
    if schema.type is Type.FLOAT64:
        return sa.Double()
    plain = _NEW_TYPES.get(schema.type)
    if plain is not None:
        return plain
    element = schema.value_schema if schema.type is Type.ARRAY else None
    if element is not None and dialect == "postgresql":
        return postgresql.ARRAY(column_type(element, dialect))
    raise DataError(f"there is no column in {dialect} for {schema}")


_NEW_TYPES: Final[dict[Type, sa.types.TypeEngine[Any]]] = {
    Type.INT8: sa.SmallInteger(),
    Type.INT16: sa.SmallInteger(),
    Type.INT32: sa.Integer(),
    Type.INT64: sa.BigInteger(),
    Type.FLOAT32: sa.REAL(),
    Type.BOOLEAN: sa.Boolean(),
}


def to_database(kind: sa.types.TypeEngine[Any], value: Value, column: str) -> Any:
    """A value as the driver takes it for a column of this type: times without a zone are UTC's.

    Raises DataError, which names the column.
    """
    try:
        return _driver_value(kind, value)
    except (ValueError, InvalidOperation, OverflowError) as error:
        raise DataError(f"the column {column}: {value!r} is no {kind}: {error}") from None


def _driver_value(kind: sa.types.TypeEngine[Any], value: Value) -> Any:
    if isinstance(value, Struct | dict) or (isinstance(value, list) and not isinstance(kind, sa.ARRAY)):
        raise ValueError("it has no column")
    if isinstance(value, dt.datetime) and not getattr(kind, "timezone", False):
        return value.astimezone(dt.UTC).replace(tzinfo=None)
    if isinstance(value, str) and isinstance(kind, sa.JSON):
        return json.loads(value)
    if isinstance(value, str) and isinstance(kind, sa.Uuid):
        return uuid.UUID(value)
    if isinstance(value, str) and isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float):
        return Decimal(value)
    return value
