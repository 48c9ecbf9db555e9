"""`sasl.jaas.config`, in which properties files of Java's tools carry user name and password."""

from __future__ import annotations

import re
from typing import Final

_PREFIX: Final = "org.apache.kafka.common.security."
PLAIN_LOGIN: Final = f"{_PREFIX}plain.PlainLoginModule"
SCRAM_LOGIN: Final = f"{_PREFIX}scram.ScramLoginModule"
OAUTH_LOGIN: Final = f"{_PREFIX}oauthbearer.OAuthBearerLoginModule"

_TOKEN: Final = re.compile(r"""\s*(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|([^\s=;"']+|[=;]))\s*""")
_ESCAPE: Final = re.compile(r"\\([0-3]?[0-7]{1,2}|.)")
_ESCAPED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def parse_jaas(text: str) -> tuple[str, dict[str, str]]:
    """The login module's class and its options, of `CLASS required NAME="VALUE" ...;`.

    ValueError for what is not that; it shows nothing of the text, which holds secrets.
    """
    tokens = _tokens(text)
    if len(tokens) < 3 or tokens[-1] != ";" or ";" in tokens[:-1]:
        raise ValueError('must be one entry: CLASS required NAME="VALUE" ...;')
    options: dict[str, str] = {}
    rest = tokens[2:-1]
    for name, equals, value in zip(rest[::3], rest[1::3], rest[2::3], strict=False):
        if equals != "=" or "=" in (name, value):
            break
        options[_plain(name)] = _plain(value)
    if len(options) * 3 != len(rest):
        raise ValueError('must have options as NAME="VALUE", each once, then a semicolon')
    return _plain(tokens[0]), options


def _tokens(text: str) -> list[str]:
    """Words and signs as they are; what was in quotes begins with one, so that a quoted sign is none."""
    tokens = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError("must have each quote closed")
        word = match[3]
        quoted = match[1] if match[1] is not None else match[2]
        tokens.append(word if word is not None else '"' + _ESCAPE.sub(_unescaped, quoted))
        position = match.end()
    return tokens


def _plain(token: str) -> str:
    return token.removeprefix('"')


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code, 8)) if code.isdecimal() and code < "8" else _ESCAPED.get(code, code)
