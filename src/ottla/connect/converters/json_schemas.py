"""Connect's schemas as the JSON converter writes them, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from ottla.connect.data.schema import RANGES, Schema, Type, Value
from ottla.connect.errors import DataError, SchemaBuilderError

__all__ = ["Json", "schema_from_json", "schema_to_json"]

Json: TypeAlias = object
"""What a JSON text is in Python."""

_NAMES: Final[Mapping[Type, str]] = {
    kind: kind.value.lower() for kind in Type if kind not in (Type.FLOAT32, Type.FLOAT64)
} | {Type.FLOAT32: "float", Type.FLOAT64: "double"}
_TYPES: Final[Mapping[str, Type]] = {name: kind for kind, name in _NAMES.items()}


def schema_to_json(schema: Schema, to_json: Callable[[Schema, Value], Json]) -> dict[str, Json]:
    """`to_json` writes defaults."""
    described: dict[str, Json] = {"type": _NAMES[schema.type]}
    if schema.type is Type.ARRAY:
        described["items"] = _inner(schema.value_schema, to_json)
    elif schema.type is Type.MAP:
        described["keys"] = _inner(schema.key_schema, to_json)
        described["values"] = _inner(schema.value_schema, to_json)
    elif schema.type is Type.STRUCT:
        described["fields"] = [
            {**schema_to_json(field.schema, to_json), "field": field.name} for field in schema.fields
        ]
    described["optional"] = schema.optional
    said = {"name": schema.name, "version": schema.version, "doc": schema.doc}
    described |= {name: one for name, one in said.items() if one is not None}
    if schema.parameters is not None:
        described["parameters"] = dict(schema.parameters)
    if schema.default is not None:
        described["default"] = to_json(schema, schema.default)
    return described


def _inner(schema: Schema | None, to_json: Callable[[Schema, Value], Json]) -> Json:
    return None if schema is None else schema_to_json(schema, to_json)


def schema_from_json(described: Json, from_json: Callable[[Schema, Json], Value]) -> Schema | None:
    """`from_json` reads defaults. Raises DataError for what describes no schema."""
    if described is None:
        return None
    name = described.get("type") if isinstance(described, dict) else None
    if not isinstance(described, dict) or not isinstance(name, str):
        raise DataError("Schema must contain 'type' field")
    kind = _TYPES.get(name)
    if kind is None:
        raise DataError(f"Unknown schema type: {name}")
    fields: list[tuple[str, Schema]] = []
    keys = values = None
    if kind is Type.ARRAY:
        if described.get("items") is None:
            raise DataError("Array schema did not specify the element type")
        values = schema_from_json(described["items"], from_json)
    elif kind is Type.MAP:
        keys = _of_map(described, "key", from_json)
        values = _of_map(described, "value", from_json)
    elif kind is Type.STRUCT:
        fields = _fields(described, from_json)
    schema = Schema(
        kind,
        optional=described.get("optional") is True,
        name=said if isinstance(said := described.get("name"), str) else None,
        version=_version(described.get("version")),
        doc=said if isinstance(said := described.get("doc"), str) else None,
        parameters=_parameters(described.get("parameters")),
        fields=fields,
        key_schema=keys,
        value_schema=values,
    )
    if "default" in described:
        return schema.replace(default=from_json(schema, described["default"]))
    return schema


def _of_map(described: dict[str, Json], part: str, from_json: Callable[[Schema, Json], Value]) -> Schema:
    if f"{part}s" not in described:
        raise DataError(f"Map schema did not specify the {part} type")
    schema = schema_from_json(described[f"{part}s"], from_json)
    if schema is None:
        raise SchemaBuilderError(f"{part}Schema cannot be null.")
    return schema


def _fields(
    described: dict[str, Json], from_json: Callable[[Schema, Json], Value]
) -> list[tuple[str, Schema]]:
    listed = described.get("fields")
    if not isinstance(listed, list):
        raise DataError('Struct schema\'s "fields" argument is not an array.')
    fields: list[tuple[str, Schema]] = []
    for field in listed:
        name = field.get("field") if isinstance(field, dict) else None
        if not isinstance(name, str):
            raise DataError("Struct schema's field name not specified properly")
        schema = schema_from_json(field, from_json)
        assert schema is not None  # a dict describes one, or an error is raised
        fields.append((name, schema))
    return fields


def _version(said: Json) -> int | None:
    return (
        said if isinstance(said, int) and not isinstance(said, bool) and said in RANGES[Type.INT32] else None
    )


def _parameters(said: Json) -> dict[str, str] | None:
    if not isinstance(said, dict):
        return None
    if not all(isinstance(value, str) for value in said.values()):
        raise DataError("Schema parameters must have string values.")
    return said
