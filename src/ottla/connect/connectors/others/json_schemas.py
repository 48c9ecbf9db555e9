"""JSON Schema, as taps write it, to Connect's schemas; and values that go with it. Pure.

Every field is optional, since taps leave out what is null. What Connect has no type for is a text with the
JSON of the value: objects without properties, arrays of anything, and what may be of several types (where
only the text of a text is taken as it is). `format` date-time and date become Timestamp and Date. What the
converters make of JSON Schema is another mapping, Confluent's, of schemas that a registry has checked.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias, cast

import msgspec

from ottla.connect.data.logical import DATE, TIMESTAMP
from ottla.connect.data.schema import Schema, Struct, Type, Value
from ottla.connect.data.schemas import (
    OPTIONAL_BOOLEAN,
    OPTIONAL_BYTES,
    OPTIONAL_FLOAT64,
    OPTIONAL_INT64,
    OPTIONAL_STRING,
)
from ottla.connect.errors import DataError

__all__ = ["JSON", "StreamSchema", "Typed", "typed"]

_MAX_DEPTH: Final = 32
_MAX_FIELDS: Final = 20_000
_INT64: Final = range(-(2**63), 2**63)
_UNNAMED: Final = re.compile(r"[^A-Za-z0-9_.]")

JSON: Final = Schema(Type.STRING, optional=True, name="io.debezium.data.Json", version=1)
"""A text that is JSON, by the name that sinks know"""
_TIMESTAMP: Final = TIMESTAMP.replace(optional=True)
_DATE: Final = DATE.replace(optional=True)

Described: TypeAlias = Mapping[str, object]


class Typed(NamedTuple):
    schema: Schema
    convert: Callable[[object], Value]
    """Of a value that is not None. DataError, without saying where"""


def _integer(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{_shown(value)} is no integer")
    if value not in _INT64:
        raise DataError(f"{value} has more than 64 bits")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise DataError(f"{_shown(value)} is no number")
    try:
        return float(value)
    except OverflowError:
        raise DataError(f"{_shown(value)} is beyond what a FLOAT64 has") from None


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise DataError(f"{_shown(value)} is no boolean")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f"{_shown(value)} is no text")
    return value


def _any_text(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _timestamp(value: object) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(_text(value))
        return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise DataError(f"{_shown(value)} is no time in ISO 8601") from None


def _date(value: object) -> dt.date:
    try:
        return dt.datetime.fromisoformat(_text(value)).date()
    except ValueError:
        raise DataError(f"{_shown(value)} is no date in ISO 8601") from None


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(_text(value), validate=True)
    except binascii.Error:
        raise DataError(f"{_shown(value)} is no base64") from None


def _shown(value: object) -> str:
    return repr(value)[:100]


_TEXT: Final = Typed(OPTIONAL_STRING, _text)
_ANY_TEXT: Final = Typed(OPTIONAL_STRING, _any_text)
_ANY: Final = Typed(JSON, _json)
_SIMPLE: Final[Mapping[str, Typed]] = {
    "integer": Typed(OPTIONAL_INT64, _integer),
    "number": Typed(OPTIONAL_FLOAT64, _number),
    "boolean": Typed(OPTIONAL_BOOLEAN, _boolean),
    "string": _TEXT,
}
_FORMATS: Final[Mapping[object, Typed]] = {
    "date-time": Typed(_TIMESTAMP, _timestamp),
    "date": Typed(_DATE, _date),
}


def typed(described: object, name: str, *, with_times: bool, depth: int = 0) -> Typed:
    """What values of this JSON Schema are; `name` is a struct's. `with_times=False` leaves times texts."""
    if not isinstance(described, dict) or depth > _MAX_DEPTH:
        return _ANY
    choices = [
        each for key in ("anyOf", "oneOf") if isinstance(described.get(key), list) for each in described[key]
    ]
    if choices and "type" not in described:
        return _one_of(choices, name, with_times=with_times, depth=depth)
    kinds = _kinds(described)
    if len(kinds) != 1:
        if set(kinds) == {"integer", "number"}:
            return _SIMPLE["number"]
        return _ANY_TEXT if "string" in kinds else _ANY
    if kinds == ["string"]:
        if described.get("contentEncoding") == "base64":
            return Typed(OPTIONAL_BYTES, _bytes)
        form = described.get("format")
        return _FORMATS.get(form, _TEXT) if with_times and isinstance(form, str) else _TEXT
    if kinds == ["object"]:
        return _object(described, name, with_times=with_times, depth=depth)
    if kinds == ["array"]:
        return _array(described, name, with_times=with_times, depth=depth)
    return _SIMPLE.get(kinds[0], _ANY)


