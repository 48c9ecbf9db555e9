"""Records of topics as Singer's messages: values that JSON has, and the schema that targets want to be told.

Pure. A record with a schema has its schema's; of one without, the fields' types are what was seen so far.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from ottla.connect.data.logical import scale_of
from ottla.connect.data.schema import (
    DATE_NAME,
    DECIMAL_NAME,
    TIME_NAME,
    TIMESTAMP_NAME,
    Schema,
    Struct,
    Type,
    Value,
)
from ottla.connect.errors import DataError

__all__ = ["described", "merged", "plain", "seen"]

_MAX_DEPTH: Final = 64
_NULL: Final = "null"
_FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    DATE_NAME: ("string", "date"),
    TIME_NAME: ("string", "time"),
    TIMESTAMP_NAME: ("string", "date-time"),
}
_KINDS: Final[Mapping[Type, str]] = {
    Type.INT8: "integer",
    Type.INT16: "integer",
    Type.INT32: "integer",
    Type.INT64: "integer",
    Type.FLOAT32: "number",
    Type.FLOAT64: "number",
    Type.BOOLEAN: "boolean",
    Type.STRING: "string",
}

Described = dict[str, object]


def described(schema: Schema) -> Described:
    """A schema as JSON Schema; a field that may be null says so."""
    made = _described(schema)
    if schema.optional:
        made["type"] = [_NULL, made["type"]]
    if schema.doc:
        made["description"] = schema.doc
    return made


def _described(schema: Schema) -> Described:
    if schema.name is not None and schema.name in _FORMATS:
        kind, form = _FORMATS[schema.name]
        return {"type": kind, "format": form}
    if schema.name == DECIMAL_NAME:
        return {"type": "number", "x-scale": scale_of(schema)}
    if schema.type is Type.BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    if schema.type is Type.STRUCT:
        fields = {field.name: described(field.schema) for field in schema.fields}
        return {"type": "object", "properties": fields}
    if schema.type is Type.ARRAY:
        items = schema.value_schema
        return {"type": "array", "items": {} if items is None else described(items)}
    if schema.type is Type.MAP:
        inner = schema.value_schema
        return {"type": "object", "additionalProperties": True if inner is None else described(inner)}
    return {"type": _KINDS[schema.type]}


def plain(value: Value, depth: int = 0) -> object:
    """A value as JSON has it; structs are objects, and what JSON has no type for is left to who writes it."""
    if value is None or isinstance(value, str | int | float | bytes | Decimal | dt.date | dt.time):
        return value
    if depth > _MAX_DEPTH:
        raise DataError(f"a value is nested more than {_MAX_DEPTH} deep")
    if isinstance(value, Struct):
        pairs = zip(value.schema.fields, value.values, strict=True)
        return {
            field.name: plain(field.schema.default if inner is None else inner, depth + 1)
            for field, inner in pairs
        }
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else str(plain(key)): plain(inner, depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [plain(each, depth + 1) for each in value]
    raise DataError(f"{type(value).__name__} is no type that a target can be given")


def seen(value: object, depth: int = 0) -> Described:
    """The JSON Schema of one value without a schema, as `plain` gives it."""
    if value is None:
        return {"type": [_NULL]}
    if isinstance(value, bool):
        return {"type": [_NULL, "boolean"]}
    if isinstance(value, int):
        return {"type": [_NULL, "integer"]}
    if isinstance(value, float | Decimal):
        return {"type": [_NULL, "number"]}
    if isinstance(value, bytes):
        return {"type": [_NULL, "string"], "contentEncoding": "base64"}
    if isinstance(value, dt.datetime):
        return {"type": [_NULL, "string"], "format": "date-time"}
    if isinstance(value, dt.date | dt.time):
        return {"type": [_NULL, "string"], "format": "time" if isinstance(value, dt.time) else "date"}
    if isinstance(value, Mapping):
        fields = {str(key): seen(inner, depth + 1) for key, inner in value.items()}
        return {"type": [_NULL, "object"], "properties": fields}
    if isinstance(value, list):
        items: Described = {}
        for each in value:
            items = merged(items, seen(each, depth + 1)) if items else seen(each, depth + 1)
        return {"type": [_NULL, "array"], "items": items}
    return {"type": [_NULL, "string"]}


def merged(one: Described, other: Described) -> Described:
    """What holds of values that either schema of `seen` is of; `one` itself where `other` adds nothing."""
    if one == other or not other:
        return one
    if not one:
        return other
    kinds = _kinds(one) | _kinds(other)
    if "number" in kinds:
        kinds.pop("integer", None)
    made: Described = {"type": list(kinds)}
    for key in ("format", "contentEncoding"):
        texts = [each.get(key) for each in (one, other) if "string" in _kinds(each)]
        if texts and texts[0] is not None and texts.count(texts[0]) == len(texts):
            made[key] = texts[0]
    fields, more = one.get("properties"), other.get("properties")
    if isinstance(fields, dict) and isinstance(more, dict):
        made["properties"] = {
            **fields,
            **{key: merged(fields[key], each) if key in fields else each for key, each in more.items()},
        }
    elif isinstance(fields, dict) or isinstance(more, dict):
        made["properties"] = fields if isinstance(fields, dict) else more
    items, others = one.get("items"), other.get("items")
    if isinstance(items, dict) or isinstance(others, dict):
        made["items"] = merged(
            items if isinstance(items, dict) else {}, others if isinstance(others, dict) else {}
        )
    return one if made == one else made


def _kinds(schema: Described) -> dict[str, None]:
    kinds = schema.get("type")
    return dict.fromkeys(kinds) if isinstance(kinds, list) else {}
