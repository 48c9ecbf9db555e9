"""`_schemas`: its records into the state, in the order of the log, and new records into it.

Whoever writes holds the transactional id that all instances share. Beginning to write (`Writer.begin`)
fences the writer before, whose open transaction the coordinator ends; then a NOOP record is written and read
back. So nobody can append what the new writer has not seen, and each decision is made on all that was ever
written. A writer that was deposed without knowing fails in its next transaction, and nobody reads any of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from ottla.client.admin.configs import ConfigKind, ConfigResource
from ottla.client.admin.topics import NewTopic
from ottla.client.connecting import AsyncClient
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import BrokerError, ClientError
from ottla.client.producer.producer import AsyncProducer
from ottla.protocol.errors import ErrorCode
from ottla.registry.settings import RegistrySettings
from ottla.registry.state.errors import RegistryError
from ottla.registry.state.records import NoopKey, Write
from ottla.registry.state.state import RegistryState

_log: Final = logging.getLogger(__name__)

_BATCH: Final = 1_000
"""Records that are taken in before others get a turn"""
_LOADING_POLL_S: Final = 0.05
_RETRY_S: Final = 0.5


class TopicError(ClientError):
    """The topic cannot hold schemas."""


class SchemasLog:
    def __init__(self, client: AsyncClient, settings: RegistrySettings, state: RegistryState) -> None:
        self._client = client
        self._settings = settings
        self.state = state
        self._partition = TopicPartition(settings.kafkastore_topic, 0)
        self._next_offset = 0
        self._waiting: dict[asyncio.Future[None], int] = {}
        self.loaded = asyncio.Event()
        self.frozen = asyncio.Lock()
        """Held while others look at the state from another thread"""

    @property
    def next_offset(self) -> int:
        """All before it has been taken in."""
        return self._next_offset

    async def open(self) -> None:
        """Find the topic, or make it. TopicError for one that would lose schemas or their order."""
        topic = self._settings.kafkastore_topic
        admin = self._client.admin
        described = await admin.topics.describe([topic])
        if topic in described.errors:
            error = described.errors[topic]
            if error.code is not ErrorCode.unknown_topic_or_partition:
                raise error
            await self._create()
            return
        if len(described.succeeded[topic].partitions) != 1:
            raise TopicError(f"topic {topic} must have one partition, so that there is one order")
        resource = ConfigResource(ConfigKind.TOPIC, topic)
        configs = (await admin.configs.describe([resource], names=["cleanup.policy"])).succeeded
        policy = configs[resource]["cleanup.policy"].value if resource in configs else "compact"
        if policy != "compact":
            raise TopicError(
                f"topic {topic} has cleanup.policy={policy}: schemas would be lost, it must be compact"
            )

    async def _create(self) -> None:
        topic = self._settings.kafkastore_topic
        brokers = len(self._client.cluster.metadata.brokers)
        factor = min(self._settings.kafkastore_topic_replication_factor, max(brokers, 1))
        wanted = NewTopic(topic, 1, factor, {"cleanup.policy": "compact"})
        created = await self._client.admin.topics.create([wanted])
        error = created.errors.get(topic)
        if error is not None and error.code is not ErrorCode.topic_already_exists:
            raise error

    async def read(self) -> None:
        """Take in what there is and what comes, without end. ClientError where that cannot go on."""
        consumer = self._client.consumer(
            settings={
                "isolation.level": "read_committed",
                "auto.offset.reset": "none",
                "enable.auto.commit": False,
                "allow.auto.create.topics": False,
                "fetch.max.bytes": 8 * 1024 * 1024,
                "queued.max.messages.kbytes": 16_384,
            }
        )
        async with consumer:
            consumer.assign([self._partition])
            consumer.seek_to_beginning()
            end = (await consumer.end_offsets([self._partition]))[self._partition]
            while True:
                if not self.loaded.is_set() and await consumer.position(self._partition) >= end:
                    self._next_offset = max(self._next_offset, end)
                    self.loaded.set()
                timeout_s = None if self.loaded.is_set() else _LOADING_POLL_S
                try:
                    batch = await consumer.poll(_BATCH, timeout_s)
                except ClientError as error:
                    if not error.retriable:
                        raise
                    _log.warning("%s is not read: %s", self._partition.topic, error)
                    await asyncio.sleep(_RETRY_S)
                    continue
                if batch is None:
                    continue
                async with self.frozen:
                    for _, _, offset, timestamp, _, key, value, _ in batch.records():
                        self.state.replay(key, value, offset, timestamp)
                        self._next_offset = offset + 1
                self._wake()

    def _wake(self) -> None:
        for waiter, offset in tuple(self._waiting.items()):
            if offset < self._next_offset and not waiter.done():
                waiter.set_result(None)

    async def taken_in(self, offset: int) -> None:
        """Until the record at an offset is part of the state."""
        if offset < self._next_offset:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = offset
        try:
            await waiter
        finally:
            del self._waiting[waiter]


class Writer:
    """The right to write, until somebody else takes it."""

    def __init__(self, client: AsyncClient, settings: RegistrySettings, log: SchemasLog) -> None:
        self._client = client
        self._settings = settings
        self._schemas = log
        self._producer: AsyncProducer | None = None

    @property
    def is_ready(self) -> bool:
        return self._producer is not None

    async def begin(self) -> None:
        """Fence whoever wrote before, and take in all of the log. ClientError: try again, or let others."""
        await self.end()
        timeout_ms = self._settings.kafkastore_timeout_ms
        producer = self._client.producer(
            {
                "transactional.id": self._settings.transactional_id,
                "transaction.timeout.ms": timeout_ms,
                "request.timeout.ms": timeout_ms,
                "delivery.timeout.ms": timeout_ms,
                "max.block.ms": timeout_ms,
                "linger.ms": 0,
                "max.request.size": 2 * self._settings.ottla_registry_request_max_bytes,
            }
        )
        try:
            await producer.start()
            self._producer = producer
            await self.append([Write(NoopKey(), None)])
        except BaseException:
            self._producer = None
            await producer.close(timeout_ms=0)
            raise

    async def end(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close(timeout_ms=0)

    async def append(self, writes: Iterable[Write]) -> int:
        """All of the records or none, and they are part of the state: the offset of the last one.

        RegistryError for records that are too large; nothing is written then. After ClientError or
        TimeoutError it is not known whether they are: `begin` anew finds out.
        """
        producer = self._producer
        if producer is None:
            raise ClientError("this instance does not write")
        topic = self._settings.kafkastore_topic
        try:
            async with asyncio.timeout(2 * self._settings.kafkastore_timeout_ms / 1000):
                await producer.begin_transaction()
                deliveries = [
                    await producer.send(topic, value, key=key, partition=0)
                    for key, value in self._schemas.state.encoded(writes)
                ]
                offset = max([(await each).offset for each in deliveries])
                await producer.commit_transaction()
                await self._schemas.taken_in(offset)
        except BrokerError as error:
            if error.code not in (ErrorCode.message_too_large, ErrorCode.record_list_too_large):
                raise
            await producer.abort_transaction()
            raise RegistryError(42209, "Register operation failed because schema is too large") from None
        return offset
