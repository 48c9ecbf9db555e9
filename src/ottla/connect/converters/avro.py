"""Avro whose schemas a registry has: Confluent's `io.confluent.connect.avro.AvroConverter`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, NamedTuple
from uuid import UUID

from ottla.client.errors import ClientError
from ottla.client.values.avro.schema import parse
from ottla.client.values.registry import Registered, Registry
from ottla.client.values.registry import Schema as RegisteredSchema
from ottla.connect.converters.avro_reading import AvroReading, avro_reading
from ottla.connect.converters.avro_schemas import avro_text, record_name
from ottla.connect.converters.avro_writing import avro_writer
from ottla.connect.converters.framing import RegistryConverter, registry_config
from ottla.connect.converters.interface import NULL, ConverterType, converter_config
from ottla.connect.data.remembered import Remembered
from ottla.connect.data.schema import Schema, SchemaAndValue, Value
from ottla.connect.data.values import infer_schema
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import DataError
from ottla.connect.records import ConnectHeaders

__all__ = ["AvroConverter"]


class _Writing(NamedTuple):
    record: str | None
    found: Registered
    write: Callable[[Value], bytes]


def _config() -> ConfigDef:
    return ConfigDef(
        [
            *converter_config().keys.values(),
            *registry_config()
            .define("connect.meta.data", ConfigType.BOOLEAN, True, Importance.LOW,
                    "Whether Avro's schemas say what else Connect's do: names, versions, parameters.")
            .define("schemas.cache.config", ConfigType.INT, 1000, Importance.LOW,
                    "How many schemas are remembered.")
            .keys.values(),
        ]
    )  # fmt: skip


class AvroConverter(RegistryConverter):
    """Values in Avro. A value without a schema gets the one that it seems to have."""

    CONFIG: ClassVar = _config()
    KIND = "AVRO"

    def __init__(
        self, settings: Mapping[str, str], kind: ConverterType, registry: Registry | None = None
    ) -> None:
        """Raises ConfigError."""
        super().__init__(settings, kind, registry)
        most = self.settings.integer("schemas.cache.config")
        self._readings: Final = Remembered(self._reading, most)
        self._writings: Final = Remembered(self._writing, most)

    def from_connect(
        self, topic: str, schema: Schema | None, value: Value, headers: ConnectHeaders | None = None
    ) -> bytes | None:
        if value is None and (schema is None or schema.optional):
            return None
        if schema is None:
            schema = infer_schema(value)
            if schema is None:
                raise DataError(
                    f"a {type(value).__name__} without a schema, or one that it would have in Avro"
                )
        writing = self._writings[topic, schema]
        if self.is_outdated(topic, writing.record, writing.found):
            self._writings.forget((topic, schema))
            writing = self._writings[topic, schema]
        return self.framed(writing.found, writing.write(value), headers)

    def to_connect(
        self, topic: str, data: bytes | None, headers: ConnectHeaders | None = None
    ) -> SchemaAndValue:
        if data is None:
            return NULL
        schema_id, _, payload = self.unframed(data, headers)
        reading = self._readings[schema_id]
        return SchemaAndValue(reading.schema, reading.value(payload))

    def _writing(self, given: tuple[str, Schema]) -> _Writing:
        """Of values of a schema in a topic."""
        topic, schema = given
        text = avro_text(schema, metadata=self.settings.boolean("connect.meta.data"))
        record = record_name(schema)
        found = self.registered(topic, record, text)
        _check(found.schema)
        return _Writing(record, found, avro_writer(schema, found.schema.text, found.schema.resolved))

    def _reading(self, schema_id: int | UUID) -> AvroReading:
        schema = self.schema_of(schema_id)
        _check(schema)
        return avro_reading(schema.text, schema.resolved)


def _check(schema: RegisteredSchema) -> None:
    """Raises DataError for what is no Avro schema, within bounds."""
    try:
        parse(schema.text, schema.resolved)
    except ClientError as error:
        raise DataError(f"the registry's schema is none of Avro's: {error}") from error
