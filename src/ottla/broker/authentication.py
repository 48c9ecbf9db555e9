"""How clients of SASL listeners say who they are: by settings, and by the cluster's credentials."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Final

from ottla.clock import Clock
from ottla.config.current import Current
from ottla.config.definition import ConfigError
from ottla.config.network import NetworkConfig
from ottla.config.sasl import SaslSettings, TokenSettings
from ottla.metadata.credentials import ScramUser
from ottla.metadata.image import ImageSource
from ottla.network.authenticator import SaslListener
from ottla.protocol.codes import ScramMechanism
from ottla.security.sasl import Exchange, Identity, OAuthBearer, Plain, is_password_of
from ottla.security.scram import Lookup, Scram

if TYPE_CHECKING:
    from random import Random  # noqa: TID251 - that it is given

    from ottla.broker.tokens import Tokens
    from ottla.security.delegation import TokenSecrets

log = logging.getLogger("ottla.authentication")

_SCRAM: Final[Mapping[str, ScramMechanism]] = {
    "SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256,
    "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512,
}
_NONCE_BITS: Final = 192


class Authentication:
    """Of one broker."""

    def __init__(
        self,
        metadata: ImageSource,
        config: Current[NetworkConfig],
        random: Random,
        clock: Clock,
        threads: Executor,
        on_failure: Callable[[str, str, str], None] | None,
        secrets: TokenSecrets | None,
    ) -> None:
        """`threads` are for what takes a while, `on_failure` as in `SaslListener`, `secrets` those of
        delegation tokens. Raises ConfigError where keys of tokens cannot be read.
        """
        self._on_failure = on_failure
        self._secrets = secrets
        self._metadata = metadata
        self._config = config
        self._random = random
        self._clock = clock
        self._threads = threads
        self._tokens: dict[TokenSettings, Tokens] = {each: self._read(each) for each in self._asked_for()}
        self._secret = random.getrandbits(256).to_bytes(32, "big")

    def listener(self, name: str) -> SaslListener:
        """As the configuration has it now."""
        config = self._config.value
        sasl: SaslSettings | None = config.listener_security[name].sasl
        assert sasl is not None
        mechanisms = sasl.mechanisms
        if sasl.tokens is not None and sasl.tokens not in self._tokens:
            mechanisms = tuple(each for each in mechanisms if each != "OAUTHBEARER")
        return SaslListener(
            mechanisms=mechanisms,
            begin=partial(self._begin, sasl),
            max_receive_bytes=sasl.max_receive_bytes,
            max_reauth_ms=sasl.max_reauth_ms,
            failure_delay_s=config.connection_failed_authentication_delay_ms / 1000,
            timeout_s=config.ottla_authentication_timeout_ms / 1000,
            now_ms=self._clock.now_ms,
            on_failure=self._on_failure,
        )

    async def reconfigure(self) -> None:
        """Read the keys of tokens where a listener takes them from now on; without keys it does not."""
        for settings in self._asked_for():
            if settings not in self._tokens:
                in_thread = asyncio.get_running_loop().run_in_executor
                try:
                    self._tokens[settings] = await in_thread(self._threads, self._read, settings)
                except ConfigError as error:
                    log.error("OAUTHBEARER is not offered: %s", error.message)

    def _asked_for(self) -> list[TokenSettings]:
        of_listeners = [each.sasl for each in self._config.value.listener_security.values()]
        return [each.tokens for each in of_listeners if each is not None and each.tokens is not None]

    def _read(self, settings: TokenSettings) -> Tokens:
        from ottla.broker.tokens import Tokens

        return Tokens(settings, self._clock, self._threads)

    def _begin(self, settings: SaslSettings, mechanism: str) -> Exchange:
        if mechanism == "PLAIN":
            return Plain(partial(is_password_of, settings.users))
        if mechanism == "OAUTHBEARER":
            assert settings.tokens is not None
            return OAuthBearer(self._tokens[settings.tokens].identity)
        return Scram(
            _SCRAM[mechanism],
            partial(self._look_up, _SCRAM[mechanism]),
            f"{self._random.getrandbits(_NONCE_BITS):048x}",
            self._secret,
        )

    def _look_up(self, mechanism: ScramMechanism, name: str, is_token: bool) -> Lookup | None:
        if is_token:
            return self._look_up_token(mechanism, name)
        known = self._metadata.image.credentials.get(ScramUser(mechanism, name))
        return None if known is None else Lookup(known, Identity(name))

    def _look_up_token(self, mechanism: ScramMechanism, token_id: str) -> Lookup | None:
        """Its owner comes with it, for as long as it lives."""
        tokens = self._metadata.image.tokens
        token = tokens.get(token_id)
        if token is None or self._secrets is None or token.is_expired(self._clock.now_ms()):
            return None
        name = token.owner.partition(":")[2]
        found = Identity(name, min(token.expires_ms, token.max_ms), is_token_owner=True)
        return Lookup(self._secrets.credential(tokens, token_id, mechanism), found)
