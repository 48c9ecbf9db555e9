"""Connect's schemas as JSON Schema, mapped as Confluent does: `connect.*` says what JSON has no word for."""

from __future__ import annotations

from typing import Final

from ottla.connect.converters.json_schemas import Json
from ottla.connect.converters.json_values import DecimalFormat, JsonRules, writer
from ottla.connect.data.schema import DECIMAL_NAME, Schema, Type
from ottla.connect.errors import DataError

__all__ = ["ENUM", "NAMESPACE", "NULL_MARKER", "ONE_OF", "json_schema_of"]

NAMESPACE: Final = "io.confluent.connect.json"
ONE_OF: Final = f"{NAMESPACE}.OneOf"
ENUM: Final = f"{NAMESPACE}.Enum"
NULL_MARKER: Final = "<NULL>"
_TYPES: Final = {
    Type.INT8: "integer", Type.INT16: "integer", Type.INT32: "integer", Type.INT64: "integer",
    Type.FLOAT32: "number", Type.FLOAT64: "number", Type.BOOLEAN: "boolean", Type.STRING: "string",
    Type.BYTES: "string",
}  # fmt: skip


def json_schema_of(schema: Schema, rules: JsonRules, *, additional: bool) -> dict[str, Json]:
    """`additional`: whether objects may have properties that no schema tells of. Raises DataError."""
    return _Writing(rules, additional=additional).of(schema)


class _Writing:
    def __init__(self, rules: JsonRules, *, additional: bool) -> None:
        self._rules = rules
        self._additional = additional

    def of(self, schema: Schema, index: int | None = None, *, in_union: bool = False) -> dict[str, Json]:
        """With the place of a field among others; a union's are not said to be optional."""
        if schema.type is Type.STRUCT and schema.name == ONE_OF:
            parts: list[Json] = [{"type": "null"}] if schema.optional else []
            parts += [self.of(field.schema, field.index, in_union=True) for field in schema.fields]
            return self._placed({"oneOf": parts}, index)
        described = self._described(schema)
        described |= self._said(schema)
        if schema.optional and not in_union:
            described = {"oneOf": [{"type": "null"}, described]}
        return self._placed(described, index)

    def _placed(self, described: dict[str, Json], index: int | None) -> dict[str, Json]:
        return described if index is None else {**described, "connect.index": index}

    def _described(self, schema: Schema) -> dict[str, Json]:
        symbols = _symbols(schema)
        if symbols is not None:
            return {"enum": symbols}
        if schema.type is Type.STRUCT:
            return self._struct(schema)
        if schema.type is Type.ARRAY:
            return {"type": "array", "items": self.of(_inner(schema.value_schema, schema))}
        if schema.type is Type.MAP:
            return self._map(schema)
        described: dict[str, Json] = {"type": _TYPES[schema.type]}
        if schema.name == DECIMAL_NAME and self._rules.decimal_format is DecimalFormat.NUMERIC:
            described["type"] = "number"
        if schema.type not in (Type.STRING, Type.BOOLEAN):
            described["connect.type"] = schema.type.value.lower()
        return described

    def _struct(self, schema: Schema) -> dict[str, Json]:
        properties = {field.name: self.of(field.schema, field.index) for field in schema.fields}
        described: dict[str, Json] = {"type": "object", "properties": properties}
        if not self._additional:
            described["additionalProperties"] = False
        return described

    def _map(self, schema: Schema) -> dict[str, Json]:
        keys, values = _inner(schema.key_schema, schema), _inner(schema.value_schema, schema)
        if keys.type is Type.STRING and not keys.optional:
            return {
                "type": "object",
                "additionalProperties": self.of(values),
                "connect.type": "map",
            }
        entry = {"type": "object", "properties": {"key": self.of(keys, 0), "value": self.of(values, 1)}}
        return {"type": "array", "items": entry, "connect.type": "map"}

    def _said(self, schema: Schema) -> dict[str, Json]:
        said: dict[str, Json] = {}
        if schema.name is not None:
            said["title"] = schema.name
        if schema.doc is not None:
            said["description"] = schema.doc
        if schema.default is not None:
            said["default"] = writer(schema, self._rules)(schema.default)
        if schema.version is not None:
            said["connect.version"] = schema.version
        parameters = {
            name: value for name, value in (schema.parameters or {}).items() if not name.startswith(NAMESPACE)
        }
        if parameters:
            said["connect.parameters"] = parameters
        return said


def _symbols(schema: Schema) -> list[Json] | None:
    """Those of an enum."""
    parameters = schema.parameters or {}
    if schema.type is not Type.STRING or ENUM not in parameters:
        return None
    found = [name.removeprefix(f"{ENUM}.") for name in parameters if name.startswith(f"{ENUM}.")]
    return [None if symbol == NULL_MARKER else symbol for symbol in found]


def _inner(schema: Schema | None, outer: Schema) -> Schema:
    if schema is None:
        raise DataError(f"{outer} says nothing of what is in it")
    return schema
