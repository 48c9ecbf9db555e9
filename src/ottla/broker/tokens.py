"""Whom the tokens of OAUTHBEARER name, by keys that are read anew now and then; for `ottla[security]`."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Final

from ottla.clock import Clock
from ottla.config.definition import ConfigError
from ottla.config.sasl import TokenSettings
from ottla.security.sasl import AuthenticationFailedError, BearerToken, Identity

try:
    from ottla.identity.jwt import JsonWebTokens, KeysError, TokenError, TokenRules, UnknownKeyError
except ImportError as error:
    raise ConfigError(
        f"OAUTHBEARER needs what `pip install 'ottla[security]'` brings ({error})", "sasl.enabled.mechanisms"
    ) from error

_LEAST_BETWEEN_MS: Final = 10_000
"""However many tokens of unknown keys come"""


class Tokens:
    """By one listener's settings."""

    def __init__(self, settings: TokenSettings, clock: Clock, threads: Executor) -> None:
        """Raises ConfigError where the keys cannot be read."""
        self._clock = clock
        self._threads = threads
        self._refresh_ms = settings.jwks_endpoint_refresh_ms
        rules = TokenRules(
            settings.expected_issuer or None,
            settings.expected_audience,
            settings.sub_claim_name,
            settings.scope_claim_name,
            settings.clock_skew_seconds,
            ("exp", "iat"),
            settings.groups_claim_name,
        )
        try:
            self._tokens = JsonWebTokens(settings.jwks_endpoint_url, rules, clock.monotonic_s)
        except KeysError as error:
            key = "sasl.oauthbearer.jwks.endpoint.url"
            raise ConfigError(f"{key}={settings.jwks_endpoint_url}: {error}", key) from None

    def identity(self, said: BearerToken) -> Identity:
        """Raises AuthenticationFailedError. Keys that are old, or that lack the token's, are read meanwhile,
        for those who come later.
        """
        self._read_again_after(self._refresh_ms)
        try:
            claims = self._tokens.claims(said.token)
        except UnknownKeyError as error:
            self._read_again_after(_LEAST_BETWEEN_MS)
            raise AuthenticationFailedError(str(error)) from error
        except TokenError as error:
            raise AuthenticationFailedError(str(error)) from error
        return Identity(claims.name, claims.expires_ms, groups=claims.groups)

    def _read_again_after(self, milliseconds: int) -> None:
        now_s = self._clock.monotonic_s()
        if (now_s - self._tokens.read_at_s) * 1000 > milliseconds:
            self._tokens.read_at_s = now_s  # once is enough
            self._threads.submit(self._tokens.read_again)
