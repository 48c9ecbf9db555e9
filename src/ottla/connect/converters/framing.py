"""What converters share whose schemas a registry has: its client, subjects, and values' frames."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import ClassVar, Final, cast
from uuid import UUID

from ottla.client.errors import ClientError
from ottla.client.schema_registry import SchemaRegistry
from ottla.client.values.registry import (
    HEADERS,
    Part,
    Registered,
    Registry,
    RegistryError,
    SchemaKind,
    SubjectNames,
    frame,
    header_of,
    subject_of,
)
from ottla.client.values.registry import Schema as RegisteredSchema
from ottla.connect.converters.interface import Converter, ConverterType
from ottla.connect.data.schemas import BYTES
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, DataError, RetriableError
from ottla.connect.records import ConnectHeaders, Header

__all__ = ["RegistryConverter", "registry_config"]

_FRAME: Final = Struct(">bI")
_STRATEGIES: Final[Mapping[str, SubjectNames]] = {
    "TopicNameStrategy": "topic",
    "RecordNameStrategy": "record",
    "TopicRecordNameStrategy": "topic-record",
}
_IDS_IN_HEADERS: Final = "HeaderSchemaIdSerializer"


def registry_config() -> ConfigDef:
    """The settings of all of them, by Confluent's names."""
    definition = (
        ConfigDef()
        .define("schema.registry.url", ConfigType.LIST, REQUIRED, Importance.HIGH,
                "The registry's URLs, instances of one registry.")
        .define("auto.register.schemas", ConfigType.BOOLEAN, True, Importance.MEDIUM,
                "Whether schemas that are not in the registry are registered.")
        .define("use.latest.version", ConfigType.BOOLEAN, False, Importance.LOW,
                "Whether values are written in the subject's latest schema instead of their own.")
        .define("normalize.schemas", ConfigType.BOOLEAN, False, Importance.MEDIUM,
                "Whether the registry normalizes schemas before it compares them.")
    )  # fmt: skip
    for part in ("key", "value"):
        definition.define(
            f"{part}.subject.name.strategy",
            ConfigType.STRING,
            "TopicNameStrategy",
            Importance.MEDIUM,
            f"What the schemas of {part}s are registered under: TopicNameStrategy, RecordNameStrategy or "
            "TopicRecordNameStrategy, also as Confluent's class.",
        )
        definition.define(
            f"{part}.schema.id.serializer",
            ConfigType.STRING,
            "",
            Importance.LOW,
            f"HeaderSchemaIdSerializer (also as Confluent's class) puts the GUIDs of the schemas of {part}s "
            "into a header, instead of their ids in front of the values.",
        )
    return _define_access(definition)


def _define_access(definition: ConfigDef) -> ConfigDef:
    """Who asks the registry, and over what."""
    files = {"ca": "The certificates that are trusted", "certificate": "The client's certificate"}
    for name, what in {**files, "key": "The client's key"}.items():
        setting = f"schema.registry.ssl.{name}.location"
        definition.define(setting, ConfigType.STRING, None, Importance.LOW, f"{what}, a file in PEM.")
    return (
        definition
        .define("schema.registry.ssl.key.password", ConfigType.PASSWORD, None, Importance.LOW,
                "That of the client's key.")
        .define("basic.auth.user.info", ConfigType.PASSWORD, None, Importance.MEDIUM, "`user:password`.")
        .define("bearer.auth.token", ConfigType.PASSWORD, None, Importance.MEDIUM,
                "A token instead of a user.")
    )  # fmt: skip


def _strategy(name: str) -> SubjectNames:
    short = name.rpartition(".")[2]
    if short not in _STRATEGIES:
        raise ConfigError(f"there is no subject name strategy {name}; there are {', '.join(_STRATEGIES)}")
    return _STRATEGIES[short]


