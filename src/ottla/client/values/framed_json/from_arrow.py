"""The JSON Schema of an Arrow type that nobody declared."""

from __future__ import annotations

import json

import pyarrow as pa

from ottla.client.columns.arrow import is_binary, is_list, is_text
from ottla.client.values.interface import ValuesError

__all__ = ["schema_text"]

_Json = dict[str, object]


def schema_text(kind: pa.DataType, title: str) -> str:
    """Of draft 7. It takes no properties that it does not name: fields that may be null can be added then."""
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "title": title, **_schema(kind)}
    return json.dumps(schema)


def _schema(kind: pa.DataType) -> _Json:
    if pa.types.is_dictionary(kind):
        return _schema(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return {} if kind == pa.json_() else _schema(kind.storage_type)
    if pa.types.is_struct(kind):
        made: _Json = {"type": "object", "properties": {each.name: _optional(each) for each in kind}}
        required = [each.name for each in kind if not each.nullable]
        return {**made, **({"required": required} if required else {}), "additionalProperties": False}
    if pa.types.is_map(kind):
        return {"type": "object", "additionalProperties": _optional(kind.item_field)}
    if is_list(kind):
        return {"type": "array", "items": _optional(kind.value_field)}
    return _scalar(kind)


def _optional(field: pa.Field) -> _Json:
    schema = _schema(field.type)
    name = schema.get("type")
    if not field.nullable or not isinstance(name, str) or name == "null":
        return schema
    return {**schema, "type": ["null", name]}


def _scalar(kind: pa.DataType) -> _Json:
    types = pa.types
    if types.is_null(kind):
        return {"type": "null"}
    if types.is_boolean(kind):
        return {"type": "boolean"}
    if types.is_integer(kind):
        return {"type": "integer"}
    if types.is_floating(kind) or types.is_decimal(kind):
        return {"type": "number"}
    if is_text(kind):
        return {"type": "string"}
    if is_binary(kind):
        return {"type": "string", "contentEncoding": "base64"}
    moments = {types.is_timestamp: "date-time", types.is_date: "date", types.is_time: "time"}
    for is_moment, form in moments.items():
        if is_moment(kind):
            return {"type": "string", "format": form}
    raise ValuesError(f"JSON has no type for {kind}: cast the column")
