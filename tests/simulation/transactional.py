"""A transactional producer and a reader of committed records, over the wire.

They know nothing of histories: they do what clients do, and say what came of it. A client speaks one of two
protocols: `NEWER` leaves it to the broker to add partitions to transactions, and takes a new epoch from each
end (KIP-890); `OLDER` adds them itself and keeps its epoch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from tests.checker.history import Outcome, Partition
from tests.simulation.client import Brokers, NoAnswerError
from tests.simulation.inputs import Membership
from tests.simulation.world import World

from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from ottla.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
)
from ottla.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse
from ottla.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from ottla.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from ottla.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from ottla.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
)
from ottla.records.batch import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, iter_headers
from ottla.records.codec import Record, decode_batch, encode_batch

TIMEOUT_MS = 1_500
"""After this the coordinator aborts a transaction."""
_RETRY_S = 0.1
_MAX_BYTES = 1 << 20
_ABORT_MARKER = b"\x00\x00\x00\x00"
"""The key of a control record: version 0, type 0."""

T = TypeVar("T")

_AGAIN = frozenset(
    {
        ErrorCode.concurrent_transactions,
        ErrorCode.coordinator_load_in_progress,
        ErrorCode.coordinator_not_available,
        ErrorCode.kafka_storage_error,
        ErrorCode.leader_not_available,
        ErrorCode.not_coordinator,
        ErrorCode.not_enough_replicas,
        ErrorCode.not_enough_replicas_after_append,
        ErrorCode.not_leader_or_follower,
        ErrorCode.request_timed_out,
        ErrorCode.unknown_topic_or_partition,
    }
)
_FENCED = frozenset(
    {ErrorCode.invalid_producer_epoch, ErrorCode.invalid_producer_id_mapping, ErrorCode.producer_fenced}
)


class Protocol(NamedTuple):
    """Versions of the requests that a transaction is made of."""

    init: int
    produce: int
    commit_offsets: int
    end: int
    adds: bool
    """The client adds partitions to transactions."""


NEWER = Protocol(init=5, produce=12, commit_offsets=5, end=5, adds=False)
OLDER = Protocol(init=4, produce=11, commit_offsets=4, end=4, adds=True)


class FencedError(Exception):
    """Somebody else uses the transactional id, or the coordinator has aborted the transaction."""


class AbortableError(Exception):
    """This transaction can only be aborted."""


class TransactionalProducer:
    """One life of the user of a transactional id."""

    def __init__(
        self, world: World, brokers: Brokers, transactional_id: str, process: str, protocol: Protocol
    ) -> None:
        self._world = world
        self._brokers = brokers
        self._id = transactional_id
        self._process = process
        self._random = world.random(process)
        self._client = brokers.client(transactional_id)
        self._protocol = protocol
        self._producer_id, self._epoch = NO_PRODUCER_ID, NO_PRODUCER_EPOCH
        self._sequences: dict[Partition, int] = {}
        self._added: dict[Partition, None] = {}
        self.needs_initialising = True
        """Its epoch is not to be used any more: something sent with it may still be on its way."""

    def close(self) -> None:
        self._client.close()

    async def initialise(self) -> None:
        """Have an epoch, or a newer one; raises FencedError, and NoAnswerError after a while."""
        request = FindCoordinatorRequest(key_type=1, coordinator_keys=[self._id])
        await self._until_settled(
            lambda: self._client.call(request, 4, FindCoordinatorResponse),
            lambda response: response.coordinators[0].error_code,
        )
        response = await self._until_settled(
            lambda: self._client.call(
                InitProducerIdRequest(
                    transactional_id=self._id,
                    transaction_timeout_ms=TIMEOUT_MS,
                    producer_id=self._producer_id,
                    producer_epoch=self._epoch,
                ),
                self._protocol.init,
                InitProducerIdResponse,
            ),
            lambda response: response.error_code,
        )
        self._begin_epoch(response.producer_id, response.producer_epoch)
        self.needs_initialising = False

    async def send(self, partition: Partition, values: Sequence[str]) -> int | None:
        """One batch in the transaction; its first offset, None where the broker does not know it any more.

        Raises AbortableError and FencedError; NoAnswerError when it may be there, or come there late.
        """
        await self._add(partition)
        sequence = self._sequences.get(partition, 0)
        now_ms = self._brokers.now_ms()
        batch = encode_batch(
            [Record(number, now_ms, None, value.encode(), ()) for number, value in enumerate(values)],
            producer_id=self._producer_id,
            producer_epoch=self._epoch,
            base_sequence=sequence,
            is_transactional=True,
        )
        data = TopicProduceData(
            name=partition.topic,
            partition_data=[PartitionProduceData(index=partition.number, records=batch)],
        )
        request = ProduceRequest(transactional_id=self._id, acks=-1, timeout_ms=5_000, topic_data=[data])
        try:
            response = await self._until_settled(
                lambda: self._client.call(request, self._protocol.produce, ProduceResponse),
                lambda response: response.responses[0].partition_responses[0].error_code,
                accepted={ErrorCode.duplicate_sequence_number},
                attempts=self._random.choice([1, 3, 10]),
            )
        except NoAnswerError:
            self.needs_initialising = True
            raise
        self._sequences[partition] = sequence + len(values)
        result = response.responses[0].partition_responses[0]
        return result.base_offset if result.base_offset >= 0 else None

    async def commit_offsets(
        self, group: str, offsets: Mapping[Partition, int], membership: Membership
    ) -> None:
        """With the transaction; raises what `send` raises."""
        if self._protocol.adds:
            add = AddOffsetsToTxnRequest(
                transactional_id=self._id,
                producer_id=self._producer_id,
                producer_epoch=self._epoch,
                group_id=group,
            )
            await self._until_settled(
                lambda: self._client.call(add, 3, AddOffsetsToTxnResponse),
                lambda response: response.error_code,
            )
        request = TxnOffsetCommitRequest(
            transactional_id=self._id,
            group_id=group,
            producer_id=self._producer_id,
            producer_epoch=self._epoch,
            member_id=membership.member_id,
            generation_id_or_member_epoch=membership.generation,
            topics=[
                TxnOffsetCommitRequestTopic(
                    name=partition.topic,
                    partitions=[
                        TxnOffsetCommitRequestPartition(
                            partition_index=partition.number, committed_offset=offset
                        )
                    ],
                )
                for partition, offset in offsets.items()
            ],
        )
        await self._until_settled(
            lambda: self._client.call(request, self._protocol.commit_offsets, TxnOffsetCommitResponse),
            lambda response: max(each.error_code for topic in response.topics for each in topic.partitions),
        )

    async def end(self, *, commit: bool) -> Outcome:
        """Whether the transaction was ended so; a failed end was refused for good."""
        request = EndTxnRequest(
            transactional_id=self._id,
            producer_id=self._producer_id,
            producer_epoch=self._epoch,
            committed=commit,
        )
        is_doubtful = False
        for _ in range(self._random.choice([1, 5, 20])):
            try:
                response = await self._client.call(request, self._protocol.end, EndTxnResponse)
            except NoAnswerError:
                is_doubtful = True
                self._world.stats["answers lost"] += 1
                continue
            code = ErrorCode(response.error_code)
            self._world.stats[f"end: {code.name}"] += 1
            self._note("EndTxn", code)
            if code is ErrorCode.none:
                if not self._protocol.adds:
                    self._begin_epoch(response.producer_id, response.producer_epoch)
                    self.needs_initialising = False
                self._added.clear()
                return Outcome.ok
            if code not in _AGAIN:
                self.needs_initialising = True
                return Outcome.unknown if is_doubtful else Outcome.failed
            is_doubtful = is_doubtful or code is not ErrorCode.concurrent_transactions
            await asyncio.sleep(_RETRY_S)
        self.needs_initialising = True
        return Outcome.unknown

    async def _add(self, partition: Partition) -> None:
        if not self._protocol.adds or partition in self._added:
            return
        request = AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=self._id,
            v3_and_below_producer_id=self._producer_id,
            v3_and_below_producer_epoch=self._epoch,
            v3_and_below_topics=[
                AddPartitionsToTxnTopic(name=partition.topic, partitions=[partition.number])
            ],
        )
        await self._until_settled(
            lambda: self._client.call(request, 3, AddPartitionsToTxnResponse),
            lambda response: (
                response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
            ),
        )
        self._added[partition] = None

    def _note(self, what: str, code: ErrorCode) -> None:
        self._world.trace.note(self._process, what, code.name, f"(epoch {self._epoch})")

    def _begin_epoch(self, producer_id: int, epoch: int) -> None:
        if (producer_id, epoch) == (self._producer_id, self._epoch):
            self._world.history.forbid(f"{self._id} was given epoch {epoch} again")
        self._producer_id, self._epoch = producer_id, epoch
        self._sequences.clear()
        self._added.clear()

    async def _until_settled(
        self,
        call: Callable[[], Awaitable[T]],
        code_of: Callable[[T], int],
        *,
        accepted: Iterable[ErrorCode] = (),
        attempts: int = 10,
    ) -> T:
        """Ask again while that may help; raises NoAnswerError when it may have been done, or be yet."""
        for _ in range(attempts):
            try:
                response = await call()
            except NoAnswerError:
                self._world.stats["answers lost"] += 1
                await asyncio.sleep(self._random.expovariate(1 / _RETRY_S))
                continue
            code = ErrorCode(code_of(response))
            self._world.stats[f"{type(response).__name__}: {code.name}"] += 1
            self._note(type(response).__name__, code)
            if code is ErrorCode.none or code in accepted:
                return response
            if code in _FENCED:
                raise FencedError(code.name)
            if code is ErrorCode.out_of_order_sequence_number:
                self._world.history.forbid(f"{self._id} has sent all in order, and is told otherwise")
            if code not in _AGAIN:
                raise AbortableError(code.name)
            await asyncio.sleep(self._random.expovariate(1 / _RETRY_S))
        raise NoAnswerError


class Fetched(NamedTuple):
    """What an answer had of a partition."""

    partition: Partition
    records: list[tuple[int, str]]
    end: int
    """The next position."""
    high_watermark: int
    stable_offset: int
    era: int
    leader_epoch: int


class Reader:
    """Reads from positions that it is given."""

    def __init__(self, brokers: Brokers, name: str, *, is_committed: bool = True) -> None:
        self._brokers = brokers
        self._client = brokers.client(name)
        self.is_committed = is_committed

    def close(self) -> None:
        self._client.close()

    async def fetch(self, positions: Mapping[Partition, int], max_wait_ms: int = 300) -> list[Fetched] | None:
        """All there is, without what was aborted; None where a position is out of range.

        Raises NoAnswerError; so it does when the machine has been switched on meanwhile.
        """
        era = self._brokers.era
        topics: dict[str, list[FetchPartition]] = {}
        for at, position in positions.items():
            asked = FetchPartition(partition=at.number, fetch_offset=position, partition_max_bytes=_MAX_BYTES)
            topics.setdefault(at.topic, []).append(asked)
        request = FetchRequest(
            max_wait_ms=max_wait_ms,
            min_bytes=1,
            max_bytes=_MAX_BYTES,
            isolation_level=int(self.is_committed),
            topics=[FetchTopic(topic=topic, partitions=some) for topic, some in topics.items()],
        )
        response = await self._client.call(request, 12, FetchResponse)
        if self._brokers.era != era:
            raise NoAnswerError
        fetched: list[Fetched] = []
        for topic in response.responses:
            for data in topic.partitions:
                at = Partition(topic.topic, data.partition_index)
                if data.error_code == ErrorCode.offset_out_of_range:
                    return None
                if data.error_code:
                    continue
                records, end = _records(data, positions[at])
                epoch = data.current_leader.leader_epoch
                marks = data.high_watermark, data.last_stable_offset
                fetched.append(Fetched(at, records, end, *marks, era, epoch))
        return fetched


def _records(data: PartitionData, position: int) -> tuple[list[tuple[int, str]], int]:
    """From a position on, and the next one."""
    aborted = sorted((each.first_offset, each.producer_id) for each in data.aborted_transactions or ())
    aborting: dict[int, None] = {}
    records: list[tuple[int, str]] = []
    batches = bytes(data.records or b"")
    end = position
    for start, header in iter_headers(batches):
        end = header.next_offset
        while aborted and aborted[0][0] < header.next_offset:
            aborting[aborted.pop(0)[1]] = None
        found = list(decode_batch(batches[start : start + header.size], max_bytes=_MAX_BYTES))
        if header.is_control:
            if any((record.key or b"")[:4] == _ABORT_MARKER for record in found):
                aborting.pop(header.producer_id, None)
        elif not (header.is_transactional and header.producer_id in aborting):
            records += [
                (record.offset, (record.value or b"").decode())
                for record in found
                if record.offset >= position
            ]
    return records, end
