"""Brokers that replicate: what is acknowledged is everywhere, and stays when others lead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.cluster import SETTINGS, Cluster, bytes_of, until
from tests.unit.broker.cluster import run_cluster
from tests.unit.storage.logs import batch

from ottla.broker.assembly import Broker
from ottla.metadata import model
from ottla.metadata.model import PartitionState
from ottla.metadata.transaction import Put, Transaction
from ottla.network.peers import PeerError
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from ottla.replica.follower import Follower
from ottla.replica.partition import Partition
from ottla.store.faulty import Lost


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path) as started:
        yield started


async def produce_to(
    node_id: int, asker: Broker, topic: str, value: bytes, timeout_ms: int = 30_000
) -> tuple[int, int]:
    """Error code and base offset."""
    data = PartitionProduceData(index=0, records=batch(1, timestamp=time.time_ns() // 1_000_000, value=value))
    topic_id = asker.image.topics[topic].topic_id
    request = ProduceRequest(
        acks=-1,
        timeout_ms=timeout_ms,
        topic_data=[TopicProduceData(name=topic, topic_id=topic_id, partition_data=[data])],
    )
    response = await asker.peers.send(node_id, request, ProduceResponse, 60)
    answer = response.responses[0].partition_responses[0]
    return answer.error_code, answer.base_offset


async def produce(
    cluster: Cluster, topic: str, value: bytes, *, to: int | None = None, timeout_ms: int = 30_000
) -> tuple[int, int]:
    """As `produce_to`, the leader unless it is to be another broker."""
    node_id = cluster.state(topic).leader if to is None else to
    asker = next(each for number, each in cluster.brokers.items() if number != node_id)
    return await produce_to(node_id, asker, topic, value, timeout_ms)


async def settled(cluster: Cluster, topic: str) -> None:
    """All replicas are as the leader's, and know that it is committed."""
    end = cluster.leader(topic).log.log_end_offset
    await until(lambda: all(each.high_watermark == end for each in cluster.replicas(topic)))
    assert len({bytes_of(each) for each in cluster.replicas(topic)}) == 1


async def test_what_is_acknowledged_by_all_is_on_all(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2, 3))
    for number in range(20):
        assert await produce(cluster, "t", b"%d" % number) == (ErrorCode.none, number)
        ends = [each.log.log_end_offset for each in cluster.replicas("t")]
        assert min(ends) == number + 1
    await settled(cluster, "t")
    assert [type(each) for each in cluster.replicas("t")] == [Partition, Follower, Follower]
    assert await produce(cluster, "t", b"x", to=2) == (ErrorCode.not_leader_or_follower, -1)


async def test_a_new_leader_has_all_that_was_acknowledged_and_the_others_follow_it(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2, 3))
    for number in range(5):
        await produce(cluster, "t", b"%d" % number)
    await cluster.stop(1)
    await cluster.elect("t", 2, isr=(2, 3))
    for number in range(5, 10):
        assert await produce(cluster, "t", b"%d" % number) == (ErrorCode.none, number)
    await settled(cluster, "t")
    await cluster.start(1)
    await until(lambda: cluster.state("t").isr == (2, 3, 1))
    assert await produce(cluster, "t", b"10") == (ErrorCode.none, 10)
    await settled(cluster, "t")


async def test_what_was_not_committed_is_cut_off_by_epoch(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2, 3))
    await produce(cluster, "t", b"first")
    await settled(cluster, "t")
    # The leader alone appends more, and goes before anybody has it.
    for node_id in (2, 3):
        broker = cluster.brokers[node_id]
        broker.partitions._fetching.leave(broker.partitions.replica("t", 0))  # type: ignore[arg-type]
    for number in range(3):
        cluster.leader("t").append(batch(1, value=b"lost %d" % number), 2_000_000, acks=1)
    await cluster.stop(1)
    await cluster.elect("t", 3, isr=(2, 3))
    assert await produce(cluster, "t", b"second") == (ErrorCode.none, 1)
    await cluster.start(1)
    await until(lambda: 1 in cluster.state("t").isr)
    await settled(cluster, "t")
    assert cluster.leader("t").log.log_end_offset == 2
    assert b"lost" not in bytes_of(cluster.brokers[1].partitions.replica("t", 0))


async def test_who_lags_leaves_the_isr_and_comes_back(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2, 3))
    await produce(cluster, "t", b"0")
    await cluster.stop(3)
    assert await produce(cluster, "t", b"1") == (ErrorCode.none, 1)  # as soon as 3 is out of the ISR
    assert cluster.state("t").isr == (1, 2)
    await cluster.start(3)
    await until(lambda: cluster.state("t").isr == (1, 2, 3))
    await settled(cluster, "t")


