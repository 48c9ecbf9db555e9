"""Texts, bytes, numbers and booleans, each value by itself: the converters that need no schema."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Mapping
from typing import ClassVar, Final

from ottla.connect.converters.interface import ConverterType, ValueConverter, converter_config
from ottla.connect.data.schema import RANGES, Schema, SchemaAndValue, Type, Value
from ottla.connect.data.schemas import (
    OPTIONAL_BOOLEAN,
    OPTIONAL_BYTES,
    OPTIONAL_FLOAT32,
    OPTIONAL_FLOAT64,
    OPTIONAL_INT16,
    OPTIONAL_INT32,
    OPTIONAL_INT64,
    OPTIONAL_STRING,
)
from ottla.connect.data.texts import printed
from ottla.connect.definition import ConfigType, Importance, Width
from ottla.connect.errors import ConfigError, DataError
from ottla.connect.records import ConnectHeaders

__all__ = [
    "BooleanConverter",
    "ByteArrayConverter",
    "DoubleConverter",
    "FloatConverter",
    "IntegerConverter",
    "LongConverter",
    "ShortConverter",
    "StringConverter",
]


class ByteArrayConverter(ValueConverter):
    """Bytes as they are."""

    def from_connect(
        self, topic: str, schema: Schema | None, value: Value, headers: ConnectHeaders | None = None
    ) -> bytes | None:
        if schema is not None and schema.type is not Type.BYTES:
            raise DataError(f"Invalid schema type for ByteArrayConverter: {schema.type}")
        if value is not None and not isinstance(value, bytes):
            raise DataError(
                f"ByteArrayConverter is not compatible with objects of type {type(value).__name__}"
            )
        return value

    def to_connect(
        self, topic: str, data: bytes | None, headers: ConnectHeaders | None = None
    ) -> SchemaAndValue:
        return SchemaAndValue(OPTIONAL_BYTES, data)


class StringConverter(ValueConverter):
    """Texts in an encoding; whatever is none is printed."""

    CONFIG: ClassVar = converter_config().define(
        "converter.encoding",
        ConfigType.STRING,
        "UTF-8",
        Importance.HIGH,
        "The character set of the texts.",
        width=Width.MEDIUM,
        display_name="Encoding",
    )

    def __init__(self, settings: Mapping[str, str], kind: ConverterType) -> None:
        """Raises ConfigError for an encoding that there is none of."""
        super().__init__(settings, kind)
        self._encoding: Final = self.settings.string("converter.encoding")
        try:
            codecs.lookup(self._encoding)
        except LookupError:
            raise ConfigError(f"converter.encoding: there is no character set {self._encoding!r}") from None

    def from_connect(
        self, topic: str, schema: Schema | None, value: Value, headers: ConnectHeaders | None = None
    ) -> bytes | None:
        if value is None:
            return None
        text = value if isinstance(value, str) else printed(schema, value)
        return text.encode(self._encoding, "replace")

    def to_connect(
        self, topic: str, data: bytes | None, headers: ConnectHeaders | None = None
    ) -> SchemaAndValue:
        text = None if data is None else data.decode(self._encoding, "replace")
        return SchemaAndValue(OPTIONAL_STRING, text)


class _NumberConverter(ValueConverter):
    NAME: ClassVar[str]
    SCHEMA: ClassVar[Schema]
    FORMAT: ClassVar[struct.Struct]

    def from_connect(
        self, topic: str, schema: Schema | None, value: Value, headers: ConnectHeaders | None = None
    ) -> bytes | None:
        if value is None:
            return None
        expected = float if self.SCHEMA.type not in RANGES else int
        fits = isinstance(value, expected) and not isinstance(value, bool)
        wrong_schema = schema is not None and schema.type is not self.SCHEMA.type
        if wrong_schema or not fits or (expected is int and value not in RANGES[self.SCHEMA.type]):
            raise DataError(
                f"Failed to serialize to {self.NAME} (was {type(value).__name__}): {printed(schema, value)}"
            )
        try:
            return self.FORMAT.pack(value)
        except OverflowError as error:
            raise DataError(f"Failed to serialize to {self.NAME}: {error}") from error

    def to_connect(
        self, topic: str, data: bytes | None, headers: ConnectHeaders | None = None
    ) -> SchemaAndValue:
        if data is None:
            return SchemaAndValue(self.SCHEMA, None)
        if len(data) != self.FORMAT.size:
            raise DataError(f"Failed to deserialize {self.NAME}: {len(data)} bytes, not {self.FORMAT.size}")
        return SchemaAndValue(self.SCHEMA, self.FORMAT.unpack(data)[0])


class DoubleConverter(_NumberConverter):
    """FLOAT64 as eight bytes."""

    NAME, SCHEMA, FORMAT = "double", OPTIONAL_FLOAT64, struct.Struct(">d")


class FloatConverter(_NumberConverter):
    """FLOAT32 as four bytes."""

    NAME, SCHEMA, FORMAT = "float", OPTIONAL_FLOAT32, struct.Struct(">f")


class IntegerConverter(_NumberConverter):
    """INT32 as four bytes."""

    NAME, SCHEMA, FORMAT = "integer", OPTIONAL_INT32, struct.Struct(">i")


class LongConverter(_NumberConverter):
    """INT64 as eight bytes."""

    NAME, SCHEMA, FORMAT = "long", OPTIONAL_INT64, struct.Struct(">q")


class ShortConverter(_NumberConverter):
    """INT16 as two bytes."""

    NAME, SCHEMA, FORMAT = "short", OPTIONAL_INT16, struct.Struct(">h")


class BooleanConverter(ValueConverter):
    """Booleans as one byte."""

    def from_connect(
        self, topic: str, schema: Schema | None, value: Value, headers: ConnectHeaders | None = None
    ) -> bytes | None:
        if schema is not None and schema.type is not Type.BOOLEAN:
            raise DataError(f"Invalid schema type for BooleanConverter: {schema.type}")
        if value is None:
            return None
        if not isinstance(value, bool):
            raise DataError(f"BooleanConverter is not compatible with objects of type {type(value).__name__}")
        return b"\1" if value else b"\0"

    def to_connect(
        self, topic: str, data: bytes | None, headers: ConnectHeaders | None = None
    ) -> SchemaAndValue:
        if data not in (None, b"\0", b"\1"):
            raise DataError("Failed to deserialize boolean: it is one byte, 0 or 1")
        return SchemaAndValue(OPTIONAL_BOOLEAN, None if data is None else data == b"\1")
