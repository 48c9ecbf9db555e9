"""Nodes of one cluster, each with its own way to the store that they share."""

import asyncio
import itertools
import time
from uuid import UUID

import pytest

from ottla.config.broker import broker_config
from ottla.config.current import CurrentConfig
from ottla.config.layers import BrokerLayers
from ottla.controller.commit import Committer
from ottla.controller.configs import ConfigController, DynamicConfig
from ottla.controller.producer_ids import ProducerIds
from ottla.controller.publisher import Publisher
from ottla.controller.topics import InternalTopics, TopicController
from ottla.metadata import model
from ottla.metadata.model import BrokerRegistration
from ottla.metadata.transaction import Put, Transaction
from ottla.store.faulty import FaultyStore
from ottla.store.memory import MemoryStore

_ids = itertools.count(1 << 100)


class Told:
    """A subscriber that remembers."""

    def __init__(self):
        self.deltas = []

    async def on_metadata(self, delta, image):
        self.deltas.append(delta)


class Node:
    """What changes and follows metadata in one broker."""

    def __init__(self, shared, node_id):
        self.store = FaultyStore(shared)
        layers = BrokerLayers(static={"node.id": str(node_id), "num.partitions": "2"})
        self.config = CurrentConfig(broker_config(layers), layers)
        self.told = Told()
        self.publisher = Publisher(self.store)
        self.committer = Committer(self.store, self.publisher)
        self.topics = TopicController(self.committer, self.config, lambda: UUID(int=next(_ids)))
        self.internal_topics = InternalTopics(self.topics, self.publisher, self.config, self.config)
        self.configs = ConfigController(self.committer, self.config)
        self.producer_ids = ProducerIds(self.store)
        self.dynamic = DynamicConfig(self.config, node_id, self._configured)

    async def _configured(self, config, image):
        assert config is self.config.value

    async def start(self, *subscribers):
        await self.publisher.load()
        self.publisher.start([self.dynamic, *subscribers, self.told])

    @property
    def image(self):
        return self.publisher.image

    async def caught_up(self):
        await self.publisher.reach((await self.store.range("", limit=1)).revision)
        return self.image


async def turns(count=50):
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
async def shared():
    store = MemoryStore(lambda: time.monotonic_ns() // 1_000_000)
    await store.open()
    broker = model.encode_broker(BrokerRegistration(1, {}))
    await store.transaction(Transaction(writes=(Put(model.broker_key(1), broker),)))
    yield store
    await store.close()


@pytest.fixture
async def nodes(shared):
    both = [Node(shared, 1), Node(shared, 2)]
    for node in both:
        await node.start()
    yield both
    for node in both:
        await node.publisher.stop()


@pytest.fixture
def node(nodes):
    return nodes[0]


@pytest.fixture
def other(nodes):
    return nodes[1]