class RegistryConverter(Converter):
    """Values behind Confluent's frame: the byte 0, the schema's id, the payload."""

    KIND: ClassVar[SchemaKind]

    def __init__(
        self, settings: Mapping[str, str], kind: ConverterType, registry: Registry | None = None
    ) -> None:
        """`registry` stands in for the one that the settings name. Raises ConfigError."""
        super().__init__(settings, kind)
        self._part: Final[Part] = "key" if kind is ConverterType.KEY else "value"
        self._subjects: Final = _strategy(self.settings.string(f"{self._part}.subject.name.strategy"))
        ids = self.settings.string(f"{self._part}.schema.id.serializer").rpartition(".")[2]
        self._in_headers: Final = ids == _IDS_IN_HEADERS
        self._follows_latest: Final = self.settings.boolean("use.latest.version")
        self._registry: Final = registry or self._client()

    def _client(self) -> Registry:
        settings = self.settings
        user, token = settings.secret("basic.auth.user.info"), settings.secret("bearer.auth.token")
        password = settings.secret("schema.registry.ssl.key.password")
        try:
            return SchemaRegistry(
                settings.list("schema.registry.url"),
                basic_auth_user_info=None if user is None else user.value,
                bearer_auth_token=None if token is None else token.value,
                ssl_ca_location=settings.optional_string("schema.registry.ssl.ca.location"),
                ssl_certificate_location=settings.optional_string("schema.registry.ssl.certificate.location"),
                ssl_key_location=settings.optional_string("schema.registry.ssl.key.location"),
                ssl_key_password=None if password is None else password.value,
            )
        except (ClientError, ValueError) as error:
            raise ConfigError(str(error)) from error

    def registered(self, topic: str, record: str | None, text: str) -> Registered:
        """The schema to write with, and what the registry calls it. Raises RetriableError if none answers."""
        try:
            subject = subject_of(self._subjects, topic, self._part, record)
            normalize = self.settings.boolean("normalize.schemas")
            schema = RegisteredSchema(self.KIND, text)
            if self._follows_latest:
                found = self._registry.latest(subject)
            elif self.settings.boolean("auto.register.schemas"):
                found = self._registry.register(subject, schema, normalize=normalize)
            else:
                found = self._registry.lookup(subject, schema, normalize=normalize)
            if self._in_headers and found.guid is None:
                found = self._registry.lookup(subject, found.schema, normalize=normalize)
        except RegistryError as error:
            raise _failed(f"the schema of {topic}'s {self._part} cannot be had", error) from error
        except ClientError as error:
            raise DataError(str(error)) from error
        if found.schema.kind != self.KIND:
            raise DataError(f"the latest schema of {subject} is of type {found.schema.kind}, not {self.KIND}")
        return found

    def is_outdated(self, topic: str, record: str | None, found: Registered) -> bool:
        """Whether the latest schema is to be written with, and is another by now: the client asks seldom."""
        return self._follows_latest and self.registered(topic, record, found.schema.text) != found

    def framed(
        self, found: Registered, payload: bytes, headers: ConnectHeaders | None, indexes: bytes = b""
    ) -> bytes:
        """The payload behind its schema's id, or with the GUID in a header. `indexes`: those of a Protobuf
        message, which stand behind either.
        """
        if self._in_headers and headers is not None and found.guid is not None:
            name = HEADERS[self._part].decode()
            headers.remove(name)
            headers.append(Header(name, BYTES, header_of(found.guid, indexes)))
            return payload
        return frame(found.id) + indexes + payload

    def unframed(self, data: bytes, headers: ConnectHeaders | None) -> tuple[int | UUID, bytes, memoryview]:
        """The schema's id or GUID, what stands behind it in a header, and the payload. Raises DataError for
        what is not framed.
        """
        told = None if headers is None else headers.last_with_name(HEADERS[self._part].decode())
        said = told.value if told is not None else None
        if isinstance(said, bytes) and said[:1] == b"\1" and len(said) >= 17:
            return UUID(bytes=said[1:17]), said[17:], memoryview(data)
        if len(data) < _FRAME.size or data[0] != 0:
            raise DataError("Unknown magic byte!" if data else "a value of no bytes has no schema")
        return cast("int", _FRAME.unpack_from(data)[1]), b"", memoryview(data)[_FRAME.size :]

    def schema_of(self, schema_id: int | UUID) -> RegisteredSchema:
        """By id or GUID. Raises DataError where there is none, RetriableError where no registry answers."""
        try:
            schema = self._registry.schema(schema_id)
        except RegistryError as error:
            raise _failed(f"the schema {schema_id} cannot be had", error) from error
        except ClientError as error:
            raise DataError(str(error)) from error
        if schema.kind != self.KIND:
            raise DataError(f"the schema {schema_id} is of type {schema.kind}, not {self.KIND}")
        return schema


def _failed(what: str, error: RegistryError) -> DataError | RetriableError:
    """A registry that is not there may be there soon; one that refuses will refuse again."""
    text = f"{what}: {error}"
    return (
        DataError(text)
        if 400 <= error.status < 500 and error.status not in (408, 429)
        else RetriableError(text)
    )
