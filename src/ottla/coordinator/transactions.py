"""The transaction coordinator: finds the shard of a transactional id, one for each partition of
`__transaction_state`, and has the markers written that end transactions.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from ottla.coordinator.shards import Shards, settled
from ottla.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.current import Current
    from ottla.config.replica import ReplicaConfig
    from ottla.config.transactions import TransactionConfig
    from ottla.coordination.runtime import Client, Effects, Pending, Producer, RequestInfo
    from ottla.coordination.transactions.markers import (
        DueMarker,
        MarkerWriter,
        TopicPartition,
        TxnMarker,
    )
    from ottla.coordination.transactions.shard import TransactionShard
    from ottla.coordinator.shard_owner import ShardOwner, Surroundings
    from ottla.metadata.image import ImageDelta, ImageSource, MetadataImage
    from ottla.protocol.messages import describe_transactions, list_transactions
    from ottla.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse
    from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
    from ottla.protocol.messages.list_transactions import ListTransactionsRequest
    from ottla.replica.group_commit import GroupCommit
    from ottla.replica.partition import Partition
    from ottla.replica.partitions import Partitions

log = logging.getLogger(__name__)

TRANSACTIONS_TOPIC = "__transaction_state"

R = TypeVar("R")
Decide: TypeAlias = "Callable[[TransactionShard, RequestInfo[R], int], Effects]"

_NEWEST_VERSION = 2
"""The transaction version of whoever has partitions added where they are written."""


class ProducerIdSource(Protocol):
    """Where new producer ids come from."""

    async def next_producer_id(self) -> int:
        """Raises KafkaError."""


class TransactionCoordinator:
    """All shards of this broker.

    Requests raise KafkaError: not_coordinator, coordinator_load_in_progress, and what the shard refuses.
    """

    def __init__(
        self,
        partitions: Partitions,
        metadata: ImageSource,
        config: Current[TransactionConfig],
        replica_config: Current[ReplicaConfig],
        clock: Clock,
        group_commit: GroupCommit,
        producer_ids: ProducerIdSource,
        markers: MarkerWriter,
    ) -> None:
        self._metadata = metadata
        self._config = config
        self._replica_config = replica_config
        self._clock = clock
        self._group_commit = group_commit
        self._producer_ids = ProducerIdStock(producer_ids)
        self._markers = markers
        self._shards: Shards[TransactionShard] = Shards(TRANSACTIONS_TOPIC, self._own, partitions, metadata)
        self._surroundings: Surroundings | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}

    # -- requests of producers

    async def init_producer_id(
        self, request: InitProducerIdRequest, client: Client
    ) -> InitProducerIdResponse:
        await self._producer_ids.fill()
        return await self._ask(
            request.transactional_id or "",
            client,
            lambda shard, info, now: shard.init_producer_id(request, info, now),
        )

    async def end_txn(self, request: EndTxnRequest, client: Client) -> EndTxnResponse:
        await self._producer_ids.fill()
        return await self._ask(
            request.transactional_id, client, lambda shard, info, now: shard.end_txn(request, info, now)
        )

    async def add_partitions_of_client(
        self,
        transactional_id: str,
        producer: Producer,
        partitions: Sequence[TopicPartition],
        version: int,
        client: Client | None = None,
    ) -> None:
        """Add all of them, or none; `version` is the transaction version of who asks."""
        from ottla.coordination.transactions.shard import Addition

        asked = Addition(transactional_id, producer, partitions, version)
        await self._ask(
            transactional_id, client, lambda shard, info, now: shard.add_partitions(asked, info, now)
        )

    async def verify_partitions(
        self, transactional_id: str, producer: Producer, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, ErrorCode]:
        """Which of them are in the transaction: none or transaction_abortable for each."""
        from ottla.coordination.transactions.shard import Addition

        asked = Addition(transactional_id, producer, partitions, _NEWEST_VERSION)
        return await self._ask(
            transactional_id, None, lambda shard, info, _now: shard.verify_partitions(asked, info)
        )

    # -- `TransactionPartitions`, for those who write to partitions

    async def add_partitions(
        self,
        transactional_id: str,
        producer: Producer,
        partitions: Sequence[TopicPartition],
        *,
        verify_only: bool,
    ) -> Mapping[TopicPartition, ErrorCode]:
        """Add partitions that are about to be written to, or verify that they were added; each one's result.

        With the errors of AddPartitionsToTxn and of finding the coordinator, for the caller to translate into
        what its client knows.
        """
        try:
            if verify_only:
                return await self.verify_partitions(transactional_id, producer, partitions)
            await self.add_partitions_of_client(transactional_id, producer, partitions, _NEWEST_VERSION)
        except KafkaError as error:
            return dict.fromkeys(partitions, error.code)
        return dict.fromkeys(partitions, ErrorCode.none)

    async def await_end(self, transactional_id: str, max_wait_ms: int) -> None:
        """Wait until no transaction of the id is being ended; not longer than told, so that one has to look.

        Raises KafkaError.
        """
        await self._ask(
            transactional_id,
            None,
            lambda shard, info, now: shard.await_end(transactional_id, info, now, max_wait_ms=max_wait_ms),
        )

    # -- administration

    async def describe(self, transactional_id: str, client: Client) -> describe_transactions.TransactionState:
        """One entry of DescribeTransactions."""
        return await self._ask(
            transactional_id, client, lambda shard, info, _now: shard.describe(transactional_id, info)
        )

    async def list_transactions(
        self, request: ListTransactionsRequest, client: Client
    ) -> list[list_transactions.TransactionState]:
        """Of all shards. Raises KafkaError(coordinator_load_in_progress) while one is still loading."""
        return await self._shards.ask_all(
            client, lambda shard, info, now: shard.list_transactions(request, info, now)
        )

    async def _ask(self, transactional_id: str, client: Client | None, decide: Decide[R]) -> R:
        if not transactional_id:
            raise KafkaError(ErrorCode.invalid_request)
        return await self._ask_owner(self._shards.owner_of(transactional_id), client, decide)

    @staticmethod
    async def _ask_owner(owner: ShardOwner[TransactionShard], client: Client | None, decide: Decide[R]) -> R:
        """`client` is None where the broker itself asks."""
        from ottla.coordination.runtime import Client

        return await settled(
            owner.ask(client or Client("", "", 0), lambda info, now_ms: decide(owner.shard, info, now_ms))
        )

    # -- markers

    def _send_marker(self, index: int, transactional_id: str, order: Pending[DueMarker]) -> None:
        try:
            marker = order.result().marker
        except KafkaError as error:
            # Whoever loads the partition next finds out what has become of the decision.
            log.warning("transaction %s stays as it is: %s", transactional_id, error.code.name)
            return
        task = asyncio.get_running_loop().create_task(self._write(index, transactional_id, marker))
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _write(self, index: int, transactional_id: str, marker: TxnMarker) -> None:
        """Write a marker for the shard at `index`, and tell that one what became of it: where the topic has
        grown, the id may be another's by now.
        """
        results: Mapping[TopicPartition, ErrorCode] = {}
        try:
            (results,) = await self._markers.write_markers([marker])
        except Exception:  # a transaction must not hang, whatever happens
            log.exception("cannot write the markers of transaction %s", transactional_id)
        for (topic, number), code in results.items():
            if code is not ErrorCode.none:
                log.info("marker of transaction %s in %s-%d: %s", transactional_id, topic, number, code.name)
        try:
            await self._ask_owner(
                self._shards.owner_at(index),
                None,
                lambda shard, info, now: shard.markers_written(transactional_id, results, info, now),
            )
        except KafkaError as error:
            log.info("the end of transaction %s is not complete yet: %s", transactional_id, error.code.name)

    # -- life cycle

    async def load(self) -> None:
        """Take over the partitions of the topic of transactions that are hosted here."""
        await self._shards.load()

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Follow the topic of transactions, and those that transactions write to."""
        await self._shards.on_metadata(delta, image)

    def _own(self, partition: Partition) -> ShardOwner[TransactionShard]:
        # A broker without transactions starts sooner without these.
        from ottla.coordination.transactions.shard import TransactionShard
        from ottla.coordinator.shard_owner import ShardOwner, Surroundings

        if self._surroundings is None:
            self._surroundings = Surroundings(
                clock=self._clock,
                config=self._replica_config,
                group_commit=self._group_commit,
                codec=lambda: 0,
            )
        shard = TransactionShard(
            self._config.value,
            self._metadata.image,
            self._producer_ids.take,
            lambda: partition.leader_epoch,
            partial(self._send_marker, partition.index),
        )
        return ShardOwner(shard, partition, self._surroundings)

    def reconfigure(self, config: TransactionConfig) -> None:
        """Apply changed settings from the next decision on."""
        for shard in self._shards.shards:
            shard.reconfigure(config)

    async def stop(self) -> None:
        """Give all transactions up: whoever waits is answered, timers are dropped, markers are left out."""
        self._shards.stop()
        tasks = list(self._tasks)
        if self._producer_ids.task is not None:
            tasks.append(self._producer_ids.task)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class ProducerIdStock:
    """Producer ids at hand, for decisions that cannot wait for one."""

    def __init__(self, source: ProducerIdSource) -> None:
        self._source = source
        self._ids: deque[int] = deque()
        self.task: asyncio.Task[None] | None = None

    async def fill(self) -> None:
        """See to it that the next `take` finds one, if it comes before anything else and there is one."""
        try:
            while not self._ids:
                self._ids.append(await self._source.next_producer_id())
        except KafkaError as error:
            log.warning("no producer id to be had: %s", error.message or error.code.name)

    def take(self) -> int:
        """Raises KafkaError(coordinator_load_in_progress) where there is none; soon there is."""
        if self._ids:
            return self._ids.popleft()
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self.fill())
        raise KafkaError(ErrorCode.coordinator_load_in_progress)
