"""Where a worker's state is kept: in topics that all workers of a cluster share, in a file, or in memory.

Whoever keeps state in one has it replayed, what others wrote as well as its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from ottla.client.admin.configs import ConfigKind, ConfigResource
from ottla.client.admin.topics import NewTopic
from ottla.client.columns.columns import Record
from ottla.client.connecting import AsyncClient
from ottla.client.consumer.batch import Batch
from ottla.client.consumer.consumer import AsyncConsumer
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ClientError, ConfigurationError
from ottla.client.producer.producer import AsyncProducer
from ottla.connect.errors import ConnectError
from ottla.connect.worker.configs import Write
from ottla.connect.worker.java_map import JavaMapError, decode, encode
from ottla.protocol.errors import ErrorCode

_log: Final = logging.getLogger(__name__)

_BATCH: Final = 1_000
_READING_POLL_S: Final = 0.02
_IDLE_POLL_S: Final = 60.0
_RETRY_S: Final = 0.5
_WRITE_S: Final = 30.0

Replay = Callable[[bytes | None, bytes | None, int], None]
"""Takes key, value and offset"""


class RecordLog(Protocol):
    async def start(self, replay: Replay) -> None:
        """All that there is has been replayed."""

    async def append(self, writes: Sequence[Write]) -> None:
        """They are kept; replayed some time. ConnectError."""

    async def read_to_end(self) -> None:
        """All that was kept when this was called has been replayed. ConnectError."""

    async def close(self) -> None: ...


class MemoryLog:
    def __init__(self) -> None:
        self._replay: Replay
        self._offset = 0

    async def start(self, replay: Replay) -> None:
        self._replay = replay

    async def append(self, writes: Sequence[Write]) -> None:
        for write in writes:
            self._replay(write.key, write.value, self._offset)
            self._offset += 1

    async def read_to_end(self) -> None: ...

    async def close(self) -> None: ...


class FileLog(MemoryLog):
    """The last value of each key, in a file that Kafka's standalone worker reads and writes as well."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._entries: dict[bytes, bytes | None] = {}

    async def start(self, replay: Replay) -> None:
        await super().start(replay)
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigurationError(f"offset.storage.file.filename={self._path}: {error}") from error
        if not data:
            return
        try:
            self._entries = decode(data)
        except JavaMapError as error:
            raise ConfigurationError(f"offset.storage.file.filename={self._path}: {error}") from error
        await super().append([Write(key, value) for key, value in self._entries.items()])

    async def append(self, writes: Sequence[Write]) -> None:
        await super().append(writes)
        self._entries.update({write.key: write.value for write in writes})
        temporary = f"{self._path}.tmp"
        try:
            with open(temporary, "wb") as file:
                file.write(encode(self._entries))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
        except OSError as error:
            raise ConnectError(f"offsets are not kept in {self._path}: {error}") from error


