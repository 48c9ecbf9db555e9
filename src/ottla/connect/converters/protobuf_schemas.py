"""Connect's schemas as .proto files, mapped as Confluent does: parameters and `confluent.field_meta` say what
Protobuf has no word for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote_plus

from ottla.client.values.protobuf.known import KNOWN_TEXTS
from ottla.connect.data.schema import (
    DATE_NAME,
    DECIMAL_NAME,
    TIME_NAME,
    TIMESTAMP_NAME,
    Schema,
    Type,
)
from ottla.connect.errors import DataError
from ottla.schemas.limits import Budget
from ottla.schemas.protobuf import read_file
from ottla.schemas.protobuf.model import Constant, Enum, Field, File, Message, OneOf, Option
from ottla.schemas.protobuf.writing import canonical

__all__ = [
    "DECIMAL",
    "ENUM",
    "LOGICAL",
    "PROTOBUF_TYPE",
    "TAG",
    "UNION",
    "WRAPPER",
    "WRAPPERS",
    "ProtobufRules",
    "entry_name",
    "is_union",
    "map_name",
    "proto_file",
    "root_name",
    "scrubbed",
]

NAMESPACE: Final = "io.confluent.connect.protobuf"
DEFAULT_NAME: Final = "ConnectDefault"
TAG: Final = f"{NAMESPACE}.Tag"
ENUM: Final = f"{NAMESPACE}.Enum"
UNION: Final = f"{NAMESPACE}.Union"
PROTOBUF_TYPE: Final = f"{NAMESPACE}.Type"
WRAPPER: Final = f"{NAMESPACE}.Wrapper"
DECIMAL: Final = "confluent.type.Decimal"
LOGICAL: Final[Mapping[str, tuple[str, str]]] = {
    DECIMAL_NAME: (DECIMAL, "confluent/type/decimal.proto"),
    DATE_NAME: ("google.type.Date", "google/type/date.proto"),
    TIME_NAME: ("google.type.TimeOfDay", "google/type/timeofday.proto"),
    TIMESTAMP_NAME: ("google.protobuf.Timestamp", "google/protobuf/timestamp.proto"),
}
"""By the names of Connect's types: a message, and the file that it is in."""
WRAPPERS_FILE: Final = "google/protobuf/wrappers.proto"
WRAPPERS: Final[Mapping[str, Type]] = {
    "google.protobuf.DoubleValue": Type.FLOAT64, "google.protobuf.FloatValue": Type.FLOAT32,
    "google.protobuf.Int64Value": Type.INT64, "google.protobuf.UInt64Value": Type.INT64,
    "google.protobuf.Int32Value": Type.INT32, "google.protobuf.UInt32Value": Type.INT64,
    "google.protobuf.BoolValue": Type.BOOLEAN, "google.protobuf.StringValue": Type.STRING,
    "google.protobuf.BytesValue": Type.BYTES,
}  # fmt: skip
_WRAPPED: Final = {
    Type.INT8: "Int32Value", Type.INT16: "Int32Value", Type.INT32: "Int32Value", Type.INT64: "Int64Value",
    Type.FLOAT32: "FloatValue", Type.FLOAT64: "DoubleValue", Type.BOOLEAN: "BoolValue",
    Type.STRING: "StringValue", Type.BYTES: "BytesValue",
}  # fmt: skip
_UNSIGNED: Final = {"uint32": "UInt32Value", "fixed32": "UInt32Value", "uint64": "UInt64Value",
                    "fixed64": "UInt64Value"}  # fmt: skip
_SCALARS: Final = {
    Type.INT8: "int32", Type.INT16: "int32", Type.INT32: "int32", Type.INT64: "int64", Type.FLOAT32: "float",
    Type.FLOAT64: "double", Type.BOOLEAN: "bool", Type.STRING: "string", Type.BYTES: "bytes",
}  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ENTRY: Final = "Entry"


class ProtobufRules(NamedTuple):
    """What a converter's settings say, with Confluent's defaults."""

    enhanced: bool = False
    """Names have their packages."""
    scrub: bool = False
    """What Protobuf cannot call so is called otherwise, instead of refused."""
    int_for_enums: bool = False
    optional_for_nullables: bool = False
    optional_for_proto2: bool = True
    wrapper_for_nullables: bool = False
    wrapper_for_raw_primitives: bool = True
    struct_for_nulls: bool = False
    index_for_unions: bool = True
    flatten_unions: bool = False
    ignore_default: bool = False


def is_union(schema: Schema) -> bool:
    """Whether a struct stands for one of several fields."""
    return schema.type is Type.STRUCT and schema.name is not None and schema.name.startswith(UNION)


