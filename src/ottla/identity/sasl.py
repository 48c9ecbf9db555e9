"""The client's side of SASL: PLAIN (RFC 4616), SCRAM (RFC 5802, 7677) and OAUTHBEARER (RFC 7628)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

_HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
MECHANISMS: Final = ("PLAIN", *_HASHES, "OAUTHBEARER")
ABSENT_MECHANISMS: Final = ("GSSAPI", "AWS_MSK_IAM")
"""Known by name, to say that they are not there"""

MAX_CHALLENGE_BYTES: Final = 64 * 1024
"""Of what a broker says before it has proved anything"""

_FEWEST_ITERATIONS: Final = 4096
_MOST_ITERATIONS: Final = 1_000_000
"""More would have whoever answers in the broker's place keep the client busy."""

_SHOWN: Final = 500
"""Characters of what a broker says in its own words"""

_TOKEN: Final = re.compile(r"[!-~]+")
_EXTENSION_NAME: Final = re.compile(r"[A-Za-z]+")
_EXTENSION_VALUE: Final = re.compile(r"[!-~ \t\r\n]+")


class SaslError(Exception):
    """The other side refuses, or is not to be believed. Nothing in the text is a secret."""


class Mechanism(Protocol):
    """One exchange."""

    def first(self) -> bytes:
        """What the client begins with."""

    def answer(self, challenge: bytes) -> bytes | None:
        """To what the broker says next; None at the end. SaslError where the broker is not to be
        believed.
        """


def password_mechanism(
    name: str, username: str, password: str, nonce: str, *, is_token: bool = False
) -> Mechanism:
    """PLAIN or SCRAM; with a delegation token's id and HMAC (in base64) where it `is_token`. `nonce` is
    letters and digits that nobody foresees. ValueError for a user name or password that the mechanism cannot
    carry, without showing it.
    """
    for what, text in (("user name", username), ("password", password)):
        # Not from UnicodeEncodeError, which quotes what it could not encode.
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError(f"the {what} is no valid text")
        if name == "PLAIN" and "\0" in text:
            raise ValueError(f"the {what} has a NUL, which PLAIN cannot carry")
    if name == "PLAIN":
        return Plain(username, password)
    return Scram(_HASHES[name], username, password, nonce, ",tokenauth=true" if is_token else "")


def is_token(text: object) -> bool:
    """Whether it can be a bearer token: printable ASCII without spaces."""
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


def extensions_of(items: Iterable[str]) -> dict[str, str]:
    """Of `name=value`s, as RFC 7628 (3.1) has them beside a token; ValueError for what is none."""
    extensions: dict[str, str] = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not separator or not _EXTENSION_NAME.fullmatch(name) or not _EXTENSION_VALUE.fullmatch(value):
            raise ValueError(f"{item!r} is not name=value, of letters and printable ASCII")
        if name == "auth" or name in extensions:
            raise ValueError(f"{name} is given twice" if name != "auth" else "auth is the token's own name")
        extensions[name] = value
    return extensions


class Plain:
    """All is said at once, the password too."""

    def __init__(self, username: str, password: str) -> None:
        self._message = f"\0{username}\0{password}".encode()

    def first(self) -> bytes:
        return self._message

    def answer(self, challenge: bytes) -> bytes | None:
        if challenge:
            raise SaslError("the broker asks on after PLAIN's only message")
        return None


class OAuthBearer:
    """A token that somebody else gave (see `is_token`), and what the broker is told beside it."""

    def __init__(self, token: str, extensions: Mapping[str, str] = MappingProxyType({})) -> None:
        self._token = token
        self._extensions = extensions
        self._refusal: bytes | None = None

    def first(self) -> bytes:
        more = "".join(f"{name}={value}\x01" for name, value in self._extensions.items())
        return f"n,,\x01auth=Bearer {self._token}\x01{more}\x01".encode()

    def answer(self, challenge: bytes) -> bytes | None:
        """A refusal comes as a challenge, and only after one more message as the end (RFC 7628, 3.2.3)."""
        if self._refusal is not None:
            shown = self._refusal.decode(errors="replace")[:_SHOWN]
            raise SaslError(f"the broker refuses: {shown}")
        if not challenge:
            return None
        self._refusal = challenge
        return b"\x01"


class Scram:
    """Neither side tells the password, and both prove that they know it.

    Names and passwords go as UTF-8, without SASLprep: Kafka's brokers and clients use none.
    """

    def __init__(
        self, hash_name: str, username: str, password: str, nonce: str, extensions: str = ""
    ) -> None:
        """`extensions` are said behind the nonce."""
        self._hash = hash_name
        self._password = password.encode()
        self._nonce = nonce
        self._bare = f"n={username.replace('=', '=3D').replace(',', '=2C')},r={nonce}{extensions}"
        self._expected: bytes | None = None
        self._is_over = False

    def first(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def answer(self, challenge: bytes) -> bytes | None:
        if self._is_over:
            return None
        fields = _fields(challenge)
        if "e" in fields:
            raise SaslError(f"the broker refuses: {fields['e'][:_SHOWN]}")
        if self._expected is None:
            return self._prove(challenge, fields)
        if not hmac.compare_digest(_decoded(fields, "v"), self._expected):
            raise SaslError("the broker does not know the password itself")
        self._is_over = True
        return None

    def _prove(self, challenge: bytes, fields: dict[str, str]) -> bytes:
        if "m" in fields:
            raise SaslError("the broker wants a SCRAM extension that is not known here")
        nonce, iterations = fields.get("r", ""), fields.get("i", "")
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise SaslError("the broker's SCRAM nonce does not go on from the client's")
        count = (
            int(iterations) if iterations.isascii() and iterations.isdigit() and len(iterations) < 9 else 0
        )
        if not _FEWEST_ITERATIONS <= count <= _MOST_ITERATIONS:
            raise SaslError(f"the broker asks for {iterations[:20]} SCRAM iterations")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, _decoded(fields, "s"), count)
        without_proof = f"c=biws,r={nonce}"
        said = b",".join((self._bare.encode(), challenge, without_proof.encode()))
        client_key = self._hmac(salted, b"Client Key")
        signature = self._hmac(hashlib.new(self._hash, client_key).digest(), said)
        proof = bytes(left ^ right for left, right in zip(client_key, signature, strict=True))
        self._expected = self._hmac(self._hmac(salted, b"Server Key"), said)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def _hmac(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, self._hash)


def _fields(message: bytes) -> dict[str, str]:
    """Of `a=...,b=...`; SaslError for what is not that."""
    try:
        return dict(each.split("=", 1) for each in message.decode().split(","))
    except ValueError:
        raise SaslError("the broker's SCRAM message is malformed") from None


def _decoded(fields: dict[str, str], name: str) -> bytes:
    try:
        decoded = base64.b64decode(fields[name], validate=True)
    except (KeyError, ValueError):
        decoded = b""
    if not decoded:
        raise SaslError("the broker's SCRAM message is malformed")
    return decoded
