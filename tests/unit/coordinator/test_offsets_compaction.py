"""Compaction of the offsets topic, with transactions in it: a shard loaded afterwards knows the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.coordinator_harness import image
from tests.unit.replica.neighbours import Neighbours
from tests.unit.storage.logs import cleaner_settings, offsets, open_at, small_segments
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.clock import Clock
from ottla.config.broker import broker_config, default_view
from ottla.config.groups import GroupCoordinatorConfig
from ottla.coordination.groups.offsets.removal import offset_tombstone
from ottla.coordination.groups.offsets.store import OffsetStore
from ottla.coordination.groups.shard import GroupShard
from ottla.coordination.runtime import CoordinatorRecord, encode_record
from ottla.coordinator.shard_owner import ShardOwner, Surroundings
from ottla.metadata.model import PartitionState
from ottla.protocol.messages.records.group import OffsetCommitKey, OffsetCommitValue
from ottla.records.codec import ControlType, Record, encode_batch, encode_end_transaction_marker
from ottla.replica.partition import Partition
from ottla.replica.partitions import validation_options
from ottla.replica.traffic import TopicTraffic
from ottla.storage.cleaner.cleaning import CleanedGroup, CleaningFinished, clean
from ottla.storage.cleaner.policy import cleaning_facts, plan_cleaning

TOPICS = image(t=3)
RETENTION_MS = 1_000
_EPOCH = 0


class OffsetsPartition:
    """The log of a shard: what is written to it, cleaned, and what a shard knows that is loaded from it."""

    def __init__(self) -> None:
        self.disk = SimulatedDisk()
        config = small_segments(cleanup_policy=("compact",), delete_retention_ms=RETENTION_MS)
        self.partition = Partition(
            "__consumer_offsets",
            UUID(int=9),
            0,
            open_at(self.disk, config),
            PartitionState(replicas=(1,), isr=(1,), leader=1),
            validation_options(small_segments(), broker_config()),
            lambda _log: None,
            Neighbours(),
            TopicTraffic(),
        )
        self.now_ms = 1_000_000
        self.first_dirty: int | None = None
        self.expected = self.new_shard()
        """Has seen everything as it was written."""

    @staticmethod
    def new_shard() -> GroupShard:
        return GroupShard(default_view(GroupCoordinatorConfig), lambda: UUID(int=1), TOPICS)

    def write(self, record: CoordinatorRecord, producer_id: int = -1) -> None:
        producer: dict[str, Any] = {}
        if producer_id >= 0:
            producer = {"producer_id": producer_id, "producer_epoch": _EPOCH, "is_transactional": True}
        batch = encode_batch([Record(0, self.now_ms, *encode_record(record), ())], **producer)
        offset = self.partition.append_own(batch, self.now_ms)
        self.expected.replay(record, offset, self.now_ms, producer_id)

    def end(self, producer_id: int, *, committed: bool) -> None:
        marker = encode_end_transaction_marker(
            ControlType.commit if committed else ControlType.abort,
            base_offset=0,
            timestamp=self.now_ms,
            producer_id=producer_id,
            producer_epoch=_EPOCH,
            coordinator_epoch=0,
        )
        self.partition.append_own(marker, self.now_ms)
        self.expected.replay_transaction_end(producer_id, committed=committed)

    def clean(self) -> None:
        log = self.partition.log
        log.roll(self.now_ms)
        plan = plan_cleaning(cleaning_facts(log), self.first_dirty, self.now_ms)
        if not plan.cleanable_bytes:
            return
        for step in clean(self.disk, plan, cleaner_settings(), self.now_ms):
            if isinstance(step, CleanedGroup):
                generation = plan.facts.generation
                log.replace_segments(step.new_base_offsets, step.old_base_offsets, generation, self.now_ms)
            elif isinstance(step, CleaningFinished):
                self.first_dirty = step.next_dirty_offset

    async def loaded(self) -> OffsetStore:
        config = SimpleNamespace(ottla_acks_all_flush=False, ottla_decompressed_batch_max_bytes=1 << 20)
        surroundings = Surroundings(
            clock=Clock(),
            config=SimpleNamespace(value=config),  # type: ignore[arg-type]
            group_commit=SimpleNamespace(),  # type: ignore[arg-type]
            codec=lambda: 0,
        )
        owner = ShardOwner(self.new_shard(), self.partition, surroundings)
        await owner.load(lambda: TOPICS)
        owner.stop()
        return owner.shard.state.offsets


def committed(group_id: str, partition: int, offset: int, now_ms: int) -> CoordinatorRecord:
    key = OffsetCommitKey(group=group_id, topic="t", partition=partition)
    value = OffsetCommitValue(
        offset=offset, metadata="x" * 40, commit_timestamp=now_ms, topic_id=TOPICS.topics["t"].topic_id
    )
    return CoordinatorRecord(key, value, 4)


def known(offsets: OffsetStore) -> tuple[Any, Any]:
    """What clients can see now, and will see, however the open transactions end."""
    visible = {
        (group_id, partition): (offset, offsets.has_open_transaction(group_id, "t", partition))
        for group_id in ("g", "h")
        for partition in range(3)
        if (offset := offsets.get(group_id, "t", partition)) is not None
    }
    return visible, sorted(map(str, offsets))


GROUPS, PARTITIONS, PRODUCERS = st.sampled_from("gh"), st.integers(0, 2), st.integers(1, 3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), GROUPS, PARTITIONS, st.just(-1) | PRODUCERS),
        st.tuples(st.just("delete"), GROUPS, PARTITIONS),
        st.tuples(st.just("end"), PRODUCERS, st.booleans()),
        st.tuples(st.just("clean"), st.sampled_from([0, RETENTION_MS + 1])),
    ),
    max_size=60,
)


@given(STEPS)
@settings(deadline=None)
async def test_a_compacted_log_tells_what_the_whole_one_did(steps: list[tuple[Any, ...]]) -> None:
    log = OffsetsPartition()
    for number, (step, *arguments) in enumerate(steps):
        if step == "commit":
            group_id, partition, producer_id = arguments
            log.write(committed(group_id, partition, number, log.now_ms), producer_id)
        elif step == "delete":
            log.write(offset_tombstone(arguments[0], "t", arguments[1]))
        elif step == "end":
            log.end(arguments[0], committed=arguments[1])
        else:
            log.now_ms += arguments[0]
            log.clean()
            assert known(await log.loaded()) == known(log.expected.state.offsets)
    assert known(await log.loaded()) == known(log.expected.state.offsets)


async def test_what_is_superseded_goes_with_its_marker() -> None:
    log = OffsetsPartition()
    for number in range(30):
        log.write(committed("g", 0, number, log.now_ms), 1 + number % 3)
        log.end(1 + number % 3, committed=number % 2 == 0)
    for number in range(4):
        log.write(committed("g", 1, number, log.now_ms))
        log.clean()
        log.now_ms += RETENTION_MS + 1
    left = offsets(log.partition.log)
    assert len(left) <= 5, "both offsets, and the last marker of each producer"
    assert {56, 57} < set(left), "the last committed offset, and its marker"
    assert (await log.loaded()).get("g", "t", 0) == log.expected.state.offsets.get("g", "t", 0)
