"""Changes what the cluster knows: plans a change, commits it to the store, applies what the store then says.

The plans are pure (`ottla.metadata`).  A change is committed by compare-and-swap, so a plan made from an
image that is out of date fails and is made again; with one broker that does not happen, with several it will.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID, uuid4

from ottla.coordinator.groups import OFFSETS_TOPIC
from ottla.metadata import config_changes, model, topics
from ottla.metadata.config_changes import ConfigOperation, ConfigResource, ConfigScope
from ottla.metadata.image import ImageDelta, MetadataImage, image_at
from ottla.metadata.model import BrokerRegistration, Configs, Topic
from ottla.metadata.plan import Plan
from ottla.metadata.producer_ids import allocate_producer_ids
from ottla.metadata.topics import NewPartitions, NewTopic
from ottla.metadata.transaction import Event, Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.interface import Outcome, Store, StoreError, read_all
from ottla.store.sqlite import FILE_NAME, open_sqlite
from ottla.store.worker import BriefThread

if TYPE_CHECKING:
    from ottla.broker.assembly import Broker

log = logging.getLogger(__name__)

_ATTEMPTS = 5

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")


class Controller:
    """One change at a time: the next begins when the last one's topics are open."""

    def __init__(self, broker: Broker, data_path: str) -> None:
        self._broker = broker
        self._path = f"{data_path}/{FILE_NAME}"
        self._lock = asyncio.Lock()
        self._producer_ids: Iterator[int] = iter(())
        self._closing = contextlib.AsyncExitStack()
        self.image: MetadataImage
        self._store: Store

    async def start(self, address: tuple[str, int]) -> None:
        """Open the store, load the image, register this broker.

        Raises StoreError, and KafkaError(kafka_storage_error) when the disk takes no change.
        """
        worker = BriefThread("ottla-store")
        self._closing.callback(worker.shutdown)
        self._store = await open_sqlite(self._path, worker, _monotonic_ms)
        self._closing.push_async_callback(self._store.close)
        present = await read_all(self._store)
        self.image = image_at(present.revision, present.entries)
        node_id = self._broker.node.node_id
        registration = BrokerRegistration(node_id, *address, self._broker.config.broker_rack)
        put = Put(model.broker_key(node_id), model.encode_broker(registration))
        await self._take_events((await self._commit(Transaction(writes=(put,)))).revision)

    async def stop(self) -> None:
        """Close the store, if it was opened, once the change under way is done."""
        async with self._lock:
            await self._closing.aclose()

    # -- topics

    async def create_topics(
        self, wanted: Sequence[NewTopic], *, validate_only: bool = False
    ) -> Mapping[str, Topic | KafkaError]:
        """Create topics; each one's result by name."""
        return await self._change(
            lambda: topics.create_topics(self.image, wanted, self._broker.config, _random_ids()),
            validate_only=validate_only,
        )

    async def create_partitions(
        self, wanted: Sequence[NewPartitions], *, validate_only: bool = False
    ) -> Mapping[str, Topic | KafkaError]:
        """Add partitions to topics; each one's result by name."""
        return await self._change(
            lambda: topics.create_partitions(self.image, wanted), validate_only=validate_only
        )

    async def delete_topics(self, names: Sequence[str]) -> Mapping[str, Topic | KafkaError]:
        """Delete topics; each one's result by name."""
        return await self._change(lambda: topics.delete_topics(self.image, names))

    async def auto_create_topics(self, names: Iterable[str]) -> None:
        """Create what clients asked for by name alone; one that cannot be made stays unknown."""
        results = await self.create_topics([NewTopic(name) for name in dict.fromkeys(names)])
        for name, result in results.items():
            if isinstance(result, KafkaError) and result.code is not ErrorCode.topic_already_exists:
                log.warning("cannot create topic %s: %s", name, result.message or result.code.name)

    async def ensure_offsets_topic(self, name: str) -> None:
        """Create `__consumer_offsets` on first use, and wait until its groups are loaded.

        Raises KafkaError(coordinator_not_available) when it cannot be made.
        """
        if name in self.image.topics:
            return
        config = self._broker.config
        topic = NewTopic(
            name,
            config.offsets_topic_num_partitions,
            min(config.offsets_topic_replication_factor, len(self.image.brokers)),
            configs={
                "cleanup.policy": "compact",
                "compression.type": "producer",
                "segment.bytes": str(config.offsets_topic_segment_bytes),
            },
        )
        result = (await self.create_topics([topic]))[name]
        if isinstance(result, KafkaError) and result.code is not ErrorCode.topic_already_exists:
            log.error("cannot create topic %s: %s", name, result.message or result.code.name)
            raise KafkaError(ErrorCode.coordinator_not_available, result.message)

    async def reopen_partitions(self) -> None:
        """Try again to open the partitions that could not be opened."""
        async with self._lock:
            partitions = self._broker.partitions
            await partitions.reopen(self.image.topics.values(), self._broker.clock.now_ms())
            await self._broker.groups.load(partitions.of_topic(OFFSETS_TOPIC))

    # -- configuration and producer ids

    async def alter_configs(
        self, changes: Mapping[ConfigResource, Sequence[ConfigOperation]], *, validate_only: bool = False
    ) -> Mapping[ConfigResource, Configs | KafkaError]:
        """Change single settings of topics, brokers and groups; each resource's result."""
        return await self._change(
            lambda: config_changes.incremental_alter_configs(self.image, changes, self._scope()),
            validate_only=validate_only,
        )

    async def replace_configs(
        self, replacements: Mapping[ConfigResource, Mapping[str, str | None]], *, validate_only: bool = False
    ) -> Mapping[ConfigResource, Configs | KafkaError]:
        """Replace the dynamic settings of topics, brokers and groups; each resource's result."""
        return await self._change(
            lambda: config_changes.replace_configs(self.image, replacements, self._scope()),
            validate_only=validate_only,
        )

    def _scope(self) -> ConfigScope:
        return ConfigScope(self._broker.current.layers, self._broker.config)

    async def next_producer_id(self) -> int:
        """An id that no producer of this cluster has had."""
        for producer_id in self._producer_ids:
            return producer_id
        async with self._lock:
            transaction, block = allocate_producer_ids(self.image)
            outcome = await self._commit(transaction)
            if not outcome.committed:
                raise KafkaError(ErrorCode.coordinator_load_in_progress)
            await self._take_events(outcome.revision)
        self._producer_ids = iter(range(block.first, block.first + block.size))
        return next(self._producer_ids)

    # -- committing

    async def _change(
        self, make_plan: Callable[[], Plan[_Item, _Outcome]], *, validate_only: bool = False
    ) -> Mapping[_Item, _Outcome | KafkaError]:
        if validate_only:
            return make_plan().results
        # A client that goes away does not leave a change half applied.
        change = self._change_whole(make_plan)
        return await asyncio.shield(asyncio.ensure_future(change))

    async def _change_whole(
        self, make_plan: Callable[[], Plan[_Item, _Outcome]]
    ) -> Mapping[_Item, _Outcome | KafkaError]:
        async with self._lock:
            for _ in range(_ATTEMPTS):
                plan = make_plan()
                if not plan.transaction.writes:
                    return plan.results
                outcome = await self._commit(plan.transaction)
                delta = await self._take_events(outcome.revision)
                if outcome.committed:
                    await self._apply(delta)
                    return plan.results
        raise KafkaError(ErrorCode.request_timed_out, "The metadata kept changing meanwhile.")

    async def _commit(self, transaction: Transaction) -> Outcome:
        try:
            return await self._store.transaction(transaction)
        except StoreError as error:
            raise KafkaError(ErrorCode.kafka_storage_error, f"cannot write the metadata: {error}") from error

    async def _take_events(self, revision: int) -> ImageDelta:
        """Have the image reach a revision; returns what changed on the way."""
        events: list[Event] = []
        if revision > self.image.revision:
            async with contextlib.aclosing(self._store.watch("", self.image.revision + 1)) as watch:
                async for number, changes in watch:
                    events.extend(changes)
                    if number >= revision:
                        break
        self.image, delta = self.image.apply(events)
        return delta

    async def _apply(self, delta: ImageDelta) -> None:
        """Open, close and reconfigure what changed."""
        partitions, now_ms = self._broker.partitions, self._broker.clock.now_ms()
        for topic in delta.topics_deleted:
            await partitions.remove_topic(topic)
        if delta.topics_deleted:
            await self._broker.maintenance.topics_deleted()
        for topic in (*delta.topics_created, *(topic for topic, _ in delta.partitions_added)):
            await partitions.open_topic(topic, now_ms)
        for topic in delta.topic_configs_changed:
            partitions.reconfigure(topic)
        if delta.broker_configs_changed:
            await self._broker.reconfigure()
        await self._broker.groups.topics_changed(delta)


def _random_ids() -> Iterator[UUID]:
    while True:
        yield uuid4()


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
