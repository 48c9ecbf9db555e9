"""What both kinds of membership share: when what the application holds may change, and whom to tell."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Protocol

from ottla.client.core.metadata import ClusterMetadata, TopicPartition
from ottla.client.core.offsets import Identity

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


class Membership(Protocol):
    """A consumer's part in its group."""

    def start(self) -> None: ...

    async def close(self) -> None:
        """Leave, if one does at all."""

    def identity(self) -> Identity | None:
        """As whom to commit; None while there is no generation."""

    def subscription_changed(self) -> None: ...

    def metadata_changed(self, metadata: ClusterMetadata) -> None: ...

    def polled(self) -> None:
        """The application asks for more: `max.poll.interval.ms` begins anew."""


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
