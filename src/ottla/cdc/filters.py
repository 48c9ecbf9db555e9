"""Which tables and columns events have, and what is done to columns' values by name. Pure.

Expressions are regular ones, of the whole name, in any case; a comma parts them (`\\,` is one of a name's).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ottla.cdc.tables import TableId
from ottla.connect.errors import ConfigError

__all__ = ["Keys", "Masks", "Names", "Tables", "mask_settings", "split_list"]

_COMMA: Final = re.compile(r"(?<!\\),")
_SEMICOLON: Final = re.compile(r"(?<!\\);")


def split_list(text: str) -> list[str]:
    return [each.strip().replace("\\,", ",") for each in _COMMA.split(text) if each.strip()]


def _pattern(texts: Iterable[str], setting: str) -> re.Pattern[str]:
    try:
        return re.compile("|".join(f"(?:{each})" for each in texts), re.IGNORECASE)
    except re.error as error:
        raise ConfigError(f"{setting}: {error}") from None


class Names:
    """Of the pair of settings `NAME.include.list` and `NAME.exclude.list`."""

    def __init__(self, include: str | None, exclude: str | None, name: str) -> None:
        """Raises ConfigError for what is no expression, and where both are given."""
        if include and exclude:
            raise ConfigError(f'"{name}.include.list" or "{name}.exclude.list" can be given, not both')
        self._include = _pattern(split_list(include), f"{name}.include.list") if include else None
        self._exclude = _pattern(split_list(exclude), f"{name}.exclude.list") if exclude else None

    def has(self, name: str) -> bool:
        if self._include is not None:
            return self._include.fullmatch(name) is not None
        return self._exclude is None or self._exclude.fullmatch(name) is None


class Tables:
    """`schema.*.list`, `table.*.list` and what a database has for itself."""

    def __init__(self, schemas: Names, tables: Names, hidden: frozenset[str]) -> None:
        self._schemas = schemas
        self._tables = tables
        self._hidden = hidden

    def has(self, table: TableId) -> bool:
        return (
            table.schema not in self._hidden
            and self._schemas.has(table.schema)
            and self._tables.has(str(table))
        )


class Keys:
    """`message.key.columns`: TABLES:COLUMN,COLUMN;TABLES:COLUMN"""

    def __init__(self, text: str | None) -> None:
        """Raises ConfigError."""
        self._rules: list[tuple[re.Pattern[str], list[str]]] = []
        for rule in _SEMICOLON.split(text or ""):
            if not rule.strip():
                continue
            table, colon, columns = rule.strip().partition(":")
            if not colon or not split_list(columns):
                raise ConfigError(f"message.key.columns: {rule!r} is not TABLES:COLUMN,COLUMN")
            self._rules.append((_pattern([table], "message.key.columns"), split_list(columns)))

    def of(self, table: TableId) -> list[str] | None:
        """None where no rule is of the table."""
        for pattern, columns in self._rules:
            if pattern.fullmatch(str(table)):
                return columns
        return None


Change = Callable[[str | None, int | None], str | None]
"""Of a text, where the column has so many characters at most"""


class Mask(NamedTuple):
    columns: re.Pattern[str]
    change: Change
    parameters: Mapping[str, str]
    """What the column's schema says of it"""


_MASK: Final = re.compile(r"column\.mask\.with\.([0-9]{1,6})\.chars")
_TRUNCATE: Final = re.compile(r"column\.truncate\.to\.([0-9]{1,9})\.chars")
_MASKED: Final = {"masked": "true"}
_HASH: Final = re.compile(r"column\.mask\.hash\.(?:(v2)\.)?([^.]+)\.with\.salt\.(.+)")


def mask_settings(names: Iterable[str]) -> list[str]:
    """Those of these settings that mask columns; their names have a part that is free."""
    return [name for name in names if any(each.fullmatch(name) for each in (_MASK, _TRUNCATE, _HASH))]


class Masks:
    """`column.mask.with.N.chars`, `column.truncate.to.N.chars` and
    `column.mask.hash.ALGORITHM.with.salt.SALT`: the first that names a column counts for it.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Raises ConfigError."""
        self._masks: list[Mask] = []
        for name in mask_settings(settings):
            pattern = _pattern(split_list(settings[name]), name)
            if (found := _MASK.fullmatch(name)) is not None:
                self._masks.append(Mask(pattern, _constant("*" * int(found[1])), _MASKED))
            elif (found := _TRUNCATE.fullmatch(name)) is not None:
                self._masks.append(Mask(pattern, _truncated(int(found[1])), {"truncateLength": found[1]}))
            elif (found := _HASH.fullmatch(name)) is not None:
                self._masks.append(
                    Mask(pattern, _hashed(found[2], found[3], as_it_is=found[1] == "v2"), _MASKED)
                )

    def of(self, table: TableId, column: str) -> Mask | None:
        for mask in self._masks:
            if mask.columns.fullmatch(f"{table}.{column}"):
                return mask
        return None


def _constant(text: str) -> Change:
    return lambda _value, _length: text


def _truncated(length: int) -> Change:
    return lambda value, _length: None if value is None else value[:length]


_ALGORITHMS: Final = {"MD5": "md5", "SHA": "sha1", "SHA-1": "sha1", "SHA-224": "sha224", "SHA-256": "sha256",
                      "SHA-384": "sha384", "SHA-512": "sha512", "MD2": ""}  # fmt: skip


def _hashed(algorithm: str, salt: str, *, as_it_is: bool) -> Change:
    known = _ALGORITHMS.get(algorithm.upper())
    if not known:
        raise ConfigError(f"column.mask.hash: there is no algorithm {algorithm!r}")

    def change(value: str | None, length: int | None) -> str | None:
        if value is None:
            return None
        data = value.encode() if as_it_is else _serialized(value)
        return hashlib.new(known, salt.encode() + data, usedforsecurity=False).hexdigest()[:length]

    return change


def _serialized(text: str) -> bytes:
    """As Java writes a text as an object."""
    data = bytearray()
    encoded = text.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(encoded), 2):
        unit = encoded[at] << 8 | encoded[at + 1]
        if 0 < unit < 0x80:
            data.append(unit)
        elif unit < 0x800:
            data += bytes((0xC0 | unit >> 6, 0x80 | unit & 0x3F))
        else:
            data += bytes((0xE0 | unit >> 12, 0x80 | unit >> 6 & 0x3F, 0x80 | unit & 0x3F))
    head = b"\xac\xed\x00\x05"
    if len(data) < 0x10000:
        return head + b"t" + len(data).to_bytes(2, "big") + data
    return head + b"|" + len(data).to_bytes(8, "big") + data


def propagated(texts: Sequence[str], setting: str) -> re.Pattern[str] | None:
    """Of `column.propagate.source.type` and its kind. ConfigError."""
    return _pattern(texts, setting) if texts else None
