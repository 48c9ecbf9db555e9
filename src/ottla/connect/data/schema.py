"""Schemas and the values that they describe: Connect's data model (`org.apache.kafka.connect.data`).

| Connect | Python | |
| --- | --- | --- |
| INT8, INT16, INT32, INT64 | int | within the type's range |
| FLOAT32, FLOAT64 | float | a FLOAT32 is rounded when it is written |
| BOOLEAN, STRING, BYTES | bool, str, bytes | |
| ARRAY, MAP, STRUCT | list, dict, `Struct` | |
| Decimal | decimal.Decimal | exact, of the schema's scale |
| Date, Time | datetime.date, datetime.time | a Time has milliseconds, too |
| Timestamp | datetime with a time zone | Kafka's type has milliseconds: what is finer is cut off |

A value without a schema is any of these, with str for keys of dicts that are to be JSON.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias, cast

from ottla.connect.errors import DataError, SchemaBuilderError

__all__ = [
    "DATE_NAME",
    "DECIMAL_NAME",
    "RANGES",
    "TIMESTAMP_NAME",
    "TIME_NAME",
    "Field",
    "Schema",
    "SchemaAndValue",
    "Struct",
    "Type",
    "Value",
    "class_of",
    "validate_value",
]

Value: TypeAlias = object
"""Any value of the table above, or None."""

DECIMAL_NAME: Final = "org.apache.kafka.connect.data.Decimal"
DATE_NAME: Final = "org.apache.kafka.connect.data.Date"
TIME_NAME: Final = "org.apache.kafka.connect.data.Time"
TIMESTAMP_NAME: Final = "org.apache.kafka.connect.data.Timestamp"


class Type(enum.Enum):
    """What kind of value a schema describes."""

    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FLOAT32 = "FLOAT32"
    FLOAT64 = "FLOAT64"
    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    BYTES = "BYTES"
    ARRAY = "ARRAY"
    MAP = "MAP"
    STRUCT = "STRUCT"

    __hash__ = object.__hash__  # by identity, which is enough for members and costs a fraction

    def __str__(self) -> str:
        return self.value

    @property
    def is_primitive(self) -> bool:
        return self not in (Type.ARRAY, Type.MAP, Type.STRUCT)


RANGES: Final[Mapping[Type, range]] = {
    Type.INT8: range(-(2**7), 2**7),
    Type.INT16: range(-(2**15), 2**15),
    Type.INT32: range(-(2**31), 2**31),
    Type.INT64: range(-(2**63), 2**63),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a struct: its name, where it stands, and what its values are."""

    name: str
    index: int
    schema: Schema

    def __str__(self) -> str:
        return f"Field{{name={self.name}, index={self.index}, schema={self.schema}}}"


