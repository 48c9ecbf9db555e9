"""What settings' values have to be: the rules of Kafka's `ConfigDef` (`Range`, `ValidString`, ...)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from ottla.connect.definition import Validator
from ottla.connect.errors import ConfigError
from ottla.connect.settings import Secret, SettingValue, invalid

__all__ = [
    "AllOf",
    "AtLeast",
    "Between",
    "Check",
    "NonEmptyList",
    "NonEmptyString",
    "NonNull",
    "OneOf",
    "OneOfIgnoringCase",
    "Regex",
    "ValidList",
    "WithoutControlCharacters",
]


class Between:
    """A number from `least` to `most`, either of which may be None for no bound."""

    def __init__(self, least: float | None, most: float | None) -> None:
        self._least: Final = least
        self._most: Final = most

    def __call__(self, name: str, value: SettingValue) -> None:
        if not isinstance(value, int | float):
            raise invalid(name, None, "Value must be non-null")
        if self._least is not None and value < self._least:
            raise invalid(name, value, f"Value must be at least {self._least}")
        if self._most is not None and value > self._most:
            raise invalid(name, value, f"Value must be no more than {self._most}")

    def __str__(self) -> str:
        parts = [] if self._least is None else [str(self._least)]
        return f"[{','.join([*parts, '...', *([] if self._most is None else [str(self._most)])])}]"


class AtLeast(Between):
    """A number that is not less than `least`."""

    def __init__(self, least: float) -> None:
        super().__init__(least, None)


class OneOf:
    """One of these texts."""

    def __init__(self, *texts: str) -> None:
        self._texts: Final = texts

    def __call__(self, name: str, value: SettingValue) -> None:
        if value not in self._texts:
            raise invalid(name, value, f"String must be one of: {', '.join(self._texts)}")

    def __str__(self) -> str:
        return f"[{', '.join(self._texts)}]"


class OneOfIgnoringCase:
    """One of these texts, in any case."""

    def __init__(self, *texts: str) -> None:
        self._texts: Final = tuple(text.upper() for text in texts)

    def __call__(self, name: str, value: SettingValue) -> None:
        if not isinstance(value, str) or value.upper() not in self._texts:
            raise invalid(name, value, f"String must be one of (case insensitive): {', '.join(self._texts)}")

    def __str__(self) -> str:
        return f"(case insensitive) [{', '.join(self._texts)}]"


class NonNull:
    """Anything but null."""

    def __call__(self, name: str, value: SettingValue) -> None:
        if value is None:
            raise invalid(name, "null", "entry must be non null")

    def __str__(self) -> str:
        return "non-null string"


class NonEmptyString:
    """A text, which may be a secret, that is not empty; or null."""

    def __call__(self, name: str, value: SettingValue) -> None:
        text = value.value if isinstance(value, Secret) else value
        if text == "":
            raise invalid(name, text, "String must be non-empty")

    def __str__(self) -> str:
        return "non-empty string"


class WithoutControlCharacters:
    """A text that is not empty and has no control characters, or null."""

    def __call__(self, name: str, value: SettingValue) -> None:
        if not isinstance(value, str):
            return
        if not value:
            raise invalid(name, value, "String may not be empty")
        found = [str(ord(one)) for one in value if ord(one) < 32 or 127 <= ord(one) < 160]
        if found:
            codes = ", ".join(found)
            raise invalid(
                name,
                value,
                f"String may not contain control sequences but had the following ASCII chars: {codes}",
            )

    def __str__(self) -> str:
        return "non-empty string without ISO control characters"


class NonEmptyList:
    """A list with an element."""

    def __call__(self, name: str, value: SettingValue) -> None:
        if value is None or (isinstance(value, Sequence) and not value):
            raise invalid(name, value, "Empty list")

    def __str__(self) -> str:
        return "non-empty list"


class ValidList:
    """A list of different texts, of `texts` if some are given; `parse` drops what comes twice."""

    drops_duplicates: Final = True

    def __init__(self, *texts: str, empty: bool = True, null: bool = False) -> None:
        self._one_of: Final = OneOf(*texts) if texts else None
        self._empty: Final = empty
        self._null: Final = null

    def __call__(self, name: str, value: SettingValue) -> None:
        if value is None:
            if self._null:
                return
            raise ConfigError(f"Configuration '{name}' values must not be null.")
        assert isinstance(value, list)  # the type is LIST
        if not self._empty and not value:
            allowed = self._one_of or "any non-empty value"
            raise ConfigError(f"Configuration '{name}' must not be empty. Valid values include: {allowed}")
        if len(set(value)) < len(value):
            raise ConfigError(f"Configuration '{name}' values must not be duplicated.")
        for text in value:
            if not text:
                raise ConfigError(f"Configuration '{name}' values must not be empty.")
            if self._one_of is not None:
                self._one_of(name, text)

    def __str__(self) -> str:
        return "" if self._one_of is None else str(self._one_of)


class Regex:
    """A regular expression."""

    def __call__(self, name: str, value: SettingValue) -> None:
        try:
            re.compile(str(value))
        except re.error as error:
            raise invalid(name, value, f"Invalid regex: {error}") from None

    def __str__(self) -> str:
        return "valid regex"


class AllOf:
    """What holds to all of these."""

    def __init__(self, *validators: Validator) -> None:
        self._validators: Final = validators

    def __call__(self, name: str, value: SettingValue) -> None:
        for validator in self._validators:
            validator(name, value)

    def __str__(self) -> str:
        return ", ".join(map(str, self._validators))


class Check:
    """A function's rule, with the text that says it to people."""

    def __init__(self, check: Callable[[str, SettingValue], None], text: str) -> None:
        self._check: Final = check
        self._text: Final = text

    def __call__(self, name: str, value: SettingValue) -> None:
        self._check(name, value)

    def __str__(self) -> str:
        return self._text
