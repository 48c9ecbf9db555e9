"""Values of a schema as JSON, and back: compiled once for each schema into functions.

Kafka's converter takes whatever is in a field for the nearest number or null: a text becomes 0, 300 in an
INT8 becomes 44. Here that is an error, so that the error policy says what becomes of the record.
"""

from __future__ import annotations

import binascii
import datetime as dt
import enum
import math
from base64 import b64encode
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from ottla.connect.converters.json_schemas import Json
from ottla.connect.converters.json_unions import union_reader, union_writer
from ottla.connect.data.logical import LOGICAL_TYPES, decimal_to_bytes
from ottla.connect.data.numbers import float_text, to_float32
from ottla.connect.data.schema import (
    DATE_NAME,
    DECIMAL_NAME,
    RANGES,
    TIME_NAME,
    TIMESTAMP_NAME,
    Schema,
    Struct,
    Type,
    Value,
    class_of,
)
from ottla.connect.errors import DataError

__all__ = [
    "DecimalFormat",
    "JsonRules",
    "Reader",
    "Writer",
    "has_decimals",
    "reader",
    "schemaless_to_json",
    "writer",
]

Reader = Callable[[Json], Value]
Writer = Callable[[Value], Json]

_LOGICAL: Final[Mapping[str, tuple[str, type, str]]] = {
    DECIMAL_NAME: ("Decimal", Decimal, "numeric or bytes"),
    DATE_NAME: ("Date", dt.date, "integer"),
    TIME_NAME: ("Time", dt.time, "integer"),
    TIMESTAMP_NAME: ("Timestamp", dt.datetime, "integral"),
}
_WORDS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class DecimalFormat(enum.Enum):
    """How decimals are written."""

    BASE64 = "BASE64"
    NUMERIC = "NUMERIC"


class JsonRules(NamedTuple):
    """What a converter's settings say about values."""

    decimal_format: DecimalFormat
    replace_null_with_default: bool
    union: str | None = None
    """With JSON Schema: the name of structs that stand for one of several types. Then a map's entries are
    objects where its keys are no texts, and a property that is not there is a null that nobody minds."""


def has_decimals(schema: Schema) -> bool:
    """Whether numbers with a fraction have to be read digit for digit."""
    if schema.name == DECIMAL_NAME:
        return True
    inner = [field.schema for field in schema.struct_fields]
    if schema.type is Type.MAP or schema.type is Type.ARRAY:
        keys = schema.key_schema if schema.type is Type.MAP else None
        inner += [one for one in (keys, schema.value_schema) if one is not None]
    return any(map(has_decimals, inner))


