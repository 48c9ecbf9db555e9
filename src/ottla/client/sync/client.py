"""The client for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ottla.client.connecting import AsyncClient
from ottla.client.settings import ClientSettings
from ottla.client.sync.portal import Portal

if TYPE_CHECKING:
    from ottla.client.admin.admin import Admin
    from ottla.client.consumer.membership import RebalanceListener
    from ottla.client.sync.consumer import Consumer
    from ottla.client.sync.producer import Producer


class Client:
    """Made by `connect`, connected. `close` it, or use it with `with`. Any thread may use it, but none that
    was there before a fork and is not any more.

    It works in a thread of its own: heartbeats and deliveries go on whatever the caller does.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._portal = Portal()
        try:
            self._inner = self._portal.run(AsyncClient, settings)
            self._portal.call(self._inner.start())
        except BaseException:
            self._portal.close()
            raise
        self._portal.at_end(self._inner.close)

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
        listener: RebalanceListener | None = None,
        settings: Mapping[str, object] = {},
        **more: object,
    ) -> Consumer:
        """A consumer, a member of `group` (or `group_id=`) where that is given, which has subscribed to
        `topics`. Settings as in `producer`.
        """
        from ottla.client.sync.consumer import Consumer

        made = self._portal.run(
            self._inner.consumer, topics, group=group, listener=listener, settings=settings, **more
        )
        return Consumer(made, self._portal)

    @cached_property
    def admin(self) -> Admin:
        """Kafka's admin calls, by what they are about: `client.admin.topics.list()`."""
        from ottla.client.admin.admin import Admin

        return Admin(self._portal.run(lambda: self._inner.admin), self._portal.call)
