"""What is done with fields: ExtractField, HoistField, ReplaceField, ValueToKey, Flatten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from ottla.connect.data.remembered import Remembered
from ottla.connect.data.schema import Schema, SchemaAndValue, Struct, Type, Value
from ottla.connect.data.schemas import struct_of
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import DataError
from ottla.connect.settings import SettingValue, invalid
from ottla.connect.transforms.interface import (
    OnePart,
    Part,
    Record,
    Transformation,
    define_null_replacement,
    field_value,
    require_map,
    require_struct,
)
from ottla.connect.transforms.paths import FieldPath, define_field_syntax, is_nested
from ottla.connect.validators import Check, ValidList

__all__ = [
    "ExtractFieldKey",
    "ExtractFieldValue",
    "FlattenKey",
    "FlattenValue",
    "HoistFieldKey",
    "HoistFieldValue",
    "ReplaceFieldKey",
    "ReplaceFieldValue",
    "ValueToKey",
]


class _ExtractField(OnePart):
    DOC = "Put one field of a struct or a map in the place of the whole."
    CONFIG: ClassVar = define_field_syntax(
        define_null_replacement(
            ConfigDef().define(
                "field", ConfigType.STRING, REQUIRED, Importance.MEDIUM, "The field to take out."
            )
        )
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._path: Final = FieldPath(self.settings.string("field"), nested=is_nested(self.settings))
        self._with_default: Final = self.settings.boolean("replace.null.with.default")

    def apply(self, record: Record) -> Record:
        schema, value = self.read(record)
        if schema is None:
            taken = None if value is None else self._path.value_of_map(require_map(value, "field extraction"))
            return self.write(record, None, taken)
        struct = None if value is None else require_struct(value, "field extraction")
        field = self._path.field_of(schema)
        if field is None:
            raise DataError(f"Unknown field: {self._path.text}")
        if struct is None:
            return self.write(record, field.schema, None)
        taken = self._path.value_of_struct(struct, with_default=self._with_default)
        return self.write(record, field.schema, taken)


class ExtractFieldKey(_ExtractField):
    """Of the key."""

    PART = Part.KEY


class ExtractFieldValue(_ExtractField):
    """Of the value."""

    PART = Part.VALUE


class _HoistField(OnePart):
    DOC = "Put the whole into a struct, or a map if it has no schema, as its only field."
    CONFIG: ClassVar = ConfigDef().define(
        "field", ConfigType.STRING, REQUIRED, Importance.MEDIUM, "The name of that field."
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._name: Final = self.settings.string("field")
        self._schemas: Final = Remembered[Schema, Schema](lambda schema: struct_of({self._name: schema}))

    def apply(self, record: Record) -> Record:
        schema, value = self.read(record)
        if schema is None:
            return self.write(record, None, {self._name: value})
        updated = self._schemas[schema]
        return self.write(record, updated, Struct(updated, {self._name: value}))


class HoistFieldKey(_HoistField):
    """Of the key."""

    PART = Part.KEY


class HoistFieldValue(_HoistField):
    """Of the value."""

    PART = Part.VALUE


def _renames(mappings: Sequence[str]) -> dict[str, str]:
    renames: dict[str, str] = {}
    for mapping in mappings:
        parts = mapping.rstrip(":").split(":")
        if len(parts) != 2:
            raise invalid("renames", mappings, f"Invalid rename mapping: {mapping}")
        renames[parts[0]] = parts[1]
    return renames


def _check_renames(_name: str, value: SettingValue) -> None:
    _renames([str(one) for one in value] if isinstance(value, Sequence) else [])


class _ReplaceField(OnePart):
    DOC = "Leave fields out, or give them other names."
    CONFIG: ClassVar = define_null_replacement(
        ConfigDef()
        .define("exclude", ConfigType.LIST, (), Importance.MEDIUM,
                "Fields to leave out, also if `include` has them.", validator=ValidList())
        .define("include", ConfigType.LIST, (), Importance.MEDIUM,
                "The only fields to keep, if it is not empty.", validator=ValidList())
        .define("renames", ConfigType.LIST, (), Importance.MEDIUM,
                "Other names of fields, as in `old:new,other:another`.",
                validator=Check(_check_renames,
                                "list of colon-delimited pairs, e.g. <code>foo:bar,abc:xyz</code>"))
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._exclude: Final = frozenset(self.settings.list("exclude"))
        self._include: Final = frozenset(self.settings.list("include"))
        self._renames: Final = _renames(self.settings.list("renames"))
        self._schemas: Final = Remembered(self._schema)

    def apply(self, record: Record) -> Record:
        schema, value = self.read(record)
        if value is None:
            return record
        if schema is None:
            fields = require_map(value, "field replacement")
            kept = {self._renamed(name): one for name, one in fields.items() if self._keeps(name)}
            return self.write(record, None, kept)
        struct = require_struct(value, "field replacement")
        result = Struct(self._schemas[struct.schema])
        for field in struct.schema.fields:
            if self._keeps(field.name):
                result[str(self._renamed(field.name))] = field_value(self.settings, struct, field)
        return self.write(record, result.schema, result)

    def _keeps(self, name: Value) -> bool:
        return name not in self._exclude and (not self._include or name in self._include)

    def _renamed(self, name: Value) -> Value:
        return self._renames.get(name, name) if isinstance(name, str) else name

    def _schema(self, schema: Schema) -> Schema:
        fields = [
            (str(self._renamed(field.name)), field.schema)
            for field in schema.fields
            if self._keeps(field.name)
        ]
        return schema.replace(fields=fields, without_default=True, optional=False)


class ReplaceFieldKey(_ReplaceField):
    """Of the key."""

    PART = Part.KEY


class ReplaceFieldValue(_ReplaceField):
    """Of the value."""

    PART = Part.VALUE


class ValueToKey(Transformation):
    """Some of the value's fields as the key."""

    DOC = "Make the key of fields of the value."
    CONFIG: ClassVar = define_field_syntax(
        define_null_replacement(
            ConfigDef().define(
                "fields",
                ConfigType.LIST,
                REQUIRED,
                Importance.HIGH,
                "The value's fields that make the key.",
                validator=ValidList(empty=False),
            )
        )
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        nested = is_nested(self.settings)
        self._paths: Final = [FieldPath(name, nested=nested) for name in self.settings.list("fields")]
        self._with_default: Final = self.settings.boolean("replace.null.with.default")
        self._schemas: Final = Remembered(self._schema)

    def apply(self, record: Record) -> Record:
        purpose = "copying fields from value to key"
        if record.value_schema is None:
            fields = require_map(record.value, purpose)
            key: Value = {path.text: path.value_of_map(fields) for path in self._paths}
            return record.replace(key=SchemaAndValue(None, key))
        struct = require_struct(record.value, purpose)
        schema = self._schemas[struct.schema]
        taken = Struct(schema)
        for path in self._paths:
            taken[path.text] = path.value_of_struct(struct, with_default=self._with_default)
        return record.replace(key=SchemaAndValue(schema, taken), value=SchemaAndValue(struct.schema, struct))

    def _schema(self, schema: Schema) -> Schema:
        fields: list[tuple[str, Schema]] = []
        for path in self._paths:
            field = path.field_of(schema)
            if field is None:
                raise DataError(f"Field does not exist: {path.text}")
            fields.append((path.text, field.schema))
        return struct_of(fields)


class _Flatten(OnePart):
    DOC = (
        "Put the fields of structs and maps within the whole beside its own, under names that join those on "
        "the way. Arrays stay as they are."
    )
    CONFIG: ClassVar = ConfigDef().define(
        "delimiter",
        ConfigType.STRING,
        ".",
        Importance.MEDIUM,
        "What stands between the names that are joined.",
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._delimiter: Final = self.settings.string("delimiter")
        self._schemas: Final = Remembered(self._schema)

    def apply(self, record: Record) -> Record:
        schema, value = self.read(record)
        if value is None:
            return record
        if schema is None:
            flat: dict[Value, Value] = {}
            self._flatten_map(require_map(value, "flattening"), "", flat)
            return self.write(record, None, flat)
        struct = require_struct(value, "flattening")
        result = Struct(self._schemas[schema])
        self._flatten_struct(struct, "", result)
        return self.write(record, result.schema, result)

    def _joined(self, prefix: str, name: Value) -> str:
        return f"{prefix}{self._delimiter}{name}" if prefix else str(name)

    def _flatten_map(self, value: dict[Value, Value], prefix: str, flat: dict[Value, Value]) -> None:
        for name, one in value.items():
            joined = self._joined(prefix, name)
            if isinstance(one, dict):
                self._flatten_map(one, joined, flat)
            elif isinstance(one, Struct):
                raise DataError(
                    f"Flatten transformation does not support {type(one).__name__} for record without "
                    f"schemas (for field {joined})."
                )
            elif one is None or isinstance(one, bool | int | float | str | bytes | list):
                flat[joined] = one
            else:
                raise DataError(
                    f"Flatten transformation was passed a value of type {type(one).__name__} which is not "
                    "supported by Connect's data API"
                )

    def _schema(self, schema: Schema) -> Schema:
        fields: list[tuple[str, Schema]] = []
        default = schema.default if isinstance(schema.default, Struct) else None
        self._flatten_schema(schema, "", fields, optional=schema.optional, default=default)
        return schema.replace(fields=fields, optional=False, without_default=True)

    def _flatten_schema(
        self,
        schema: Schema,
        prefix: str,
        fields: list[tuple[str, Schema]],
        *,
        optional: bool,
        default: Struct | None,
    ) -> None:
        for field in schema.fields:
            joined, inner = self._joined(prefix, field.name), field.schema
            may_be_null = optional or inner.optional
            own = inner.default
            if own is None and default is not None:
                own = default[field.name]
            if inner.type is Type.STRUCT:
                of_struct = own if isinstance(own, Struct) else None
                self._flatten_schema(inner, joined, fields, optional=may_be_null, default=of_struct)
            else:
                self._check(inner, joined)
                fields.append((joined, inner.replace(optional=may_be_null, default=own)))

    def _flatten_struct(self, struct: Struct, prefix: str, result: Struct) -> None:
        for field in struct.schema.fields:
            joined, value = self._joined(prefix, field.name), struct[field.name]
            if field.schema.type is Type.STRUCT:
                inner = struct.struct(field.name)
                if inner is not None:
                    self._flatten_struct(inner, joined, result)
            else:
                self._check(field.schema, joined)
                result[joined] = value

    def _check(self, schema: Schema, name: str) -> None:
        if schema.type is Type.MAP:
            raise DataError(
                f"Flatten transformation does not support {schema.type} for record with schemas "
                f"(for field {name})."
            )


class FlattenKey(_Flatten):
    """Of the key."""

    PART = Part.KEY


class FlattenValue(_Flatten):
    """Of the value."""

    PART = Part.VALUE
