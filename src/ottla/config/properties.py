"""Java's properties format, as a `server.properties` file is written in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ottla.config.definition import ConfigError

_BLANKS = " \t\f"
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


class Property(NamedTuple):
    name: str
    value: str
    line: int  # where the entry begins, counted from 1


def parse_properties(text: str) -> Iterator[Property]:
    """The entries of `text` in order; raises ConfigError for a `\\u` escape that is none, with its line."""
    for line_number, line in _logical_lines(text):
        name, value = _split(line)
        try:
            yield Property(_unescape(name), _unescape(value), line_number)
        except ValueError as error:
            raise ConfigError(f"{line_number}: {error}") from None


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Entries with continuation lines joined; comments and blank lines left out."""
    joined: str | None = None
    start = 0
    for number, natural in enumerate(_natural_lines(text), 1):
        line = natural.lstrip(_BLANKS)
        if joined is None:
            if not line or line[0] in "#!":
                continue
            joined, start = "", number
        backslashes = len(line) - len(line.rstrip("\\"))
        if backslashes % 2:
            joined += line[:-1]
            continue
        yield start, joined + line
        joined = None
    if joined:
        yield start, joined


def _natural_lines(text: str) -> list[str]:
    # Not str.splitlines(): that also splits at characters which Java takes for text.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _split(line: str) -> tuple[str, str]:
    """Name and value at the first `=`, `:` or blank that is not escaped."""
    position = 0
    while position < len(line) and line[position] not in "=:" + _BLANKS:
        position += 2 if line[position] == "\\" else 1
    name, rest = line[:position], line[position:].lstrip(_BLANKS)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(_BLANKS)
    return name, rest


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    parts: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character != "\\":
            parts.append(character)
            continue
        escaped = text[position]  # no text ends in one backslash: it would have gone on in the next line
        position += 1
        if escaped != "u":
            parts.append(_ESCAPES.get(escaped, escaped))
            continue
        digits = text[position : position + 4]
        position += 4
        if len(digits) != 4 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            raise ValueError(f"Malformed \\u{digits} escape")
        parts.append(chr(int(digits, 16)))
    return "".join(parts)
