"""Cast: fields, or the whole key or value, as another type."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import ClassVar, Final

from ottla.connect.data.logical import LOGICAL_TYPES
from ottla.connect.data.numbers import to_float32, to_integer, wrap
from ottla.connect.data.remembered import Remembered
from ottla.connect.data.schema import RANGES, Schema, Struct, Type, Value
from ottla.connect.data.texts import value_text
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, DataError
from ottla.connect.settings import SettingValue, invalid
from ottla.connect.transforms.interface import (
    OnePart,
    Part,
    Record,
    define_null_replacement,
    field_value,
    require_map,
    require_struct,
)
from ottla.connect.validators import Check

__all__ = ["CastKey", "CastValue"]

_PURPOSE: Final = "cast types"
_OUTPUT: Final = (
    Type.INT8, Type.INT16, Type.INT32, Type.INT64, Type.FLOAT32, Type.FLOAT64, Type.BOOLEAN, Type.STRING,
)  # fmt: skip
_INPUT: Final = (*_OUTPUT, Type.BYTES)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,30}", re.ASCII)
_FLOAT: Final = re.compile(
    r"[+-]?(?:NaN|Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[dDfF]?)", re.ASCII
)


def _types(mappings: Sequence[str]) -> dict[str | None, Type]:
    """The types by field; under None that of the whole. Raises ConfigError."""
    types: dict[str | None, Type] = {}
    for mapping in mappings:
        parts = mapping.rstrip(":").split(":")
        if len(parts) > 2:
            raise invalid("renames", mappings, f"Invalid rename mapping: {mapping}")
        name = parts[-1].strip().upper()
        if name not in Type.__members__:
            raise ConfigError(f"Invalid type found in casting spec: {parts[-1].strip()}")
        kind = Type[name]
        if kind not in _OUTPUT:
            raise ConfigError(
                f"Cast transformation does not support casting to {kind}; "
                f"supported types are {_listed(_OUTPUT)}"
            )
        types[parts[0].strip() if len(parts) == 2 else None] = kind
    if None in types and len(mappings) > 1:
        raise ConfigError(
            "Cast transformations that specify a type to cast the entire value to may only specify a single "
            "cast in their spec"
        )
    return types


def _listed(kinds: Sequence[Type]) -> str:
    return f"[{', '.join(map(str, kinds))}]"


def _check_spec(_name: str, value: SettingValue) -> None:
    if not isinstance(value, Sequence) or not value:
        raise ConfigError("Must specify at least one field to cast.")
    _types([str(one) for one in value])


class _Cast(OnePart):
    DOC = "Make fields, or the whole, another type: of numbers, booleans and texts any, of bytes a text."
    CONFIG: ClassVar = define_null_replacement(
        ConfigDef().define(
            "spec",
            ConfigType.LIST,
            REQUIRED,
            Importance.HIGH,
            "Fields and their types, as in `field1:int32,field2:string`, or one type for the whole. Types: "
            "int8, int16, int32, int64, float32, float64, boolean and string.",
            validator=Check(_check_spec, "list of colon-delimited pairs, e.g. <code>foo:bar,abc:xyz</code>"),
        )
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._types: Final = _types(self.settings.list("spec"))
        self._whole: Final = self._types.get(None)
        self._schemas: Final = Remembered(self._schema)

    def apply(self, record: Record) -> Record:
        schema, value = self.read(record)
        if value is None:
            return record
        if schema is None:
            if self._whole is not None:
                return self.write(record, None, _cast(None, value, self._whole))
            fields = require_map(value, _PURPOSE)
            changed: dict[Value, Value] = {
                name: _cast(None, fields.get(name), kind)
                for name, kind in self._types.items()
                if name is not None
            }
            return self.write(record, None, {**fields, **changed})
        updated = self._schemas[schema]
        if self._whole is not None:
            return self.write(record, updated, _cast(schema, value, self._whole))
        struct = require_struct(value, _PURPOSE)
        return self.write(record, updated, self._struct(struct, updated))

    def _struct(self, struct: Struct, updated: Schema) -> Struct:
        result = Struct(updated)
        for field in struct.schema.fields:
            value = field_value(self.settings, struct, field)
            kind = self._types.get(field.name)
            result[field.name] = value if kind is None else _cast(field.schema, value, kind)
        return result

    def _schema(self, schema: Schema) -> Schema:
        if self._whole is not None:
            return _retyped(schema, self._whole, name=schema.name)
        fields = [
            (field.name, field.schema if kind is None else _retyped(field.schema, kind))
            for field in schema.fields
            for kind in (self._types.get(field.name),)
        ]
        updated = schema.replace(fields=fields, without_default=True)
        default = schema.default
        return (
            updated.replace(default=self._struct(default, updated))
            if isinstance(default, Struct)
            else updated
        )


def _retyped(schema: Schema, kind: Type, *, name: str | None = None) -> Schema:
    """A field loses its name with its meaning, the whole keeps what is said of it."""
    default = None if schema.default is None else _cast(schema, schema.default, kind)
    kept = name is not None
    return Schema(
        kind,
        optional=schema.optional,
        default=default,
        name=name,
        version=schema.version if kept else None,
        doc=schema.doc if kept else None,
        parameters=schema.parameters if kept else None,
    )


def _cast(schema: Schema | None, value: Value, target: Type) -> Value:
    if value is None:
        return None
    kind = _kind(value) if schema is None else schema.type
    if kind is None:
        raise DataError(
            f"Cast transformation was passed a value of type {type(value).__name__} which is not supported "
            "by Connect's data API"
        )
    if kind not in _INPUT:
        raise DataError(
            f"Cast transformation does not support casting from {kind}; supported types are {_listed(_INPUT)}"
        )
    if target is Type.STRING:
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value_text(schema, value)
    if schema is not None and isinstance(value, dt.date | dt.time):
        value = LOGICAL_TYPES[schema.name or ""].to_base(schema, value)
    if target in RANGES:
        return _to_integer(value, target)
    if target is Type.BOOLEAN:
        return _to_boolean(value)
    number = _to_float(value)
    return to_float32(number) if target is Type.FLOAT32 else float(number)


def _kind(value: Value) -> Type | None:
    kinds = {
        bool: Type.BOOLEAN, int: Type.INT64, float: Type.FLOAT64, str: Type.STRING, bytes: Type.BYTES,
        list: Type.ARRAY, dict: Type.MAP, Struct: Type.STRUCT,
    }  # fmt: skip
    return kinds.get(type(value))


def _unexpected(value: Value) -> DataError:
    return DataError(f"Unexpected type in Cast transformation: {type(value).__name__}")


def _out_of_range(value: Value) -> DataError:
    return DataError(f"Value ({value}) was out of range for requested data type")


def _to_integer(value: Value, target: Type) -> int:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return wrap(value, target)
    if isinstance(value, float | Decimal):
        return to_integer(value, target)
    if not isinstance(value, str):
        raise _unexpected(value)
    if _INTEGER.fullmatch(value) is None or int(value) not in RANGES[target]:
        raise _out_of_range(value)
    return int(value)


def _to_boolean(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return to_integer(Decimal(value) if isinstance(value, int) else value, Type.INT64) != 0
    if not isinstance(value, str):
        raise _unexpected(value)
    return value.lower() == "true"


def _to_float(value: Value) -> float | Decimal:
    if isinstance(value, bool | int | float | Decimal):
        return value
    if not isinstance(value, str):
        raise _unexpected(value)
    text = value.strip("".join(map(chr, range(33))))
    if _FLOAT.fullmatch(text) is None:
        raise _out_of_range(value)
    return float(text.rstrip("dDfF") if text[-1] in "dDfF" else text)


class CastKey(_Cast):
    """Of the key."""

    PART = Part.KEY


class CastValue(_Cast):
    """Of the value."""

    PART = Part.VALUE
