"""The client's side of SASL: PLAIN (RFC 4616), SCRAM (RFC 5802, 7677) and OAUTHBEARER (RFC 7628)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Final, Protocol

from ottla.client.errors import AuthenticationError

_HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
MECHANISMS: Final = ("PLAIN", *_HASHES, "OAUTHBEARER")

_FEWEST_ITERATIONS: Final = 4096
_MOST_ITERATIONS: Final = 1_000_000
"""More would have whoever answers in the broker's place keep the client busy."""


class Mechanism(Protocol):
    """One exchange."""

    def first(self) -> bytes:
        """What the client begins with."""

    def answer(self, challenge: bytes) -> bytes | None:
        """To what the broker says next; None at the end. AuthenticationError where the broker is not to be
        believed.
        """


def mechanism_of(
    name: str, username: str, password: str, token: Callable[[], str], nonce: Callable[[], str]
) -> Mechanism:
    """One of MECHANISMS. `token` gives OAUTHBEARER's, `nonce` letters and digits that nobody foresees."""
    if name == "PLAIN":
        return _OneMessage(f"\0{username}\0{password}".encode())
    if name == "OAUTHBEARER":
        return _OneMessage(f"n,,\x01auth=Bearer {token()}\x01\x01".encode())
    return Scram(_HASHES[name], username, password, nonce())


class _OneMessage:
    """All is said at once."""

    def __init__(self, message: bytes) -> None:
        self._message = message

    def first(self) -> bytes:
        return self._message

    def answer(self, challenge: bytes) -> bytes | None:
        if challenge:  # OAUTHBEARER's refusal
            raise AuthenticationError(f"the broker refuses: {challenge[:500].decode(errors='replace')}")
        return None


class Scram:
    """Neither side tells the password, and both prove that they know it."""

    def __init__(self, hash_name: str, username: str, password: str, nonce: str) -> None:
        self._hash = hash_name
        self._password = password.encode()
        self._nonce = nonce
        self._bare = f"n={username.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        self._expected: bytes | None = None
        self._is_over = False

    def first(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def answer(self, challenge: bytes) -> bytes | None:
        if self._is_over:
            return None
        fields = _fields(challenge)
        if "e" in fields:
            raise AuthenticationError(f"the broker refuses: {fields['e'][:500]}")
        if self._expected is None:
            return self._prove(challenge, fields)
        if not hmac.compare_digest(_decoded(fields, "v"), self._expected):
            raise AuthenticationError("the broker does not know the password itself")
        self._is_over = True
        return None

    def _prove(self, challenge: bytes, fields: dict[str, str]) -> bytes:
        nonce, iterations = fields.get("r", ""), fields.get("i", "")
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise AuthenticationError("the broker's SCRAM nonce does not go on from the client's")
        count = (
            int(iterations) if iterations.isascii() and iterations.isdigit() and len(iterations) < 9 else 0
        )
        if not _FEWEST_ITERATIONS <= count <= _MOST_ITERATIONS:
            raise AuthenticationError(f"the broker asks for {iterations[:20]} SCRAM iterations")
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
    """Of `a=...,b=...`; AuthenticationError for what is not that."""
    try:
        return dict(each.split("=", 1) for each in message.decode().split(","))
    except ValueError:
        raise AuthenticationError("the broker's SCRAM message is malformed") from None


def _decoded(fields: dict[str, str], name: str) -> bytes:
    try:
        return base64.b64decode(fields[name], validate=True)
    except (KeyError, binascii.Error):
        raise AuthenticationError("the broker's SCRAM message is malformed") from None
