"""What transforms and predicates are, and what the transforms of a record's key or value share."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final, TypeVar

from ottla.connect.data.schema import Field, Schema, SchemaAndValue, Struct, Value
from ottla.connect.definition import ConfigDef, ConfigType, Importance
from ottla.connect.errors import DataError
from ottla.connect.records import ConnectHeaders, ConnectRecord
from ottla.connect.settings import Settings

__all__ = [
    "OnePart",
    "Part",
    "Predicate",
    "Transformation",
    "define_null_replacement",
    "field_value",
    "require_map",
    "require_struct",
]

Record = TypeVar("Record", bound=ConnectRecord)
_REPLACE_NULL: Final = "replace.null.with.default"


class _Configured:
    CONFIG: ClassVar[ConfigDef] = ConfigDef()

    def __init__(self, settings: Mapping[str, str]) -> None:
        """`settings` are those of a configuration, without the prefix. Raises ConfigError."""
        self.settings: Final[Settings] = self.CONFIG.parse(settings)

    def close(self) -> None:
        """Give back what it holds."""


class Transformation(_Configured, ABC):
    """Makes one record of another, or drops it."""

    DOC: ClassVar[str] = ""
    """What it does, for the documentation."""

    @abstractmethod
    def apply(self, record: Record) -> Record | None:
        """The record to go on with; None drops it. Raises DataError, or whatever its work does."""


class Predicate(_Configured, ABC):
    """Says of which records something holds."""

    DOC: ClassVar[str] = ""

    @abstractmethod
    def test(self, record: ConnectRecord) -> bool:
        """Whether it holds of this record."""


class Part(enum.Enum):
    """What of a record a transform works on."""

    KEY = "Key"
    VALUE = "Value"


class OnePart(Transformation):
    """A transform of a record's key or of its value."""

    PART: ClassVar[Part]

    def read(self, record: ConnectRecord) -> SchemaAndValue:
        """The key or the value, with its schema."""
        if self.PART is Part.KEY:
            return SchemaAndValue(record.key_schema, record.key)
        return SchemaAndValue(record.value_schema, record.value)

    def write(
        self, record: Record, schema: Schema | None, value: Value, headers: ConnectHeaders | None = None
    ) -> Record:
        """The record with another key or value."""
        both = SchemaAndValue(schema, value)
        if self.PART is Part.KEY:
            return record.replace(key=both, headers=headers)
        return record.replace(value=both, headers=headers)


def define_null_replacement(definition: ConfigDef) -> ConfigDef:
    """The setting that `field_value` looks at."""
    return definition.define(
        _REPLACE_NULL,
        ConfigType.BOOLEAN,
        True,
        Importance.MEDIUM,
        "Whether a field that is null counts as its default, where it has one.",
    )


def field_value(settings: Settings, struct: Struct, field: Field) -> Value:
    """A field's value, or its default if the settings say so."""
    value = struct.values[field.index]
    return field.schema.default if value is None and settings.boolean(_REPLACE_NULL) else value


def require_map(value: Value, purpose: str) -> dict[Value, Value]:
    """Raises DataError, naming the purpose, for anything but a dict."""
    if not isinstance(value, dict):
        raise DataError(
            f"Only Map objects supported in absence of schema for [{purpose}], found: {_class_name(value)}"
        )
    return value


def require_struct(value: Value, purpose: str) -> Struct:
    """Raises DataError, naming the purpose, for anything but a struct."""
    if not isinstance(value, Struct):
        raise DataError(f"Only Struct objects supported for [{purpose}], found: {_class_name(value)}")
    return value


def _class_name(value: Value) -> str:
    return "null" if value is None else type(value).__name__