class Schema:
    """What values are: immutable, compared by all that it says."""

    __slots__ = (
        "_hash",
        "_key_schema",
        "_value_schema",
        "by_name",
        "default",
        "doc",
        "name",
        "optional",
        "parameters",
        "struct_fields",
        "type",
        "version",
    )

    def __init__(
        self,
        kind: Type,
        *,
        optional: bool = False,
        default: Value = None,
        name: str | None = None,
        version: int | None = None,
        doc: str | None = None,
        parameters: Mapping[str, str] | None = None,
        fields: Iterable[tuple[str, Schema]] = (),
        key_schema: Schema | None = None,
        value_schema: Schema | None = None,
    ) -> None:
        """`fields` are a struct's, in order; arrays have a `value_schema`, maps a `key_schema` as well. None
        for either is the schema of what is always null.

        Raises SchemaBuilderError for a default that is no value of this schema, and for a name of two fields.
        """
        self.type: Final = kind
        self.optional: Final = optional
        self.name: Final = name
        self.version: Final = version
        self.doc: Final = doc
        self.parameters: Final[Mapping[str, str] | None] = dict(parameters) if parameters else None
        self._key_schema: Final = key_schema
        self._value_schema: Final = value_schema
        self.struct_fields: Final = tuple(
            Field(name, index, schema) for index, (name, schema) in enumerate(fields)
        )
        self.by_name: Final = {field.name: field for field in self.struct_fields}
        self._hash: int | None = None
        self._check_fields()
        self.default: Value = None
        if default is not None:
            try:
                validate_value(self, default)
            except DataError as error:
                raise SchemaBuilderError("Invalid default value") from error
            self.default = default

    def _check_fields(self) -> None:
        if self.struct_fields and self.type is not Type.STRUCT:
            raise SchemaBuilderError(f"Cannot create fields on type {self.type}")
        if "" in self.by_name:
            raise SchemaBuilderError("fieldName cannot be null.")
        if len(self.by_name) < len(self.struct_fields):
            names = [field.name for field in self.struct_fields]
            twice = next(name for name in names if names.count(name) > 1)
            raise SchemaBuilderError(f"Cannot create field because of field name duplication {twice}")

    @property
    def fields(self) -> tuple[Field, ...]:
        """A struct's fields in order; raises DataError for any other type."""
        if self.type is not Type.STRUCT:
            raise DataError("Cannot list fields on non-struct type")
        return self.struct_fields

    def field(self, name: str) -> Field | None:
        """The struct's field of this name, or None; raises DataError for any other type."""
        if self.type is not Type.STRUCT:
            raise DataError("Cannot look up fields on non-struct type")
        return self.by_name.get(name)

    @property
    def key_schema(self) -> Schema | None:
        """What a map's keys are; raises DataError for any other type."""
        if self.type is not Type.MAP:
            raise DataError("Cannot look up key schema on non-map type")
        return self._key_schema

    @property
    def value_schema(self) -> Schema | None:
        """What an array's elements or a map's values are; raises DataError for any other type."""
        if self.type is not Type.MAP and self.type is not Type.ARRAY:
            raise DataError("Cannot look up value schema on non-array and non-map type")
        return self._value_schema

    def replace(
        self,
        *,
        optional: bool | None = None,
        default: Value = None,
        without_default: bool = False,
        name: str | None = None,
        version: int | None = None,
        doc: str | None = None,
        parameters: Mapping[str, str] | None = None,
        fields: Iterable[tuple[str, Schema]] | None = None,
    ) -> Schema:
        """This schema with what is given changed."""
        if default is None and not without_default:
            default = self.default
        return Schema(
            self.type,
            optional=self.optional if optional is None else optional,
            default=default,
            name=self.name if name is None else name,
            version=self.version if version is None else version,
            doc=self.doc if doc is None else doc,
            parameters=self.parameters if parameters is None else parameters,
            fields=[(field.name, field.schema) for field in self.struct_fields] if fields is None else fields,
            key_schema=self._key_schema,
            value_schema=self._value_schema,
        )

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Schema):
            return NotImplemented
        return (
            self.type is other.type
            and self.optional == other.optional
            and self.name == other.name
            and self.version == other.version
            and self.doc == other.doc
            and self.parameters == other.parameters
            and self.default == other.default
            and self.struct_fields == other.struct_fields
            and self._key_schema == other._key_schema
            and self._value_schema == other._value_schema
        )

    def __hash__(self) -> int:
        if self._hash is None:
            parts = (self.type, self.optional, self.name, self.version, self.struct_fields)
            self._hash = hash((*parts, self._key_schema, self._value_schema))
        return self._hash

    def __str__(self) -> str:
        return f"Schema{{{self.name}:{self.type}}}" if self.name is not None else f"Schema{{{self.type}}}"

    __repr__ = __str__


class SchemaAndValue(NamedTuple):
    """A value with its schema, which is None for a value without one."""

    schema: Schema | None
    value: Value


class Struct:
    """A value of a struct's schema: fields by name, each held to its schema when it is set."""

    __slots__ = ("schema", "values")

    def __init__(self, schema: Schema, values: Mapping[str, Value] | None = None) -> None:
        """Raises DataError for a schema that is no struct's, and a value that is not what its field says."""
        if schema.type is not Type.STRUCT:
            raise DataError(f"Not a struct schema: {schema}")
        self.schema: Final = schema
        self.values: Final[list[Value]] = [None] * len(schema.struct_fields)
        """Of each field in order; None where it is null or unset. For those who validate it themselves."""
        for name, value in (values or {}).items():
            self[name] = value

    def __getitem__(self, name: str) -> Value:
        """The field's value, or its default where it has none. Raises DataError for any other name."""
        field = self._field(name)
        value = self.values[field.index]
        return field.schema.default if value is None else value

    def __setitem__(self, name: str, value: Value) -> None:
        """Raises DataError where there is no field of this name, or the value is not what its schema says."""
        field = self._field(name)
        validate_value(field.schema, value, field=name)
        self.values[field.index] = value

    def without_default(self, name: str) -> Value:
        """The field's value, None where it has none."""
        return self.values[self._field(name).index]

    def int8(self, name: str) -> int | None:
        return cast("int | None", self._typed(name, Type.INT8))

    def int16(self, name: str) -> int | None:
        return cast("int | None", self._typed(name, Type.INT16))

    def int32(self, name: str) -> int | None:
        return cast("int | None", self._typed(name, Type.INT32))

    def int64(self, name: str) -> int | None:
        return cast("int | None", self._typed(name, Type.INT64))

    def float32(self, name: str) -> float | None:
        return cast("float | None", self._typed(name, Type.FLOAT32))

    def float64(self, name: str) -> float | None:
        return cast("float | None", self._typed(name, Type.FLOAT64))

    def boolean(self, name: str) -> bool | None:
        return cast("bool | None", self._typed(name, Type.BOOLEAN))

    def string(self, name: str) -> str | None:
        return cast("str | None", self._typed(name, Type.STRING))

    def bytes(self, name: str) -> bytes | None:
        return cast("bytes | None", self._typed(name, Type.BYTES))

    def array(self, name: str) -> list[Value] | None:
        return cast("list[Value] | None", self._typed(name, Type.ARRAY))

    def map(self, name: str) -> dict[Value, Value] | None:
        return cast("dict[Value, Value] | None", self._typed(name, Type.MAP))

    def struct(self, name: str) -> Struct | None:
        return cast("Struct | None", self._typed(name, Type.STRUCT))

    def validate(self) -> None:
        """Raises DataError where a field that must have a value has none."""
        for field, value in zip(self.schema.struct_fields, self.values, strict=True):
            if value is None and (field.schema.optional or field.schema.default is not None):
                continue
            validate_value(field.schema, value, field=field.name)

    def _field(self, name: str) -> Field:
        field = self.schema.by_name.get(name)
        if field is None:
            raise DataError(f"{name} is not a valid field name")
        return field

    def _typed(self, name: str, kind: Type) -> Value:
        field = self._field(name)
        if field.schema.type is not kind:
            raise DataError(f"Field '{name}' is not of type {kind}")
        return self.values[field.index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Struct):
            return NotImplemented
        return self.schema == other.schema and self.values == other.values

    def __hash__(self) -> int:
        return hash((self.schema, repr(self.values)))

    def __str__(self) -> str:
        pairs = zip(self.schema.struct_fields, self.values, strict=True)
        return (
            "Struct{" + ",".join(f"{field.name}={value}" for field, value in pairs if value is not None) + "}"
        )

    __repr__ = __str__