def _kinds(described: Described) -> list[str]:
    kind = described.get("type")
    if kind is None and isinstance(described.get("properties"), dict):
        kind = "object"
    listed = kind if isinstance(kind, list) else [kind]
    return [each for each in dict.fromkeys(listed) if isinstance(each, str) and each != "null"]


def _one_of(choices: Sequence[object], name: str, *, with_times: bool, depth: int) -> Typed:
    """The one that is not null; several texts are a text, several numbers a number, and others JSON."""
    real = [
        each for each in choices if not isinstance(each, dict) or each.get("type") not in ("null", ["null"])
    ]
    if len(real) == 1:
        return typed(real[0], name, with_times=with_times, depth=depth + 1)
    found = [typed(each, name, with_times=with_times, depth=depth + 1) for each in real]
    if found and all(isinstance(each, dict) and _kinds(each) == ["string"] for each in real):
        return _TEXT
    if found and all(each.schema.type in (Type.INT64, Type.FLOAT64) for each in found):
        return _SIMPLE["number"]
    return _ANY_TEXT if any(each.schema == OPTIONAL_STRING for each in found) else _ANY


def _array(described: Described, name: str, *, with_times: bool, depth: int) -> Typed:
    items = described.get("items")
    if not isinstance(items, dict) or not items:
        return _ANY
    element = typed(items, f"{name}.items", with_times=with_times, depth=depth + 1)

    def convert(value: object) -> list[Value]:
        if not isinstance(value, list):
            raise DataError(f"{_shown(value)} is no array")
        return [None if each is None else element.convert(each) for each in value]

    return Typed(Schema(Type.ARRAY, optional=True, value_schema=element.schema), convert)


def _object(described: Described, name: str, *, with_times: bool, depth: int, optional: bool = True) -> Typed:
    properties = described.get("properties")
    if not isinstance(properties, dict) or not properties or "" in properties:
        return _ANY
    if len(properties) > _MAX_FIELDS:
        raise DataError(f"{name} has {len(properties)} properties, {_MAX_FIELDS} are possible")
    fields = {
        str(key): typed(inner, f"{name}.{key}", with_times=with_times, depth=depth + 1)
        for key, inner in properties.items()
    }
    schema = Schema(
        Type.STRUCT,
        optional=optional,
        name=_UNNAMED.sub("_", name),
        fields=[(key, each.schema) for key, each in fields.items()],
    )
    parts = [(key, index, each.convert) for index, (key, each) in enumerate(fields.items())]

    def convert(value: object) -> Struct:
        if not isinstance(value, dict):
            raise DataError(f"{_shown(value)} is no object")
        struct = Struct(schema)
        values = struct.values
        for key, index, inner in parts:
            given = value.get(key)
            if given is not None:
                try:
                    values[index] = inner(given)
                except DataError as error:
                    raise DataError(f"{key}: {error}") from None
        return struct

    return Typed(schema, convert)


class StreamSchema:
    """What a SCHEMA message says: values of a stream's records, and their keys."""

    def __init__(self, stream: str, described: Described, keys: Sequence[str], *, with_times: bool) -> None:
        """DataError where it describes no object, or a key that it lacks."""
        self.described: Final = described
        self.keys: Final = tuple(keys)
        value = _object(described, stream, with_times=with_times, depth=0, optional=False)
        if value.schema.type is not Type.STRUCT:
            raise DataError(f"the schema of {stream} has no properties")
        self.value_schema: Final = value.schema
        self._convert = cast("Callable[[object], Struct]", value.convert)
        self._stream = stream
        lacking = [key for key in self.keys if key not in value.schema.by_name]
        if lacking:
            raise DataError(f"the schema of {stream} lacks its key: {', '.join(lacking)}")
        self.key_schema: Final = (
            Schema(
                Type.STRUCT,
                name=f"{self.value_schema.name}.Key",
                fields=[(key, value.schema.by_name[key].schema.replace(optional=False)) for key in self.keys],
            )
            if self.keys
            else None
        )
        self._unknown: dict[str, None] = {}

    def unknown(self, record: Mapping[str, object]) -> list[str]:
        """Names that the schema lacks, each told once: their values are not taken over."""
        known = self.value_schema.by_name
        if record.keys() <= known.keys():
            return []
        found = [each for each in record if each not in known and each not in self._unknown]
        self._unknown |= dict.fromkeys(found[: _MAX_FIELDS - len(self._unknown)])
        return found

    def value(self, record: Mapping[str, object]) -> Struct:
        """DataError that says where."""
        try:
            return self._convert(record)
        except DataError as error:
            raise DataError(f"a record of {self._stream} is not what its schema says: {error}") from None

    def key(self, value: Struct) -> Struct | None:
        """DataError where a part of it is null."""
        if self.key_schema is None:
            return None
        try:
            return Struct(self.key_schema, {key: value[key] for key in self.keys})
        except DataError as error:
            raise DataError(f"a record of {self._stream} has no key: {error}") from None
