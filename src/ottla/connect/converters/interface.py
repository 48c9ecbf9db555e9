"""What a converter is: values with their schemas to bytes, and back."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final

from ottla.connect.data.schema import Schema, SchemaAndValue, Value
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.records import ConnectHeaders
from ottla.connect.settings import Settings
from ottla.connect.validators import OneOf

__all__ = ["NULL", "Converter", "ConverterType", "HeaderConverter", "ValueConverter", "converter_config"]

NULL: Final = SchemaAndValue(None, None)


class ConverterType(enum.Enum):
    """What of records it converts."""

    KEY = "key"
    VALUE = "value"
    HEADER = "header"


def converter_config() -> ConfigDef:
    """The settings that every converter has."""
    return ConfigDef().define(
        "converter.type",
        ConfigType.STRING,
        REQUIRED,
        Importance.LOW,
        "What of records this converts: key, value or header; set by the worker.",
        validator=OneOf(*(kind.value for kind in ConverterType)),
    )


class _Configured:
    CONFIG: ClassVar[ConfigDef] = converter_config()

    def __init__(self, settings: Mapping[str, str], kind: ConverterType) -> None:
        """`settings` are those of a configuration, without the prefix. Raises ConfigError."""
        self.kind: Final = kind
        self.settings: Final[Settings] = self.CONFIG.parse({**settings, "converter.type": kind.value})

    def close(self) -> None:
        """Give back what it holds."""


class Converter(_Configured, ABC):
    """Keys or values to bytes, and back."""

    @abstractmethod
    def from_connect(
        self, topic: str, schema: Schema | None, value: Value, headers: ConnectHeaders | None = None
    ) -> bytes | None:
        """The bytes of a value; None stands for a tombstone. It may add headers. Raises DataError."""

    @abstractmethod
    def to_connect(
        self, topic: str, data: bytes | None, headers: ConnectHeaders | None = None
    ) -> SchemaAndValue:
        """The value that bytes are. Raises DataError."""


class HeaderConverter(_Configured, ABC):
    """Headers' values to bytes, and back."""

    @abstractmethod
    def from_connect_header(self, topic: str, key: str, schema: Schema | None, value: Value) -> bytes | None:
        """The bytes of a header's value. Raises DataError."""

    @abstractmethod
    def to_connect_header(self, topic: str, key: str, data: bytes | None) -> SchemaAndValue:
        """The value that a header's bytes are. Raises DataError."""


class ValueConverter(Converter, HeaderConverter):
    """A converter that does with headers what it does with values."""

    def from_connect_header(self, topic: str, key: str, schema: Schema | None, value: Value) -> bytes | None:
        return self.from_connect(topic, schema, value)

    def to_connect_header(self, topic: str, key: str, data: bytes | None) -> SchemaAndValue:
        return self.to_connect(topic, data)
