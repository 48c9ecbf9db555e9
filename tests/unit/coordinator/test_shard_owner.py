"""The owner of a shard: what it makes of the partition's log, and when it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from tests.coordinator_harness import image
from tests.unit.replica.neighbours import Neighbours
from tests.unit.storage.logs import open_at, small_segments
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.clock import Clock
from ottla.config.broker import broker_config, default_view
from ottla.config.groups import GroupCoordinatorConfig
from ottla.config.transactions import TransactionConfig
from ottla.coordination.groups.shard import GroupShard
from ottla.coordination.runtime import (
    Client,
    CoordinatorRecord,
    Effects,
    Producer,
    RequestInfo,
    encode_record,
)
from ottla.coordination.transactions.shard import TransactionShard
from ottla.coordinator.shard_owner import ShardOwner, Surroundings
from ottla.coordinator.shards import Shards
from ottla.metadata.model import PartitionState
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from ottla.protocol.messages.offset_fetch import OffsetFetchRequestGroup, OffsetFetchRequestTopics
from ottla.protocol.messages.records.group import OffsetCommitKey, OffsetCommitValue
from ottla.protocol.messages.records.transaction import TransactionLogKey, TransactionLogValue
from ottla.records.codec import ControlType, Record, encode_batch, encode_end_transaction_marker
from ottla.records.markers import EndMarker
from ottla.replica.partition import Partition
from ottla.replica.partitions import validation_options
from ottla.replica.traffic import TopicTraffic
from ottla.storage.log import Log

TOPICS = image(t=4)
CLIENT = Client("c", "/10.0.0.1", 9)


class HeldCommits:
    """Group commit that syncs when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[dict[Log, KafkaError]], Any]] = []

    def when_durable(self, _logs: Sequence[Log], answer: Callable[[dict[Log, KafkaError]], Any]) -> None:
        self.waiting.append(answer)


class Owned:
    """An owner with its partition's log."""

    def __init__(self, *, flush: bool = False, disk: SimulatedDisk | None = None, shard: Any = None) -> None:
        self.disk = disk or SimulatedDisk()
        log = open_at(self.disk, small_segments())
        self.partition = Partition(
            "__consumer_offsets",
            UUID(int=9),
            0,
            log,
            PartitionState(replicas=(1,), isr=(1,), leader=1),
            validation_options(small_segments(), broker_config()),
            lambda _log: None,
            Neighbours(),
            TopicTraffic(),
        )
        self.commits = HeldCommits()
        config = SimpleNamespace(ottla_acks_all_flush=flush, ottla_decompressed_batch_max_bytes=1 << 20)
        shard = shard or GroupShard(default_view(GroupCoordinatorConfig), lambda: UUID(int=1), TOPICS)
        self.owner = ShardOwner(
            shard,
            self.partition,
            Surroundings(
                clock=Clock(),
                config=SimpleNamespace(value=config),  # type: ignore[arg-type]
                group_commit=self.commits,  # type: ignore[arg-type]
                codec=lambda: 0,
            ),
        )

    async def load(self) -> None:
        await self.owner.load(lambda: TOPICS)

    def commit(self, offset: int, partition: int = 0) -> Any:
        committed = OffsetCommitRequestPartition(partition_index=partition, committed_offset=offset)
        request = OffsetCommitRequest(
            group_id="g", topics=[OffsetCommitRequestTopic(name="t", partitions=[committed])]
        )

        def decide(info: RequestInfo[Any], now_ms: int) -> Any:
            return self.owner.shard.offset_commit(request, info, now_ms)

        return self.owner.ask(CLIENT, decide)

    def commit_of_transaction(self, producer_id: int, partition: int, offset: int) -> None:
        def decide(_info: RequestInfo[Any], _now_ms: int) -> Effects:
            return Effects(records=[offset_record(partition, offset)], producer=Producer(producer_id, 0))

        self.owner.ask(CLIENT, decide).close()

    def fetch(self, partition: int = 0) -> Any:
        topics = [OffsetFetchRequestTopics(name="t", partition_indexes=[partition])]
        asked = OffsetFetchRequestGroup(group_id="g", topics=topics)

        def decide(info: RequestInfo[Any], _now_ms: int) -> Any:
            return self.owner.shard.offset_fetch(asked, info, require_stable=True)

        return self.owner.ask(CLIENT, decide)

    def offset(self, partition: int) -> tuple[int, ErrorCode]:
        (topic,) = self.fetch(partition).topics
        (told,) = topic.partitions
        return told.committed_offset, ErrorCode(told.error_code)

    def write(self, offsets: dict[int, int], *, producer_id: int = -1) -> None:
        """Commit offsets as Kafka does, of a transaction where there is a producer."""
        records = [
            Record(i, 5, *encode_record(offset_record(partition, offset)), ())
            for i, (partition, offset) in enumerate(offsets.items())
        ]
        transactional = {"producer_id": producer_id, "producer_epoch": 0, "is_transactional": True}
        self.partition.append_own(encode_batch(records, **transactional if producer_id >= 0 else {}), 5)

    def end_transaction(self, producer_id: int, control_type: ControlType) -> None:
        marker = encode_end_transaction_marker(
            control_type,
            base_offset=0,
            timestamp=6,
            producer_id=producer_id,
            producer_epoch=0,
            coordinator_epoch=0,
        )
        self.partition.append_own(marker, 6)


