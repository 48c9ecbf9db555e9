"""Who a JSON Web Token (RFC 7519) names: signed by a key of a JWKS (RFC 7517), which may change while we run.

Needs the extra `registry-jwt`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import url2pathname, urlopen

import jwt

from ottla.client.errors import ConfigurationError
from ottla.registry.settings import RegistrySettings

__all__ = ["JsonWebTokens"]

_ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""With public keys: whoever can read those of a JWKS must not be able to sign."""
_MAX_KEYS: Final = 1 << 20  # bytes
_MAX_TOKEN: Final = 16 << 10
_TIMEOUT_S: Final = 10
_LEAST_BETWEEN_S: Final = 30
_LEEWAY_S: Final = 30


class JsonWebTokens:
    """ConfigurationError where the keys cannot be read at the beginning."""

    def __init__(
        self,
        settings: RegistrySettings,
        in_thread: Callable[[Callable[[], bool]], Awaitable[bool]],
        now_s: Callable[[], float],
    ) -> None:
        self._url = settings.oauthbearer_jwks_endpoint_url or ""
        self._issuer = settings.oauthbearer_expected_issuer
        self._audience = settings.oauthbearer_expected_audience
        self._claim = settings.oauthbearer_sub_claim_name
        self._in_thread = in_thread
        self._now_s = now_s
        self._read_at_s = now_s()
        try:
            self._keys = _read(self._url)
        except (OSError, URLError, ValueError, jwt.PyJWTError) as error:
            raise ConfigurationError(f"oauthbearer.jwks.endpoint.url={self._url}: {error}") from None

    async def name_of(self, token: str) -> str | None:
        """None where it is no token, is signed by nobody known, is over, or is meant for others."""
        if len(token) > _MAX_TOKEN or token.count(".") != 2:
            return None
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(key_id)
            if key is None and self._now_s() - self._read_at_s > _LEAST_BETWEEN_S:
                self._read_at_s = self._now_s()
                await self._in_thread(self._read_again)
                key = self._keys.get(key_id)
            if key is None:
                return None
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._audience or None,
                issuer=self._issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp"], "verify_aud": bool(self._audience)},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        name = claims.get(self._claim)
        return name if isinstance(name, str) and name else None

    def _read_again(self) -> bool:
        """Keys come and go; those that were there stay while none can be read."""
        try:
            self._keys = _read(self._url)
        except (OSError, URLError, ValueError, jwt.PyJWTError):
            return False
        return True


def _read(url: str) -> dict[str | None, jwt.PyJWK]:
    """The public keys, by their ids."""
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
