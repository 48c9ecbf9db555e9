"""Values as text, as Connect prints them in headers (`Values.convertToString`)."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable
from decimal import Decimal

from ottla.connect.data.logical import (
    MILLIS_PER_DAY,
    days_of_date,
    millis_of_time,
    millis_of_timestamp,
    timestamp_from_millis,
)
from ottla.connect.data.numbers import double_text, float_text
from ottla.connect.data.schema import Schema, Struct, Type, Value
from ottla.connect.errors import DataError

__all__ = ["millis_text", "printed", "value_text"]


def value_text(schema: Schema | None, value: Value) -> str | None:
    """A text as it is, anything else nearly as in JSON: bytes in base64, times as in ISO 8601; None for null.

    Raises DataError for a value of no type of Connect's.
    """
    return None if value is None else _text(schema, value, embedded=False)


def millis_text(millis: int) -> str:
    """As a date, a time or a timestamp: Connect prints the first day's as times, and midnights as dates."""
    moment = timestamp_from_millis(millis)
    time = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}Z"
    if 0 <= millis < MILLIS_PER_DAY:
        return time
    date = moment.date().isoformat()
    return date if millis % MILLIS_PER_DAY == 0 else f"{date}T{time}"


def printed(schema: Schema | None, value: Value) -> str:
    """As Java prints an object, where that says something."""
    if value is None:
        return "null"
    if isinstance(value, list):
        inner = schema.value_schema if schema is not None and schema.type is Type.ARRAY else None
        return "[" + ", ".join(printed(inner, one) for one in value) + "]"
    if isinstance(value, dict):
        of_map = schema if schema is not None and schema.type is Type.MAP else None
        keys, values = (None, None) if of_map is None else (of_map.key_schema, of_map.value_schema)
        return (
            "{"
            + ", ".join(f"{printed(keys, key)}={printed(values, one)}" for key, one in value.items())
            + "}"
        )
    if isinstance(value, Struct):
        pairs = zip(value.schema.fields, value.values, strict=True)
        shown = (f"{field.name}={printed(field.schema, one)}" for field, one in pairs if one is not None)
        return "Struct{" + ",".join(shown) + "}"
    try:
        return _text(schema, value, embedded=False)
    except DataError:
        return str(value)


def _text(schema: Schema | None, value: Value, *, embedded: bool) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return _quoted(value.replace("\\", "\\\\").replace('"', '\\"')) if embedded else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        single = schema is not None and schema.type is Type.FLOAT32
        return float_text(value) if single else double_text(value)
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, bytes):
        text = base64.b64encode(value).decode()
        return _quoted(text) if embedded else text
    if isinstance(value, list | dict | Struct):
        return _container(schema, value)
    millis = _millis(value)
    if millis is None:
        raise DataError(f"Failed to serialize unexpected value type {type(value).__name__}: {value}")
    return millis_text(millis)


def _container(schema: Schema | None, value: list[Value] | dict[Value, Value] | Struct) -> str:
    if isinstance(value, list):
        element = schema.value_schema if schema is not None and schema.type is Type.ARRAY else None
        return "[" + ",".join(_text(element, one, embedded=True) for one in value) + "]"
    pairs: Iterable[tuple[Schema | None, Value, Schema | None, Value]]
    if isinstance(value, Struct):
        fields = value.schema.fields
        pairs = ((None, field.name, field.schema, value[field.name]) for field in fields)
    else:
        of_map = schema if schema is not None and schema.type is Type.MAP else None
        keys, values = (of_map.key_schema, of_map.value_schema) if of_map is not None else (None, None)
        pairs = ((keys, key, values, inner) for key, inner in value.items())
    texts = (
        f"{_text(key_schema, key, embedded=True)}:{_text(value_schema, inner, embedded=True)}"
        for key_schema, key, value_schema, inner in pairs
    )
    return "{" + ",".join(texts) + "}"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _millis(value: Value) -> int | None:
    if isinstance(value, dt.datetime):
        return millis_of_timestamp(value)
    if isinstance(value, dt.date):
        return days_of_date(value) * MILLIS_PER_DAY
    return millis_of_time(value) if isinstance(value, dt.time) else None
