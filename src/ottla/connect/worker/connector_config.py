"""Connect's own settings of a connector, whatever it connects: names, types, defaults and groups are Kafka's.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Final, NamedTuple

from ottla.connect.definition import (
    REQUIRED,
    ConfigDef,
    ConfigKey,
    ConfigType,
    ConfigValue,
    Importance,
    Recommender,
    Validator,
    Width,
)
from ottla.connect.errors import ConfigError
from ottla.connect.settings import SettingValue, invalid
from ottla.connect.validators import (
    AtLeast,
    NonEmptyString,
    OneOf,
    OneOfIgnoringCase,
    Regex,
    WithoutControlCharacters,
)

_COMMON: Final = "Common"
_TRANSFORMS: Final = "Transforms"
_PREDICATES: Final = "Predicates"
_ERRORS: Final = "Error Handling"
_TOPIC_CREATION: Final = "Topic Creation"
_EXACTLY_ONCE: Final = "Exactly Once Support"

_STRING, _LIST, _CLASS = ConfigType.STRING, ConfigType.LIST, ConfigType.CLASS
_HIGH, _MEDIUM, _LOW = Importance.HIGH, Importance.MEDIUM, Importance.LOW

_REQUIRED: Final = ("name", "connector.class")

Resolve = Callable[[str], str | None]
"""The full name of a plugin's class, None where there is none"""


