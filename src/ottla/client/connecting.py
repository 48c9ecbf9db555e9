"""The client for asyncio: a cluster, and the producers, consumers and admin calls that share connections."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from ottla.client.errors import ConfigurationError
from ottla.client.net.cluster import Cluster
from ottla.client.settings import ClientSettings, names_of, parse

if TYPE_CHECKING:
    from ottla.client.admin.admin import AsyncAdmin
    from ottla.client.consumer.consumer import AsyncConsumer
    from ottla.client.consumer.membership import RebalanceListener
    from ottla.client.producer.producer import AsyncProducer

C = TypeVar("C")

_PRODUCERS: Final = "producers: client.producer(...)"
_CONSUMERS: Final = "consumers: client.consumer(...)"
_CLIENTS: Final = "the client: connect(...)"


class AsyncClient:
    """Made by `connect_async`. `start` and `close` it, or use it with `async with`: its producers and
    consumers are closed with it, in the order in which they were made.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.cluster = Cluster(settings)
        self._numbers = count()
        self._made: weakref.WeakValueDictionary[int, AsyncProducer | AsyncConsumer] = (
            weakref.WeakValueDictionary()
        )
        self._admin: AsyncAdmin | None = None

    async def start(self) -> Self:
        """Find the cluster; BrokerUnreachableError tells why that failed."""
        await self.cluster.start()
        return self

    async def close(self) -> None:
        """Deliver what producers have, commit what consumers have (as their settings say), and disconnect."""
        try:
            for _, each in sorted(self._made.items()):
                await each.close()
        finally:
            await self.cluster.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def producer(self, settings: Mapping[str, object] = {}, **more: object) -> AsyncProducer:
        """A producer, to be started or used with `async with`. Settings are Kafka's, with `_` for `.` as
        keywords: `producer(transactional_id="t", compression_type="zstd")`.
        """
        from ottla.client.producer.producer import AsyncProducer
        from ottla.client.producer.settings import ProducerSettings

        chosen = _parse(ProducerSettings, settings, more)
        number = next(self._numbers)
        made = AsyncProducer(self.cluster, chosen, f"producer-{number}")
        self._made[number] = made
        return made

    def consumer(
        self,
        topics: Iterable[str] | str = (),
        *,
        group: str | None = None,
        listener: RebalanceListener | None = None,
        settings: Mapping[str, object] = {},
        **more: object,
    ) -> AsyncConsumer:
        """A consumer, to be used with `async with`: a member of `group` (or `group_id=`) where that is given,
        which has subscribed to `topics`. Settings as in `producer`.
        """
        from ottla.client.consumer.consumer import AsyncConsumer
        from ottla.client.consumer.settings import ConsumerSettings

        if group is not None:
            more["group_id"] = group
        chosen = _parse(ConsumerSettings, settings, more)
        number = next(self._numbers)
        made = AsyncConsumer(self.cluster, chosen)
        self._made[number] = made
        topics = [topics] if isinstance(topics, str) else list(topics)
        if topics:
            made.subscribe(topics, listener=listener)
        return made

    @property
    def admin(self) -> AsyncAdmin:
        """Kafka's admin calls, by what they are about: `await client.admin.topics.list()`."""
        if self._admin is None:
            from ottla.client.admin.admin import AsyncAdmin

            self._admin = AsyncAdmin(self.cluster)
        return self._admin


def client_settings(
    bootstrap_servers: str | Iterable[str] | None, settings: Mapping[str, object], more: Mapping[str, object]
) -> ClientSettings:
    """What `connect` was given. ConfigurationError for what there is not."""
    given = dict(settings)
    if bootstrap_servers is not None:
        if not isinstance(bootstrap_servers, str):
            bootstrap_servers = list(bootstrap_servers)
        given["bootstrap.servers"] = bootstrap_servers
    return _parse(ClientSettings, given, more)


def _parse(class_: type[C], settings: Mapping[str, object], more: Mapping[str, object]) -> C:
    from ottla.client.consumer.settings import ConsumerSettings
    from ottla.client.producer.settings import ProducerSettings

    elsewhere: dict[str, str] = {}
    places: dict[type, str] = {
        ClientSettings: _CLIENTS,
        ProducerSettings: _PRODUCERS,
        ConsumerSettings: _CONSUMERS,
    }
    for other, place in places.items():
        if other is not class_:
            elsewhere |= {name: place for name in names_of(other) if name not in names_of(class_)}
    repeated = {name.replace(".", "_") for name in settings} & more.keys()
    if repeated:
        raise ConfigurationError(f"given twice: {', '.join(sorted(repeated))}")
    return parse(class_, {**settings, **more}, elsewhere=elsewhere)
