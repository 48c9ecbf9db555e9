"""Connect's schemas as Avro's, mapped as Confluent does: `connect.*` says what Avro has no word for."""

from __future__ import annotations

import json
import re
from typing import Final, TypeAlias

from ottla.connect.data.logical import LOGICAL_TYPES, scale_of
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

__all__ = [
    "DEFAULT_NAME",
    "ENUM",
    "FIXED_SIZE",
    "MAP_ENTRY",
    "NAMESPACE",
    "PRECISION",
    "UNION",
    "Avro",
    "avro_of",
    "avro_text",
    "enum_symbols",
    "is_union",
    "record_name",
]

Avro: TypeAlias = object
"""An Avro schema as JSON has it."""

NAMESPACE: Final = "io.confluent.connect.avro"
DEFAULT_NAME: Final = "ConnectDefault"
MAP_ENTRY: Final = "MapEntry"
UNION: Final = f"{NAMESPACE}.Union"
ENUM: Final = f"{NAMESPACE}.Enum"
FIXED_SIZE: Final = "connect.fixed.size"
PRECISION: Final = "connect.decimal.precision"
DEFAULT_PRECISION: Final = 64
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
_PRIMITIVES: Final = {
    Type.INT8: "int", Type.INT16: "int", Type.INT32: "int", Type.INT64: "long", Type.FLOAT32: "float",
    Type.FLOAT64: "double", Type.BOOLEAN: "boolean", Type.STRING: "string", Type.BYTES: "bytes",
}  # fmt: skip
_LOGICAL: Final = {DATE_NAME: "date", TIME_NAME: "time-millis", TIMESTAMP_NAME: "timestamp-millis"}


def is_union(schema: Schema) -> bool:
    """Whether a struct stands for one of several types."""
    return schema.type is Type.STRUCT and schema.name == UNION


def enum_symbols(schema: Schema) -> list[str] | None:
    """The symbols of what is an enum in Avro."""
    parameters = schema.parameters or {}
    if schema.type is not Type.STRING or ENUM not in parameters:
        return None
    return [value for name, value in parameters.items() if name.startswith(f"{ENUM}.")]


def record_name(schema: Schema) -> str | None:
    """The full name of the record that a struct is, None for anything else."""
    if schema.type is not Type.STRUCT:
        return None
    return schema.name or f"{NAMESPACE}.{DEFAULT_NAME}"


def avro_text(schema: Schema, *, metadata: bool) -> str:
    """With `connect.name` and so on if there is to be `metadata`. DataError where Avro cannot say it."""
    return json.dumps(avro_of(schema, metadata=metadata), separators=(",", ":"))


def avro_of(schema: Schema, *, metadata: bool) -> Avro:
    """The same, as JSON."""
    return _Writing(metadata=metadata).of(schema)


