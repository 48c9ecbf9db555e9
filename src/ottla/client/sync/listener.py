"""Rebalance listeners of callers that wait: in a thread, so that they can wait for the client as well."""

from __future__ import annotations

import inspect
from functools import partial

from ottla.client.consumer.membership import Callback, RebalanceListener
from ottla.client.core.metadata import TopicPartition
from ottla.client.sync.portal import in_thread


class InThreads(RebalanceListener):
    """Calls another listener, each time in a thread. What it returns to be awaited is awaited in the loop."""

    def __init__(self, listener: RebalanceListener) -> None:
        self._listener = listener

    async def on_assigned(self, partitions: list[TopicPartition]) -> None:
        await _call(self._listener.on_assigned, partitions)

    async def on_revoked(self, partitions: list[TopicPartition]) -> None:
        await _call(self._listener.on_revoked, partitions)

    async def on_lost(self, partitions: list[TopicPartition]) -> None:
        await _call(self._listener.on_lost, partitions)


async def _call(callback: Callback, partitions: list[TopicPartition]) -> None:
    awaitable = await in_thread(partial(callback, partitions))
    if inspect.isawaitable(awaitable):
        await awaitable
