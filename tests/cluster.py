"""Three brokers in one process on one store, whose controller is the test: it writes who leads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

from ottla.broker.assembly import Broker, BrokerSettings
from ottla.broker.host import Host, this_host
from ottla.config.layers import BrokerLayers
from ottla.config.load import Sources, load_settings
from ottla.metadata import model
from ottla.metadata.model import PartitionState
from ottla.metadata.transaction import Put, Transaction
from ottla.records.batch import iter_headers
from ottla.replica.partition import Partition
from ottla.replica.replica import Replica
from ottla.store.faulty import FaultyStore
from ottla.store.memory import MemoryStore

WAIT_S = 15.0
SETTINGS = {
    "replica.fetch.backoff.ms": "20",
    "replica.fetch.wait.max.ms": "100",
    "replica.lag.time.max.ms": "400",
    "offsets.topic.num.partitions": "1",
}


class Cluster:
    """Brokers 1 to `count`, each with a folder of its own."""

    def __init__(self, folder: Path, count: int = 3, **settings: str) -> None:
        self._folder = folder
        self._settings = {**SETTINGS, **{name.replace("_", "."): text for name, text in settings.items()}}
        self._store = MemoryStore(lambda: time.monotonic_ns() // 1_000_000)
        self.stores: dict[int, FaultyStore] = {}
        self.brokers: dict[int, Broker] = {}
        self._node_ids = range(1, count + 1)

    async def __aenter__(self) -> Self:
        await self._store.open()
        for node_id in self._node_ids:
            await self.start(node_id)
        return self

    async def __aexit__(self, *_: object) -> None:
        for node_id in list(self.brokers):
            await self.stop(node_id)
        await self._store.close()

    async def start(self, node_id: int) -> Broker:
        """Start a broker, maybe again: it registers anew."""
        options = {
            **self._settings,
            "node.id": str(node_id),
            "log.dirs": str(self._folder / str(node_id)),
            "listeners": "PLAINTEXT://127.0.0.1:0",
            "broker.rack": f"rack-{node_id}",
        }
        loaded = load_settings(Sources(options={name: (text, "a test") for name, text in options.items()}))
        store = self.stores[node_id] = FaultyStore(self._store)
        broker = Broker(BrokerSettings(loaded.config, BrokerLayers(static=loaded.static)), self._host(store))
        await broker.start()
        self.brokers[node_id] = broker
        return broker

    @staticmethod
    def _host(store: FaultyStore) -> Host:
        return this_host()._replace(make_store=lambda _folder, _config: store)

    async def stop(self, node_id: int) -> None:
        await self.brokers.pop(node_id).stop()

    # -- what a controller does

    async def create_topic(self, name: str, *partitions: tuple[int, ...], **configs: str) -> UUID:
        """With these replicas of each partition, the first of which leads."""
        topic_id = uuid4()
        writes = [
            Put(
                model.topic_key(name),
                model.encode_topic(topic_id, [model.initial_state(each, each) for each in partitions]),
            )
        ]
        if configs:
            texts = {key.replace("_", "."): value for key, value in configs.items()}
            writes.append(Put(model.TOPIC_CONFIGS + name, model.encode_configs(texts)))
        await self._write(*writes)
        return topic_id

    async def change(self, topic: str, index: int = 0, **changes: object) -> None:
        """Write another state of a partition."""
        state = self.state(topic, index)
        changed = replace(state, partition_epoch=state.partition_epoch + 1, **changes)  # type: ignore[arg-type]
        await self._write(Put(model.partition_key(topic, index), model.encode_partition(changed)))

    async def elect(self, topic: str, leader: int, index: int = 0, isr: tuple[int, ...] = ()) -> None:
        """Have another lead, in the next epoch."""
        state = self.state(topic, index)
        await self.change(
            topic, index, leader=leader, leader_epoch=state.leader_epoch + 1, isr=isr or state.isr
        )

    async def _write(self, *puts: Put) -> None:
        outcome = await self._store.transaction(Transaction(writes=puts))
        for broker in self.brokers.values():
            await broker.metadata.reach(outcome.revision)

    # -- what there is

    def state(self, topic: str, index: int = 0) -> PartitionState:
        """As some broker knows it; wait for what is to become of it."""
        broker = next(iter(self.brokers.values()))
        return broker.image.topics[topic].partitions[index]

    def leader(self, topic: str, index: int = 0) -> Partition:
        return self.brokers[self.state(topic, index).leader].partitions.get(topic, index)

    def replicas(self, topic: str, index: int = 0) -> list[Replica]:
        """Of the brokers that run."""
        return [
            self.brokers[each].partitions.replica(topic, index)
            for each in self.state(topic, index).replicas
            if each in self.brokers
        ]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what is to come about."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


def bytes_of(replica: Replica) -> bytes:
    """All record batches, as they lie in the log."""
    log, read, offset = replica.log, b"", replica.log.log_start_offset
    while offset < log.log_end_offset:
        records = log.read(offset, 1 << 20, log.log_end_offset).records
        data = bytes(records[0 : len(records)])
        last = None
        for position, header in iter_headers(memoryview(data)):
            read += data[position : position + header.size]
            last = header
        assert last is not None
        offset = last.next_offset
    return read
