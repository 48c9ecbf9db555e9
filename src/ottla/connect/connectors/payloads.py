"""Records' keys and values as what targets take: texts, bytes, JSON, fields by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from ottla.connect.converters.interface import ConverterType
from ottla.connect.converters.json import JsonConverter
from ottla.connect.data.schema import Schema, Struct, Value
from ottla.connect.data.texts import value_text
from ottla.connect.errors import DataError
from ottla.connect.records import ConnectRecord

__all__ = [
    "document_json",
    "document_of",
    "fields_of",
    "json_of",
    "key_text",
    "named",
    "parsed_json",
    "plain",
    "to_bytes",
]

_JSON: Final = JsonConverter(
    {"schemas.enable": "false", "decimal.format": "NUMERIC", "replace.null.with.default": "false"},
    ConverterType.VALUE,
)
_DOCUMENTS: Final = msgspec.json.Encoder(decimal_format="number")


def json_of(schema: Schema | None, value: Value) -> bytes:
    """As JSON in one line, without its schema. DataError for what JSON has not."""
    return _JSON.from_connect("", schema, value) or b"null"


def parsed_json(data: bytes) -> Value:
    """DataError for what is no JSON."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"it is no JSON: {error}") from None


def to_bytes(schema: Schema | None, value: Value) -> bytes:
    """Bytes and texts as they are, structs, maps and lists as JSON, anything else as text."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, Struct | dict | list):
        return json_of(schema, value)
    return (value_text(schema, value) or "").encode()


def key_text(record: ConnectRecord) -> str:
    """A record's key as text. DataError where it has none, or one of no single value that is text."""
    if record.key is None:
        raise DataError("the record has no key, which names its place in the target")
    try:
        return to_bytes(record.key_schema, record.key).decode()
    except UnicodeDecodeError:
        raise DataError("the record's key is no text") from None


def fields_of(schema: Schema | None, value: Value) -> Mapping[str, tuple[Schema | None, Value]]:
    """The fields of a struct, or the entries of a map, each with its schema. DataError for anything else."""
    if isinstance(value, Struct):
        return {
            field.name: (field.schema, one)
            for field, one in zip(value.schema.struct_fields, value.values, strict=True)
        }
    if isinstance(value, dict):
        inner = None if schema is None else schema.value_schema
        return {key if isinstance(key, str) else str(key): (inner, one) for key, one in value.items()}
    raise DataError(f"a struct or a map is needed, and this is {type(value).__name__}")


def plain(value: Value) -> Value:
    """Structs as dicts of their fields, all the way down; dates, times, decimals and bytes as they are."""
    if isinstance(value, Struct):
        pairs = zip(value.schema.struct_fields, value.values, strict=True)
        return {field.name: plain(one) for field, one in pairs}
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def document_of(record: ConnectRecord) -> dict[str, Value]:
    """A value's fields: of a struct or map, or of a text that is an object in JSON. DataError."""
    value = plain(record.value)
    if isinstance(value, str | bytes):
        value = parsed_json(to_bytes(None, value))
    if isinstance(value, dict):
        return value
    raise DataError("a document is an object: a struct, a map, or a text that is one in JSON")


def document_json(document: Mapping[str, Value]) -> bytes:
    """In one line, dates and times as ISO 8601 has them, decimals as numbers. DataError."""
    try:
        return _DOCUMENTS.encode(document)
    except (msgspec.EncodeError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"the document cannot be JSON: {error}") from None


def named(pattern: str, record: ConnectRecord, escaped: Callable[[str], str] = str) -> str:
    """`${topic}`, `${partition}` and `${key}` filled in. DataError where the key is needed and not there."""
    text = pattern.replace("${topic}", escaped(record.topic))
    text = text.replace("${partition}", str(record.partition or 0))
    return text.replace("${key}", escaped(key_text(record))) if "${key}" in text else text
