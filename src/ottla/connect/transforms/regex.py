"""Java's regular expressions and replacements, as settings have them, in Python's terms."""

from __future__ import annotations

import re
from typing import Final

from ottla.connect.errors import ConfigError
from ottla.connect.settings import SettingValue, invalid

__all__ = ["Regex", "compile_regex", "replace_first"]

_NAMED_GROUP: Final = re.compile(r"\\k<([A-Za-z][A-Za-z0-9]*)>|(\\.)|\(\?<(?=[A-Za-z])", re.DOTALL)
_REPLACEMENT: Final = re.compile(r"\\(.)|\$([0-9]+)|\$\{([A-Za-z][A-Za-z0-9]*)\}|([\\$])", re.DOTALL)


def compile_regex(text: str) -> re.Pattern[str]:
    """Raises re.error for what is none, or uses what Python's have not."""

    def named(found: re.Match[str]) -> str:
        return f"(?P={found[1]})" if found[1] else found[2] or "(?P<"

    return re.compile(_NAMED_GROUP.sub(named, text))


class Regex:
    """A regular expression, as a setting's rule."""

    def __call__(self, name: str, value: SettingValue) -> None:
        if not isinstance(value, str):
            raise invalid(name, value, "Invalid regex: null")
        try:
            compile_regex(value)
        except (re.error, RecursionError, OverflowError) as error:
            raise invalid(name, value, f"Invalid regex: {error}") from None

    def __str__(self) -> str:
        return "valid regex"


def replace_first(pattern: re.Pattern[str], replacement: str, text: str) -> str:
    """The first match replaced; `$1` and `${name}` are groups. Raises ConfigError for one that is not."""

    def replaced(found: re.Match[str]) -> str:
        return _REPLACEMENT.sub(lambda part: _part(part, found), replacement)

    return pattern.sub(replaced, text, count=1)


def _part(part: re.Match[str], found: re.Match[str]) -> str:
    escaped, number, name, stray = part.groups()
    if escaped is not None:
        return escaped
    if stray is not None:
        raise ConfigError(
            "Illegal group reference: a $ or \\ of its own is written with a backslash before it"
        )
    if name is not None:
        if name not in found.re.groupindex:
            raise ConfigError(f"No group with name {{{name}}}")
        return found[name] or ""
    # As many digits as make a group that there is; the rest is text.
    for length in range(len(number), 0, -1):
        group = int(number[:length])
        if group <= found.re.groups:
            return (found[group] or "") + number[length:]
    raise ConfigError(f"No group {number[0]}")