def offset_record(partition: int, offset: int) -> CoordinatorRecord:
    key = OffsetCommitKey(group="g", topic="t", partition=partition)
    value = OffsetCommitValue(offset=offset, commit_timestamp=5, topic_id=TOPICS.topics["t"].topic_id)
    return CoordinatorRecord(key, value, 4)


async def test_transactions_in_a_log_are_loaded_as_kafka_does() -> None:
    owned = Owned()
    owned.write({0: 1, 1: 1, 2: 1, 3: 1})
    owned.write({0: 2}, producer_id=7)
    owned.write({1: 2}, producer_id=8)
    owned.write({2: 2}, producer_id=9)
    owned.write({3: 2}, producer_id=10)
    owned.end_transaction(7, ControlType.commit)
    owned.end_transaction(8, ControlType.abort)
    owned.write({3: 3})
    owned.end_transaction(10, ControlType.commit)
    await owned.load()

    assert owned.offset(0) == (2, ErrorCode.none)
    assert owned.offset(1) == (1, ErrorCode.none), "aborted"
    assert owned.offset(2) == (-1, ErrorCode.unstable_offset_commit), "still open"
    assert owned.offset(3) == (3, ErrorCode.none), "committed after the transaction's own"
    owned.owner.stop()


async def test_what_is_committed_is_loaded_by_the_next_owner() -> None:
    owned = Owned()
    await owned.load()
    assert owned.commit(5).topics[0].partitions[0].error_code == ErrorCode.none
    owned.owner.stop()
    owned.partition.log.close()

    again = Owned(disk=owned.disk)
    await again.load()
    assert again.offset(0) == (5, ErrorCode.none)
    again.owner.stop()


async def test_records_that_can_not_be_read_are_skipped(caplog: pytest.LogCaptureFixture) -> None:
    owned = Owned()
    broken = [
        Record(0, 5, b"\0\1\0", b"?", ()),
        Record(1, 5, None, b"no key", ()),
        Record(2, 5, b"\0\x63", b"", ()),
    ]
    owned.partition.append_own(encode_batch(broken), 5)
    owned.write({0: 1})
    await owned.load()

    assert owned.offset(0) == (1, ErrorCode.none)
    assert "skipped record 0 of __consumer_offsets-0" in caplog.text
    owned.owner.stop()


async def test_records_that_tell_nonsense_are_skipped(caplog: pytest.LogCaptureFixture) -> None:
    never = 0
    shard = TransactionShard(
        default_view(TransactionConfig), TOPICS, lambda: never, lambda: never, lambda *_: None
    )
    owned = Owned(shard=shard)
    records = [
        CoordinatorRecord(
            TransactionLogKey(transactional_id=name),
            TransactionLogValue(producer_id=7, transaction_timeout_ms=5, transaction_status=status),
        )
        for name, status in (("a", 0), ("b", 9), ("c", -1), ("d", 6), ("a", 7), ("e", 5))
    ]
    written = [Record(i, 5, *encode_record(record), ()) for i, record in enumerate(records)]
    owned.partition.append_own(encode_batch(written), 5)
    await owned.load()

    states = {name: each.state.shown for name, each in shard.state.transactions.items()}
    assert states == {"a": "Empty", "e": "CompleteAbort"}
    assert "skipped record 1 of" in caplog.text
    owned.owner.stop()


async def test_nobody_is_told_of_what_is_not_on_the_disk_where_that_is_asked_for() -> None:
    owned = Owned(flush=True)
    await owned.load()
    answers = [asyncio.ensure_future(each) for each in (owned.commit(5), owned.fetch(), owned.commit(6))]
    await asyncio.sleep(0)
    assert not any(each.done() for each in answers)

    owned.commits.waiting.pop(0)({})
    await asyncio.sleep(0)
    assert [each.done() for each in answers] == [True, True, False]
    owned.commits.waiting.pop(0)({})
    await answers[2]
    assert owned.offset(0) == (6, ErrorCode.none)
    owned.owner.stop()


