"""Keys and values of `_schemas`, in the JSON that Confluent's registry writes.

A key is compared by its bytes when the topic is compacted, so a key that is written here has the bytes that
it has there. Fields that are not known are passed over, in keys as in values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from ottla.http.fields import FieldError, Fields, dump, load
from ottla.registry.state.metadata import Metadata, RuleSet, read_metadata, read_rule_set
from ottla.schemas.schema import SchemaType


class Mode(StrEnum):
    """What may be done to a subject. FORWARD is of Confluent's exporters and is kept only."""

    READWRITE = "READWRITE"
    READONLY = "READONLY"
    READONLY_OVERRIDE = "READONLY_OVERRIDE"
    IMPORT = "IMPORT"
    FORWARD = "FORWARD"


READ_ONLY: Final = (Mode.READONLY, Mode.READONLY_OVERRIDE)
IMPORTING: Final = (Mode.IMPORT, Mode.FORWARD)


# Keys.


@dataclass(frozen=True, slots=True)
class SchemaKey:
    """One version of a subject."""

    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """None for all subjects, as for `ModeKey`."""

    subject: str | None


@dataclass(frozen=True, slots=True)
class ModeKey:
    subject: str | None


@dataclass(frozen=True, slots=True)
class DeleteSubjectKey:
    """Versions up to one are deleted, softly."""

    subject: str


@dataclass(frozen=True, slots=True)
class ClearSubjectKey:
    """What was deleted softly is gone before an import; a subject, a context, or None for everything."""

    subject: str | None


@dataclass(frozen=True, slots=True)
class ContextKey:
    """A context other than the default one has subjects, or had."""

    context: str


@dataclass(frozen=True, slots=True)
class NoopKey:
    """Means nothing to Confluent's registry. Without a context: whoever leads has read the log up to here."""

    context: str | None = None
    """With a value: the highest id that a schema of this context ever had, which is known from no schema any
    more once that was deleted."""


Key: TypeAlias = SchemaKey | ConfigKey | ModeKey | DeleteSubjectKey | ClearSubjectKey | ContextKey | NoopKey


# Values.


LATEST: Final = -1
"""In place of a version: the latest one that is not deleted"""


class Reference(NamedTuple):
    """A version of a subject under the name that a schema refers to it by."""

    name: str
    subject: str
    version: int

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "subject": self.subject, "version": self.version}


class Content(NamedTuple):
    """What has one id in a context: two schemas with the same content are the same schema."""

    kind: SchemaType
    text: str
    references: tuple[Reference, ...] = ()
    metadata: Metadata | None = None
    rules: RuleSet | None = None

    @property
    def guid(self) -> str:
        """The same in all registries: an MD5 of everything but the type, in UUID's form."""
        made = hashlib.md5(self.text.encode(), usedforsecurity=False)
        for name, subject, version in self.references:
            made.update(name.encode() + subject.encode() + version.to_bytes(4, "big", signed=True))
        for contract in (self.metadata, self.rules):
            if contract is not None:
                made.update(b"\x01")
                for each in contract.hashed():
                    made.update(each.encode())
        return str(UUID(bytes=made.digest()))

    def to_json(self) -> dict[str, object]:
        """As in the API's answers."""
        made: dict[str, object] = {"schemaType": self.kind.value, "schema": self.text}
        if self.references:
            made["references"] = [each.to_json() for each in self.references]
        if self.metadata is not None:
            made["metadata"] = self.metadata.to_json()
        if self.rules is not None:
            made["ruleSet"] = self.rules.to_json()
        return made


@dataclass(frozen=True, slots=True)
class SchemaValue:
    subject: str
    version: int
    id: int
    content: Content
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """What applies to a subject, a context or all; None where nothing is said."""

    alias: str | None = None
    alias_for_deks: str | None = None
    normalize: bool | None = None
    validate_fields: bool | None = None
    validate_new_schemas: bool | None = None
    validate_rules: bool | None = None
    compatibility_level: str | None = None
    compatibility_policy: str | None = None
    compatibility_group: str | None = None
    default_metadata: Metadata | None = None
    override_metadata: Metadata | None = None
    default_rules: RuleSet | None = None
    override_rules: RuleSet | None = None

    def to_json(self) -> dict[str, object]:
        made: dict[str, object] = {}
        for field, name in CONFIG_NAMES.items():
            value: object = getattr(self, field)
            if isinstance(value, Metadata | RuleSet):
                value = value.to_json()
            if value is not None and value != "":
                made[name] = value
        return made

    def below(self, wider: Config) -> Config:
        """This, with what a wider one says where this says nothing. Metadata and rules are not inherited."""
        own = {each: getattr(self, each) for each in _INHERITED}
        return replace(self, **{each: getattr(wider, each) for each, value in own.items() if value is None})


CONFIG_NAMES: Final = {
    "alias": "alias",
    "alias_for_deks": "aliasForDeks",
    "normalize": "normalize",
    "validate_fields": "validateFields",
    "validate_new_schemas": "validateNewSchemas",
    "validate_rules": "validateRules",
    "compatibility_level": "compatibilityLevel",
    "compatibility_policy": "compatibilityPolicy",
    "compatibility_group": "compatibilityGroup",
    "default_metadata": "defaultMetadata",
    "override_metadata": "overrideMetadata",
    "default_rules": "defaultRuleSet",
    "override_rules": "overrideRuleSet",
}
"""Fields of `Config` by their names in JSON."""
assert tuple(CONFIG_NAMES) == tuple(each.name for each in fields(Config))

_INHERITED: Final = (
    "normalize",
    "validate_fields",
    "validate_new_schemas",
    "validate_rules",
    "compatibility_policy",
    "compatibility_group",
)


