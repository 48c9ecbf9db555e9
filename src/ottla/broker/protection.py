"""Who may come, what each may do, and what is remembered of it: loaded where it is configured."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import cached_property
from typing import TYPE_CHECKING

from ottla.broker.host import Host
from ottla.config.current import CurrentConfig
from ottla.metadata.image import ImageSource
from ottla.network.server import SaslListeners

if TYPE_CHECKING:
    from ottla.broker.audit.trail import Trail
    from ottla.broker.rights import Authorization
    from ottla.controller.topics import TopicController
    from ottla.network.peers import Channel
    from ottla.replica.partitions import Partitions


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

    @cached_property
    def authorization(self) -> Authorization | None:
        """None where all may do all."""
        if not self._current.value.authorizer_class_name:
            return None
        from ottla.broker.rights import Authorization  # the first API that is asked for loads it, too

        on_denial = None if self.trail is None else self.trail.denied
        return Authorization(self._metadata, self._current.value, on_denial)

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
        return Authentication(self._metadata, self._current, random, clock, self._threads, on_failure)

    async def stop(self) -> None:
        """Clients are gone; what is to be remembered of them is written."""
        if self.trail is not None:
            await self.trail.stop()
