"""Who may come, what each may do, and what is remembered of it: loaded where it is configured."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import cached_property
from typing import TYPE_CHECKING

from ottla.broker.host import Host
from ottla.broker.services import AccessServices, TokenServices
from ottla.config.current import CurrentConfig
from ottla.metadata.image import ImageSource
from ottla.network.server import SaslListeners
from ottla.protocol.errors import KafkaError

if TYPE_CHECKING:
    from ottla.broker.audit.trail import Trail
    from ottla.broker.rights import Authorization
    from ottla.controller.access import AccessController
    from ottla.controller.topics import TopicController
    from ottla.network.peers import Channel
    from ottla.replica.partitions import Partitions
    from ottla.security.delegation import TokenSecrets

log = logging.getLogger(__name__)

_REMOVED_TOGETHER = 1000
"""Expired tokens in a change"""


class Protection:
    """Of one broker."""

    def __init__(
        self,
        host: Host,
        current: CurrentConfig,
        metadata: ImageSource,
        topics: TopicController,
        partitions: Partitions,
        channel: Callable[[int], Channel],
        threads: Executor,
    ) -> None:
        """`channel` opens a connection to another broker, `threads` are for what takes a while."""
        self._host = host
        self._current = current
        self._metadata = metadata
        self._topics = topics
        self._partitions = partitions
        self._channel = channel
        self._threads = threads
        self._sweeper: asyncio.Task[None] | None = None

    @cached_property
    def authorization(self) -> Authorization | None:
        """None where all may do all."""
        if not self._current.value.authorizer_class_name:
            return None
        from ottla.broker.rights import Authorization  # the first API that is asked for loads it, too

        on_denial = None if self.trail is None else self.trail.denied
        return Authorization(self._metadata, self._current.value, on_denial)

    @cached_property
    def secrets(self) -> TokenSecrets | None:
        """Of delegation tokens, where there are some."""
        secret = self._current.value.delegation_token_secret_key
        if not secret:
            return None
        from ottla.security.delegation import TokenSecrets

        return TokenSecrets(secret)

    def services(self, access: AccessController) -> tuple[AccessServices, TokenServices]:
        """Of the APIs that say who may come, and do what."""
        is_authorized = bool(self._current.value.authorizer_class_name)
        return AccessServices(
            metadata=self._metadata, access=access, is_authorized=is_authorized
        ), TokenServices(
            metadata=self._metadata,
            access=access,
            secrets=self.secrets,
            config=self._current,
            clock=self._host.clock,
            new_id=self._host.new_id,
        )

    def start(self, access: AccessController) -> None:
        """Remove tokens once they have expired."""
        if self.secrets is not None:
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep(access))

    async def _sweep(self, access: AccessController) -> None:
        while True:
            await asyncio.sleep(self._current.value.delegation_token_expiry_check_interval_ms / 1000)
            image, now_ms = self._metadata.image, self._host.clock.now_ms()
            expired = [each for each in image.tokens.values() if each.is_expired(now_ms)]
            is_ours = image.controller is None or image.controller.node_id == self._current.value.node_id
            if expired and is_ours:
                try:
                    await access.remove_tokens(expired[:_REMOVED_TOGETHER])
                except KafkaError as error:
                    log.warning("expired delegation tokens are removed later: %s", error)

    @cached_property
    def trail(self) -> Trail | None:
        """The audit, where one is kept."""
        config = self._current.value
        if config.ottla_audit_log is None and config.ottla_audit_topic is None:
            return None
        from ottla.broker.audit.outlets import make_trail

        return make_trail(config, self._host, self._metadata, self._topics, self._partitions, self._channel)

    def sasl_listeners(self) -> SaslListeners:
        """Raises ConfigError where keys of tokens cannot be read."""
        from ottla.broker.authentication import Authentication  # what plain listeners do not need

        on_failure = None if self.trail is None else self.trail.failed
        random, clock = self._host.random, self._host.clock
        return Authentication(
            self._metadata, self._current, random, clock, self._threads, on_failure, self.secrets
        )

    async def stop(self) -> None:
        """Clients are gone; what is to be remembered of them is written."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        if self.trail is not None:
            await self.trail.stop()
