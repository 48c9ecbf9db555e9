"""The client for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ottla.client.connecting import AsyncClient
from ottla.client.face import Face, awaited, iterated
from ottla.client.settings import ClientSettings
from ottla.client.sync.portal import Portal

if TYPE_CHECKING:
    from ottla.client.admin.admin import Admin
    from ottla.client.consumer.membership import RebalanceListener
    from ottla.client.producer.delivery import Written
    from ottla.client.sync.consumer import Consumer
    from ottla.client.sync.producer import Producer
    from ottla.client.values.interface import Values


class Client(Face[AsyncClient]):
    """Made by `connect`, connected. `close` it, or use it with `with`. Any thread may use it, but none that
    was there before a fork and is not any more.

    It works in a thread of its own: heartbeats and deliveries go on whatever the caller does.
    """

    def __init__(self, settings: ClientSettings) -> None:
        portal = Portal()
        try:
            super().__init__(portal.run(AsyncClient, settings), portal.call)
            portal.call(self._inner.start())
        except BaseException:
            portal.close()
            raise
        portal.at_end(self._inner.close)
        self._portal = portal

    def close(self) -> None:
        """Close its producers and consumers as they do it themselves, and disconnect."""
        self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def producer(self, settings: Mapping[str, object] = {}, **more: object) -> Producer:
        """A producer, started. Settings are Kafka's, with `_` for `.` as keywords:
        `producer(transactional_id="t", compression_type="zstd")`.
        """
        from ottla.client.sync.producer import Producer

        return Producer(self._portal.run(self._inner.producer, settings, **more), self._portal)

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
    ) -> Consumer:
        """A consumer, a member of `group` (or `group_id=`) where that is given, which has subscribed to
        `topics`. Settings as in `producer`. `key` and `value` say what its batches give to Arrow
        (`client.json()`), bytes without them.
        """
        from ottla.client.sync.consumer import Consumer
        from ottla.client.sync.listener import InThreads

        made = self._portal.run(
            self._inner.consumer,
            topics,
            group=group,
            key=key,
            value=value,
            listener=None if listener is None else InThreads(listener),
            settings=settings,
            **more,
        )
        return Consumer(made, self._portal)

    read = awaited(AsyncClient.read)
    latest = awaited(AsyncClient.latest)
    stream = iterated(AsyncClient.stream)

    def write(
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
        return self._portal.call(
            self._inner.write(
                topic, data, key=key, value=value, partition=partition, settings=settings, **more
            )
        )

    @cached_property
    def admin(self) -> Admin:
        """Kafka's admin calls, by what they are about: `client.admin.topics.list()`."""
        from ottla.client.admin.admin import Admin

        return Admin(self._portal.run(lambda: self._inner.admin), self._portal.call)
