"""Whom a bearer token that is a JSON Web Token names. Needs the extra `registry-jwt`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from ottla.client.errors import ConfigurationError
from ottla.identity import jwt
from ottla.registry.settings import RegistrySettings

__all__ = ["JsonWebTokens"]

_LEAST_BETWEEN_S: Final = 30


class JsonWebTokens:
    """ConfigurationError where the keys cannot be read at the beginning."""

    def __init__(
        self,
        settings: RegistrySettings,
        in_thread: Callable[[Callable[[], bool]], Awaitable[bool]],
        now_s: Callable[[], float],
    ) -> None:
        url = settings.oauthbearer_jwks_endpoint_url or ""
        rules = jwt.TokenRules(
            settings.oauthbearer_expected_issuer,
            tuple(settings.oauthbearer_expected_audience),
            settings.oauthbearer_sub_claim_name,
        )
        self._in_thread = in_thread
        self._now_s = now_s
        try:
            self._tokens = jwt.JsonWebTokens(url, rules, now_s)
        except jwt.KeysError as error:
            raise ConfigurationError(f"oauthbearer.jwks.endpoint.url={url}: {error}") from None

    async def name_of(self, token: str) -> str | None:
        """None where it is no token, is signed by nobody known, is over, or is meant for others."""
        try:
            return self._tokens.claims(token).name
        except jwt.UnknownKeyError:
            if self._now_s() - self._tokens.read_at_s <= _LEAST_BETWEEN_S:
                return None
        except jwt.TokenError:
            return None
        self._tokens.read_at_s = self._now_s()  # nobody else need do it too
        await self._in_thread(self._tokens.read_again)
        try:
            return self._tokens.claims(token).name
        except jwt.TokenError:
            return None
