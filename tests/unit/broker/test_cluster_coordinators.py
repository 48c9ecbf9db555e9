"""Groups and transactions of a cluster: over partitions on all brokers, and with their coordinator gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest
from tests.unit.broker.cluster import Cluster, ask_peer, run_cluster, until

from ottla.coordinator.cluster import ClusterMarkers
from ottla.metadata.topic_names import OFFSETS_TOPIC, TRANSACTIONS_TOPIC
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from ottla.protocol.messages.end_txn import EndTxnRequest, EndTxnResponse
from ottla.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from ottla.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from ottla.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)
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
from ottla.protocol.structs import Struct
from ottla.records.codec import Record, encode_batch
from ottla.replica.partition import Partition

R = TypeVar("R", bound=Struct)
NONE = ErrorCode.none
AGAIN = (
    ErrorCode.coordinator_not_available,
    ErrorCode.coordinator_load_in_progress,
    ErrorCode.not_coordinator,
    ErrorCode.not_leader_or_follower,
    ErrorCode.not_enough_replicas,
    ErrorCode.concurrent_transactions,
)


class Client:
    """Of three brokers, of which each leads the partition of `t` whose number is one below its id."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.producer = (-1, -1)
        self.sequences = [0, 0, 0]

    async def ask(self, node_id: int, request: Struct, response: type[R]) -> R:
        asker = next(iter(self.cluster.brokers.values()))
        return await ask_peer(asker, node_id, request, response)

    def led(self, topic: str, index: int) -> Partition:
        """As its leader has it."""
        return self.cluster.brokers[self.leader(topic, index)].partitions.get(topic, index)

    def leader(self, topic: str, index: int = 0) -> int:
        image = next(iter(self.cluster.brokers.values())).image
        return image.topics[topic].partitions[index].leader

    async def create_topic(self) -> None:
        replicas = ([1, 2, 3], [2, 3, 1], [3, 1, 2])
        assignments = [
            CreatableReplicaAssignment(partition_index=index, broker_ids=ids)
            for index, ids in enumerate(replicas)
        ]
        wanted = CreatableTopic(name="t", num_partitions=-1, replication_factor=-1, assignments=assignments)
        request = CreateTopicsRequest(topics=[wanted], timeout_ms=10_000)
        answer = await self.ask(1, request, CreateTopicsResponse)
        assert answer.topics[0].error_code == NONE
        await self.cluster.agree()
        assert [self.leader("t", index) for index in range(3)] == [1, 2, 3]

    async def coordinator(self, key: str, key_type: int) -> int:
        """Its node, as soon as there is one."""
        node_id = next(iter(self.cluster.brokers))
        request = FindCoordinatorRequest(key_type=key_type, coordinator_keys=[key])
        async with asyncio.timeout(30):
            while True:
                (found,) = (await self.ask(node_id, request, FindCoordinatorResponse)).coordinators
                if found.error_code == NONE and found.node_id in self.cluster.brokers:
                    return found.node_id
                await asyncio.sleep(0.02)

    async def begin(self) -> None:
        """Become the producer of the transactional id `x`."""
        request = InitProducerIdRequest(transactional_id="x", transaction_timeout_ms=60_000)
        while True:
            answer = await self.ask(await self.coordinator("x", 1), request, InitProducerIdResponse)
            if answer.error_code not in AGAIN:
                break
            await asyncio.sleep(0.02)
        assert answer.error_code == NONE
        self.producer = answer.producer_id, answer.producer_epoch
        self.sequences = [0, 0, 0]

    async def produce(self, index: int, value: bytes) -> ErrorCode:
        producer_id, epoch = self.producer
        batch = encode_batch(
            [Record(0, int(time.time() * 1000), None, value, ())],
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=self.sequences[index],
            is_transactional=True,
        )
        image = next(iter(self.cluster.brokers.values())).image
        data = PartitionProduceData(index=index, records=batch)
        topic = TopicProduceData(name="t", topic_id=image.topics["t"].topic_id, partition_data=[data])
        request = ProduceRequest(transactional_id="x", acks=-1, timeout_ms=30_000, topic_data=[topic])
        answer = await self.ask(self.leader("t", index), request, ProduceResponse)
        code = ErrorCode(answer.responses[0].partition_responses[0].error_code)
        if code is NONE:
            self.sequences[index] += 1
        return code

    async def end(self, *, committed: bool) -> None:
        producer_id, epoch = self.producer
        request = EndTxnRequest(
            transactional_id="x", producer_id=producer_id, producer_epoch=epoch, committed=committed
        )
        answer = await self.ask(await self.coordinator("x", 1), request, EndTxnResponse)
        assert answer.error_code == NONE
        if answer.producer_epoch != epoch:
            self.producer = answer.producer_id, answer.producer_epoch
            self.sequences = [0, 0, 0]

    async def all_ended(self) -> None:
        """Until no transaction is open in `t`, for its consumers."""
        await until(
            lambda: all(
                each.last_stable_offset == each.log.log_end_offset
                for each in (self.led("t", index) for index in range(3))
            )
        )

    def aborted(self, index: int) -> int:
        """How many transactions were, in a partition of `t`."""
        partition = self.led("t", index)
        return len(partition.aborted_transactions(0, partition.read(0, 1 << 20, 1, min_one=True)))

    async def commit_offset(self, offset: int) -> ErrorCode:
        partition = OffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
        image = next(iter(self.cluster.brokers.values())).image
        topic = OffsetCommitRequestTopic(
            name="t", topic_id=image.topics["t"].topic_id, partitions=[partition]
        )
        request = OffsetCommitRequest(group_id="g", topics=[topic])
        while True:
            answer = await self.ask(await self.coordinator("g", 0), request, OffsetCommitResponse)
            code = ErrorCode(answer.topics[0].partitions[0].error_code)
            if code not in AGAIN:
                return code
            await asyncio.sleep(0.02)

    async def committed_offset(self) -> int:
        image = next(iter(self.cluster.brokers.values())).image
        topics = [
            OffsetFetchRequestTopics(name="t", topic_id=image.topics["t"].topic_id, partition_indexes=[0])
        ]
        request = OffsetFetchRequest(
            groups=[OffsetFetchRequestGroup(group_id="g", topics=topics)], require_stable=True
        )
        while True:
            answer = await self.ask(await self.coordinator("g", 0), request, OffsetFetchResponse)
            (group,) = answer.groups
            if group.error_code not in AGAIN:
                assert group.error_code == NONE
                (partition,) = group.topics[0].partitions
                if partition.error_code != ErrorCode.unstable_offset_commit:
                    assert partition.error_code == NONE
                    return partition.committed_offset
            await asyncio.sleep(0.02)

    async def commit_offset_in_transaction(self, offset: int) -> ErrorCode:
        producer_id, epoch = self.producer
        partition = TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
        image = next(iter(self.cluster.brokers.values())).image
        topic = TxnOffsetCommitRequestTopic(
            name="t", topic_id=image.topics["t"].topic_id, partitions=[partition]
        )
        request = TxnOffsetCommitRequest(
            transactional_id="x",
            group_id="g",
            producer_id=producer_id,
            producer_epoch=epoch,
            generation_id_or_member_epoch=-1,
            topics=[topic],
        )
        answer = await self.ask(await self.coordinator("g", 0), request, TxnOffsetCommitResponse)
        return ErrorCode(answer.topics[0].partitions[0].error_code)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    settings = {
        "controlled_shutdown_enable": "false",  # so that a stop is like a crash for the others
        "broker_session_timeout_ms": "1500",
        "broker_heartbeat_interval_ms": "300",
        "min_insync_replicas": "2",
    }
    async with run_cluster(tmp_path, **settings) as cluster:
        client = Client(cluster)
        await client.create_topic()
        yield client


