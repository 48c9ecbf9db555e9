"""JSON, with the schema beside each value or without: Kafka's JsonConverter."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Final, NamedTuple

import msgspec

from ottla.connect.converters.interface import NULL, ConverterType, ValueConverter, converter_config
from ottla.connect.converters.json_schemas import Json, schema_from_json, schema_to_json
from ottla.connect.converters.json_values import (
    DecimalFormat,
    JsonRules,
    Reader,
    Writer,
    has_decimals,
    reader,
    schemaless_to_json,
    writer,
)
from ottla.connect.data.remembered import Remembered
from ottla.connect.data.schema import Schema, SchemaAndValue, Value
from ottla.connect.definition import ConfigType, Importance, Width
from ottla.connect.errors import DataError
from ottla.connect.records import ConnectHeaders
from ottla.connect.validators import OneOfIgnoringCase

__all__ = ["JsonConverter"]

_MAX_CACHED_SCHEMA: Final = 64 * 1024
"""Bytes; a longer schema is read each time, so that records cannot fill the memory with them."""


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    schema: msgspec.Raw
    payload: msgspec.Raw


class _Known(NamedTuple):
    """A schema from records, with what reads its values."""

    schema: Schema | None
    read: Reader
    decimals: bool


class _Written(NamedTuple):
    """A schema's JSON, with what writes its values."""

    text: bytes
    write: Writer


class JsonConverter(ValueConverter):
    """Values as JSON: `{"schema": ..., "payload": ...}`, or with `schemas.enable=false` the payload alone."""

    CONFIG: ClassVar = (
        converter_config()
        .define("schemas.enable", ConfigType.BOOLEAN, True, Importance.HIGH,
                "Whether each value has its schema beside it.",
                group="Schemas", order=0, width=Width.MEDIUM, display_name="Enable Schemas")
        .define("schemas.cache.size", ConfigType.INT, 1000, Importance.HIGH,
                "How many schemas are remembered.",
                group="Schemas", order=1, width=Width.MEDIUM, display_name="Schema Cache Size")
        .define("schema.content", ConfigType.STRING, None, Importance.HIGH,
                "A schema for all values that a sink reads, which then come without one; "
                "needs `schemas.enable`.",
                group="Schemas", order=2, width=Width.MEDIUM, display_name="Schema Content")
        .define("decimal.format", ConfigType.STRING, "BASE64", Importance.LOW,
                "How decimals are written: BASE64, or NUMERIC for JSON's numbers.",
                validator=OneOfIgnoringCase("BASE64", "NUMERIC"),
                group="Serialization", order=0, width=Width.MEDIUM, display_name="Decimal Format")
        .define("replace.null.with.default", ConfigType.BOOLEAN, True, Importance.LOW,
                "Whether a null becomes the default of its field, where that has one.",
                group="Serialization", order=1, width=Width.MEDIUM, display_name="Replace null with default")
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, str], kind: ConverterType) -> None:
        """Raises ConfigError, and DataError for a `schema.content` that is no schema."""
        super().__init__(settings, kind)
        self._schemas_enabled: Final = self.settings.boolean("schemas.enable")
        self._rules: Final = JsonRules(
            DecimalFormat(self.settings.string("decimal.format").upper()),
            self.settings.boolean("replace.null.with.default"),
        )
        self._encoder: Final = msgspec.json.Encoder(decimal_format="number")
        self._decoder: Final = msgspec.json.Decoder()
        self._exact_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)
        self._envelope_decoder: Final = msgspec.json.Decoder(_Envelope)
        most = self.settings.integer("schemas.cache.size")
        self._known: Final = Remembered(self._known_schema, most)
        self._written: Final = Remembered(self._writing, most)
        content = self.settings.optional_string("schema.content")
        self._content: Final = self._known_schema(content.encode()) if content else None

    def from_connect(
        self, topic: str, schema: Schema | None, value: Value, headers: ConnectHeaders | None = None
    ) -> bytes | None:
        if schema is None:
            if value is None:
                return None
            payload = self._encoded(schemaless_to_json(value))
            return b'{"schema":null,"payload":%b}' % payload if self._schemas_enabled else payload
        written = self._written[schema]
        payload = self._encoded(written.write(value))
        return b'{"schema":%b,"payload":%b}' % (written.text, payload) if self._schemas_enabled else payload

    def to_connect(
        self, topic: str, data: bytes | None, headers: ConnectHeaders | None = None
    ) -> SchemaAndValue:
        if data is None:
            return NULL
        try:
            data = data.removeprefix(codecs.BOM_UTF8)
            if not self._schemas_enabled:
                return SchemaAndValue(None, self._decoder.decode(data) if data.strip() else None)
            if self._content is not None:
                return self._read(self._content, data)
            try:
                envelope = self._envelope_decoder.decode(data)
            except msgspec.ValidationError as error:
                raise DataError(
                    'JsonConverter with schemas.enable requires "schema" and "payload" fields and may not '
                    "contain additional fields. If you are trying to deserialize plain JSON data, set "
                    "schemas.enable=false in your converter configuration."
                ) from error
            text = bytes(envelope.schema)
            is_small = len(text) <= _MAX_CACHED_SCHEMA
            return self._read(self._known[text] if is_small else self._known_schema(text), envelope.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(
                f"Converting byte[] to Kafka Connect data failed due to serialization error: {error}"
            ) from error

    def _read(self, known: _Known, payload: bytes | msgspec.Raw) -> SchemaAndValue:
        decoder = self._exact_decoder if known.decimals else self._decoder
        return SchemaAndValue(known.schema, known.read(decoder.decode(payload)))

    def _known_schema(self, text: bytes) -> _Known:
        schema = schema_from_json(self._exact_decoder.decode(text), self._read_default)
        if schema is None:
            return _Known(None, lambda value: value, decimals=False)
        return _Known(schema, reader(schema, self._rules), has_decimals(schema))

    def _writing(self, schema: Schema) -> _Written:
        text = self._encoded(schema_to_json(schema, self._write_default))
        return _Written(text, writer(schema, self._rules))

    def _read_default(self, schema: Schema, default: Json) -> Value:
        return reader(schema, self._rules)(default)

    def _write_default(self, schema: Schema, default: Value) -> Json:
        return writer(schema, self._rules)(default)

    def _encoded(self, json: Json) -> bytes:
        try:
            return self._encoder.encode(json)
        except (msgspec.EncodeError, TypeError, ValueError, RecursionError) as error:
            raise DataError(
                f"Converting Kafka Connect data to byte[] failed due to serialization error: {error}"
            ) from error