class _Unique:
    """Aliases, each once."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __call__(self, name: str, value: SettingValue) -> None:
        if isinstance(value, Sequence) and len(value) > len(set(value)):
            raise invalid(name, value, "Duplicate alias provided.")

    def __str__(self) -> str:
        return f"unique {self._what} aliases"


class _TopicsList:
    """Topics, none of them empty."""

    drops_duplicates = True

    def __call__(self, name: str, value: SettingValue) -> None:
        if isinstance(value, Sequence) and any(not each for each in value):
            raise invalid(name, value, "values must not be empty")

    def __str__(self) -> str:
        return "any non-duplicate values, empty config allowed, null value not allowed"


class _VersionOf:
    """The version of a converter matters where there is that converter."""

    def __init__(self, setting: str, version: str | None) -> None:
        self._setting = setting
        self._version = version

    def valid_values(self, name: str, settings: Mapping[str, SettingValue]) -> Sequence[SettingValue]:  # noqa: ARG002
        return [] if self._version is None else [self._version]

    def visible(self, name: str, settings: Mapping[str, SettingValue]) -> bool:  # noqa: ARG002
        return settings.get(self._setting) is not None


class _Row(NamedTuple):
    name: str
    kind: ConfigType
    default: SettingValue
    importance: Importance
    width: Width
    display: str
    doc: str
    validator: Validator | None = None


# fmt: off
_IDENTITY: Final = (
    _Row("name", _STRING, None, _HIGH, Width.MEDIUM, "Connector name",
         "Its name, which no other connector of the cluster has.", WithoutControlCharacters()),
    _Row("connector.class", _STRING, None, _HIGH, Width.LONG, "Connector class",
         "The connector: its class, or a short name of that."),
    _Row("connector.plugin.version", _STRING, None, _MEDIUM, Width.MEDIUM, "Connector version",
         "Its version."),
    _Row("tasks.max", ConfigType.INT, 1, _HIGH, Width.SHORT, "Tasks max",
         "How many tasks it may have.", AtLeast(1)),
    _Row("tasks.max.enforce", ConfigType.BOOLEAN, True, _LOW, Width.SHORT, "Enforce tasks max",
         "Whether a connector that makes more tasks than it may fails."),
)
_ERROR_ROWS: Final = (
    _Row("errors.retry.timeout", ConfigType.LONG, 0, _MEDIUM, Width.MEDIUM, "Retry Timeout for Errors",
         "For how many milliseconds what failed is tried again; -1: without end."),
    _Row("errors.retry.delay.max.ms", ConfigType.LONG, 60_000, _MEDIUM, Width.MEDIUM,
         "Maximum Delay Between Retries for Errors", "How long is waited between attempts, at most."),
    _Row("errors.tolerance", _STRING, "none", _MEDIUM, Width.SHORT, "Error Tolerance",
         "Whether a record that fails is left out (all), or fails the task (none).", OneOf("none", "all")),
    _Row("errors.log.enable", ConfigType.BOOLEAN, False, _MEDIUM, Width.SHORT, "Log Errors",
         "Whether each failure is logged."),
    _Row("errors.log.include.messages", ConfigType.BOOLEAN, False, _MEDIUM, Width.SHORT,
         "Log Error Details", "Whether the record is logged with it."),
)
_LETTERS: Final = "errors.deadletterqueue."
_LETTER_ROWS: Final = (
    _Row(f"{_LETTERS}topic.name", _STRING, "", _MEDIUM, Width.MEDIUM, "Dead Letter Queue Topic Name",
         "The topic for records that fail; without one they are not kept."),
    _Row(f"{_LETTERS}topic.replication.factor", ConfigType.SHORT, 3, _MEDIUM, Width.MEDIUM,
         "Dead Letter Queue Topic Replication Factor", "With how many replicas that topic is made."),
    _Row(f"{_LETTERS}context.headers.enable", ConfigType.BOOLEAN, False, _MEDIUM, Width.MEDIUM,
         "Enable Error Context Headers", "Whether headers say why a record is there."),
)
_TOPIC_ROWS: Final = (
    _Row("topics", _LIST, "", _HIGH, Width.LONG, "Topics", "The topics to read.", _TopicsList()),
    _Row("topics.regex", _STRING, "", _HIGH, Width.LONG, "Topics regex",
         "A regular expression that names of topics to read match whole.", Regex()),
)
# fmt: on


def _add(
    config: ConfigDef,
    group: str,
    order: int,
    row: _Row,
    resolve: Resolve | None = None,
    recommender: Recommender | None = None,
) -> None:
    default = REQUIRED if row.name in _REQUIRED else row.default
    key = ConfigKey(
        row.name, row.kind, default, row.importance, row.doc, row.validator, group, order, row.width,
        row.display, recommender=recommender, resolve=resolve,
    )  # fmt: skip
    config.add(key)


def _common(
    resolve: Resolve, resolve_header: Resolve, converters: Mapping[str, str], version: str | None
) -> ConfigDef:
    """`converters` are the worker's, by setting; `version` is the connector's."""
    config, order = ConfigDef(), count(1)
    for row in _IDENTITY:
        default = version if row.name == "connector.plugin.version" else row.default
        _add(config, _COMMON, next(order), row._replace(default=default))
    for part, resolves in (("key", resolve), ("value", resolve), ("header", resolve_header)):
        name, display = f"{part}.converter", f"{part.capitalize()} converter"
        doc = f"What {part}s are converted by; without it what the worker says."
        row = _Row(name, _CLASS, converters.get(name), _LOW, Width.SHORT, f"{display} class", doc)
        _add(config, _COMMON, next(order), row, resolves)
        versioned, doc = f"{name}.plugin.version", f"The version of the {part} converter."
        row = _Row(
            versioned, _STRING, converters.get(versioned), _LOW, Width.SHORT, f"{display} version", doc
        )
        _add(config, _COMMON, next(order), row, recommender=_VersionOf(name, converters.get(versioned)))
    for name, what, group in (
        ("transforms", "transformation", _TRANSFORMS),
        ("predicates", "predicate", _PREDICATES),
    ):
        doc = f"Names for the {name}, each with its settings behind {name}.NAME."
        row = _Row(name, _LIST, [], _LOW, Width.LONG, name.capitalize(), doc, _Unique(what))
        _add(config, group, next(order), row)
    doc = "What happens when a configuration provider has other values: none or restart."
    check = OneOf("none", "restart")
    row = _Row("config.action.reload", _STRING, "restart", _LOW, Width.MEDIUM, "Reload Action", doc, check)
    _add(config, _COMMON, next(order), row)
    for number, row in enumerate(_ERROR_ROWS, 1):
        _add(config, _ERRORS, number, row)
    return config


class _AtLeastZeroOrNull(AtLeast):
    def __init__(self) -> None:
        super().__init__(0)

    def __call__(self, name: str, value: SettingValue) -> None:
        if value is not None:
            super().__call__(name, value)


# fmt: off
_SOURCE_ROWS: Final = (
    (_TOPIC_CREATION, 1, _Row("topic.creation.groups", _LIST, [], _LOW, Width.LONG, "Topic Creation Groups",
     "Groups of settings for topics that are made.", _Unique("topic creation"))),
    (_EXACTLY_ONCE, 2, _Row("exactly.once.support", _STRING, "requested", _MEDIUM, Width.SHORT,
     "Exactly once support", "Whether it must be able to give each record once: requested or required.",
     OneOfIgnoringCase("requested", "required"))),
    (_EXACTLY_ONCE, 3, _Row("transaction.boundary", _STRING, "poll", _MEDIUM, Width.SHORT,
     "Transaction Boundary", "Where transactions end: poll, connector or interval.",
     OneOfIgnoringCase("poll", "connector", "interval"))),
    (_EXACTLY_ONCE, 4, _Row("transaction.boundary.interval.ms", ConfigType.LONG, None, _LOW, Width.SHORT,
     "Transaction boundary interval", "How long a transaction lasts with transaction.boundary=interval.",
     _AtLeastZeroOrNull())),
    ("offsets.topic", 1, _Row("offsets.storage.topic", _STRING, None, _LOW, Width.LONG, "Offsets topic",
     "A topic of its own for its offsets.", NonEmptyString())),
)
# fmt: on


def source_config(
    resolve: Resolve, resolve_header: Resolve, converters: Mapping[str, str], version: str | None = None
) -> ConfigDef:
    config = _common(resolve, resolve_header, converters, version)
    for group, order, row in _SOURCE_ROWS:
        _add(config, group, order, row)
    return config


def sink_config(
    resolve: Resolve, resolve_header: Resolve, converters: Mapping[str, str], version: str | None = None
) -> ConfigDef:
    config = _common(resolve, resolve_header, converters, version)
    for row in _TOPIC_ROWS:
        _add(config, _COMMON, 4, row)
    for order, row in enumerate(_LETTER_ROWS, 6):
        _add(config, _ERRORS, order, row)
    return config


def check_sink_topics(config: Mapping[str, str], values: dict[str, ConfigValue]) -> None:
    """Exactly one of `topics` and `topics.regex`, and no dead letters read again; errors go to `values`."""
    topics, pattern = config.get("topics"), config.get("topics.regex")
    letters = (config.get("errors.deadletterqueue.topic.name") or "").strip()
    has_topics, has_pattern = bool((topics or "").strip()), bool((pattern or "").strip())

    def wrong(name: str, value: str | None, message: str) -> None:
        values.setdefault(name, ConfigValue(name, value)).errors.append(message)

    both = ""
    if has_topics and has_pattern:
        both = "topics and topics.regex are mutually exclusive options, but both are set."
    elif not has_topics and not has_pattern:
        both = "Must configure one of topics or topics.regex"
    if both:
        wrong("topics", topics, both)
        wrong("topics.regex", pattern, both)
    if not letters:
        return
    listed = topics_of(config)
    if letters in listed:
        wrong(
            "topics",
            topics,
            f"The DLQ topic '{letters}' may not be included in the list of topics "
            f"('topics=[{', '.join(listed)}]') "
            "consumed by the connector",
        )
    if has_pattern and matches(pattern or "", letters):
        wrong(
            "topics.regex",
            pattern,
            f"The DLQ topic '{letters}' may not be matched by the regex for the topics "
            f"('topics.regex={pattern}') "
            "consumed by the connector",
        )


def topics_of(config: Mapping[str, str]) -> list[str]:
    parts = (each.strip() for each in (config.get("topics") or "").split(","))
    return list(dict.fromkeys(each for each in parts if each))


def matches(pattern: str, topic: str) -> bool:
    try:
        return re.fullmatch(pattern, topic) is not None
    except re.error:
        return False


def embed_plugins(
    config: ConfigDef,
    given: Mapping[str, str],
    which: str,
    definition_of: Callable[[str], ConfigDef | None],
    resolve: Resolve,
    version_of: Callable[[str], str | None],
) -> None:
    """Take in the settings of each alias in `transforms` or `predicates` (`which`). ConfigError."""
    is_transform = which == "transforms"
    kind, base = ("transformation", "Transformation") if is_transform else ("predicate", "Predicate")
    parts = (each.strip() for each in (given.get(which) or "").split(","))
    for alias in dict.fromkeys(each for each in parts if each):
        prefix, group = f"{which}.{alias}.", f"{which.capitalize()}: {alias}"
        type_name = f"{prefix}type"
        named = given.get(type_name)
        check = _check_negate(given, prefix) if is_transform else None
        config.define(
            type_name,
            _CLASS,
            REQUIRED,
            _HIGH,
            f"The class of the {kind} {alias}.",
            validator=check,
            group=group,
            order=0,
            width=Width.LONG,
            display_name=f"{base} type for {alias}",
            resolve=resolve,
        )
        config.define(
            f"{prefix}plugin.version",
            _STRING,
            None if named is None else version_of(named),
            _HIGH,
            f"The version of the {kind} {alias}.",
            group=group,
            order=1,
            width=Width.LONG,
            display_name=f"{base} version for {alias}",
        )
        own = None if named is None else definition_of(named)
        if own is None:
            continue
        child = ConfigDef()
        if is_transform:
            child.define("predicate", _STRING, None, _MEDIUM, "The predicate that says whether it applies.")
            child.define(
                "negate",
                ConfigType.BOOLEAN,
                False,
                _MEDIUM,
                "Whether it applies where the predicate does not hold.",
            )
        for key in own.keys.values():
            if key.name not in child.keys:
                child.add(key)
        config.embed(prefix, group, 2, child)  # fmt: skip


def _check_negate(given: Mapping[str, str], prefix: str) -> Validator:
    def check(name: str, value: SettingValue) -> None:  # noqa: ARG001 - a validator's shape
        if f"{prefix}negate" in given and f"{prefix}predicate" not in given:
            raise ConfigError(
                f"Config '{prefix}negate' was provided but there is no config '{prefix}predicate' defining "
                "a predicate to "
                "be negated."
            )

    return check
