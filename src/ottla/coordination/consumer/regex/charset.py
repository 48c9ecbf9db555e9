"""Sets of ASCII characters as 128-bit integers, and the classes that RE2 names.

Topic names are ASCII (`[a-zA-Z0-9._-]`), so what a pattern says of other characters can never match
and is left out: a set is the ASCII part of the class.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

SIZE = 128
ALL = (1 << SIZE) - 1
NONE = 0


def of(characters: str) -> int:
    """The set of these characters, those beyond ASCII left out."""
    bits = 0
    for character in characters:
        if ord(character) < SIZE:
            bits |= 1 << ord(character)
    return bits


def span(first: int, last: int) -> int:
    """The set of the code points from `first` to `last`, both included."""
    first, last = max(first, 0), min(last, SIZE - 1)
    return ((1 << (last + 1)) - 1) & ~((1 << first) - 1) if first <= last else NONE


def complement(bits: int) -> int:
    """Every ASCII character that is not in the set."""
    return ALL & ~bits


def codes(bits: int) -> Iterator[int]:
    """The code points in the set."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def is_word(character: str) -> bool:
    """Whether `\\w` has the character."""
    return bool(of(character) & WORD)


def fold_case(bits: int) -> int:
    """The set with both cases of each letter that it has."""
    upper, lower = bits & _UPPER, bits & _LOWER
    return bits | upper << 32 | lower >> 32


_UPPER = span(ord("A"), ord("Z"))
_LOWER = span(ord("a"), ord("z"))
_ALPHA = _UPPER | _LOWER
DIGIT = span(ord("0"), ord("9"))
WORD = _ALPHA | DIGIT | of("_")
SPACE = of("\t\n\f\r ")
NEWLINE = of("\n")
_PRINT = span(0x20, 0x7E)
_GRAPH = span(0x21, 0x7E)

POSIX = {
    "alnum": _ALPHA | DIGIT,
    "alpha": _ALPHA,
    "ascii": ALL,
    "blank": of("\t "),
    "cntrl": span(0, 31) | of("\x7f"),
    "digit": DIGIT,
    "graph": _GRAPH,
    "lower": _LOWER,
    "print": _PRINT,
    "punct": _GRAPH & ~(_ALPHA | DIGIT),
    "space": SPACE | of("\v"),
    "upper": _UPPER,
    "word": WORD,
    "xdigit": DIGIT | of("abcdefABCDEF"),
}
"""`[:name:]` inside a class."""

_CATEGORIES = [unicodedata.category(chr(code)) for code in range(SIZE)]
_UNICODE_CATEGORIES = frozenset(
    prefix + suffix
    for prefix, suffixes in {
        "C": "cfos",
        "L": "lmotu",
        "M": "cen",
        "N": "dlo",
        "P": "cdefios",
        "S": "ckmo",
        "Z": "lps",
    }.items()
    for suffix in ("", *suffixes)
)


def unicode_class(name: str) -> int | None:
    """The ASCII part of `\\p{name}` for a general category, `Any` or `Latin`; None for an unknown name."""
    if name == "Any":
        return ALL
    if name == "Latin":
        return _ALPHA
    if name not in _UNICODE_CATEGORIES:
        return None
    return sum(1 << code for code, category in enumerate(_CATEGORIES) if category.startswith(name))
