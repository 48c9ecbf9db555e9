"""How clients of SASL listeners say who they are: by settings, and by the cluster's credentials."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Final

from ottla.clock import Clock
from ottla.config.current import Current
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
    ) -> None:
        """`threads` are for what takes a while."""
        self._metadata = metadata
        self._config = config
        self._random = random
        self._clock = clock
        self._threads = threads
        self._tokens: dict[TokenSettings, Tokens] = {}
        self._secret = random.getrandbits(256).to_bytes(32, "big")

    def listener(self, name: str) -> SaslListener:
        """As the configuration has it now. Raises ConfigError where keys of tokens cannot be read."""
        config = self._config.value
        sasl: SaslSettings | None = config.listener_security[name].sasl
        assert sasl is not None
        if sasl.tokens is not None:
            self._tokens_of(sasl.tokens)
        return SaslListener(
            mechanisms=sasl.mechanisms,
            begin=partial(self._begin, sasl),
            max_receive_bytes=sasl.max_receive_bytes,
            max_reauth_ms=sasl.max_reauth_ms,
            failure_delay_s=config.connection_failed_authentication_delay_ms / 1000,
            timeout_s=config.ottla_authentication_timeout_ms / 1000,
            now_ms=self._clock.now_ms,
        )

    def _tokens_of(self, settings: TokenSettings) -> Tokens:
        tokens = self._tokens.get(settings)
        if tokens is None:
            from ottla.broker.tokens import Tokens

            tokens = self._tokens[settings] = Tokens(settings, self._clock, self._threads)
        return tokens

    def _begin(self, settings: SaslSettings, mechanism: str) -> Exchange:
        if mechanism == "PLAIN":
            return Plain(partial(is_password_of, settings.users))
        if mechanism == "OAUTHBEARER":
            assert settings.tokens is not None
            return OAuthBearer(self._tokens_of(settings.tokens).identity)
        return Scram(
            _SCRAM[mechanism],
            partial(self._look_up, _SCRAM[mechanism]),
            f"{self._random.getrandbits(_NONCE_BITS):048x}",
            self._secret,
        )

    def _look_up(self, mechanism: ScramMechanism, name: str, is_token: bool) -> Lookup | None:
        if is_token:
            return None
        known = self._metadata.image.credentials.get(ScramUser(mechanism, name))
        return None if known is None else Lookup(known, Identity(name))
