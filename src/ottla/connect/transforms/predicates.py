"""Kafka's predicates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.records import ConnectRecord
from ottla.connect.transforms.interface import Predicate
from ottla.connect.transforms.regex import Regex, compile_regex
from ottla.connect.validators import AllOf, NonEmptyString

__all__ = ["HasHeaderKey", "RecordIsTombstone", "TopicNameMatches"]


class HasHeaderKey(Predicate):
    """A header is there."""

    DOC = "The record has a header of this name."
    CONFIG: ClassVar = ConfigDef().define(
        "name",
        ConfigType.STRING,
        REQUIRED,
        Importance.MEDIUM,
        "The header's name.",
        validator=NonEmptyString(),
    )

    def test(self, record: ConnectRecord) -> bool:
        return record.headers.last_with_name(self.settings.string("name")) is not None


class RecordIsTombstone(Predicate):
    """No value is there."""

    DOC = "The record's value is null."

    def test(self, record: ConnectRecord) -> bool:
        return record.value is None


class TopicNameMatches(Predicate):
    """The topic is one of those."""

    DOC = "The whole name of the record's topic matches."
    CONFIG: ClassVar = ConfigDef().define(
        "pattern",
        ConfigType.STRING,
        REQUIRED,
        Importance.MEDIUM,
        "The regular expression that the topic's name has to match.",
        validator=AllOf(NonEmptyString(), Regex()),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._pattern: Final = compile_regex(self.settings.string("pattern"))

    def test(self, record: ConnectRecord) -> bool:
        return self._pattern.fullmatch(record.topic) is not None