class _Writing:
    def __init__(self, *, metadata: bool) -> None:
        self._metadata = metadata
        self._named: dict[str, Schema] = {}
        self._unnamed: dict[Schema, str] = {}
        self._entries: dict[tuple[str | None, Schema, Schema], str] = {}

    def of(self, schema: Schema, *, default: Value = None) -> Avro:
        """`default` of a field decides which branch of a union is first."""
        if is_union(schema):
            branches = [self._base(_required(field.schema)) for field in schema.fields]
            return ["null", *branches] if schema.optional else branches
        base = self._base(schema)
        if not schema.optional:
            return base
        return [base, "null"] if default is not None else ["null", base]

    def _base(self, schema: Schema) -> Avro:
        described = self._described(schema)
        if isinstance(described, str):
            return described
        if self._metadata:
            described |= self._said(schema)
        return described["type"] if set(described) == {"type"} else described

    def _described(self, schema: Schema) -> dict[str, Avro] | str:
        parameters = schema.parameters or {}
        symbols = enum_symbols(schema)
        if symbols is not None:
            name = parameters[ENUM]
            return self._once(name, schema) or {"type": "enum", **_named(name), "symbols": symbols}
        if schema.name == DECIMAL_NAME:
            digits = int(parameters.get(PRECISION, DEFAULT_PRECISION))
            logical: dict[str, Avro] = {"logicalType": "decimal", "precision": digits}
            return {"type": "bytes", "scale": scale_of(schema), **logical}
        if schema.name in _LOGICAL:
            return {"type": _PRIMITIVES[schema.type], "logicalType": _LOGICAL[schema.name or ""]}
        if schema.type is Type.BYTES and FIXED_SIZE in parameters:
            name, size = schema.name or f"{NAMESPACE}.ConnectDefaultFixed", int(parameters[FIXED_SIZE])
            return self._once(name, schema) or {"type": "fixed", **_named(name), "size": size}
        if schema.type in _PRIMITIVES:
            described: dict[str, Avro] = {"type": _PRIMITIVES[schema.type]}
            if self._metadata and schema.type in (Type.INT8, Type.INT16):
                described["connect.type"] = schema.type.value.lower()
            return described
        if schema.type is Type.STRUCT:
            return self._record(schema)
        return self._collection(schema)

    def _collection(self, schema: Schema) -> dict[str, Avro]:
        values = schema.value_schema
        if values is None:
            raise DataError(f"{schema} says nothing of what is in it")
        if schema.type is Type.ARRAY:
            return {"type": "array", "items": self.of(values)}
        keys = schema.key_schema
        if keys is None:
            raise DataError(f"{schema} says nothing of its keys")
        if keys.type is Type.STRING and not keys.optional:
            return {"type": "map", "values": self.of(values)}
        return {"type": "array", "items": self._entry(schema, keys, values)}

    def _entry(self, schema: Schema, keys: Schema, values: Schema) -> Avro:
        """A record of a map's key and value. Maps of the same keys and values share one."""
        asked = (schema.name, keys, values)
        if asked in self._entries:
            return self._entries[asked]
        base = name = schema.name or f"{NAMESPACE}.{MAP_ENTRY}"
        number = 1
        while name in self._entries.values():
            number += 1
            name = f"{base}{number}"
        self._entries[asked] = name
        entry: dict[str, Avro] = {
            "type": "record",
            **_named(name),
            "fields": [{"name": "key", "type": self.of(keys)}, {"name": "value", "type": self.of(values)}],
        }
        if name != f"{NAMESPACE}.{MAP_ENTRY}":
            entry["connect.internal.type"] = MAP_ENTRY
        return entry

    def _record(self, schema: Schema) -> dict[str, Avro] | str:
        name = schema.name or self._name_of_unnamed(schema)
        known = self._once(name, schema)
        if known is not None:
            return known
        fields = []
        for field in schema.fields:
            if _NAME.fullmatch(field.name) is None or "." in field.name:
                raise DataError(f"a field of an Avro record cannot be called {field.name!r}")
            avro = self.of(field.schema, default=field.schema.default)
            one: dict[str, Avro] = {"name": field.name, "type": avro}
            if field.schema.doc is not None:
                one["doc"] = field.schema.doc
            if field.schema.default is not None:
                one["default"] = _default(field.schema, field.schema.default)
            elif field.schema.optional:
                one["default"] = None
            fields.append(one)
        record: dict[str, Avro] = {"type": "record", **_named(name), "fields": fields}
        if schema.doc is not None:
            record["doc"] = schema.doc
        return record

    def _name_of_unnamed(self, schema: Schema) -> str:
        plain = _required(schema)
        if plain not in self._unnamed:
            number = len(self._unnamed) + 1
            self._unnamed[plain] = f"{NAMESPACE}.{DEFAULT_NAME}{number if number > 1 else ''}"
        return self._unnamed[plain]

    def _once(self, name: str, schema: Schema) -> str | None:
        """A name that is defined already is all that is said of it. Raises DataError if it is another's."""
        plain = _required(schema)
        known = self._named.get(name)
        if known is None:
            self._named[name] = plain
            return None
        if known != plain:
            raise DataError(f"two schemas are called {name}, and differ")
        return name

    def _said(self, schema: Schema) -> dict[str, Avro]:
        said: dict[str, Avro] = {}
        if schema.doc is not None:
            said["connect.doc"] = schema.doc
        if schema.version is not None:
            said["connect.version"] = schema.version
        if schema.parameters is not None:
            said["connect.parameters"] = dict(schema.parameters)
        if schema.default is not None:
            said["connect.default"] = _default(schema, schema.default)
        if schema.name is not None:
            said["connect.name"] = schema.name
        return said


def _required(schema: Schema) -> Schema:
    if not schema.optional and schema.default is None:
        return schema
    return schema.replace(optional=False, without_default=True)


def _named(name: str) -> dict[str, Avro]:
    if _NAME.fullmatch(name) is None:
        raise DataError(f"a type of Avro cannot be called {name!r}")
    namespace, _, short = name.rpartition(".")
    return {"name": short, "namespace": namespace} if namespace else {"name": short}


def _default(schema: Schema, value: Value) -> Avro:
    """A default as Avro's JSON has it: bytes as text, a character for each."""
    if value is None:
        return None
    logical = LOGICAL_TYPES.get(schema.name or "")
    if logical is not None:
        value = logical.to_base(schema, value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, Struct):
        return {field.name: _default(field.schema, value[field.name]) for field in value.schema.fields}
    if isinstance(value, list) and schema.value_schema is not None:
        return [_default(schema.value_schema, one) for one in value]
    if isinstance(value, dict) and schema.value_schema is not None and schema.key_schema is not None:
        keys, values = schema.key_schema, schema.value_schema
        if keys.type is Type.STRING and not keys.optional:
            return {name: _default(values, one) for name, one in value.items()}
        return [{"key": _default(keys, name), "value": _default(values, one)} for name, one in value.items()]
    return value
