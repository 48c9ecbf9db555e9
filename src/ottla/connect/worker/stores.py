"""A Connect cluster's state, kept in logs: configurations, statuses, offsets of sources."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ottla.client.connecting import AsyncClient
from ottla.client.errors import ClientError
from ottla.client.producer.producer import AsyncProducer
from ottla.connect.errors import ConnectError
from ottla.connect.worker.configs import (
    Change,
    ClusterConfigs,
    Config,
    Write,
    connector_removed,
    connector_written,
    target_state_written,
    tasks_committed,
    tasks_written,
)
from ottla.connect.worker.ids import ConnectorTaskId, TargetState
from ottla.connect.worker.logs import RecordLog, TopicLog
from ottla.connect.worker.source_offsets import KnownOffset, SourceOffsets
from ottla.connect.worker.statuses import (
    State,
    Status,
    Statuses,
    TopicStatus,
    connector_status_written,
    task_status_written,
    topic_status_removed,
    topic_status_written,
)

_log: Final = logging.getLogger(__name__)

_RETRY_S: Final = 1.0


class ConfigStore:
    """`on_change` is called with each change once `start` has returned, ours as well."""

    def __init__(self, log: RecordLog, transactions: tuple[AsyncClient, str] | None = None) -> None:
        """`transactions`: the leader writes with this client under this transactional id, which fences
        others.
        """
        self._records = log
        self._transactions = transactions
        self._writer: AsyncProducer | None = None
        self._writing = asyncio.Lock()
        self.on_fenced: Callable[[], None] = lambda: None
        """A write failed, and whoever leads is to claim again"""
        self.state = ClusterConfigs()
        self.on_change: Callable[[Change], None] = lambda _: None

    async def start(self) -> None:
        await self._records.start(self._replay)

    async def close(self) -> None:
        await self.give_up()
        await self._records.close()

    def _replay(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        change = self.state.replay(key, value, offset)
        if change is not None:
            self.on_change(change)

    async def refresh(self) -> None:
        """What others wrote is part of the state. ConnectError."""
        await self._records.read_to_end()

    async def claim(self) -> None:
        """Whoever leads writes; who led before is fenced. ConnectError."""
        if self._transactions is None or self._writer is not None:
            return
        client, id_ = self._transactions
        writer = client.producer({"transactional.id": id_, "enable.idempotence": True, "linger.ms": 0})
        try:
            await writer.start()
        except ClientError as error:
            await writer.close(timeout_ms=0)
            raise ConnectError(
                f"Failed to create and initialize fencable producer for config topic: {error}"
            ) from error
        self._writer = writer

    async def give_up(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close(timeout_ms=0)

    async def write(self, writes: Sequence[Write]) -> None:
        """As who leads, and take it in. ConnectError, also where another leads."""
        async with self._writing:
            if self._transactions is None:
                await self._records.append(writes)
            else:
                await self._write_in_transaction(writes)
        await self._records.read_to_end()

    async def _write_in_transaction(self, writes: Sequence[Write]) -> None:
        if self._writer is None:
            raise ConnectError("Cannot produce to config topic without claiming write privileges first")
        assert isinstance(self._records, TopicLog)
        try:
            await self._records.append_in_transaction(self._writer, writes)
        except ConnectError:
            await self.give_up()
            self.on_fenced()
            raise

    async def write_unprivileged(self, write: Write) -> None:
        """What every worker may write: target states and levels of loggers."""
        await self._records.append([write])
        await self._records.read_to_end()

    async def put_connector(self, name: str, config: Config, state: TargetState | None) -> None:
        await self.write(connector_written(name, config, state))

    async def remove_connector(self, name: str) -> None:
        await self.write(connector_removed(name))

    async def put_tasks(self, name: str, configs: Sequence[Config]) -> None:
        await self.write([*tasks_written(name, configs), tasks_committed(name, len(configs))])

    async def put_target_state(self, name: str, state: TargetState) -> None:
        await self.write_unprivileged(target_state_written(name, state))


class StatusStore:
    """Statuses are written one after the other, in the background; a write that fails is tried again."""

    def __init__(self, log: RecordLog) -> None:
        self._records = log
        self.state = Statuses()
        self._queue: asyncio.Queue[Write] = asyncio.Queue()
        self._writing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._records.start(lambda key, value, _: self.state.replay(key, value))
        self._writing = asyncio.ensure_future(self._write())

    async def close(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
        await self._records.close()

    def put(self, subject: str | ConnectorTaskId, status: Status, *, carefully: bool = False) -> None:
        """`carefully`: not where a later worker has said something already."""
        if isinstance(subject, ConnectorTaskId):
            before, write = self.state.task(subject), task_status_written(subject, status)
        else:
            before, write = self.state.connectors.get(subject), connector_status_written(subject, status)
        if not carefully or self.state.may_write(before, status):
            self._queue.put_nowait(write)

    def destroyed(self, subject: str | ConnectorTaskId, worker_id: str, generation: int) -> None:
        self.put(subject, Status(State.DESTROYED, worker_id, generation))

    def put_topic(self, status: TopicStatus) -> None:
        if status.topic not in self.state.topics.get(status.connector, {}):
            self._queue.put_nowait(topic_status_written(status))

    def forget_topics(self, connector: str) -> None:
        for topic in self.state.topics.get(connector, {}):
            self._queue.put_nowait(topic_status_removed(topic, connector))

    async def settled(self) -> None:
        """All that was said before is written."""
        await self._queue.join()

    async def _write(self) -> None:
        while True:
            write = await self._queue.get()
            while True:
                try:
                    await self._records.append([write])
                    break
                except ConnectError as error:
                    _log.warning("a status is not written yet: %s", error)
                    await asyncio.sleep(_RETRY_S)
            self._queue.task_done()


class OffsetStores:
    """Of sources: the worker's own store, and those of connectors with an `offsets.storage.topic`."""

    def __init__(self, main: RecordLog, make: Callable[[str], RecordLog] | None) -> None:
        self._stores: dict[str | None, _OffsetStore] = {None: _OffsetStore(main)}
        self._make = make
        """By topic; None where connectors cannot have their own"""
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        await self._stores[None].start()

    async def close(self) -> None:
        for store in self._stores.values():
            await store.close()

    async def _of(self, config: Config) -> list[_OffsetStore]:
        """The connector's own first."""
        topic = config.get("offsets.storage.topic") or None
        if topic is None or self._make is None:
            return [self._stores[None]]
        async with self._starting:
            if topic not in self._stores:
                store = _OffsetStore(self._make(topic))
                await store.start()
                self._stores[topic] = store
        return [self._stores[topic], self._stores[None]]

    async def read(
        self, connector: str, config: Config, partitions: Sequence[Mapping[str, object]]
    ) -> list[object]:
        """ConnectError."""
        stores = await self._of(config)
        for store in stores:
            await store.refresh()
        found: list[object] = []
        for partition in partitions:
            offsets = (store.state.get(connector, partition) for store in stores)
            found.append(next((each for each in offsets if each is not None), None))
        return found

    async def all(self, connector: str, config: Config) -> list[KnownOffset]:
        stores = await self._of(config)
        merged: dict[bytes, KnownOffset] = {}
        for store in reversed(stores):
            await store.refresh()
            merged |= {each.key: each for each in store.state.of(connector)}
        return list(merged.values())

    async def write(
        self,
        connector: str,
        config: Config,
        offsets: Sequence[tuple[Mapping[str, object], Mapping[str, object] | None]],
    ) -> None:
        """None in place of an offset forgets it. ConnectError."""
        stores = await self._of(config)
        for store in stores[:1] if all(offset is not None for _, offset in offsets) else stores:
            await store.write(connector, offsets)


class _OffsetStore:
    def __init__(self, log: RecordLog) -> None:
        self._records = log
        self.state = SourceOffsets()

    async def start(self) -> None:
        await self._records.start(lambda key, value, _: self.state.replay(key, value))

    async def close(self) -> None:
        await self._records.close()

    async def refresh(self) -> None:
        await self._records.read_to_end()

    async def write(
        self, connector: str, offsets: Sequence[tuple[Mapping[str, object], Mapping[str, object] | None]]
    ) -> None:
        await self._records.append([self.state.written(connector, *each) for each in offsets])
