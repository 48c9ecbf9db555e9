"""What tasks did is made final: outputs, changelogs, offsets; then the stores."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from ottla.client.connecting import AsyncClient
from ottla.client.consumer.errors import CommitFailedError
from ottla.client.consumer.offsets import Commits
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.offsets import CommittedOffset, Identity
from ottla.client.errors import BrokerError, ClientError, FencedError
from ottla.client.producer.producer import AsyncProducer
from ottla.protocol.errors import ErrorCode
from ottla.streams.runtime.collector import ThreadCollector
from ottla.streams.runtime.settings import StreamsSettings
from ottla.streams.runtime.work import Work
from ottla.streams.topology.topology import Topology

_log: Final = logging.getLogger("ottla.streams")
_MIGRATED: Final = frozenset(
    {
        ErrorCode.illegal_generation,
        ErrorCode.unknown_member_id,
        ErrorCode.rebalance_in_progress,
        ErrorCode.invalid_producer_epoch,
    }
)
"""Codes that say that others have the tasks now."""


def passes(error: ClientError) -> bool:
    """Whether a thread may begin anew after it, as of its last commit."""
    if isinstance(error, CommitFailedError | FencedError) or error.retriable:
        return True
    return isinstance(error, BrokerError) and error.code in _MIGRATED


class Committing:
    """A thread's producer, and its commits to the group."""

    def __init__(
        self,
        client: AsyncClient,
        producer: AsyncProducer,
        settings: StreamsSettings,
        topology: Topology,
        identity: Callable[[], Identity | None],
        between_joins: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        """The member of the group: as whom it commits, and when."""
        self._client = client
        self._producer = producer
        self._settings = settings
        self._topology = topology
        self._identity = identity
        self._between_joins = between_joins
        self._purgeable: dict[TopicPartition, int] = {}
        self.offsets = Commits(client.cluster, settings.application_id, identity, require_stable=True)
        topics = topology.sink_topics(settings.application_id)
        self.collector = ThreadCollector(
            client.cluster, producer, topics, is_transactional=settings.is_exactly_once
        )
        self.commits = 0

    async def commit(self, works: Collection[Work]) -> None:
        """In one transaction with what was written, or after it was. Raises ClientError."""
        for work in works:
            work.task.flush()
        await self.collector.drain()
        offsets = {partition: each for work in works for partition, each in work.committable().items()}
        if self._settings.is_exactly_once:
            await self._commit_transaction(offsets)
        else:
            await self._producer.flush()
            self.collector.check()
            if offsets:
                async with self._between_joins():
                    await self.offsets.commit(offsets)
        ends = self.collector.ends()
        consumed = {partition: each.offset for partition, each in offsets.items()}
        for work in works:
            work.commit_stores(ends, consumed)
            work.task.committed()
        self._note_purgeable(consumed)
        self.commits += bool(offsets)

    async def give_up(self) -> None:
        """What is not committed shall not have been."""
        self.collector.forget()
        if self._producer.has_open_transaction:
            try:
                await self._producer.abort_transaction()
            except ClientError as error:
                _log.info("a transaction was not aborted: %s", error)

    async def purge(self) -> None:
        """What was read of repartition topics is deleted: they have no other retention."""
        purgeable, self._purgeable = self._purgeable, {}
        if purgeable:
            try:
                await self._client.admin.records.delete(purgeable)
            except ClientError as error:
                _log.warning("repartition topics were not purged: %s", error)

    async def _commit_transaction(self, offsets: Mapping[TopicPartition, CommittedOffset]) -> None:
        producer = self._producer
        if not producer.has_open_transaction:
            if not offsets:
                return
            await producer.begin_transaction()
        async with self._between_joins():
            identity = self._identity()
            if identity is None:
                raise CommitFailedError("the member is out of the group", {})
            await producer.send_offsets(offsets, identity)
        await producer.commit_transaction()

    def _note_purgeable(self, consumed: Mapping[TopicPartition, int]) -> None:
        prefix = f"{self._settings.application_id}-"
        for partition, offset in consumed.items():
            name = partition.topic.removeprefix(prefix)
            if name != partition.topic and name in self._topology.internal_topics:
                self._purgeable[partition] = offset
