"""The Avro schema of an Arrow type that nobody declared."""

from __future__ import annotations

import json
import re
from typing import Final

import pyarrow as pa

from ottla.client.columns.arrow import is_binary, is_list, is_text
from ottla.client.values.interface import ValuesError

__all__ = ["record_name", "schema_text"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def record_name(topic: str, part: str) -> str:
    """What the record of a topic's keys or values is called where nobody named it."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", f"{topic}_{part}")
    return f"_{name}" if name[0].isdigit() else name


def schema_text(kind: pa.DataType, name: str) -> str:
    """An Avro schema that holds all values of `kind`; its record is called `name`. Fields that may be null
    are so by default, so that they can come and go. ValuesError where Avro has no such type."""
    return json.dumps(_schema(kind, name))


def _schema(kind: pa.DataType, name: str) -> object:
    if pa.types.is_dictionary(kind):
        return _schema(kind.value_type, name)
    if isinstance(kind, pa.BaseExtensionType):
        return _schema(kind.storage_type, name)
    if pa.types.is_struct(kind):
        return {"type": "record", "name": name, "fields": [_field(each, name) for each in kind]}
    if pa.types.is_map(kind):
        if not is_text(kind.key_type):
            raise ValuesError(f"keys of maps in Avro are text, not {kind.key_type}")
        return {"type": "map", "values": _optional(kind.item_field, f"{name}_value")}
    if is_list(kind):
        return {"type": "array", "items": _optional(kind.value_field, f"{name}_item")}
    return _scalar(kind, name)


def _field(field: pa.Field, around: str) -> dict[str, object]:
    if not _NAME.fullmatch(field.name):
        raise ValuesError(f"Avro takes no field {field.name!r}: letters, digits and _ only; rename it")
    made: dict[str, object] = {
        "name": field.name,
        "type": _optional(field, f"{around}_{field.name}"),
    }
    if field.nullable:
        made["default"] = None
    return made


def _optional(field: pa.Field, name: str) -> object:
    schema = _schema(field.type, name)
    return ["null", schema] if field.nullable and schema != "null" else schema


def _scalar(kind: pa.DataType, name: str) -> object:
    if pa.types.is_null(kind):
        return "null"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_uint64(kind):
        return {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 0}
    if pa.types.is_integer(kind):
        return "int" if kind.bit_width < 32 or pa.types.is_int32(kind) else "long"
    if pa.types.is_floating(kind):
        return "double" if kind.bit_width == 64 else "float"
    if pa.types.is_decimal(kind) and 0 <= kind.scale <= kind.precision:
        return {"type": "bytes", "logicalType": "decimal", "precision": kind.precision, "scale": kind.scale}
    if is_text(kind):
        return "string"
    if pa.types.is_fixed_size_binary(kind):
        return {"type": "fixed", "name": name, "size": kind.byte_width}
    if is_binary(kind):
        return "bytes"
    return _moment(kind)


def _moment(kind: pa.DataType) -> object:
    if pa.types.is_date(kind):
        return {"type": "int", "logicalType": "date"}
    if pa.types.is_time(kind) and kind.unit in ("s", "ms"):
        return {"type": "int", "logicalType": "time-millis"}
    if pa.types.is_time(kind):
        return {"type": "long", "logicalType": "time-micros"}
    if pa.types.is_timestamp(kind):
        unit = {"s": "millis", "ms": "millis", "us": "micros", "ns": "nanos"}[kind.unit]
        local = "" if kind.tz else "local-"
        return {"type": "long", "logicalType": f"{local}timestamp-{unit}"}
    raise ValuesError(f"Avro has no type for {kind}: cast the column")