@dataclass(frozen=True, slots=True)
class UpTo:
    """Of DELETE_SUBJECT: the last version that is deleted."""

    version: int


@dataclass(frozen=True, slots=True)
class HighestId:
    id: int


@dataclass(frozen=True, slots=True)
class Present:
    """The value of a record whose key says it all."""


Value: TypeAlias = SchemaValue | Config | Mode | UpTo | HighestId | Present


class Write(NamedTuple):
    """A record to append; without a value it takes back what the key had."""

    key: Key
    value: Value | None


# To JSON.


def encode_key(key: Key) -> bytes:
    match key:
        case SchemaKey(subject, version):
            return dump({"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1})
        case ConfigKey(subject):
            return _of_subject("CONFIG", subject)
        case ModeKey(subject):
            return _of_subject("MODE", subject)
        case DeleteSubjectKey(subject):
            return _of_subject("DELETE_SUBJECT", subject)
        case ClearSubjectKey(subject):
            return _of_subject("CLEAR_SUBJECT", subject)
        case ContextKey(context):
            return dump({"keytype": "CONTEXT", "tenant": "default", "context": context, "magic": 0})
        case NoopKey(None):
            return b'{"keytype":"NOOP","magic":0}'
        case NoopKey(context):
            return dump({"keytype": "NOOP", "magic": 0, "context": context})


def _of_subject(kind: str, subject: str | None) -> bytes:
    made: dict[str, object] = {"keytype": kind}
    if subject:
        made["subject"] = subject
    return dump(made | {"magic": 0})


def encode_value(key: Key, value: Value) -> bytes:
    match key, value:
        case SchemaKey(), SchemaValue(subject, version, id_, content, deleted):
            made: dict[str, object] = {"subject": subject, "version": version, "id": id_}
            return dump(made | content.to_json() | {"deleted": deleted})
        case ConfigKey(subject), Config():
            return dump(_subject(subject) | value.to_json())
        case ModeKey(subject), Mode():
            return dump(_subject(subject) | {"mode": value.value})
        case DeleteSubjectKey(subject), UpTo(version):
            return dump({"subject": subject, "version": version})
        case ClearSubjectKey(subject), Present():
            return dump(_subject(subject))
        case ContextKey(context), Present():
            return dump({"tenant": "default", "context": context})
        case NoopKey(), HighestId(id_):
            return dump({"id": id_})
    raise TypeError(f"{value} is no value of {key}")


def _subject(subject: str | None) -> dict[str, object]:
    return {} if subject is None else {"subject": subject}


# From JSON.


def decode_key(data: bytes) -> Key | None:
    """None for kinds that mean nothing here. FieldError for what is no key."""
    fields = Fields(load(data), "key")
    match fields.text("keytype"):
        case "SCHEMA":
            return SchemaKey(fields.need_text("subject"), fields.need_number("version", 1))
        case "CONFIG":
            return ConfigKey(fields.text("subject"))
        case "MODE":
            return ModeKey(fields.text("subject"))
        case "DELETE_SUBJECT":
            return DeleteSubjectKey(fields.need_text("subject"))
        case "CLEAR_SUBJECT":
            return ClearSubjectKey(fields.text("subject"))
        case "CONTEXT":
            return ContextKey(fields.need_text("context"))
        case "NOOP":
            return NoopKey(fields.text("context"))
    return None


def decode_value(key: Key, data: bytes) -> Value:
    """FieldError for what is no value of this key."""
    fields = Fields(load(data), "value")
    match key:
        case SchemaKey(subject, version):
            return SchemaValue(
                subject,
                version,
                fields.need_number("id"),
                read_content(fields),
                fields.flag("deleted") or False,
            )
        case ConfigKey():
            return read_config(fields)
        case ModeKey():
            return read_mode(fields.need_text("mode"))
        case DeleteSubjectKey():
            return UpTo(fields.need_number("version"))
        case NoopKey():
            return HighestId(fields.number("id") or 0)
        case ClearSubjectKey() | ContextKey():
            return Present()


def read_content(fields: Fields) -> Content:
    """Of a record. That of a request is not yet what is stored."""
    return Content(
        read_kind(fields),
        fields.need_text("schema"),
        tuple(read_references(fields)),
        read_metadata(fields.raw("metadata")),
        read_rule_set(fields.raw("ruleSet")),
    )


def read_kind(fields: Fields) -> SchemaType:
    name = fields.text("schemaType") or SchemaType.AVRO
    try:
        return SchemaType(name)
    except ValueError:
        raise FieldError(f"Invalid schema type {name}") from None


def read_references(fields: Fields) -> Iterator[Reference]:
    """Versions may be `LATEST`."""
    for item in fields.items("references"):
        reference = Fields(item, "reference")
        yield Reference(
            reference.need_text("name"),
            reference.need_text("subject"),
            reference.need_number("version", LATEST),
        )


def read_mode(name: str) -> Mode:
    try:
        return Mode(name.upper())
    except ValueError:
        raise FieldError("Invalid mode. Valid values are READWRITE, READONLY, IMPORT and FORWARD.") from None


def read_config(fields: Fields) -> Config:
    return Config(
        fields.text("alias"),
        fields.text("aliasForDeks"),
        fields.flag("normalize"),
        fields.flag("validateFields"),
        fields.flag("validateNewSchemas"),
        fields.flag("validateRules"),
        fields.text("compatibilityLevel"),
        fields.text("compatibilityPolicy"),
        fields.text("compatibilityGroup"),
        read_metadata(fields.raw("defaultMetadata")),
        read_metadata(fields.raw("overrideMetadata")),
        read_rule_set(fields.raw("defaultRuleSet")),
        read_rule_set(fields.raw("overrideRuleSet")),
    )
