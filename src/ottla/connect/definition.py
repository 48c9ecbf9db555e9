"""What a plugin can be told: its settings with type, default, rule and documentation (Kafka's `ConfigDef`).

A connector, converter or transform says them once. `parse` makes typed values of a configuration's texts, or
says what is wrong; `validate` says everything that is wrong at once (`config_infos.py` has its JSON).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from ottla.connect.errors import ConfigError
from ottla.connect.settings import Secret, Settings, SettingValue, invalid

__all__ = [
    "REQUIRED",
    "ConfigDef",
    "ConfigKey",
    "ConfigType",
    "ConfigValue",
    "Importance",
    "Recommender",
    "Validator",
    "Width",
]

_BLANKS: Final = "".join(map(chr, range(33)))
_COMMA: Final = re.compile(r"\s*,\s*")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_DOUBLE: Final = re.compile(
    r"[+-]?(?:NaN|Infinity|(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,9})?[dDfF]?)"
)


class ConfigType(enum.Enum):
    """How a setting's text is read."""

    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    INT = "INT"
    SHORT = "SHORT"
    LONG = "LONG"
    DOUBLE = "DOUBLE"
    LIST = "LIST"
    CLASS = "CLASS"
    PASSWORD = "PASSWORD"  # noqa: S105 - a type's name


_WIDTHS: Final = {
    ConfigType.SHORT: (range(-(2**15), 2**15), "16-bit integer (short)"),
    ConfigType.INT: (range(-(2**31), 2**31), "32-bit integer"),
    ConfigType.LONG: (range(-(2**63), 2**63), "64-bit integer (long)"),
}


class Importance(enum.Enum):
    """How likely one has to set it."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Width(enum.Enum):
    """How wide a form's field for it should be."""

    NONE = "NONE"
    SHORT = "SHORT"
    MEDIUM = "MEDIUM"
    LONG = "LONG"


class _Required(enum.Enum):
    REQUIRED = "required"


REQUIRED: Final = _Required.REQUIRED
"""The default of a setting that has none."""


class Validator(Protocol):
    """What a value has to be: its text says it to people."""

    def __call__(self, name: str, value: SettingValue) -> None:
        """Raises ConfigError, by `invalid`, where `value` is not allowed for the setting `name`."""


class Recommender(Protocol):
    """What values fit, with the other settings as they are."""

    def valid_values(self, name: str, settings: Mapping[str, SettingValue]) -> Sequence[SettingValue]:
        """All that fit. Raises ConfigError."""

    def visible(self, name: str, settings: Mapping[str, SettingValue]) -> bool:
        """Whether the setting matters at all."""


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One setting."""

    name: str
    type: ConfigType
    default: SettingValue | _Required
    importance: Importance
    doc: str
    validator: Validator | None = None
    group: str | None = None
    order: int = -1
    width: Width = Width.NONE
    display_name: str = ""
    dependents: Sequence[str] = ()
    recommender: Recommender | None = None
    internal: bool = False
    resolve: Callable[[str], str | None] | None = field(default=None, compare=False)
    """Of a CLASS: the class's full name, or None where there is none that is called so."""

    def __post_init__(self) -> None:
        if not self.display_name:
            object.__setattr__(self, "display_name", self.name)
        if self.default is not REQUIRED:
            default = self.parsed(self.default)
            object.__setattr__(self, "default", default)
            if self.validator is not None:
                self.validator(self.name, default)

    def parsed(self, value: SettingValue) -> SettingValue:
        """The typed value of a text, or of one that is typed. Raises ConfigError."""
        if value is None:
            return None
        text = value.strip(_BLANKS) if isinstance(value, str) else None
        if self.type in _WIDTHS:
            return self._integer(value, text)
        if self.type is ConfigType.BOOLEAN:
            return self._boolean(value, text)
        if self.type is ConfigType.DOUBLE:
            return self._double(value, text)
        if self.type is ConfigType.LIST:
            return self._list(value, text)
        if self.type is ConfigType.PASSWORD and isinstance(value, Secret):
            return value
        if text is None:
            kind = type(value).__name__
            raise invalid(self.name, value, f"Expected value to be a string, but it was a {kind}")
        if self.type is ConfigType.PASSWORD:
            return Secret(text)
        if self.type is ConfigType.CLASS and self.resolve is not None:
            resolved = self.resolve(text)
            if resolved is None:
                raise invalid(self.name, value, f"Class {value} could not be found.")
            return resolved
        return text

    def _boolean(self, value: SettingValue, text: str | None) -> bool:
        if isinstance(value, bool):
            return value
        if text is not None and text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise invalid(self.name, value, "Expected value to be either true or false")

    def _list(self, value: SettingValue, text: str | None) -> list[str]:
        if text is not None:
            return _COMMA.split(text) if text else []
        if isinstance(value, Sequence):
            return list(value)
        raise invalid(self.name, value, "Expected a comma separated list.")

    def _integer(self, value: SettingValue, text: str | None) -> int:
        allowed, what = _WIDTHS[self.type]
        if text is not None:
            if _INTEGER.fullmatch(text) is None or int(text) not in allowed:
                raise invalid(self.name, value, f"Not a number of type {self.type.value}")
            return int(text)
        if isinstance(value, int) and not isinstance(value, bool) and value in allowed:
            return value
        kind = type(value).__name__
        raise invalid(self.name, value, f"Expected value to be a {what}, but it was a {kind}")

    def _double(self, value: SettingValue, text: str | None) -> float:
        if text is not None:
            if _DOUBLE.fullmatch(text) is None:
                raise invalid(self.name, value, "Not a number of type DOUBLE")
            return float(text.rstrip("dDfF") if text[-1] in "dDfF" else text)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise invalid(self.name, value, f"Expected value to be a double, but it was a {type(value).__name__}")

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