def entry_name(name: str) -> str:
    """What the message of a map's entries is called."""
    parts = name.split("_")
    return ("".join(part.capitalize() for part in parts) if len(parts) > 1 else name) + _ENTRY


def map_name(entry: str) -> str:
    """The name of the map that has such entries."""
    package, dot, last = entry.rpartition(".")
    return package + dot + re.sub(r"(?<!^)(?=[A-Z])", "_", last.removesuffix(_ENTRY)).lower()


def scrubbed(name: str, rules: ProtobufRules) -> str:
    """A name as Protobuf has names. Raises DataError where it cannot be one."""
    if rules.scrub and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name, re.ASCII) is None:
        name = quote_plus(name, safe="*-._")
        name = re.sub(r"[^A-Za-z0-9_]", "_", f"x{name}" if name[:1].isdigit() or name[:1] == "_" else name)
    if _NAME.fullmatch(name) is None:
        raise DataError(
            f"Protobuf cannot call anything {name!r}; scrub.invalid.names=true changes such names"
        )
    return name


def root_name(schema: Schema, rules: ProtobufRules) -> str:
    """The full name of the message that values of a schema are."""
    if schema.type is Type.STRUCT:
        name = schema.name or f"{DEFAULT_NAME}1"
        return ".".join(scrubbed(part, rules) for part in name.split("."))
    if schema.type not in _WRAPPED or schema.name in LOGICAL:
        raise DataError(f"a value of the type {schema.name or schema.type} alone is no Protobuf message")
    return f"google.protobuf.{_WRAPPED[schema.type]}"


def proto_file(schema: Schema, rules: ProtobufRules) -> str:
    """The text of a .proto file with the message. Raises DataError where Protobuf cannot say it."""
    name = root_name(schema, rules)
    if schema.type is not Type.STRUCT:
        return canonical(read_file(KNOWN_TEXTS[WRAPPERS_FILE], Budget("the schema")))
    package, _, simple = name.rpartition(".")
    writing = _Writing(rules)
    if schema.name is None:
        writing.unnamed = 1
    message = writing.message(simple, schema)
    return canonical(File("proto3", package, sorted(writing.imports), types=[message]))


