"""JSON whose schemas a registry has: Confluent's `io.confluent.connect.json.JsonSchemaConverter`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Final, NamedTuple
from uuid import UUID

import msgspec

from ottla.client.values.registry import Registered, Registry
from ottla.connect.converters.framing import RegistryConverter, registry_config
from ottla.connect.converters.interface import NULL, ConverterType, converter_config
from ottla.connect.converters.json_schema_reading import JsonSchemaRules, read_json_schema
from ottla.connect.converters.json_schema_writing import ONE_OF, json_schema_of
from ottla.connect.converters.json_values import (
    DecimalFormat,
    JsonRules,
    Reader,
    Writer,
    has_decimals,
    reader,
    writer,
)
from ottla.connect.data.remembered import Remembered
from ottla.connect.data.schema import Schema, SchemaAndValue, Type, Value
from ottla.connect.data.values import infer_schema
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import DataError
from ottla.connect.records import ConnectHeaders
from ottla.connect.validators import OneOfIgnoringCase

__all__ = ["JsonSchemaConverter"]


class _Writing(NamedTuple):
    record: str | None
    found: Registered
    write: Writer


class _Reading(NamedTuple):
    schema: Schema
    read: Reader
    decoder: msgspec.json.Decoder[object]


def _config() -> ConfigDef:
    definition = (
        registry_config()
        .define("object.additional.properties", ConfigType.BOOLEAN, True, Importance.MEDIUM,
                "Whether objects may have properties that their schema does not tell of.")
        .define("use.optional.for.nonrequired", ConfigType.BOOLEAN, False, Importance.MEDIUM,
                "Whether properties that are not `required` are read as optional fields.")
        .define("decimal.format", ConfigType.STRING, "BASE64", Importance.LOW,
                "How decimals are written: BASE64, or NUMERIC for JSON's numbers.",
                validator=OneOfIgnoringCase("BASE64", "NUMERIC"))
        .define("flatten.singleton.unions", ConfigType.BOOLEAN, True, Importance.LOW,
                "Whether a oneOf of one schema is read as that schema.")
        .define("ignore.default.for.nullables", ConfigType.BOOLEAN, False, Importance.MEDIUM,
                "Whether a null is written as one where its field has a default.")
        .define("schemas.cache.config", ConfigType.INT, 1000, Importance.LOW,
                "How many schemas are remembered.")
    )  # fmt: skip
    return ConfigDef([*converter_config().keys.values(), *definition.keys.values()])


class JsonSchemaConverter(RegistryConverter):
    """Values in JSON. A value without a schema gets the one that it seems to have."""

    CONFIG: ClassVar = _config()
    KIND = "JSON"

    def __init__(
        self, settings: Mapping[str, str], kind: ConverterType, registry: Registry | None = None
    ) -> None:
        """Raises ConfigError."""
        super().__init__(settings, kind, registry)
        values = JsonRules(
            DecimalFormat(self.settings.string("decimal.format").upper()),
            not self.settings.boolean("ignore.default.for.nullables"),
            union=ONE_OF,
        )
        self._rules: Final = JsonSchemaRules(
            values,
            self.settings.boolean("use.optional.for.nonrequired"),
            self.settings.boolean("flatten.singleton.unions"),
        )
        most = self.settings.integer("schemas.cache.config")
        self._encoder: Final = msgspec.json.Encoder(decimal_format="number")
        self._readings: Final = Remembered(self._reading, most)
        self._writings: Final = Remembered(self._writing, most)

    def from_connect(
        self, topic: str, schema: Schema | None, value: Value, headers: ConnectHeaders | None = None
    ) -> bytes | None:
        if schema is None:
            if value is None:
                return None
            schema = infer_schema(value)
            if schema is None:
                raise DataError(f"a {type(value).__name__} without a schema has none in JSON Schema")
        writing = self._writings[topic, schema]
        if self.is_outdated(topic, writing.record, writing.found):
            self._writings.forget((topic, schema))
            writing = self._writings[topic, schema]
        try:
            payload = self._encoder.encode(writing.write(value))
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(f"a value cannot be written as JSON: {error}") from None
        return self.framed(writing.found, payload, headers)

    def to_connect(
        self, topic: str, data: bytes | None, headers: ConnectHeaders | None = None
    ) -> SchemaAndValue:
        if data is None:
            return NULL
        schema_id, _, payload = self.unframed(data, headers)
        reading = self._readings[schema_id]
        try:
            value = reading.decoder.decode(payload)
        except (ValueError, RecursionError) as error:
            raise DataError(f"a value that is no JSON: {error}") from None
        return SchemaAndValue(reading.schema, reading.read(value))

    def _writing(self, given: tuple[str, Schema]) -> _Writing:
        """Of values of a schema in a topic."""
        topic, schema = given
        additional = self.settings.boolean("object.additional.properties")
        described = json_schema_of(schema, self._rules.values, additional=additional)
        text = self._encoder.encode(described).decode()
        record = schema.name if schema.type is Type.STRUCT else None
        found = self.registered(topic, record, text)
        return _Writing(record, found, writer(schema, self._rules.values))

    def _reading(self, schema_id: int | UUID) -> _Reading:
        registered = self.schema_of(schema_id)
        schema = read_json_schema(registered.text, registered.resolved, self._rules)
        decoder: msgspec.json.Decoder[object] = (
            msgspec.json.Decoder(float_hook=Decimal) if has_decimals(schema) else msgspec.json.Decoder()
        )
        return _Reading(schema, reader(schema, self._rules.values), decoder)
