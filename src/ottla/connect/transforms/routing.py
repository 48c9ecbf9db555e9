"""Where records go: RegexRouter, TimestampRouter, Confluent's ExtractTopic, Filter; and what Python says."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, cast

from ottla.connect.data.logical import timestamp_from_millis
from ottla.connect.data.schema import Struct, Value
from ottla.connect.definition import REQUIRED, ConfigDef, ConfigType, Importance
from ottla.connect.errors import ConfigError, DataError
from ottla.connect.records import ConnectRecord
from ottla.connect.settings import invalid
from ottla.connect.transforms.dates import DateFormat
from ottla.connect.transforms.interface import OnePart, Part, Record, Transformation, require_map
from ottla.connect.transforms.regex import Regex, compile_regex, replace_first

__all__ = [
    "ExtractTopicKey",
    "ExtractTopicValue",
    "Filter",
    "PythonTransform",
    "RegexRouter",
    "TimestampRouter",
]


class RegexRouter(Transformation):
    """Topics renamed by a pattern."""

    DOC = "Give records of topics whose whole name matches another topic."
    CONFIG: ClassVar = (
        ConfigDef()
        .define("regex", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "The regular expression that the topic's name has to match.", validator=Regex())
        .define("replacement", ConfigType.STRING, REQUIRED, Importance.HIGH,
                "The new name; `$1` is the first group.")
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._pattern: Final = compile_regex(self.settings.string("regex"))
        self._replacement: Final = self.settings.string("replacement")

    def apply(self, record: Record) -> Record:
        if self._pattern.fullmatch(record.topic) is None:
            return record
        return record.replace(topic=replace_first(self._pattern, self._replacement, record.topic))


class TimestampRouter(Transformation):
    """Topics by time."""

    DOC = "Give records a topic that tells their time."
    CONFIG: ClassVar = (
        ConfigDef()
        .define("topic.format", ConfigType.STRING, "${topic}-${timestamp}", Importance.HIGH,
                "The new name, in which `${topic}` and `${timestamp}` are replaced.")
        .define("timestamp.format", ConfigType.STRING, "yyyyMMdd", Importance.HIGH,
                "How the time is written, in the letters of Java's SimpleDateFormat; in UTC.")
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._topic: Final = self.settings.string("topic.format")
        self._format: Final = DateFormat(self.settings.string("timestamp.format"))

    def apply(self, record: Record) -> Record:
        if record.timestamp is None:
            raise DataError(f"Timestamp missing on record: {record}")
        time = self._format.format(timestamp_from_millis(record.timestamp))
        topic = self._topic.replace("${topic}", record.topic).replace("${timestamp}", time)
        return record.replace(topic=topic)


class _ExtractTopic(OnePart):
    DOC = "Give records the topic that a field names, or the whole key or value."
    CONFIG: ClassVar = (
        ConfigDef()
        .define("field", ConfigType.STRING, "", Importance.HIGH,
                "The field with the topic's name; empty where the whole is that name.")
        .define("skip.missing.or.null", ConfigType.BOOLEAN, False, Importance.LOW,
                "Whether a record without a name keeps its topic, instead of being an error.")
    )  # fmt: skip

    def apply(self, record: Record) -> Record:
        _, value = self.read(record)
        name = self.settings.string("field")
        found: Value = value
        if name and isinstance(value, Struct):
            found = value[name] if value.schema.field(name) is not None else None
        elif name and value is not None:
            found = require_map(value, "topic extraction").get(name)
        if found in (None, ""):
            if self.settings.boolean("skip.missing.or.null"):
                return record
            raise DataError(
                f"no topic's name in {f'the field {name!r} of ' if name else ''}{self.PART.value}"
            )
        if not isinstance(found, str):
            raise DataError(f"a topic's name is a text, not {type(found).__name__}")
        return record.replace(topic=found)


class ExtractTopicKey(_ExtractTopic):
    """Of the key."""

    PART = Part.KEY


class ExtractTopicValue(_ExtractTopic):
    """Of the value."""

    PART = Part.VALUE


class Filter(Transformation):
    """No record."""

    DOC = "Drop every record; with a predicate those that it holds of, or with `negate` the others."

    def apply(self, record: Record) -> Record | None:  # noqa: ARG002
        return None


class PythonTransform(Transformation):
    """What a function of Python makes of records."""

    DOC = "Have a function of Python change records, or drop them."
    CONFIG: ClassVar = ConfigDef().define(
        "function",
        ConfigType.STRING,
        REQUIRED,
        Importance.HIGH,
        "`module:name` of a function that takes a record and returns one (`record.replace(...)`), or None to "
        "drop it.",
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Raises ConfigError where there is no such function."""
        super().__init__(settings)
        self._function: Final = _function(self.settings.string("function"))

    def apply(self, record: Record) -> Record | None:
        result = self._function(record)
        if result is not None and type(result) is not type(record):
            raise DataError(
                f"{self.settings.string('function')} returned {type(result).__name__}, "
                f"neither {type(record).__name__} nor None"
            )
        return result


def _function(name: str) -> Callable[[ConnectRecord], ConnectRecord | None]:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise invalid("function", name, "It is written module:name")
    try:
        found: object = importlib.import_module(module)
    except ImportError as error:
        raise invalid("function", name, f"{module} cannot be imported: {error}") from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigError(f"Invalid value {name} for configuration function: {module} has no such function")
    return cast("Callable[[ConnectRecord], ConnectRecord | None]", found)