def _missing(name: str) -> str:
    return f'Missing required configuration "{name}" which has no default value.'


class ConfigDef:
    """The settings of a plugin, in the order of their definition."""

    def __init__(self, keys: Iterable[ConfigKey] = ()) -> None:
        """Raises ConfigError where a name is defined twice."""
        self.keys: Final[dict[str, ConfigKey]] = {}
        self.groups: Final[list[str]] = []
        for key in keys:
            self.add(key)

    def add(self, key: ConfigKey) -> None:
        """Raises ConfigError where there is one of this name."""
        if key.name in self.keys:
            raise ConfigError(f"Configuration {key.name} is defined twice.")
        if key.group is not None and key.group not in self.groups:
            self.groups.append(key.group)
        self.keys[key.name] = key

    def define(
        self,
        name: str,
        kind: ConfigType,
        default: SettingValue | _Required,
        importance: Importance,
        doc: str,
        *,
        validator: Validator | None = None,
        group: str | None = None,
        order: int = -1,
        width: Width = Width.NONE,
        display_name: str = "",
        dependents: Sequence[str] = (),
        recommender: Recommender | None = None,
        resolve: Callable[[str], str | None] | None = None,
    ) -> ConfigDef:
        """One more setting; `default` is REQUIRED for one that must be given. Raises ConfigError."""
        self.add(
            ConfigKey(
                name, kind, default, importance, doc, validator, group, order, width, display_name,
                dependents, recommender, resolve=resolve,
            )
        )  # fmt: skip
        return self

    def parse(self, texts: Mapping[str, SettingValue]) -> Settings:
        """The typed values of all settings. Raises ConfigError for the first that is wrong."""
        undefined = self._undefined()
        if undefined:
            raise ConfigError(
                "Some configurations in are referred in the dependents, but not defined: "
                + ",".join(undefined)
            )
        values: dict[str, SettingValue] = {}
        for key in self.keys.values():
            if key.name in texts:
                value = key.parsed(texts[key.name])
            elif key.default is REQUIRED:
                raise ConfigError(_missing(key.name))
            else:
                value = key.default
            if key.validator is not None:
                if getattr(key.validator, "drops_duplicates", False) and isinstance(value, list):
                    value = list(dict.fromkeys(value))
                key.validator(key.name, value)
            values[key.name] = value
        return Settings(values)

    def validate(self, texts: Mapping[str, str | None]) -> list[ConfigValue]:
        """Every setting's value, with all that is wrong with it and what would fit."""
        found = {name: ConfigValue(name) for name in self.keys}
        for name in self._undefined():
            found[name] = ConfigValue(
                name, errors=[f"{name} is referred in the dependents, but not defined."], visible=False
            )
        roots = self._without_parent()
        parsed: dict[str, SettingValue] = {}
        for name in roots:
            self._parse_for_validation(name, texts, parsed, found)
        for name in roots:
            self._recommend(name, parsed, found)
        return list(found.values())

    def embed(self, prefix: str, group_prefix: str, starting_order: int, child: ConfigDef) -> None:
        """Take the settings of another definition in, their names behind `prefix`. Raises ConfigError."""
        for order, key in enumerate(child.sorted(), starting_order):
            self.add(
                replace(
                    key,
                    name=prefix + key.name,
                    group=group_prefix + (f": {key.group}" if key.group is not None else ""),
                    order=order,
                    dependents=[prefix + name for name in key.dependents],
                    validator=None if key.validator is None else _EmbeddedValidator(prefix, key.validator),
                    recommender=None
                    if key.recommender is None
                    else _EmbeddedRecommender(prefix, key.recommender),
                )
            )

    def sorted(self) -> list[ConfigKey]:
        """By group, order, whether they must be given, importance and name: as documentation lists them."""
        importances = list(Importance)
        return sorted(
            self.keys.values(),
            key=lambda key: (
                -1 if key.group is None else self.groups.index(key.group),
                key.order,
                not key.required,
                importances.index(key.importance),
                key.name,
            ),
        )

    def _undefined(self) -> list[str]:
        return [
            name
            for name in dict.fromkeys(name for key in self.keys.values() for name in key.dependents)
            if name not in self.keys
        ]

    def _without_parent(self) -> list[str]:
        children = {name for key in self.keys.values() for name in key.dependents}
        return [name for name in self.keys if name not in children]

    def _parse_for_validation(
        self,
        name: str,
        texts: Mapping[str, str | None],
        parsed: dict[str, SettingValue],
        found: Mapping[str, ConfigValue],
    ) -> None:
        key = self.keys.get(name)
        if key is None:
            return
        config = found[name]
        value: SettingValue = None
        if name in texts:
            try:
                value = key.parsed(texts[name])
            except ConfigError as error:
                config.errors.append(str(error))
        elif key.default is REQUIRED:
            config.errors.append(_missing(name))
        else:
            value = key.default
        if key.validator is not None:
            try:
                key.validator(name, value)
            except ConfigError as error:
                config.errors.append(str(error))
        config.value = value
        parsed[name] = value
        for dependent in key.dependents:
            self._parse_for_validation(dependent, texts, parsed, found)

    def _recommend(
        self, name: str, parsed: Mapping[str, SettingValue], found: Mapping[str, ConfigValue]
    ) -> None:
        key = self.keys.get(name)
        if key is None:
            return
        if key.recommender is not None:
            config = found[name]
            try:
                values = key.recommender.valid_values(name, parsed)
                if config.recommended_values:
                    values = [value for value in values if value in config.recommended_values]
                config.recommended_values = list(values)
                config.visible = key.recommender.visible(name, parsed)
            except ConfigError as error:
                config.errors.append(str(error))
        for dependent in key.dependents:
            self._recommend(dependent, parsed, found)


@dataclass(slots=True)
class ConfigValue:
    """What a configuration says for one setting, and what is wrong with it."""

    name: str
    value: SettingValue = None
    recommended_values: list[SettingValue] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    visible: bool = True


class _EmbeddedValidator:
    def __init__(self, prefix: str, base: Validator) -> None:
        self._prefix = prefix
        self._base = base

    def __call__(self, name: str, value: SettingValue) -> None:
        self._base(name.removeprefix(self._prefix), value)

    def __str__(self) -> str:
        return str(self._base)


class _EmbeddedRecommender:
    def __init__(self, prefix: str, base: Recommender) -> None:
        self._prefix = prefix
        self._base = base

    def _inner(self, settings: Mapping[str, SettingValue]) -> Mapping[str, SettingValue]:
        length = len(self._prefix)
        return {name[length:]: value for name, value in settings.items() if name.startswith(self._prefix)}

    def valid_values(self, name: str, settings: Mapping[str, SettingValue]) -> Sequence[SettingValue]:
        return self._base.valid_values(name.removeprefix(self._prefix), self._inner(settings))

    def visible(self, name: str, settings: Mapping[str, SettingValue]) -> bool:
        return self._base.visible(name.removeprefix(self._prefix), self._inner(settings))
