"""JSON read within bounds, and written as Jackson writes it: so schemas look in a registry."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Final, NoReturn, TypeAlias, TypeGuard

from ottla.schemas.limits import MAX_JSON_DEPTH
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["Json", "JsonObject", "is_array", "read", "shown", "write"]

Json: TypeAlias = "bool | int | float | Decimal | str | Sequence[Json] | Mapping[str, Json] | None"
JsonObject: TypeAlias = Mapping[str, Json]

_MAX_NUMBER: Final = 1_000
"""Digits of a number."""
_MAX_EXPONENT: Final = 999
_MAX_SHOWN: Final = 200
_STRING_OR_COMMENT: Final = re.compile(r'("(?:[^"\\]|\\.)*+"?)|/\*(?s:.*?(?:\*/|\Z))|//[^\n]*')
_ESCAPE: Final = re.compile(r"\\\\|\\u00[01][0-9a-f]")
_PLAIN_DOUBLES: Final = (1e-3, 1e7)
"""Between these Java writes a double without an exponent."""


def is_array(value: object) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def read(text: str, *, comments: bool = False, exact: bool = False) -> Json:
    """The value that `text` is. Raises `InvalidSchemaError`.

    `comments` are those of Java; `exact` keeps numbers with a point as the decimals that they are.
    """
    try:
        value: Json = json.loads(
            text, parse_constant=_refuse, parse_int=_integer, parse_float=_decimal if exact else float
        )
    except json.JSONDecodeError as error:
        if not comments or "/" not in text:
            raise InvalidSchemaError(f"Not JSON: {error}") from None
        return read(_STRING_OR_COMMENT.sub(lambda match: match[1] or " ", text), exact=exact)
    except RecursionError:
        raise InvalidSchemaError(f"Nested more than {MAX_JSON_DEPTH} levels deep") from None
    _check(value)
    return value


def _refuse(constant: str) -> NoReturn:
    raise InvalidSchemaError(f"Not JSON: {constant}")


def _integer(digits: str) -> int:
    if len(digits) > _MAX_NUMBER:
        raise InvalidSchemaError(f"A number has {len(digits)} digits, more than {_MAX_NUMBER}")
    return int(digits)


def _decimal(digits: str) -> Decimal:
    exponent = digits.lower().partition("e")[2]
    if len(digits) > _MAX_NUMBER or abs(int(exponent or 0)) > _MAX_EXPONENT:
        raise InvalidSchemaError(f"A number is too long, or too large or small: {digits[:20]}...")
    value = Decimal(digits)
    return value or abs(value)


def _check(value: Json) -> None:
    """Depth, finite numbers and whole characters, level by level."""
    level: list[Json] = [value]
    for _ in range(MAX_JSON_DEPTH):
        below: list[Json] = []
        for each in level:
            if isinstance(each, str):
                _check_text(each)
            elif isinstance(each, Mapping):
                for key in each:
                    _check_text(key)
                below.extend(each.values())
            elif isinstance(each, Sequence):
                below.extend(each)
            elif isinstance(each, float) and not math.isfinite(each):
                raise InvalidSchemaError("A number is too large for a double")
        if not below:
            return
        level = below
    raise InvalidSchemaError(f"Nested more than {MAX_JSON_DEPTH} levels deep")


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidSchemaError(
                "A string holds half of a surrogate pair, which is no character"
            ) from None


def shown(value: Json) -> str:
    """The beginning of it, for a message."""
    text = write(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def write(value: Json, *, sort: bool = False) -> str:
    """`value` without spaces, as Jackson writes it; with `sort` in the order of the keys."""
    parts: list[str] = []
    _write(value, parts, sort)
    return "".join(parts)


def _write(value: Json, parts: list[str], sort: bool) -> None:
    if isinstance(value, str):
        parts.append(_string(value))
    elif value is None or isinstance(value, bool):
        parts.append("null" if value is None else "true" if value else "false")
    elif isinstance(value, float):
        parts.append(_double(value))
    elif isinstance(value, int | Decimal):
        parts.append(str(value))
    elif isinstance(value, Mapping):
        opening = "{"
        for key in sorted(value, key=_utf16) if sort else value:
            parts += (opening, _string(key), ":")
            _write(value[key], parts, sort)
            opening = ","
        parts.append("}" if value else "{}")
    else:
        opening = "["
        for each in value:
            parts.append(opening)
            _write(each, parts, sort)
            opening = ","
        parts.append("]" if value else "[]")


def _string(text: str) -> str:
    quoted = encode_basestring(text)
    return (
        _ESCAPE.sub(lambda match: match[0].upper().replace("U", "u"), quoted) if "\\u00" in quoted else quoted
    )


def _double(value: float) -> str:
    """As `Double.toString`: 1.0, 0.001, 1.0E7."""
    if value == 0 or _PLAIN_DOUBLES[0] <= abs(value) < _PLAIN_DOUBLES[1]:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    figures = "".join(map(str, digits))
    assert isinstance(exponent, int)
    return f"{'-' * sign}{figures[0]}.{figures[1:] or '0'}E{exponent + len(figures) - 1}"


def _utf16(key: str) -> bytes:
    """What Java sorts strings by."""
    return key.encode("utf-16-be", "surrogatepass")
