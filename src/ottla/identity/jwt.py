"""Whom a JSON Web Token (RFC 7519) names, which a key of a JWKS (RFC 7517) signed: those may change.

Needs PyJWT, which the extras `security` and `registry-jwt` bring.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import url2pathname, urlopen

import jwt

log = logging.getLogger("ottla.authentication")

_ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""With public keys: whoever can read those of a JWKS must not be able to sign."""
_MAX_KEYS: Final = 1 << 20  # bytes
_MAX_TOKEN: Final = 16 << 10
_TIMEOUT_S: Final = 10
_LATEST_MS: Final = (1 << 63) - 1
_MALFORMED: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""What JSON of others leads to, and the numbers in it"""


class KeysError(ValueError):
    """There are no keys at a URL, or they cannot be read."""


class TokenError(ValueError):
    """A token is not to be believed. Nothing of it is in the text."""


class UnknownKeyError(TokenError):
    """It is signed by a key that is not known, which may be a new one."""


class TokenRules(NamedTuple):
    """What is asked of tokens."""

    issuer: str | None
    audiences: tuple[str, ...]
    """One of these; any where there is none"""
    subject_claim: str = "sub"
    scope_claim: str = "scope"
    leeway_s: int = 30
    required: tuple[str, ...] = ("exp",)
    groups_claim: str | None = None
    """That names the groups of the principal; with dots, one inside others"""


class Claims(NamedTuple):
    """What a good one says."""

    name: str
    expires_ms: int
    scopes: tuple[str, ...]
    groups: tuple[str, ...] = ()


class JsonWebTokens:
    """Judges them by the keys that it has read last."""

    def __init__(self, url: str, rules: TokenRules, now_s: Callable[[], float]) -> None:
        """Raises KeysError."""
        self._url = url
        self._rules = rules
        self._now_s = now_s
        self._keys = _read(url)
        self.read_at_s = now_s()
        """When it was last tried"""

    def read_again(self) -> bool:
        """Takes a while. Keys come and go; those that were there stay while none can be read: False."""
        self.read_at_s = self._now_s()
        try:
            self._keys = _read(self._url)
        except KeysError as error:
            log.warning(
                "the keys of tokens stay as they were, as none can be read at %s: %s", self._url, error
            )
            return False
        return True

    def claims(self, token: str) -> Claims:
        """Raises TokenError."""
        if len(token) > _MAX_TOKEN or token.count(".") != 2:
            raise TokenError("it is no signed token")
        try:
            key = self._keys.get(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                raise UnknownKeyError("it is signed by a key that is not known")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._rules.audiences or None,
                issuer=self._rules.issuer,
                leeway=self._rules.leeway_s,
                options={"require": list(self._rules.required), "verify_aud": bool(self._rules.audiences)},
            )
        except jwt.PyJWTError as error:
            raise TokenError(str(error)) from error
        except TokenError:
            raise
        except _MALFORMED as error:
            raise TokenError("it is malformed") from error
        name = claims.get(self._rules.subject_claim)
        if not isinstance(name, str) or not name.strip():
            raise TokenError(f"it has no claim {self._rules.subject_claim}")
        try:
            expires_ms = min(int(claims["exp"] * 1000), _LATEST_MS)
        except _MALFORMED as error:
            raise TokenError("it has no claim exp that is a time") from error
        return Claims(name.strip(), expires_ms, self._scopes(claims), self._groups(claims))

    def _scopes(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        given = claims.get(self._rules.scope_claim, ())
        scopes = (given,) if isinstance(given, str) else given
        is_list = isinstance(scopes, list | tuple) and all(isinstance(each, str) for each in scopes)
        if not is_list or not all(scopes) or len(set(scopes)) != len(scopes):
            raise TokenError(f"its claim {self._rules.scope_claim} has no scopes that can be told apart")
        return tuple(scopes)

    def _groups(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        name = self._rules.groups_claim
        if name is None:
            return ()
        given: Any = claims
        for part in (name,) if name in claims else name.split("."):
            given = given.get(part) if isinstance(given, Mapping) else None
        groups = [given] if isinstance(given, str) else given or []
        if not isinstance(groups, list) or not all(isinstance(each, str) for each in groups):
            raise TokenError(f"its claim {name} has no names of groups")
        return tuple(dict.fromkeys(each for each in groups if each))


def _read(url: str) -> dict[str | None, jwt.PyJWK]:
    """The public keys, by their ids. Raises KeysError."""
    try:
        return _keys(_content(url))
    except (OSError, URLError, HTTPException, jwt.PyJWTError, *_MALFORMED) as error:
        raise KeysError(str(error)) from None


def _content(url: str) -> bytes:
    parts = urlsplit(url)
    if parts.scheme == "file":
        with Path(url2pathname(parts.path)).open("rb") as file:
            data = file.read(_MAX_KEYS + 1)
    elif parts.scheme in ("http", "https"):
        with urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 (http and https alone)
            data = answer.read(_MAX_KEYS + 1)
    else:
        raise ValueError("it is neither a file: nor an http(s): URL")
    if len(data) > _MAX_KEYS:
        raise ValueError(f"more than {_MAX_KEYS} bytes are no keys")
    return data


def _keys(data: bytes) -> dict[str | None, jwt.PyJWK]:
    given = json.loads(data)
    if not isinstance(given, dict) or not isinstance(given.get("keys"), list):
        raise ValueError("it is no JWKS")
    found = jwt.PyJWKSet([each for each in given["keys"] if isinstance(each, dict)])  # of kinds that it knows
    keys = {
        each.key_id: each
        for each in found
        if each.algorithm_name in _ALGORITHMS and each.public_key_use != "enc"
    }
    if not keys:
        raise ValueError("it has no public key that signs")
    return keys