def _kind(value: Json) -> str:
    """Jackson's name of what a JSON text is."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, str):
        return "STRING"
    return "ARRAY" if isinstance(value, list) else "OBJECT" if isinstance(value, dict) else "NUMBER"


def reader(schema: Schema, rules: JsonRules) -> Reader:
    """A function that reads values of this schema. It raises DataError for what is none."""
    read = _logical_reader(schema) if schema.name in _LOGICAL else _READERS[schema.type](schema, rules)
    default = schema.default if rules.replace_null_with_default else None
    optional, kind = schema.optional, schema.type

    def read_or_null(value: Json) -> Value:
        if value is not None:
            return read(value)
        if default is not None or optional:
            return default
        raise DataError(f"Invalid null value for required {kind} field")

    return read_or_null


def _mismatch(schema: Schema, value: Json) -> DataError:
    return DataError(f"Invalid type for {schema.type}: found {_kind(value)}")


def _integer_reader(schema: Schema, _rules: JsonRules) -> Reader:
    allowed = RANGES[schema.type]

    def read(value: Json) -> int:
        if type(value) is int and value in allowed:
            return value
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise _mismatch(schema, value)
        if value != value // 1 or value not in allowed:
            raise DataError(f"Invalid value for {schema.type}: {value}")
        return int(value)

    return read


def _float_reader(schema: Schema, _rules: JsonRules) -> Reader:
    single = schema.type is Type.FLOAT32

    def read(value: Json) -> float:
        if isinstance(value, str) and value in _WORDS:
            return _WORDS[value]
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise _mismatch(schema, value)
        if single:
            return to_float32(value)
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf

    return read


def _typed_reader(schema: Schema, _rules: JsonRules) -> Reader:
    expected = class_of(schema)

    def read(value: Json) -> Value:
        if not isinstance(value, expected):
            raise _mismatch(schema, value)
        return value

    return read


def _bytes(value: Json) -> bytes:
    if not isinstance(value, str):
        raise DataError(f"Invalid type for BYTES: found {_kind(value)}")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        raise DataError("Invalid bytes field") from None


def _array_reader(schema: Schema, rules: JsonRules) -> Reader:
    element = schema.value_schema
    if element is None:
        raise DataError("Array schema did not specify the element type")
    read_element = reader(element, rules)

    def read(value: Json) -> list[Value]:
        if not isinstance(value, list):
            raise _mismatch(schema, value)
        return [read_element(one) for one in value]

    return read


def _map_reader(schema: Schema, rules: JsonRules) -> Reader:
    keys, values = schema.key_schema, schema.value_schema
    if keys is None or values is None:
        raise DataError("Map schema did not specify the key or the value type")
    read_key, read_value = reader(keys, rules), reader(values, rules)
    as_objects = rules.union is not None

    def read_object(value: Json) -> dict[Value, Value]:
        if not isinstance(value, dict):
            raise DataError(
                f"Maps with string fields should be encoded as JSON objects, but found {_kind(value)}"
            )
        return {key: read_value(inner) for key, inner in value.items()}

    def read_pairs(value: Json) -> dict[Value, Value]:
        if not isinstance(value, list):
            raise DataError(
                "Maps with non-string fields should be encoded as JSON array of tuples, "
                f"but found {_kind(value)}"
            )
        read: dict[Value, Value] = {}
        for entry in value:
            if as_objects and isinstance(entry, dict) and entry.keys() == {"key", "value"}:
                entry = [entry["key"], entry["value"]]
            if not isinstance(entry, list):
                raise DataError(f"Found invalid map entry instead of array tuple: {_kind(entry)}")
            if len(entry) != 2:
                raise DataError(f"Found invalid map entry, expected length 2 but found :{len(entry)}")
            read[_hashable(read_key(entry[0]))] = read_value(entry[1])
        return read

    return read_object if _is_object(keys, rules) else read_pairs


def _is_object(keys: Schema, rules: JsonRules) -> bool:
    """Whether a map with such keys is one in JSON."""
    return keys.type is Type.STRING and not (rules.union is not None and keys.optional)


def _hashable(key: Value) -> Value:
    if isinstance(key, list | dict):
        raise DataError("a key of a map cannot be an array or a map")
    return key


def _struct_reader(schema: Schema, rules: JsonRules) -> Reader:
    if rules.union is not None and schema.name == rules.union:
        return union_reader(schema, [reader(field.schema, rules) for field in schema.fields])
    lenient = rules.union is not None
    fields = [(field.name, reader(field.schema, rules)) for field in schema.fields]

    def read(value: Json) -> Struct:
        if not isinstance(value, dict):
            raise DataError(f"Structs should be encoded as JSON objects, but found {_kind(value)}")
        struct = Struct(schema)
        found = struct.values
        for index, (name, read_field) in enumerate(fields):
            if lenient and name not in value:
                continue
            try:
                found[index] = read_field(value.get(name))
            except DataError as error:
                error.add_note(f"in the field {name!r}")
                raise
        return struct

    return read


_READERS: Final[Mapping[Type, Callable[[Schema, JsonRules], Reader]]] = {
    Type.INT8: _integer_reader,
    Type.INT16: _integer_reader,
    Type.INT32: _integer_reader,
    Type.INT64: _integer_reader,
    Type.FLOAT32: _float_reader,
    Type.FLOAT64: _float_reader,
    Type.BOOLEAN: _typed_reader,
    Type.STRING: _typed_reader,
    Type.BYTES: lambda _schema, _rules: _bytes,
    Type.ARRAY: _array_reader,
    Type.MAP: _map_reader,
    Type.STRUCT: _struct_reader,
}


def _logical_reader(schema: Schema) -> Reader:
    name, _, wanted = _LOGICAL[schema.name or ""]
    from_base = LOGICAL_TYPES[schema.name or ""].from_base

    def read_decimal(value: Json) -> Value:
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return value if isinstance(value, Decimal) else Decimal(repr(value))
        if not isinstance(value, str):
            raise wrong(value)
        try:
            return from_base(schema, _bytes(value))
        except DataError as error:
            raise DataError("Invalid bytes for Decimal field") from error

    def read_integer(value: Json) -> Value:
        if not isinstance(value, int) or isinstance(value, bool) or value not in RANGES[schema.type]:
            raise wrong(value)
        return from_base(schema, value)

    def wrong(value: Json) -> DataError:
        return DataError(
            f"Invalid type for {name}, underlying representation should be {wanted} but was {_kind(value)}"
        )

    return read_decimal if schema.name == DECIMAL_NAME else read_integer


def writer(schema: Schema, rules: JsonRules) -> Writer:
    """A function that gives values of this schema as JSON. It raises DataError for what is none."""
    write = (
        _logical_writer(schema, rules) if schema.name in _LOGICAL else _WRITERS[schema.type](schema, rules)
    )
    default = schema.default if rules.replace_null_with_default else None
    optional = schema.optional

    def write_or_null(value: Value) -> Json:
        if value is not None:
            return write(value)
        if default is not None:
            return write(default)
        if optional:
            return None
        raise DataError("Conversion error: null value for field that is required and has no default value")

    return write_or_null


def _wrong_class(schema: Schema, value: Value) -> DataError:
    return DataError(f"Invalid type for {schema.type}: {type(value).__name__}")


def _plain_writer(schema: Schema, _rules: JsonRules) -> Writer:
    expected = class_of(schema)

    def write(value: Value) -> Json:
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise _wrong_class(schema, value)
        return value if type(value) is expected else expected(value)  # of a subclass the value alone

    return write


def _float_writer(schema: Schema, _rules: JsonRules) -> Writer:
    single = schema.type is Type.FLOAT32

    def write(value: Value) -> Json:
        if not isinstance(value, float):
            raise _wrong_class(schema, value)
        return _float_to_json(value, single=single)

    return write


def _float_to_json(value: float, *, single: bool) -> Json:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return msgspec.Raw(float_text(value).encode()) if single else value


def _bytes_writer(_schema: Schema, _rules: JsonRules) -> Writer:
    def write(value: Value) -> Json:
        if not isinstance(value, bytes):
            raise DataError(f"Invalid type for bytes type: {type(value).__name__}")
        return b64encode(value).decode()

    return write


def _array_writer(schema: Schema, rules: JsonRules) -> Writer:
    element = schema.value_schema
    write_element = schemaless_to_json if element is None else writer(element, rules)

    def write(value: Value) -> Json:
        if not isinstance(value, list):
            raise _wrong_class(schema, value)
        return [write_element(one) for one in value]

    return write


def _map_writer(schema: Schema, rules: JsonRules) -> Writer:
    keys, values = schema.key_schema, schema.value_schema
    write_key = schemaless_to_json if keys is None else writer(keys, rules)
    write_value = schemaless_to_json if values is None else writer(values, rules)
    by_text = keys is not None and _is_object(keys, rules)
    as_objects = rules.union is not None

    def write(value: Value) -> Json:
        if not isinstance(value, dict):
            raise _wrong_class(schema, value)
        pairs = ((write_key(key), write_value(inner)) for key, inner in value.items())
        if by_text:
            return dict(pairs)
        return [{"key": key, "value": inner} if as_objects else [key, inner] for key, inner in pairs]

    return write


def _struct_writer(schema: Schema, rules: JsonRules) -> Writer:
    if rules.union is not None and schema.name == rules.union:
        return union_writer(schema, [writer(field.schema, rules) for field in schema.fields])
    fields = [(field.name, writer(field.schema, rules)) for field in schema.fields]

    def write(value: Value) -> Json:
        if not isinstance(value, Struct):
            raise _wrong_class(schema, value)
        if value.schema != schema:
            raise DataError("Mismatching schema.")
        written: dict[str, Json] = {}
        for (name, write_field), one in zip(fields, value.values, strict=True):
            try:
                written[name] = write_field(one)
            except DataError as error:
                error.add_note(f"in the field {name!r}")
                raise
        return written

    return write


_WRITERS: Final[Mapping[Type, Callable[[Schema, JsonRules], Writer]]] = {
    Type.INT8: _plain_writer,
    Type.INT16: _plain_writer,
    Type.INT32: _plain_writer,
    Type.INT64: _plain_writer,
    Type.FLOAT32: _float_writer,
    Type.FLOAT64: _float_writer,
    Type.BOOLEAN: _plain_writer,
    Type.STRING: _plain_writer,
    Type.BYTES: _bytes_writer,
    Type.ARRAY: _array_writer,
    Type.MAP: _map_writer,
    Type.STRUCT: _struct_writer,
}


def _logical_writer(schema: Schema, rules: JsonRules) -> Writer:
    name, expected, _ = _LOGICAL[schema.name or ""]
    to_base = LOGICAL_TYPES[schema.name or ""].to_base

    def write(value: Value) -> Json:
        if not isinstance(value, expected):
            raise DataError(
                f"Invalid type for {name}, expected {expected.__name__} but was {type(value).__name__}"
            )
        if not isinstance(value, Decimal):
            return to_base(schema, value)
        if rules.decimal_format is DecimalFormat.NUMERIC:
            return value
        return b64encode(decimal_to_bytes(schema, value)).decode()

    return write


def schemaless_to_json(value: Value) -> Json:
    """A value without a schema as JSON. Raises DataError for one of no type of Connect's."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return _float_to_json(value, single=False)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, list):
        return [schemaless_to_json(one) for one in value]
    if isinstance(value, dict):
        pairs = [(schemaless_to_json(key), schemaless_to_json(inner)) for key, inner in value.items()]
        return dict(pairs) if all(isinstance(key, str) for key in value) else [list(pair) for pair in pairs]
    if isinstance(value, Struct):
        raise DataError("Mismatching schema.")
    raise DataError(f"Python class {type(value).__name__} does not have corresponding schema type.")
