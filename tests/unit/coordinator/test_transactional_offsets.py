"""Offsets of a transaction on their way into the log, under the guard of their verification (KIP-890)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from tests.coordinator_harness import image
from tests.unit.replica.neighbours import Neighbours
from tests.unit.storage.logs import open_at, small_segments
from tests.unit.storage.simulated_disk import SimulatedDisk

from ottla.clock import Clock
from ottla.config.broker import broker_config
from ottla.coordination.runtime import Client
from ottla.coordinator.groups import GroupCoordinator
from ottla.metadata.model import PartitionState, Topic
from ottla.metadata.topic_names import OFFSETS_TOPIC
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.offset_fetch import OffsetFetchRequestGroup, OffsetFetchRequestTopics
from ottla.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from ottla.records.batch import iter_headers
from ottla.records.markers import EndMarker
from ottla.replica.partition import Partition
from ottla.replica.partitions import validation_options
from ottla.replica.traffic import TopicTraffic
from ottla.storage.verification import EXEMPT, Verification

STATE = PartitionState(replicas=(1,), isr=(1,), leader=1)
TOPICS = image(t=4)
TOPICS = TOPICS._replace(topics={**TOPICS.topics, OFFSETS_TOPIC: Topic(OFFSETS_TOPIC, UUID(int=9), (STATE,))})
PRODUCER_ID = 7


class Coordinated:
    """The group coordinator with one partition of the offsets topic."""

    def __init__(self) -> None:
        self.partition = Partition(
            OFFSETS_TOPIC,
            UUID(int=9),
            0,
            open_at(SimulatedDisk(), small_segments()),
            STATE,
            validation_options(small_segments(), broker_config()),
            lambda _log: None,
            Neighbours(),
            TopicTraffic(),
        )
        config: Any = SimpleNamespace(value=broker_config())
        hosted: Any = SimpleNamespace(of_topic=lambda _topic: [self.partition], subscribe=lambda _: None)
        metadata: Any = SimpleNamespace(image=TOPICS)
        self.groups = GroupCoordinator(
            hosted, metadata, config, config, Clock(), SimpleNamespace(), lambda: UUID(int=1)  # type: ignore[arg-type]
        )  # fmt: skip

    def begin(self, epoch: int, *, adds: bool = True) -> Verification | None:
        return self.partition.begin_verification(PRODUCER_ID, epoch, -1, 1_000, adds_partition=adds)

    def commit(self, epoch: int, verification: Verification | None, offset: int = 5) -> ErrorCode:
        """What the only partition is told; KafkaError for a refusal of the whole."""
        partition = TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
        request = TxnOffsetCommitRequest(
            group_id="g",
            producer_id=PRODUCER_ID,
            producer_epoch=epoch,
            generation_id_or_member_epoch=-1,
            topics=[TxnOffsetCommitRequestTopic(name="t", partitions=[partition])],
        )
        answer: Any = self.groups.txn_offset_commit(request, Client("c", "/10.0.0.1", 5), verification)
        return ErrorCode(answer.topics[0].partitions[0].error_code)

    def end(self, epoch: int, *, committed: bool = True) -> None:
        self.groups.end_transaction(0, EndMarker(PRODUCER_ID, epoch, committed, 0, 2))

    def committed(self) -> int | ErrorCode:
        asked = OffsetFetchRequestGroup(
            group_id="g", topics=[OffsetFetchRequestTopics(name="t", partition_indexes=[0])]
        )
        answer: Any = self.groups.offset_fetch(asked, Client("c", "/10.0.0.1", 9), require_stable=True)
        told = answer.topics[0].partitions[0]
        return ErrorCode(told.error_code) if told.error_code else told.committed_offset


@pytest.fixture
async def coordinated() -> Coordinated:
    coordinated = Coordinated()
    await coordinated.groups.load()
    return coordinated


async def test_the_first_needs_its_guard_and_the_next_do_not(coordinated: Coordinated) -> None:
    with pytest.raises(KafkaError) as refused:
        coordinated.commit(0, None)
    assert refused.value.code is ErrorCode.invalid_txn_state
    guard = coordinated.begin(0)
    assert guard is not None
    assert coordinated.commit(0, guard) is ErrorCode.none
    assert coordinated.begin(0) is None
    assert coordinated.commit(0, None, offset=6) is ErrorCode.none
    assert coordinated.committed() is ErrorCode.unstable_offset_commit
    coordinated.end(1)
    assert coordinated.committed() == 6


async def test_records_carry_their_producer(coordinated: Coordinated) -> None:
    coordinated.commit(3, coordinated.begin(3))
    data = coordinated.partition.log.read(0, 1 << 20, 1 << 20).to_bytes()
    (header,) = (header for _, header in iter_headers(data))
    assert (header.producer_id, header.producer_epoch, header.is_transactional) == (PRODUCER_ID, 3, True)
    assert header.base_sequence == 0


async def test_a_marker_in_between_takes_the_guard_away(coordinated: Coordinated) -> None:
    guard = coordinated.begin(0, adds=False)
    coordinated.end(1, committed=False)
    with pytest.raises(KafkaError) as refused:
        coordinated.commit(1, guard)
    assert refused.value.code is ErrorCode.invalid_txn_state
    assert coordinated.committed() == -1
    assert coordinated.partition.log.last_stable_offset == coordinated.partition.log.log_end_offset


async def test_a_fenced_producer_is_told_so(coordinated: Coordinated) -> None:
    guard = coordinated.begin(0)
    coordinated.commit(1, coordinated.begin(1))
    with pytest.raises(KafkaError) as refused:
        coordinated.begin(0)
    assert refused.value.code is ErrorCode.invalid_producer_epoch
    with pytest.raises(KafkaError) as refused:
        coordinated.commit(0, guard)
    assert refused.value.code is ErrorCode.invalid_producer_epoch


async def test_without_verification_any_producer_writes(coordinated: Coordinated) -> None:
    assert coordinated.commit(0, EXEMPT) is ErrorCode.none
    coordinated.end(1, committed=False)
    assert coordinated.committed() == -1
