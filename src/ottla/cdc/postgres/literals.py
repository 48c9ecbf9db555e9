"""Values that PostgreSQL writes as texts with an inner form: arrays, hstore, bits, money, points.

ValueError for what is none.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

__all__ = ["array_elements", "bits_of", "hstore_of", "money_of", "point_of"]

_ELEMENT: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^{},"\\]+(?:\\.[^{},"\\]*)*)', re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_BOUNDS: Final = re.compile(rb"(?:\[-?[0-9]{1,10}:-?[0-9]{1,10}\])+=")
_PAIR: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|NULL)', re.DOTALL)
_MONEY_FRACTION: Final = re.compile(r"[.,]([0-9]{1,2})[^0-9]*$")


def array_elements(text: bytes, delimiter: bytes = b",") -> list[bytes | None]:
    """Of an array of one dimension."""
    bounds = _BOUNDS.match(text)
    if bounds is not None:
        text = text[bounds.end() :]
    if not text.startswith(b"{") or not text.endswith(b"}"):
        raise ValueError(f"{text[:60]!r} is no array")
    found: list[bytes | None] = []
    at, end = 1, len(text) - 1
    while at < end:
        element = _ELEMENT.match(text, at, end)
        if element is None:
            raise ValueError("an array of more than one dimension is not read")
        if element[1] is not None:
            found.append(_ESCAPED.sub(rb"\1", element[1]))
        else:
            plain = element[2]
            found.append(None if plain == b"NULL" else _ESCAPED.sub(rb"\1", plain))
        at = element.end()
        if at < end:
            if text[at : at + 1] != delimiter:
                raise ValueError(f"{text[:60]!r} is no array")
            at += 1
    return found


def hstore_of(text: bytes) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    at = 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None:
            raise ValueError(f"{text[:60]!r} is no hstore")
        value = pair[2]
        found[_ESCAPED.sub(rb"\1", pair[1]).decode()] = (
            None if value is None else _ESCAPED.sub(rb"\1", value).decode()
        )
        at = pair.end()
        if text[at : at + 2] == b", ":
            at += 2
    return found


def bits_of(text: bytes) -> bytes:
    """The lowest bits first, without zeros at the end."""
    number = int(text, 2) if text else 0
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


def money_of(text: bytes) -> Decimal:
    """In whatever way the server's locale groups digits, marks signs and names the currency."""
    plain = text.decode()
    digits = re.sub(r"[^0-9]", "", plain)
    if not digits:
        raise ValueError(f"{plain!r} is no amount of money")
    fraction = _MONEY_FRACTION.search(plain)
    places = 0 if fraction is None else len(fraction[1])
    amount = Decimal(int(digits)).scaleb(-places)
    return -amount if "-" in plain or "(" in plain else amount


def point_of(text: bytes) -> tuple[float, float]:
    x, _, y = text.strip(b"()").partition(b",")
    return float(x), float(y)
