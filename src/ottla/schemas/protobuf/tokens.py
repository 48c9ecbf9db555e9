"""A .proto file's words."""

from __future__ import annotations

import re
from typing import Final

from ottla.schemas.limits import MAX_NAME, Budget
from ottla.schemas.schema import InvalidSchemaError

__all__ = ["Tokens", "unescaped"]

_TOKEN: Final = re.compile(
    r"""
    (?P<space>[\s\ufeff]+|//[^\n]*|/\*(?s:.*?)\*/)
    |(?P<open>/\*)
    |(?P<word>[\w.+-]+)
    |(?P<string>"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+')
    |(?P<mark>[^\w\s"'])
    """,
    re.VERBOSE | re.ASCII,
)
_ESCAPE: Final = re.compile(r"\\(?:([abfnrtv])|[xX]([0-9a-fA-F]{1,2})|([0-7]{1,3})|u([0-9a-fA-F]{4})|(.))")
_CONTROLS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_INTEGER: Final = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})")
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_NAMES: Final = re.compile(r"\.?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


class Tokens:
    """Read one after the other. What raises, raises `InvalidSchemaError` with the line."""

    def __init__(self, text: str, budget: Budget) -> None:
        self._text = text
        self._at = 0
        self._budget = budget
        self._kind = ""
        self._token = ""
        self._start = 0
        self._advance()

    def _advance(self) -> None:
        while True:
            self._budget.spend()
            self._start = self._at
            if self._at == len(self._text):
                self._kind, self._token = "end", ""
                return
            match = _TOKEN.match(self._text, self._at)
            kind = match.lastgroup if match is not None else None
            if match is None or kind is None or kind == "open":
                raise self.error(f"{self._text[self._at : self._at + 10]!r} is not understood")
            self._at = match.end()
            if kind == "word" and len(match[0]) > MAX_NAME:
                raise self.error(f"A word has {len(match[0])} characters, more than {MAX_NAME}")
            if kind != "space":
                self._kind, self._token = kind, match[0]
                return

    def error(self, what: str) -> InvalidSchemaError:
        return InvalidSchemaError(f"Line {self._text.count(chr(10), 0, self._start) + 1}: {what}")

    @property
    def ended(self) -> bool:
        return self._kind == "end"

    def peek(self, token: str) -> bool:
        """Whether `token`, a word or mark, is next."""
        return self._token == token and self._kind != "string"

    def take(self, token: str) -> bool:
        """Passes over `token` if it is next."""
        if not self.peek(token):
            return False
        self._advance()
        return True

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise self.error(f"{token} is missing before {self._token[:50]!r}")

    def word(self) -> str:
        if self._kind != "word":
            raise self.error(f"{self._token[:50]!r} is no word")
        word = self._token
        self._advance()
        return word

    def name(self) -> str:
        return self._matching(_NAME, "name")

    def names(self) -> str:
        """A name that may have dots."""
        return self._matching(_NAMES, "name of a type")

    def _matching(self, pattern: re.Pattern[str], what: str) -> str:
        if self._kind != "word" or not pattern.fullmatch(self._token):
            raise self.error(f"{self._token[:50]!r} is no {what}")
        return self.word()

    def integer(self) -> int:
        if self._kind != "word" or not _INTEGER.fullmatch(self._token):
            raise self.error(f"{self._token[:50]!r} is no number")
        word = self.word()
        return int(word, 16 if "x" in word.lower() else 10)

    def string_is_next(self) -> bool:
        return self._kind == "string"

    def string(self) -> str:
        """Strings beside each other are one."""
        if self._kind != "string":
            raise self.error(f"{self._token[:50]!r} is no string")
        parts = []
        while self._kind == "string":
            parts.append(unescaped(self._token[1:-1]))
            self._advance()
        return "".join(parts)


def unescaped(text: str) -> str:
    """What stands between quotes; a byte that is no ASCII is half a surrogate, as in file names."""
    return _ESCAPE.sub(_unescape, text)


def _unescape(match: re.Match[str]) -> str:
    control, hexadecimal, octal, unicode, other = match.groups()
    if control:
        return _CONTROLS[control]
    if unicode:
        return chr(int(unicode, 16)).encode(errors="ignore").decode()
    if hexadecimal or octal:
        byte = int(hexadecimal, 16) if hexadecimal else int(octal, 8) & 255
        return bytes([byte]).decode(errors="surrogateescape")
    return str(other)