class _Writing:
    def __init__(self, rules: ProtobufRules) -> None:
        self._rules = rules
        self.imports: dict[str, None] = {}
        self.unnamed = 0

    def message(self, name: str, schema: Schema) -> Message:
        message = Message(name)
        taken: dict[str, Schema] = {}
        numbers = _numbers(schema)
        for field in schema.fields:
            if is_union(field.schema):
                message.one_ofs.append(self._one_of(message, taken, numbers, field.schema))
            else:
                number = _tag(field.schema) or next(numbers)
                message.fields.append(self._field(message, taken, field.name, number, field.schema))
        return message

    def _one_of(
        self, message: Message, taken: dict[str, Schema], numbers: Iterator[int], union: Schema
    ) -> OneOf:
        made = OneOf(self._simple((union.name or "").removeprefix(UNION).lstrip(".")))
        for field in union.fields:
            if field.schema.type in (Type.ARRAY, Type.MAP) or is_union(field.schema):
                raise DataError(f"the field {field.name} of a oneof cannot be a {field.schema.type}")
            number = _tag(field.schema) or next(numbers)
            one = self._field(message, taken, field.name, number, field.schema, in_union=True)
            made.fields.append(one)
        return made

    def _field(
        self,
        message: Message,
        taken: dict[str, Schema],
        name: str,
        number: int,
        schema: Schema,
        *,
        in_union: bool = False,
    ) -> Field:
        name = scrubbed(name, self._rules)
        label = ""
        if schema.type in (Type.ARRAY, Type.MAP):
            label = "repeated"
        elif self._rules.optional_for_nullables and schema.optional and not in_union:
            label = "optional"
        if schema.type is Type.ARRAY:
            schema = _element(schema, name)
        said: dict[str, str] = {}
        kind = self._type(message, taken, name, schema, said, in_union=in_union)
        options = []
        if said:
            self.imports["confluent/meta.proto"] = None
            pairs = [{"key": key, "value": value} for key, value in said.items()]
            options = [Option("confluent.field_meta", {"params": pairs}, custom=True)]
        return Field(label, kind, name, number, options)

    def _type(
        self,
        message: Message,
        taken: dict[str, Schema],
        name: str,
        schema: Schema,
        said: dict[str, str],
        *,
        in_union: bool,
    ) -> str:
        parameters = schema.parameters or {}
        if schema.name in LOGICAL:
            kind, file = LOGICAL[schema.name or ""]
            self.imports[file] = None
            if schema.name == DECIMAL_NAME:
                digits = parameters.get("connect.decimal.precision")
                said |= {"precision": digits} if digits is not None else {}
                said["scale"] = parameters.get("scale", "0")
            return kind
        if ENUM in parameters and schema.type in (Type.STRING, Type.INT32):
            return self._enum(message, taken, schema)
        if schema.type is Type.MAP:
            return self._entry(message, taken, schema)
        if schema.type is Type.STRUCT:
            return self._struct(message, taken, name, schema)
        if schema.type in (Type.INT8, Type.INT16):
            said["connect.type"] = schema.type.value.lower()
        kind = parameters.get(PROTOBUF_TYPE, _SCALARS[schema.type])
        is_wrapped = self._rules.wrapper_for_nullables and schema.optional
        if is_wrapped and (not in_union or parameters.get(WRAPPER) == "true"):
            self.imports[WRAPPERS_FILE] = None
            return f"google.protobuf.{_UNSIGNED.get(kind, _WRAPPED[schema.type])}"
        return kind

    def _struct(self, message: Message, taken: dict[str, Schema], field: str, schema: Schema) -> str:
        name = self._simple(schema.name)
        if name == field:
            name += "Message"
        if self._is_new(taken, name, schema):
            message.types.append(self.message(name, schema))
        return name

    def _entry(self, message: Message, taken: dict[str, Schema], schema: Schema) -> str:
        keys, values = schema.key_schema, schema.value_schema
        if keys is None or values is None or values.type in (Type.ARRAY, Type.MAP) or is_union(values):
            raise DataError("a map's values in Protobuf can be neither arrays, nor maps, nor unions")
        name = entry_name(self._simple(schema.name))
        if self._is_new(taken, name, schema):
            entry, inner = Message(name), dict[str, Schema]()
            entry.fields.append(self._field(entry, inner, "key", 1, keys))
            entry.fields.append(self._field(entry, inner, "value", 2, values))
            message.types.append(entry)
        return name

    def _enum(self, message: Message, taken: dict[str, Schema], schema: Schema) -> str:
        parameters = schema.parameters or {}
        name = self._simple(parameters[ENUM] or schema.name)
        if self._is_new(taken, name, schema):
            symbols = {
                one.removeprefix(f"{ENUM}."): number
                for one, number in parameters.items()
                if one.startswith(f"{ENUM}.")
            }
            if not all(re.fullmatch(r"-?[0-9]{1,10}", number) for number in symbols.values()):
                raise DataError(f"the enum {name} has symbols without a number")
            constants = [Constant(one, int(number)) for one, number in symbols.items()]
            # In proto3 the first is 0.
            message.types.append(Enum(name, sorted(constants, key=lambda one: one.tag != 0)))
        return name

    def _is_new(self, taken: dict[str, Schema], name: str, schema: Schema) -> bool:
        """Whether it is to be defined. Raises DataError where another type has the name."""
        plain = _alike(schema)
        known = taken.setdefault(name, plain)
        if known is not plain and known != plain:
            raise DataError(f"two schemas are called {name}, and differ")
        return known is plain

    def _simple(self, name: str | None) -> str:
        if not name:
            self.unnamed += 1
            name = f"{DEFAULT_NAME}{self.unnamed}"
        return scrubbed(name.rpartition(".")[2], self._rules)


def _alike(schema: Schema) -> Schema:
    """Without what is a field's: its number, its default, whether it is optional."""
    others = {name: value for name, value in (schema.parameters or {}).items() if name != TAG}
    return schema.replace(optional=False, without_default=True, parameters=others)


def _element(schema: Schema, name: str) -> Schema:
    element = schema.value_schema
    if element is None:
        raise DataError(f"the array {name} says nothing of what is in it")
    if element.type in (Type.ARRAY, Type.MAP) or is_union(element):
        raise DataError(f"{name}: in Protobuf there are no arrays of {element.type}s")
    return element


def _tag(schema: Schema) -> int | None:
    text = (schema.parameters or {}).get(TAG)
    return int(text) if text is not None and re.fullmatch(r"[1-9][0-9]{0,8}", text) else None


def _numbers(schema: Schema) -> Iterator[int]:
    """For fields that have none yet."""
    taken = dict.fromkeys(_tag(field.schema) for field in schema.fields)
    for field in schema.fields:
        if is_union(field.schema):
            taken |= dict.fromkeys(_tag(inner.schema) for inner in field.schema.fields)
    number = 0
    while True:
        number += 1
        if number not in taken:
            yield number