_CLASSES: Final[Mapping[Type, type]] = {
    Type.INT8: int,
    Type.INT16: int,
    Type.INT32: int,
    Type.INT64: int,
    Type.FLOAT32: float,
    Type.FLOAT64: float,
    Type.BOOLEAN: bool,
    Type.STRING: str,
    Type.BYTES: bytes,
    Type.ARRAY: list,
    Type.MAP: dict,
    Type.STRUCT: Struct,
}
_LOGICAL_CLASSES: Final[Mapping[str, type]] = {
    DECIMAL_NAME: Decimal,
    DATE_NAME: dt.date,
    TIME_NAME: dt.time,
    TIMESTAMP_NAME: dt.datetime,
}
# Subclasses in Python that are other kinds of values to Connect.
_NOT: Final[Mapping[type, type]] = {int: bool, dt.date: dt.datetime}


def class_of(schema: Schema) -> type:
    """The Python class of the schema's values."""
    logical = _LOGICAL_CLASSES.get(schema.name) if schema.name is not None else None
    return logical or _CLASSES[schema.type]


def validate_value(schema: Schema, value: Value, *, field: str | None = None) -> None:
    """Raises DataError where `value` is none of this schema's; the text names the field, if given."""
    _validate(schema, value, lambda: "value" if field is None else f'field: "{field}"')


def _validate(schema: Schema, value: Value, location: Callable[[], str]) -> None:
    if value is None:
        if not schema.optional:
            raise DataError(f"Invalid value: null used for required {location()}, schema type: {schema.type}")
        return
    expected = class_of(schema)
    if not isinstance(value, expected) or (expected in _NOT and isinstance(value, _NOT[expected])):
        named = "" if schema.name is None else f' "{schema.name}"'
        raise DataError(
            f"Invalid Python object for schema{named} with type {schema.type}: "
            f"{type(value).__name__} for {location()}"
        )
    if expected is int:
        if value not in RANGES[schema.type]:
            raise DataError(
                f"Invalid value: {value} is out of range for {location()}, schema type: {schema.type}"
            )
    elif isinstance(value, Struct):
        if value.schema != schema:
            raise DataError("Struct schemas do not match.")
        value.validate()
    elif isinstance(value, dt.datetime) and value.tzinfo is None:
        raise DataError(f"Invalid value: {value} has no time zone for {location()}, which is a Timestamp")
    elif isinstance(value, list | dict):
        _validate_elements(schema, value, location)


def _validate_elements(
    schema: Schema, value: list[Value] | dict[Value, Value], location: Callable[[], str]
) -> None:
    if isinstance(value, list):
        for element in value:
            _validate_inner(schema.value_schema, element, lambda: f"element of array {location()}")
        return
    for key, inner in value.items():
        _validate_inner(schema.key_schema, key, lambda: f"key of map {location()}")
        _validate_inner(schema.value_schema, inner, lambda: f"value of map {location()}")


def _validate_inner(schema: Schema | None, value: Value, location: Callable[[], str]) -> None:
    if schema is None:
        raise DataError(f"No schema defined for {location()}")
    _validate(schema, value, location)
