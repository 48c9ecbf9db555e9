"""What both kinds of membership share: when what the application holds may change, and whom to tell."""

from __future__ import annotations

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Protocol

from ottla.client.consumer.settings import ConsumerSettings
from ottla.client.consumer.subscription import Subscription
from ottla.client.core.metadata import ClusterMetadata, TopicPartition
from ottla.client.core.offsets import Identity
from ottla.client.errors import AuthorizationError, ClientError
from ottla.client.net.cluster import Cluster
from ottla.client.net.coordinators import CoordinatorKind
from ottla.protocol.structs import Struct

Callback = Callable[[list[TopicPartition]], "Awaitable[None] | None"]


class RebalanceListener:
    """Told of what a rebalance changes; each method may be a coroutine function.

    `on_revoked` runs before partitions are given up, when their offsets can still be committed; `on_lost`
    when they went without that, and somebody else may have them already; `on_assigned` before anything is
    read.
    """

    def on_assigned(self, partitions: list[TopicPartition]) -> Awaitable[None] | None:
        """What came."""

    def on_revoked(self, partitions: list[TopicPartition]) -> Awaitable[None] | None:
        """What goes."""

    def on_lost(self, partitions: list[TopicPartition]) -> Awaitable[None] | None:
        """What is gone. Unless overridden, as `on_revoked`."""
        return self.on_revoked(partitions)


async def call(callback: Callback, partitions: Sequence[TopicPartition]) -> None:
    result = callback(list(partitions))
    if inspect.isawaitable(result):
        await result


class Gate:
    """What the application holds changes only while it waits for more: then it has dealt with what it got.

    The membership enters the gate to change it. Who polls is in the way of nothing, but gets nothing either
    while the membership is inside.
    """

    def __init__(self) -> None:
        self._is_polling = asyncio.Event()
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._entered = 0

    @property
    def is_wanted(self) -> bool:
        return self._entered > 0

    @property
    def is_polling(self) -> bool:
        return self._is_polling.is_set()

    def poll_begins(self) -> None:
        self._is_polling.set()

    def poll_ends(self) -> None:
        self._is_polling.clear()

    async def wait_until_free(self) -> None:
        await self._is_free.wait()

    async def __aenter__(self) -> None:
        self._entered += 1
        self._is_free.clear()
        try:
            await self._is_polling.wait()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._entered -= 1
        if not self._entered:
            self._is_free.set()


class Holder(Protocol):
    """The consumer, as its membership sees it."""

    def held(self) -> list[TopicPartition]: ...

    def take(self, partitions: Sequence[TopicPartition]) -> None:
        """These are ours to read from now on."""

    def give_up(self, partitions: Sequence[TopicPartition]) -> None:
        """These are no longer ours."""

    async def commit_before_giving_up(self, partitions: Sequence[TopicPartition]) -> None:
        """With `enable.auto.commit`, what was delivered of these."""

    def fail(self, error: Exception, *, is_last: bool = False) -> None:
        """The next poll raises this; every one, where it ends the membership."""

    @property
    def listener(self) -> RebalanceListener: ...


class Membership(ABC):
    """A consumer's part in its group: what both kinds of it have, and what the consumer asks of each."""

    def __init__(
        self,
        cluster: Cluster,
        settings: ConsumerSettings,
        holder: Holder,
        gate: Gate,
        subscription: Subscription,
    ) -> None:
        assert settings.group_id is not None
        self._cluster = cluster
        self._settings = settings
        self._group_id = settings.group_id
        self._holder = holder
        self._gate = gate
        self._topics = subscription.topics
        self._polled_at = self._now_s()
        self._asked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @abstractmethod
    def start(self) -> None: ...

    async def close(self) -> None:
        """Leave, if one does at all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._leave("the consumer is being closed")

    @abstractmethod
    def identity(self) -> Identity | None:
        """As whom to commit; None while there is no generation."""

    @abstractmethod
    def subscription_changed(self) -> None: ...

    @abstractmethod
    def metadata_changed(self, metadata: ClusterMetadata) -> None: ...

    def polled(self) -> None:
        """The application asks for more: `max.poll.interval.ms` begins anew."""
        self._polled_at = self._now_s()
        if self._gate.is_polling:
            self._asked.set()

    async def _tell_and_wait(self, error: AuthorizationError) -> None:
        """Told to the application's poll; its next one is the time to try again, as rights may be given."""
        self._asked.clear()
        self._holder.fail(error)
        await self._asked.wait()

    def _has_polled_too_late(self) -> bool:
        if self._gate.is_polling:
            return False
        return self._now_s() - self._polled_at > self._settings.max_poll_interval_ms / 1000

    @abstractmethod
    async def _leave(self, reason: str) -> None: ...

    async def _say_goodbye(self, request: Struct, response: type[Struct]) -> None:
        try:
            coordinator = await self._coordinator(timeout_ms=1000)
            await self._cluster.send(request, response, node=coordinator, timeout_ms=5000)
        except ClientError:
            return  # the session timeout does it

    async def _coordinator(self, timeout_ms: int | None = None) -> int:
        return await self._cluster.coordinator(CoordinatorKind.GROUP, self._group_id, timeout_ms=timeout_ms)

    def _forget_coordinator(self) -> None:
        self._cluster.forget_coordinator(CoordinatorKind.GROUP, self._group_id)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _now_ms(self) -> int:
        return int(self._now_s() * 1000)


async def give_up(holder: Holder, partitions: Sequence[TopicPartition], *, lost: bool) -> None:
    """Inside the gate: commit and tell where that still counts, then let go. What a listener raises is told
    to the application by its next poll, and stops nothing.
    """
    if not partitions:
        return
    try:
        if lost:
            await call(holder.listener.on_lost, partitions)
        else:
            await holder.commit_before_giving_up(partitions)
            await call(holder.listener.on_revoked, partitions)
    except Exception as error:  # noqa: BLE001 - whatever it is: the application's
        holder.fail(error)
    finally:
        holder.give_up(partitions)


async def take(holder: Holder, partitions: Sequence[TopicPartition]) -> None:
    """New partitions are told of before anything is read from them; also when there are none."""
    try:
        holder.take(partitions)
        await call(holder.listener.on_assigned, partitions)
    except Exception as error:  # noqa: BLE001 - whatever it is: the application's
        holder.fail(error)
