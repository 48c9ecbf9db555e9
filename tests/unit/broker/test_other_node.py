"""What another node of the cluster commits to the store is in force on this broker."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from ottla.broker.assembly import Broker, BrokerSettings
from ottla.broker.host import this_host
from ottla.config.broker import broker_config
from ottla.config.current import CurrentConfig
from ottla.config.layers import BrokerLayers
from ottla.controller.commit import Committer
from ottla.controller.configs import ConfigController
from ottla.controller.publisher import Publisher
from ottla.controller.topics import TopicController
from ottla.metadata.config_changes import ConfigResource, ResourceKind
from ottla.metadata.topics import NewPartitions, NewTopic
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.faulty import FaultyStore
from ottla.store.interface import Store
from ottla.store.memory import MemoryStore


class OtherNode:
    """All of a second broker that matters here."""

    def __init__(self, store: Store) -> None:
        layers = BrokerLayers(static={"node.id": "2"})
        config = CurrentConfig(broker_config(layers), layers)
        self.metadata = Publisher(store)
        committer = Committer(store, self.metadata)
        self.topics = TopicController(committer, config, uuid4)
        self.configs = ConfigController(committer, config)


@pytest.fixture
async def shared() -> AsyncIterator[MemoryStore]:
    store = MemoryStore(lambda: time.monotonic_ns() // 1_000_000)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def broker(shared: MemoryStore, tmp_path: Path) -> AsyncIterator[Broker]:
    layers = BrokerLayers(
        static={"node.id": "1", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": str(tmp_path)}
    )
    host = this_host()._replace(make_store=lambda _folder, _config: FaultyStore(shared))
    started = Broker(BrokerSettings(broker_config(layers), layers), host)
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def other(broker: Broker, shared: MemoryStore) -> AsyncIterator[OtherNode]:
    node = OtherNode(FaultyStore(shared))
    await node.metadata.load()
    node.metadata.start([])
    yield node
    await node.metadata.stop()


async def test_its_topics_are_opened_grown_configured_and_removed(
    broker: Broker, other: OtherNode, tmp_path: Path
) -> None:
    async def caught_up() -> None:
        await broker.metadata.reach(other.metadata.image.revision)
        assert broker.metadata.image == other.metadata.image

    await other.topics.create_topics([NewTopic("t", 1, configs={"max.message.bytes": "1000"})])
    await caught_up()
    first = broker.partitions.get("t", 0)
    assert first.config.max_message_bytes == 1000
    assert (tmp_path / "t-0").is_dir()

    await other.topics.create_partitions([NewPartitions("t", 3)])
    await caught_up()
    assert broker.partitions.get("t", 0) is first
    assert broker.partitions.get("t", 2).config.max_message_bytes == 1000

    topic = ConfigResource(ResourceKind.TOPIC, "t")
    await other.configs.replace_configs({topic: {"max.message.bytes": "2000"}})
    await caught_up()
    assert {partition.config.max_message_bytes for partition in broker.partitions} == {2000}

    await other.configs.replace_configs(
        {ConfigResource(ResourceKind.BROKER, ""): {"message.max.bytes": "3000"}}
    )
    await other.configs.replace_configs({topic: {}})
    await caught_up()
    assert broker.current.layers.dynamic_default == {"message.max.bytes": "3000"}
    assert {partition.config.max_message_bytes for partition in broker.partitions} == {3000}

    await other.topics.delete_topics(["t"])
    await caught_up()
    with pytest.raises(KafkaError) as refused:
        broker.partitions.get("t", 0)
    assert refused.value.code is ErrorCode.unknown_topic_or_partition
    assert not (tmp_path / "t-0").exists()
