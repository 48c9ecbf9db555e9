"""What one configuration key is: its name, type, default and rules.

A `ConfigDef` turns the text that a file, a client or the environment gives into a typed value and back into
exactly the text that Kafka's DescribeConfigs returns ("true", "604800000", "compact,delete").
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

ConfigValue: TypeAlias = bool | int | float | str | tuple[str, ...] | None
Values: TypeAlias = Callable[[str], Any]
"""A broker key's value, of the type that its definition says."""


class ConfigError(ValueError):
    """A name that no key has, or a value that its key refuses; the broker answers it as INVALID_CONFIG.

    `name` is the offending key where there is one.
    """

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.name = name


class ConfigType(enum.IntEnum):
    """Kafka's value types; the numbers are those of DescribeConfigs' `config_type`."""

    UNKNOWN = 0
    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


_, BOOLEAN, STRING, INT, SHORT, LONG, DOUBLE, LIST, CLASS, PASSWORD = ConfigType

INT_MAX = (1 << 31) - 1
LONG_MAX = (1 << 63) - 1
DAY_MS = 24 * 60 * 60 * 1000


class UpdateMode(enum.Enum):
    """How a broker key may change while the broker runs (KIP-226)."""

    READ_ONLY = "read-only"
    PER_BROKER = "per-broker"
    CLUSTER_WIDE = "cluster-wide"


class Effect(enum.Enum):
    """Whether a key changes anything here."""

    HONOURED = "honoured"
    NONE = "none"  # known to Kafka, checked and described, without effect in Ottla


class Validator(NamedTuple):
    """A rule on a parsed value: `check` returns what is wrong, or None; `text` goes into the reference."""

    text: str
    check: Callable[[ConfigValue], str | None]


def at_least(minimum: float) -> Validator:
    return _number_range(minimum, None, f"[{minimum},...]")


def between(minimum: float, maximum: float) -> Validator:
    return _number_range(minimum, maximum, f"[{minimum},...,{maximum}]")


def _number_range(minimum: float, maximum: float | None, text: str) -> Validator:
    def check(value: ConfigValue) -> str | None:
        if not isinstance(value, (int, float)):
            return "Value must be non-null"
        if value < minimum:
            return f"Value must be at least {minimum}"
        if maximum is not None and value > maximum:
            return f"Value must be no more than {maximum}"
        return None

    return Validator(text, check)


def or_value(special: int, validator: Validator) -> Validator:
    """Accept `special` besides what `validator` accepts (gzip's level -1 is zlib's own default)."""

    def check(value: ConfigValue) -> str | None:
        problem = validator.check(value)
        return None if problem is None or value == special else f"{problem} or equal to {special}"

    return Validator(f"{validator.text} or {special}", check)


def one_of(*names: str) -> Validator:
    def check(value: ConfigValue) -> str | None:
        return None if value in names else f"String must be one of: {', '.join(names)}"

    return Validator(f"[{', '.join(names)}]", check)


def one_of_ignoring_case(*names: str) -> Validator:
    def check(value: ConfigValue) -> str | None:
        if isinstance(value, str) and value.upper() in names:
            return None
        return f"String must be one of (case insensitive): {', '.join(names)}"

    return Validator(f"(case insensitive) [{', '.join(names)}]", check)


def not_empty() -> Validator:
    return Validator("non-empty string", lambda value: "String must be non-empty" if value == "" else None)


def list_of(*names: str, empty_allowed: bool = True) -> Validator:
    """Any of `names`; with no names, any values."""

    def check(value: ConfigValue) -> str | None:
        items = value if isinstance(value, tuple) else ()
        if not items and not empty_allowed:
            return "The list must not be empty"
        if any(item == "" for item in items):
            return "Values must not be empty"
        if names and any(item not in names for item in items):
            return f"String must be one of: {', '.join(names)}"
        return None

    text = f"[{', '.join(names)}]" if names else "distinct values"
    return Validator(text if empty_allowed else f"non-empty {text}", check)


