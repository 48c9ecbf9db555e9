"""The client for asyncio: a cluster, and the producers, consumers and admin calls that share connections."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from ottla.client.dead_letters import DeadLetterOffice
from ottla.client.errors import ConfigurationError
from ottla.client.net.cluster import Cluster
from ottla.client.settings import ClientSettings, names_of, parse

if TYPE_CHECKING:
    import pyarrow as pa

    from ottla.client.admin.admin import AsyncAdmin
    from ottla.client.consumer.consumer import AsyncConsumer
    from ottla.client.consumer.membership import RebalanceListener
    from ottla.client.producer.delivery import Written
    from ottla.client.producer.producer import AsyncProducer
    from ottla.client.tables.ranges import Bound
    from ottla.client.tables.scan import Report
    from ottla.client.values.interface import Values

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
        self._letters_producer: AsyncProducer | None = None
        self._offices: weakref.WeakSet[DeadLetterOffice] = weakref.WeakSet()

    async def start(self) -> Self:
        """Find the cluster; BrokerUnreachableError tells why that failed."""
        await self.cluster.start()
        return self

    async def close(self) -> None:
        """Deliver what producers have, commit what consumers have (as their settings say), and disconnect:
        all of them, whichever fails.
        """
        async with contextlib.AsyncExitStack() as stack:  # the last that is put on it is the first to go
            stack.push_async_callback(self.cluster.close)
            for office in tuple(self._offices):
                stack.push_async_callback(office.delivered)
            for _, each in sorted(self._made.items(), reverse=True):
                stack.push_async_callback(each.close)
            for office in tuple(self._offices):
                await office.settled()

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
        key: Values | None = None,
        value: Values | None = None,
        listener: RebalanceListener | None = None,
        settings: Mapping[str, object] = {},
        **more: object,
    ) -> AsyncConsumer:
        """A consumer, to be used with `async with`: a member of `group` (or `group_id=`) where that is given,
        which has subscribed to `topics`. Settings as in `producer`. `key` and `value` say what its batches
        give to Arrow (`client.json()`), bytes without them.
        """
        from ottla.client.consumer.consumer import AsyncConsumer
        from ottla.client.consumer.settings import ConsumerSettings

        if group is not None:
            more["group_id"] = group
        chosen = _parse(ConsumerSettings, settings, more)
        number = next(self._numbers)
        formats = letters = None
        if key is not None or value is not None:
            from ottla.client.tables.reading import arrow_rows

            office = self._office()
            formats, letters = arrow_rows(key, value, office), office.delivered
        made = AsyncConsumer(self.cluster, chosen, to_arrow=formats, letters=letters)
        self._made[number] = made
        topics = [topics] if isinstance(topics, str) else list(topics)
        if topics:
            made.subscribe(topics, listener=listener)
        return made

    async def read(
        self,
        topic: str,
        *,
        start: Bound = None,
        end: Bound = None,
        partitions: Iterable[int] | None = None,
        keys: Collection[bytes | str] | None = None,
        key: Values | None = None,
        value: Values | None = None,
        isolation: str = "read_uncommitted",
        report: Report | bool | None = None,
    ) -> pa.Table:
        """A topic, or a part of it, as a table: columns partition, offset, timestamp, timestamp_type, key,
        value and headers, by partition and offset.

        `start` and `end` are offsets, times ("-1h", "2026-11-26T20:00", a datetime) or "end"; without them
        all that there is now. `key` and `value` are formats (`client.json()`), bytes without them; `keys` has
        only records of these read out. `report` is told how far it is; without one a terminal shows it.
        Needs the extra `arrow`.
        """
        from ottla.client.tables.reading import read

        office = self._office()
        table = await read(
            self.cluster,
            topic,
            start=start,
            end=end,
            partitions=partitions,
            keys=keys,
            key=key,
            value=value,
            isolation=isolation,
            report=report,
            dead_letters=office,
        )
        await office.delivered()
        return table

    async def stream(
        self,
        topic: str,
        *,
        start: Bound = None,
        end: Bound = None,
        partitions: Iterable[int] | None = None,
        key: Values | None = None,
        value: Values | None = None,
        isolation: str = "read_uncommitted",
        report: Report | bool | None = None,
    ) -> AsyncIterator[pa.RecordBatch]:
        """As `read`, batch by batch as they come, for what memory does not hold: each of one partition. The
        letters of a batch are delivered before it is handed out.
        """
        from ottla.client.tables.reading import stream

        office = self._office()
        batches = stream(
            self.cluster,
            topic,
            start=start,
            end=end,
            partitions=partitions,
            key=key,
            value=value,
            isolation=isolation,
            report=report,
            dead_letters=office,
        )
        async with contextlib.aclosing(batches):
            async for batch in batches:
                await office.delivered()
                yield batch

    async def latest(
        self,
        topic: str,
        *,
        partitions: Iterable[int] | None = None,
        key: Values | None = None,
        value: Values | None = None,
        tombstones: bool = False,
        isolation: str = "read_uncommitted",
        report: Report | bool | None = None,
    ) -> pa.Table:
        """The last record of each key, as compaction would leave it, in the order of keys; one whose value
        was deleted is there only with `tombstones`. Otherwise as `read`.
        """
        from ottla.client.tables.reading import latest

        office = self._office()
        table = await latest(
            self.cluster,
            topic,
            partitions=partitions,
            key=key,
            value=value,
            tombstones=tombstones,
            isolation=isolation,
            report=report,
            dead_letters=office,
        )
        await office.delivered()
        return table

    async def write(
        self,
        topic: str,
        data: object,
        *,
        key: str | Values | None = None,
        value: Values | None = None,
        partition: int | None = None,
        settings: Mapping[str, object] = {},
        **more: object,
    ) -> Written:
        """Write a table, as `AsyncProducer.write` takes it, and wait until all of it is delivered. Settings
        are those of producers.
        """
        async with self.producer(settings, **more) as made:
            return await (await made.write(topic, data, key=key, value=value, partition=partition))

    def _office(self) -> DeadLetterOffice:
        """For broken values that formats send to a topic (`errors=DeadLetterTopic(...)`)."""
        office = DeadLetterOffice(self._producer_of_letters)
        self._offices.add(office)
        return office

    def _producer_of_letters(self) -> AsyncProducer:
        if self._letters_producer is None:
            self._letters_producer = self.producer()
        return self._letters_producer

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