async def test_with_too_few_in_sync_nothing_is_acknowledged(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2, 3), min_insync_replicas="3")
    await produce(cluster, "t", b"0")
    await cluster.stop(3)
    # It is appended; but by the time the other has it, only two are in sync: it is not committed (KIP-966).
    assert (await produce(cluster, "t", b"1", timeout_ms=1500))[0] == ErrorCode.request_timed_out
    assert cluster.state("t").isr == (1, 2)
    assert await produce(cluster, "t", b"2") == (ErrorCode.not_enough_replicas, -1)
    assert cluster.leader("t").high_watermark == 1
    await cluster.start(3)
    await until(lambda: cluster.state("t").isr == (1, 2, 3))
    await settled(cluster, "t")
    assert cluster.leader("t").high_watermark == 2


async def test_an_isr_change_whose_outcome_is_not_known_is_found_out(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2, 3))
    await produce(cluster, "t", b"0")
    cluster.stores[1].lose(Lost.ANSWER)
    await cluster.stop(3)
    assert await produce(cluster, "t", b"1") == (ErrorCode.none, 1)
    assert cluster.state("t").isr == (1, 2)


async def test_many_partitions_follow_one_another(cluster: Cluster) -> None:
    await cluster.create_topic("t", *((1, 2, 3), (2, 3, 1), (3, 1, 2)) * 10)
    leaders = [cluster.leader("t", index) for index in range(30)]
    for leader in leaders:
        leader.append(batch(3), 2_000_000, acks=1)
    await until(
        lambda: all(each.high_watermark == 3 for index in range(30) for each in cluster.replicas("t", index))
    )


async def test_replicas_come_and_go_with_their_partitions(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.create_topic("t", (1, 2))
    for number in range(5):
        await produce(cluster, "t", b"%d" % number)
    await cluster.change("t", replicas=(1, 2, 3))
    await until(lambda: cluster.state("t").isr == (1, 2, 3))
    await settled(cluster, "t")
    await cluster.change("t", replicas=(1, 3), isr=(1, 3))
    assert not (tmp_path / "2" / "t-0").exists()
    assert (await produce(cluster, "t", b"x", to=2))[0] == ErrorCode.not_leader_or_follower
    assert await produce(cluster, "t", b"y") == (ErrorCode.none, 5)


async def test_a_log_that_begins_behind_a_followers_end_is_begun_anew(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2))
    await produce(cluster, "t", b"0")
    await settled(cluster, "t")
    await cluster.stop(2)
    for number in range(1, 6):
        await produce(cluster, "t", b"%d" % number)
    cluster.leader("t").log.delete_records(4)
    await cluster.start(2)
    await until(lambda: cluster.state("t").isr == (1, 2))
    await until(lambda: cluster.replicas("t")[1].high_watermark == 6)
    assert cluster.replicas("t")[1].log.log_start_offset == 4


async def test_the_start_of_the_log_follows(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2))
    for number in range(5):
        await produce(cluster, "t", b"%d" % number)
    leader = cluster.leader("t")
    leader.log.delete_records(3)
    leader.touch()
    await until(lambda: cluster.replicas("t")[1].log.log_start_offset == 3)


async def test_a_broker_that_went_away_in_the_middle_is_asked_again(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2))
    await produce(cluster, "t", b"0")
    await cluster.stop(1)
    await asyncio.sleep(0.1)
    await cluster.start(1)
    assert await produce(cluster, "t", b"1") == (ErrorCode.none, 1)
    with pytest.raises(PeerError):
        await cluster.brokers[2].peers.send(9, ProduceRequest(), ProduceResponse, 1)


async def test_through_stops_and_starts_of_all_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """With a controller that elects: each broker in turn stops and comes back while it leads."""
    async with run_cluster(
        tmp_path, 3, **{name.replace(".", "_"): text for name, text in SETTINGS.items()}
    ) as it:
        topic = Put(
            model.topic_key("t"), model.encode_topic(uuid4(), [model.initial_state((1, 2, 3), (1, 2, 3))])
        )
        await it.store.transaction(Transaction(writes=(topic,)))
        await it.agree()
        acknowledged = 0

        def state(node_id: int) -> PartitionState:
            return it.brokers[node_id].image.topics["t"].partitions[0]

        for stopped in (1, 2, 3, 1, 2, 3):
            asker = stopped % 3 + 1
            for _ in range(5):
                assert await produce_to(
                    state(asker).leader, it.brokers[next(iter({1, 2, 3} - {state(asker).leader}))], "t", b"v"
                ) == (ErrorCode.none, acknowledged)
                acknowledged += 1
            await it.stop(stopped)
            await until(lambda: state(asker).leader not in (stopped, -1))  # noqa: B023
            await it.start(stopped)
            await until(lambda: len(state(asker).isr) == 3)  # noqa: B023
            await it.agree()
        replicas = [broker.partitions.replica("t", 0) for broker in it.brokers.values()]
        await until(lambda: all(each.high_watermark == acknowledged for each in replicas))
        assert len({bytes_of(each) for each in replicas}) == 1