def matching(pattern: str, text: str) -> Validator:
    """Every value (each item of a list) matches `pattern` whole; `text` describes it."""
    compiled = re.compile(pattern)

    def check(value: ConfigValue) -> str | None:
        items: Iterable[object] = value if isinstance(value, tuple) else (value,)
        return None if all(compiled.fullmatch(str(item)) for item in items) else f"Value must be {text}"

    return Validator(text, check)


class ConfigDef(NamedTuple):
    """One key. `synonyms` are the keys that supply its value when it is unset, in the order asked."""

    name: str
    type: ConfigType
    default: ConfigValue
    doc: str
    validator: Validator | None = None
    update_mode: UpdateMode = UpdateMode.READ_ONLY
    synonyms: tuple[str, ...] = ()
    effect: Effect = Effect.HONOURED
    internal: bool = False  # accepted, but neither described nor documented, as in Kafka

    @property
    def honoured(self) -> bool:
        return self.effect is Effect.HONOURED

    @property
    def is_sensitive(self) -> bool:
        return self.type is ConfigType.PASSWORD

    @property
    def field(self) -> str:
        """The attribute that holds the value in the typed configurations."""
        return self.name.replace(".", "_")

    def parse(self, text: str) -> ConfigValue:
        """The typed value of `text`; raises ConfigError naming the key, the value and what is allowed."""
        value = self._parse(text)
        if self.validator is not None:
            problem = self.validator.check(value)
            if problem is not None:
                raise self.invalid(text, problem)
        return value

    def invalid(self, text: str, problem: str) -> ConfigError:
        shown = "[hidden]" if self.is_sensitive else text
        return ConfigError(f"Invalid value {shown} for configuration {self.name}: {problem}", self.name)

    def format(self, value: ConfigValue) -> str | None:
        """`value` as DescribeConfigs writes it; a password is never shown."""
        return None if self.is_sensitive else format_value(value)

    def _parse(self, text: str) -> ConfigValue:
        if self.type is ConfigType.PASSWORD:
            return text
        text = text.strip()
        if self.type in (ConfigType.STRING, ConfigType.CLASS):
            return text
        if self.type is ConfigType.LIST:
            return tuple(dict.fromkeys(item.strip() for item in text.split(","))) if text else ()
        if self.type is ConfigType.BOOLEAN:
            if text.lower() not in ("true", "false"):
                raise self.invalid(text, "Expected value to be either true or false")
            return text.lower() == "true"
        number = _parse_number(self.type, text)
        if number is None:
            raise self.invalid(text, f"Not a number of type {self.type.name}")
        return number


_BITS = {ConfigType.SHORT: 16, ConfigType.INT: 32, ConfigType.LONG: 64}
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_DOUBLE = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def _parse_number(kind: ConfigType, text: str) -> int | float | None:
    # Stricter than int() and float(), which take underscores, blanks, "nan" and other scripts' digits.
    if kind is ConfigType.DOUBLE:
        return float(text) if _DOUBLE.fullmatch(text) else None
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    limit = 1 << (_BITS[kind] - 1)
    return number if -limit <= number < limit else None


def format_value(value: ConfigValue) -> str | None:
    """`value` as Java's toString and Kafka's list format write it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _format_double(value)
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)


def _format_double(value: float) -> str:
    # Java prints 1.0E10 where Python prints 10000000000.0: exponents below 10^-3 and from 10^7 on.
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    digits = f"{value!r}e0" if "e" not in repr(value) else repr(value)
    mantissa, exponent = digits.split("e")[:2]
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    all_digits = (whole + fraction).lstrip("0")
    leading_zeros = len(whole + fraction) - len((whole + fraction).lstrip("0"))
    power = int(exponent) + len(whole) - 1 - leading_zeros
    rest = all_digits[1:].rstrip("0") or "0"
    return f"{sign}{all_digits[0]}.{rest}E{power}"


def by_name(definitions: Iterable[ConfigDef]) -> Mapping[str, ConfigDef]:
    """A registry in order of name; a key defined twice is a mistake in the tables."""
    registry: dict[str, ConfigDef] = {}
    for definition in sorted(definitions, key=lambda entry: entry.name):
        if definition.name in registry:
            raise ValueError(f"Configuration {definition.name} is defined twice.")
        registry[definition.name] = definition
    return registry
