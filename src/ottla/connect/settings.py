"""Settings' values: what a definition makes of a configuration's texts, and how they are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, cast

from ottla.connect.data.numbers import double_text
from ottla.connect.errors import ConfigError

__all__ = ["HIDDEN", "Secret", "SettingValue", "Settings", "invalid", "setting_text"]

HIDDEN: Final = "[hidden]"


class Secret:
    """A text that is printed as `[hidden]`, wherever it is."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value: Final = value

    def __str__(self) -> str:
        return HIDDEN

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


SettingValue: TypeAlias = "bool | int | float | str | Secret | Sequence[str] | None"


class Settings:
    """A plugin's configuration, typed: each setting as what its definition says."""

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, SettingValue]) -> None:
        self.values: Final = values

    def __getitem__(self, name: str) -> SettingValue:
        return self.values[name]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def string(self, name: str) -> str:
        return cast("str", self.values[name])

    def optional_string(self, name: str) -> str | None:
        return cast("str | None", self.values[name])

    def integer(self, name: str) -> int:
        return cast("int", self.values[name])

    def optional_integer(self, name: str) -> int | None:
        return cast("int | None", self.values[name])

    def double(self, name: str) -> float:
        return cast("float", self.values[name])

    def boolean(self, name: str) -> bool:
        return cast("bool", self.values[name])

    def list(self, name: str) -> Sequence[str]:
        return cast("Sequence[str]", self.values[name])

    def optional_list(self, name: str) -> Sequence[str] | None:
        return cast("Sequence[str] | None", self.values[name])

    def secret(self, name: str) -> Secret | None:
        return cast("Secret | None", self.values[name])


def invalid(name: str, value: SettingValue, message: str) -> ConfigError:
    """The error for a value that a setting does not take."""
    return ConfigError(f"Invalid value {_printed(value)} for configuration {name}: {message}")


def _printed(value: SettingValue) -> str:
    """As Java prints it in a sentence."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(value)}]"
    return "null" if value is None else setting_text(value) or ""


def setting_text(value: SettingValue) -> str | None:
    """As the REST face gives it; None for null."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, Sequence):
        return ",".join(value)
    return str(value)