class TopicLog:
    """A compacted topic, which is made if there is none."""

    def __init__(
        self,
        client: AsyncClient,
        topic: str,
        *,
        partitions: int,
        replication_factor: int,
        configs: Mapping[str, str],
        committed_only: bool,
    ) -> None:
        self._client = client
        self.topic = topic
        self._partitions = partitions
        self._replication_factor = replication_factor
        self._configs = configs
        self._committed_only = committed_only
        self._replay: Replay
        self._consumer: AsyncConsumer
        self._producer: AsyncProducer
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[asyncio.Future[None], dict[TopicPartition, int]] = {}
        self._failure: ClientError | None = None
        self._woken = asyncio.Event()
        self._polling: asyncio.Future[Batch | None] | None = None

    async def start(self, replay: Replay) -> None:
        self._replay = replay
        numbers = await self._prepare()
        isolation = "read_committed" if self._committed_only else "read_uncommitted"
        self._consumer = self._client.consumer(
            settings={
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "isolation.level": isolation,
                "fetch.max.bytes": 4 << 20,
                "queued.max.messages.kbytes": 8_192,
            }
        )
        self._consumer.assign([TopicPartition(self.topic, each) for each in numbers])
        self._producer = self._client.producer(
            {"linger.ms": 0, "acks": "all", "delivery.timeout.ms": 120_000}
        )
        await self._producer.start()
        self._reading = asyncio.ensure_future(self._read())
        await self.read_to_end()

    async def _prepare(self) -> Sequence[int]:
        """Find the topic, or make it; its partitions. ClientError."""
        admin = self._client.admin
        described = await admin.topics.describe([self.topic])
        if self.topic in described.errors:
            error = described.errors[self.topic]
            if error.code is not ErrorCode.unknown_topic_or_partition:
                raise error
            factor = self._replication_factor
            if factor > 0:
                factor = min(factor, max(len(self._client.cluster.metadata.brokers), 1))
            configs = {**self._configs, "cleanup.policy": "compact"}
            created = await admin.topics.create([NewTopic(self.topic, self._partitions, factor, configs)])
            failure = created.errors.get(self.topic)
            if failure is not None and failure.code is not ErrorCode.topic_already_exists:
                raise failure
            described = await admin.topics.describe([self.topic])
            if self.topic in described.errors:
                await asyncio.sleep(_RETRY_S)
                described = await admin.topics.describe([self.topic])
                described.check()
        resource = ConfigResource(ConfigKind.TOPIC, self.topic)
        found = (await admin.configs.describe([resource], names=["cleanup.policy"])).succeeded
        policy = found[resource]["cleanup.policy"].value if resource in found else "compact"
        if policy != "compact":
            raise ConfigurationError(
                f"Topic '{self.topic}' is required to have 'cleanup.policy=compact' to guarantee "
                "consistency and "
                f"durability, but found the topic currently has 'cleanup.policy={policy}'. Continuing "
                "would likely "
                "result in eventually losing what workers keep there, and problems restarting this Connect "
                "cluster."
            )
        numbers = [each.partition for each in described.succeeded[self.topic].partitions]
        if self._partitions == 1 and len(numbers) != 1:
            raise ConfigurationError(
                f"Topic '{self.topic}' is required to have a single partition in order to guarantee "
                "consistency of "
                f"connector configurations, but found {len(numbers)} partitions."
            )
        return numbers

    async def append(self, writes: Sequence[Write]) -> None:
        await self._written(self._producer, writes)

    async def _written(self, producer: AsyncProducer, writes: Sequence[Write]) -> None:
        try:
            async with asyncio.timeout(_WRITE_S):
                sent = [await producer.send(self.topic, each.value, key=each.key) for each in writes]
                for each in sent:
                    await each
        except (ClientError, TimeoutError) as error:
            raise ConnectError(f"topic {self.topic} is not written: {error}") from error

    async def append_in_transaction(self, writer: AsyncProducer, writes: Sequence[Write]) -> None:
        """All of them or none; ConnectError, also where another has taken the writer's place."""
        try:
            async with writer.transaction():
                await self._written(writer, writes)
        except ClientError as error:
            raise ConnectError(f"topic {self.topic} is not written: {error}") from error

    async def read_to_end(self) -> None:
        if self._failure is not None:
            raise ConnectError(f"topic {self.topic} is not read: {self._failure}") from self._failure
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_WRITE_S):
                ends = await self._consumer.end_offsets(self._consumer.assignment())
                self._waiting[done] = dict(ends)
                self._woken.set()
                await done
        except (ClientError, TimeoutError) as error:
            raise ConnectError(f"topic {self.topic} is not read to its end: {error}") from error
        finally:
            self._waiting.pop(done, None)

    async def _read(self) -> None:
        try:
            while await self._read_on():
                pass
        finally:
            if self._polling is not None:
                self._polling.cancel()

    async def _read_on(self) -> bool:
        """Replay what comes next; whether there can be more."""
        if self._polling is None:
            self._polling = asyncio.ensure_future(self._consumer.poll(_BATCH, _IDLE_POLL_S))
        waking = asyncio.ensure_future(self._woken.wait())
        try:
            timeout_s = _READING_POLL_S if self._waiting else None
            both: list[asyncio.Future[Any]] = [self._polling, waking]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED, timeout=timeout_s)
            self._woken.clear()
            if self._polling.done():
                done, self._polling = self._polling, None
                for record in self._records(done.result()):
                    self._replay(record.key, record.value, record.offset)
            await self._wake_readers(self._polling)
        except ClientError as error:
            if not error.retriable:
                self._fail(error)
                return False
            _log.warning("topic %s is not read: %s", self.topic, error)
            await asyncio.sleep(_RETRY_S)
        finally:
            waking.cancel()
        return True

    def _records(self, batch: Batch | None) -> Iterator[Record]:
        return iter(()) if batch is None else batch.records()

    async def _wake_readers(self, polling: asyncio.Future[Batch | None] | None) -> None:
        """Whoever waits for what has been replayed; not while there is a batch that has not."""
        for done, ends in tuple(self._waiting.items()):
            for partition, end in tuple(ends.items()):
                if end <= 0 or await self._consumer.position(partition) >= end:
                    if polling is not None and polling.done():
                        return
                    del ends[partition]
            if not ends and not done.done():
                done.set_result(None)

    def _fail(self, error: ClientError) -> None:
        self._failure = error
        for done in self._waiting:
            if not done.done():
                done.set_exception(ConnectError(f"topic {self.topic} is not read: {error}"))

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
            with contextlib.suppress(ClientError):  # whoever wanted something written has waited for it
                await self._producer.close(timeout_ms=0)
