"""Protobuf whose schemas a registry has: Confluent's `io.confluent.connect.protobuf.ProtobufConverter`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, NamedTuple
from uuid import UUID

from ottla.client.errors import ClientError
from ottla.client.values.protobuf.schema import messages_of, read_indexes, written_indexes
from ottla.client.values.registry import Registered, Registry
from ottla.connect.converters.framing import RegistryConverter, registry_config
from ottla.connect.converters.interface import NULL, ConverterType, converter_config
from ottla.connect.converters.protobuf_reading import ProtobufReading, protobuf_reading
from ottla.connect.converters.protobuf_schemas import ProtobufRules, proto_file, root_name
from ottla.connect.converters.protobuf_writing import protobuf_writer
from ottla.connect.data.remembered import Remembered
from ottla.connect.data.schema import Schema, SchemaAndValue, Value
from ottla.connect.data.values import infer_schema
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import DataError
from ottla.connect.records import ConnectHeaders

__all__ = ["ProtobufConverter"]

_SWITCHES: Final = (
    ("enhanced.protobuf.schema.support", False, "Whether schemas read from Protobuf have their packages."),
    (
        "scrub.invalid.names",
        False,
        "Whether names that Protobuf cannot have are changed, instead of refused.",
    ),
    ("int.for.enums", False, "Whether enums are read as integers."),
    ("optional.for.nullables", False, "Whether fields that may be null are `optional`."),
    ("optional.for.proto2", True, "Whether proto2's optional fields are read as null where they are absent."),
    ("wrapper.for.nullables", False, "Whether fields that may be null are messages such as `Int32Value`."),
    ("wrapper.for.raw.primitives", True, "Whether such a message alone is read as the value in it."),
    ("generate.struct.for.nulls", False, "Whether absent messages are read as structs of defaults."),
    ("generate.index.for.unions", True, "Whether a oneof's field is called by its name and its index."),
    ("flatten.unions", False, "Whether a oneof's fields are those of its message."),
    (
        "ignore.default.for.nullables",
        False,
        "Whether a null is written as one where its field has a default.",
    ),
)
"""In the order of `ProtobufRules`"""


class _Writing(NamedTuple):
    record: str | None
    found: Registered
    indexes: bytes
    write: Callable[[Value], bytes]


def _config() -> ConfigDef:
    definition = registry_config()
    for name, default, doc in _SWITCHES:
        definition.define(name, ConfigType.BOOLEAN, default, Importance.MEDIUM, doc)
    definition.define(
        "schemas.cache.config", ConfigType.INT, 1000, Importance.LOW, "How many schemas are remembered."
    )
    return ConfigDef([*converter_config().keys.values(), *definition.keys.values()])


class ProtobufConverter(RegistryConverter):
    """Values in Protobuf. A value without a schema gets the one that it seems to have."""

    CONFIG: ClassVar = _config()
    KIND = "PROTOBUF"

    def __init__(
        self, settings: Mapping[str, str], kind: ConverterType, registry: Registry | None = None
    ) -> None:
        """Raises ConfigError."""
        super().__init__(settings, kind, registry)
        self._rules: Final = ProtobufRules(*(self.settings.boolean(name) for name, *_ in _SWITCHES))
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
                raise DataError(f"a {type(value).__name__} without a schema has none in Protobuf")
        writing = self._writings[topic, schema]
        if self.is_outdated(topic, writing.record, writing.found):
            self._writings.forget((topic, schema))
            writing = self._writings[topic, schema]
        return self.framed(writing.found, writing.write(value), headers, writing.indexes)

    def to_connect(
        self, topic: str, data: bytes | None, headers: ConnectHeaders | None = None
    ) -> SchemaAndValue:
        if data is None:
            return NULL
        schema_id, told, payload = self.unframed(data, headers)
        if told:
            indexes, _ = read_indexes(told)
        else:
            indexes, at = read_indexes(bytes(payload[:1024]))
            payload = payload[at:]
        reading = self._readings[schema_id, indexes]
        return SchemaAndValue(reading.schema, reading.read(payload))

    def _writing(self, given: tuple[str, Schema]) -> _Writing:
        """Of values of a schema in a topic."""
        topic, schema = given
        name = root_name(schema, self._rules)
        found = self.registered(topic, name, proto_file(schema, self._rules))
        try:
            messages = messages_of(found.schema.text, found.schema.resolved)
            indexes = messages.find(name) or (0,)  # the latest version may call its message otherwise
            message = messages.at(indexes)
        except ClientError as error:
            raise DataError(f"the registry's schema is none of Protobuf's: {error}") from None
        write = protobuf_writer(schema, message, self._rules)
        return _Writing(name, found, written_indexes(indexes), write)

    def _reading(self, given: tuple[int | UUID, tuple[int, ...]]) -> ProtobufReading:
        """Of a message of a schema."""
        schema_id, indexes = given
        schema = self.schema_of(schema_id)
        try:
            message = messages_of(schema.text, schema.resolved).at(indexes)
        except ClientError as error:
            raise DataError(f"the value of schema {schema_id} cannot be read: {error}") from None
        return protobuf_reading(message, self._rules)
