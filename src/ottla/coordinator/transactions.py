"""The transaction coordinator: finds the shard of a transactional id, one for each partition of
`__transaction_state`, and has the markers written that end transactions.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from ottla.coordinator.shards import Answered, Shards, following, settled, unless_refused
from ottla.metadata.topic_names import TRANSACTIONS_TOPIC
from ottla.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.current import Current
    from ottla.config.replica import ReplicaConfig
    from ottla.config.transactions import TransactionConfig
    from ottla.coordination.runtime import Client, Effects, Pending, Producer, RequestInfo
    from ottla.coordination.transactions.markers import (
        DueMarker,
        MarkerResults,
        MarkerWriter,
        TopicPartition,
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


R = TypeVar("R")
Decide: TypeAlias = "Callable[[TransactionShard, RequestInfo[R], int], Effects]"

_NEWEST_VERSION = 2
"""The transaction version of whoever has partitions added where they are written."""
_MARKERS_TOGETHER = 8
"""Of as many transactions in a turn of the event loop, before others get theirs."""

_COMPLAINTS_S = 10
"""Between two lines of one cause in the log."""


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
        self._due: deque[tuple[Partition, DueMarker]] = deque()
        """Markers to be written, each for the shard in a partition"""
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._complaints = Complaints(clock.monotonic_s)

    # -- requests of producers

    def init_producer_id(
        self, request: InitProducerIdRequest, client: Client
    ) -> Answered[InitProducerIdResponse]:
        return self._ask_with_ids(
            request.transactional_id or "",
            client,
            lambda shard, info, now: shard.init_producer_id(request, info, now),
        )

    def end_txn(self, request: EndTxnRequest, client: Client) -> Answered[EndTxnResponse]:
        return self._ask_with_ids(
            request.transactional_id, client, lambda shard, info, now: shard.end_txn(request, info, now)
        )

    def add_partitions_of_client(
        self,
        transactional_id: str,
        producer: Producer,
        partitions: Sequence[TopicPartition],
        version: int,
        client: Client | None = None,
    ) -> Answered[ErrorCode]:
        """Add all of them, or none; `version` is the transaction version of who asks."""
        from ottla.coordination.transactions.shard import Addition

        asked = Addition(transactional_id, producer, partitions, version)
        return self._ask(
            transactional_id, client, lambda shard, info, now: shard.add_partitions(asked, info, now)
        )

    def verify_partitions(
        self, transactional_id: str, producer: Producer, partitions: Sequence[TopicPartition]
    ) -> Answered[Mapping[TopicPartition, ErrorCode]]:
        """Which of them are in the transaction: none or transaction_abortable for each."""
        from ottla.coordination.transactions.shard import Addition

        asked = Addition(transactional_id, producer, partitions, _NEWEST_VERSION)
        return self._ask(
            transactional_id, None, lambda shard, info, _now: shard.verify_partitions(asked, info)
        )

    # -- `TransactionPartitions`, for those who write to partitions

    def add_partitions(
        self,
        transactional_id: str,
        producer: Producer,
        partitions: Sequence[TopicPartition],
        *,
        verify_only: bool,
    ) -> Answered[Mapping[TopicPartition, ErrorCode]]:
        """Add partitions that are about to be written to, or verify that they were added; each one's result.

        With the errors of AddPartitionsToTxn and of finding the coordinator, for the caller to translate into
        what its client knows.
        """

        def ask() -> Answered[Mapping[TopicPartition, ErrorCode]]:
            if verify_only:
                return self.verify_partitions(transactional_id, producer, partitions)
            added = self.add_partitions_of_client(transactional_id, producer, partitions, _NEWEST_VERSION)
            return following(added, lambda code: dict.fromkeys(partitions, code))

        return unless_refused(ask, lambda error: dict.fromkeys(partitions, error.code))

    async def await_end(self, transactional_id: str, max_wait_ms: int) -> None:
        """Wait until no transaction of the id is being ended; not longer than told, so that one has to look.

        Raises KafkaError.
        """

        def decide(shard: TransactionShard, info: RequestInfo[ErrorCode], now_ms: int) -> Effects:
            return shard.await_end(transactional_id, info, now_ms, max_wait_ms=max_wait_ms)

        await settled(self._ask(transactional_id, None, decide))

    # -- administration

    def describe(
        self, transactional_id: str, client: Client
    ) -> Answered[describe_transactions.TransactionState]:
        """One entry of DescribeTransactions."""
        return self._ask(
            transactional_id, client, lambda shard, info, _now: shard.describe(transactional_id, info)
        )

    async def list_transactions(
        self, request: ListTransactionsRequest, client: Client
    ) -> list[list_transactions.TransactionState]:
        """Of all shards. Raises KafkaError(coordinator_load_in_progress) while one is still loading."""
        return await self._shards.ask_all(
            client, lambda shard, info, now: shard.list_transactions(request, info, now)
        )

    def _ask(self, transactional_id: str, client: Client | None, decide: Decide[R]) -> Answered[R]:
        """`client` is None where the broker itself asks."""
        if not transactional_id:
            raise KafkaError(ErrorCode.invalid_request)
        owner = self._shards.owner_of(transactional_id)
        return owner.ask(client, lambda info, now_ms: decide(owner.shard, info, now_ms))

    def _ask_with_ids(self, transactional_id: str, client: Client, decide: Decide[R]) -> Answered[R]:
        """Ask about what may need a new producer id."""
        if self._producer_ids.is_empty:
            return self._ask_once_filled(transactional_id, client, decide)
        return self._ask(transactional_id, client, decide)

    async def _ask_once_filled(self, transactional_id: str, client: Client, decide: Decide[R]) -> R:
        await self._producer_ids.fill()
        return await settled(self._ask(transactional_id, client, decide))

    # -- markers

    def _send_marker(self, place: Partition, transactional_id: str, order: Pending[DueMarker]) -> None:
        try:
            due = order.result()
        except KafkaError as error:
            # Whoever loads the partition next finds out what has become of the decision.
            self._complaints.say(error.code.name, "transaction %s stays as it is", transactional_id)
            return
        if not self._due:
            asyncio.get_running_loop().call_soon(self._write_due)
        self._due.append((place, due))

    def _write_due(self) -> None:
        """Write markers once the turn that decided on them is over, some at a time."""
        for _ in range(min(len(self._due), _MARKERS_TOGETHER)):
            self._write(*self._due.popleft())
        if self._due:
            asyncio.get_running_loop().call_soon(self._write_due)

    def _write(self, place: Partition, due: DueMarker) -> None:
        """Write a marker for the shard in `place`, and tell that one what became of it: where the topic has
        grown, the id may be another's by now.
        """
        try:
            written = self._markers.write_markers([due.marker])
        except Exception as error:  # noqa: BLE001 - a transaction must not hang, whatever happens
            self._complain(due.transactional_id, error)
            written = [{}]
        if isinstance(written, Awaitable):
            task = asyncio.get_running_loop().create_task(self._write_on(place, due, written))
            self._tasks[task] = None
            task.add_done_callback(self._tasks.pop)
        else:
            self._note_written(place, due.transactional_id, written[0])

    async def _write_on(self, place: Partition, due: DueMarker, written: Awaitable[MarkerResults]) -> None:
        results: Mapping[TopicPartition, ErrorCode] = {}
        try:
            (results,) = await written
        except Exception as error:  # noqa: BLE001 - likewise
            self._complain(due.transactional_id, error)
        self._note_written(place, due.transactional_id, results)

    def _note_written(
        self, place: Partition, transactional_id: str, results: Mapping[TopicPartition, ErrorCode]
    ) -> None:
        for (topic, number), code in results.items():
            if code is not ErrorCode.none:
                self._complaints.say(
                    code.name, "the marker of transaction %s in %s-%d", transactional_id, topic, number
                )
        try:
            owner = self._shards.owner_at(place.index)
        except KafkaError as error:
            self._complaints.say(error.code.name, "the end of transaction %s", transactional_id)
            return
        if owner.partition is not place:
            return  # others have led it since, and the id may have another transaction by now
        owner.tell(lambda now_ms: owner.shard.markers_written(transactional_id, results, now_ms))

    def _complain(self, transactional_id: str, error: Exception) -> None:
        cause = type(error).__name__
        self._complaints.say(cause, "the markers of transaction %s", transactional_id, error=error)

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
            partial(self._send_marker, partition),
        )
        return ShardOwner(shard, partition, self._surroundings)

    def reconfigure(self, config: TransactionConfig) -> None:
        """Apply changed settings from the next decision on."""
        for shard in self._shards.shards:
            shard.reconfigure(config)

    async def stop(self) -> None:
        """Give all transactions up: whoever waits is answered, timers are dropped, markers are left out."""
        self._shards.stop()
        self._due.clear()
        tasks = list(self._tasks)
        if self._producer_ids.task is not None:
            tasks.append(self._producer_ids.task)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class Complaints:
    """Of ends of transactions that fail, and are tried again: many may, time and again, for one cause."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._said: dict[str, tuple[float, int]] = {}
        """By cause: when there was a line in the log, and how many were left out since"""

    def say(self, cause: str, what: str, *about: object, error: Exception | None = None) -> None:
        """Log `what` failed for this `cause`, unless there was a line of the same cause a moment ago."""
        now_s = self._now_s()
        said_s, left_out = self._said.get(cause, (now_s - _COMPLAINTS_S, 0))
        if now_s - said_s < _COMPLAINTS_S:
            self._said[cause] = said_s, left_out + 1
            return
        self._said[cause] = now_s, 0
        others = f", and {left_out} more since the last line of this kind" if left_out else ""
        log.warning(f"{what}: {cause}{others}", *about, exc_info=error)  # noqa: G004 - of constant parts


class ProducerIdStock:
    """Producer ids at hand, for decisions that cannot wait for one."""

    def __init__(self, source: ProducerIdSource) -> None:
        self._source = source
        self._ids: deque[int] = deque()
        self.task: asyncio.Task[None] | None = None

    @property
    def is_empty(self) -> bool:
        """The next `take` would find none."""
        return not self._ids

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