async def test_nobody_is_told_of_what_a_killed_broker_left_unsynced() -> None:
    owned = Owned(flush=True)
    owned.write({0: 5})
    await owned.load()
    answer = asyncio.ensure_future(owned.fetch())
    await asyncio.sleep(0)
    assert not answer.done()
    owned.commits.waiting.pop(0)({})
    await answer
    assert owned.offset(0) == (5, ErrorCode.none)
    owned.owner.stop()


async def test_a_failed_sync_refuses_all_that_wait() -> None:
    owned = Owned(flush=True)
    await owned.load()
    answers: list[Awaitable[Any]] = [owned.commit(5), owned.fetch()]
    owned.commits.waiting.pop(0)({owned.partition.log: KafkaError(ErrorCode.kafka_storage_error)})

    for each in answers:
        with pytest.raises(KafkaError) as refused:
            await each
        assert refused.value.code is ErrorCode.not_coordinator


async def test_after_a_failed_sync_nothing_is_answered_from_what_may_be_lost() -> None:
    owned = Owned(flush=True)
    await owned.load()
    waits = owned.commit(5)
    shards: Shards[GroupShard] = Shards(
        "t",
        lambda _partition: owned.owner,
        SimpleNamespace(subscribe=lambda _listener: None),  # type: ignore[arg-type]
        SimpleNamespace(image=TOPICS),  # type: ignore[arg-type]
    )
    shards._owners[0] = owned.owner
    assert shards.owner_at(0) is owned.owner
    owned.commits.waiting.pop(0)({owned.partition.log: KafkaError(ErrorCode.kafka_storage_error)})
    with pytest.raises(KafkaError):
        await waits
    with pytest.raises(KafkaError) as refused:
        shards.owner_at(0)
    assert refused.value.code is ErrorCode.not_coordinator
    assert shards.loaded() == []


async def test_a_marker_commits_or_drops_the_offsets_of_its_transaction() -> None:
    owned = Owned()
    await owned.load()
    for producer_id, partition in ((7, 0), (8, 1)):
        owned.commit_of_transaction(producer_id, partition, 5)
        assert owned.offset(partition) == (-1, ErrorCode.unstable_offset_commit)

    end = owned.partition.log.log_end_offset
    assert owned.owner.end_transaction(marker(7, committed=True)) == end
    assert owned.owner.end_transaction(marker(8, committed=False)) == end + 1
    assert owned.offset(0) == (5, ErrorCode.none)
    assert owned.offset(1) == (-1, ErrorCode.none)
    owned.owner.stop()
    owned.partition.log.close()

    again = Owned(disk=owned.disk)
    await again.load()
    assert [again.offset(partition) for partition in (0, 1)] == [(5, ErrorCode.none), (-1, ErrorCode.none)]
    again.owner.stop()


async def test_a_marker_is_told_of_when_it_is_on_the_disk_where_that_is_asked_for() -> None:
    owned = Owned(flush=True)
    await owned.load()
    waits = [owned.owner.end_transaction(marker(7, committed=True)), owned.fetch()]
    tasks = [asyncio.ensure_future(each) for each in waits if isinstance(each, Awaitable)]
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [False, False]
    owned.commits.waiting.pop(0)({})
    assert await tasks[0] == 0
    await tasks[1]
    owned.owner.stop()


async def test_a_marker_that_is_out_of_date_ends_nothing() -> None:
    owned = Owned()
    await owned.load()
    owned.commit_of_transaction(7, 0, 5)
    with pytest.raises(KafkaError, match="invalid_producer_epoch"):
        owned.owner.end_transaction(marker(7, committed=True, transaction_version=2))
    assert owned.offset(0) == (-1, ErrorCode.unstable_offset_commit)
    owned.owner.end_transaction(marker(7, committed=True)._replace(producer_epoch=1, transaction_version=2))
    assert owned.offset(0) == (5, ErrorCode.none)
    owned.owner.stop()


def marker(producer_id: int, *, committed: bool, transaction_version: int = 0) -> EndMarker:
    return EndMarker(producer_id, 0, committed, 0, transaction_version)


async def test_an_owner_that_is_stopped_while_it_loads_begins_nothing() -> None:
    owned = Owned()
    owned.write({0: 1})
    loading = asyncio.ensure_future(owned.load())
    await asyncio.sleep(0)
    owned.owner.stop()
    await loading

    assert owned.owner.is_loading
    assert len(asyncio.all_tasks()) == 1