@pytest.mark.parametrize("committed", [True, False])
async def test_a_transaction_ends_in_the_partitions_of_all_brokers(client: Client, committed: bool) -> None:
    await client.begin()
    assert await client.commit_offset(1) is NONE
    for round_ in range(3):
        for index in range(3):
            assert await client.produce(index, b"x") is NONE
        assert await client.commit_offset_in_transaction(10 + round_) is NONE
        await client.end(committed=committed)
        await client.all_ended()
    assert [client.led("t", index).log.log_end_offset for index in range(3)] == [6, 6, 6]
    assert [client.aborted(index) for index in range(3)] == ([0, 0, 0] if committed else [3, 3, 3])
    assert await client.committed_offset() == (12 if committed else 1)


@pytest.mark.parametrize("committed", [True, False])
async def test_what_a_coordinator_has_decided_another_one_completes(
    client: Client, committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.begin()
    for index in range(3):
        assert await client.produce(index, b"x") is NONE
    never = asyncio.Event()

    async def hang(*_: object) -> object:
        await never.wait()
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(ClusterMarkers, "write_markers", hang)
        await client.end(committed=committed)
        former = client.leader(TRANSACTIONS_TOPIC)
        assert client.led("t", 0).last_stable_offset == 0
        stopped = client.cluster.stop(former)
        await asyncio.wait_for(stopped, 30)
    await until(lambda: client.leader(TRANSACTIONS_TOPIC) not in {former, -1})
    await until(lambda: all(client.leader("t", index) in client.cluster.brokers for index in range(3)))
    await client.cluster.agree()
    await client.all_ended()
    assert [client.aborted(index) for index in range(3)] == ([0, 0, 0] if committed else [1, 1, 1])
    await client.begin()
    assert await client.produce(0, b"y") is NONE
    await client.end(committed=True)
    await client.all_ended()


async def test_offsets_stay_when_another_broker_coordinates_their_group(client: Client) -> None:
    for offset in range(5):
        assert await client.commit_offset(offset) is NONE
    former = client.leader(OFFSETS_TOPIC)
    await client.cluster.stop(former)
    await until(lambda: client.leader(OFFSETS_TOPIC) not in {former, -1})
    assert await client.committed_offset() == 4
    assert await client.commit_offset(5) is NONE
    await client.cluster.start(former)
    await until(lambda: former in client.led(OFFSETS_TOPIC, 0).state.isr)
    assert await client.committed_offset() == 5


async def test_who_no_longer_coordinates_says_so(client: Client) -> None:
    assert await client.commit_offset(1) is NONE
    former = client.leader(OFFSETS_TOPIC)
    broker = client.cluster.brokers[former]
    owner = broker.groups.owner_of("g")
    broker.partitions.stand_down()
    assert owner.is_stopped
    topic = OffsetCommitRequestTopic(
        name="t",
        topic_id=broker.image.topics["t"].topic_id,
        partitions=[OffsetCommitRequestPartition(partition_index=0, committed_offset=2)],
    )
    request = OffsetCommitRequest(group_id="g", topics=[topic])
    answer = await client.ask(former, request, OffsetCommitResponse)
    assert answer.topics[0].partitions[0].error_code == ErrorCode.not_coordinator
    broker.partitions.stand_up(broker.image.topics.values())
    assert await client.commit_offset(3) is NONE
    assert broker.groups.owner_of("g") is not owner
    assert await client.committed_offset() == 3
