"""Brokers that replicate: what is acknowledged is everywhere, and stays when others lead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.cluster import SETTINGS, Cluster, bytes_of, until
from tests.unit.broker.cluster import ask_peer, run_cluster
from tests.unit.storage.logs import batch

from ottla.broker.assembly import Broker
from ottla.broker.monitoring.replicas import SHRINKS
from ottla.config.replica import RACK_AWARE
from ottla.metadata import model
from ottla.metadata.model import PartitionState
from ottla.metadata.transaction import Put, Transaction
from ottla.network.peers import PeerError
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from ottla.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
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
    response = await ask_peer(asker, node_id, request, ProduceResponse)
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
    counted = cluster.brokers[2].partitions.traffic.at("t")  # as asked for, and not as failed
    assert (counted.produces, counted.failed_produces) == (1, 0)


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


async def isr_shrinks(broker: Broker) -> int:
    """How many ISRs it had shrunk, as its metrics say."""
    collected = await broker.monitor.collect()
    shown = next(each for each in collected if each.family is SHRINKS)
    return int(shown.samples[0][1])


async def test_an_isr_change_whose_outcome_is_not_known_is_found_out(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2, 3))
    await produce(cluster, "t", b"0")
    shrinks = await isr_shrinks(cluster.brokers[1])
    cluster.stores[1].lose(Lost.ANSWER)
    await cluster.stop(3)
    assert await produce(cluster, "t", b"1") == (ErrorCode.none, 1)
    assert cluster.state("t").isr == (1, 2)
    async with asyncio.timeout(10):
        while await isr_shrinks(cluster.brokers[1]) != shrinks + 1:
            await asyncio.sleep(0.05)


async def test_an_isr_change_that_comes_late_changes_nothing_twice(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2, 3))
    await produce(cluster, "t", b"0")
    cluster.stores[1].lose(Lost.DELAYED)
    await cluster.stop(3)
    assert await produce(cluster, "t", b"1") == (ErrorCode.none, 1)
    assert cluster.state("t").isr == (1, 2)
    assert [outcome.committed for outcome in await cluster.stores[1].deliver()] == [False]
    await cluster.start(3)
    await until(lambda: cluster.state("t").isr == (1, 2, 3))
    await settled(cluster, "t")


async def test_while_it_is_not_known_what_the_isr_is_those_of_both_count(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2, 3))
    await produce(cluster, "t", b"0")
    cluster.stores[1].cut()
    await cluster.stop(3)
    assert (await produce(cluster, "t", b"1", timeout_ms=1500))[0] == ErrorCode.request_timed_out
    assert cluster.leader("t").high_watermark == 1, "3 may be in the ISR still, and be elected"
    cluster.stores[1].heal()
    await until(lambda: cluster.leader("t").high_watermark == 2)
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
        await ask_peer(cluster.brokers[2], 9, ProduceRequest(), ProduceResponse)


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


async def fetch(cluster: Cluster, node_id: int, topic: str, *, rack: str = "", **asked: int) -> PartitionData:
    """From a broker, as a consumer."""
    asker = next(each for number, each in cluster.brokers.items() if number != node_id)
    topic_id = asker.image.topics[topic].topic_id
    wanted = FetchPartition(partition=0, partition_max_bytes=1 << 20, **asked)
    request = FetchRequest(
        topics=[FetchTopic(topic_id=topic_id, partitions=[wanted])], max_bytes=1 << 20, rack_id=rack
    )
    response = await ask_peer(asker, node_id, request, FetchResponse)
    assert [each.node_id for each in response.node_endpoints] in ([], [cluster.state(topic).leader])
    return response.responses[0].partitions[0]


async def test_consumers_read_from_followers_what_is_committed(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2))
    await produce(cluster, "t", b"0")
    await settled(cluster, "t")
    read = await fetch(cluster, 2, "t")
    assert (read.error_code, read.high_watermark, bytes(read.records or b"")) == (
        ErrorCode.none,
        1,
        bytes_of(cluster.leader("t")),
    )


async def test_consumers_are_sent_to_a_replica_in_their_rack(tmp_path: Path) -> None:
    async with Cluster(tmp_path, replica_selector_class=RACK_AWARE) as cluster:
        await cluster.create_topic("t", (1, 2))
        await produce(cluster, "t", b"0")
        await settled(cluster, "t")

        async def preferred(rack: str, node_id: int = 1) -> tuple[int, int]:
            read = await fetch(cluster, node_id, "t", rack=rack)
            return read.preferred_read_replica, len(read.records or b"")

        size = len(bytes_of(cluster.leader("t")))
        await until(lambda: cluster.leader("t")._followers[2].end_offset == 1)
        assert await preferred("rack-2") == (2, 0)
        assert await preferred("rack-2", 2) == (-1, size)
        assert await preferred("rack-1") == await preferred("rack-3") == await preferred("") == (-1, size)


async def test_who_asks_the_wrong_broker_is_told_the_right_one(cluster: Cluster) -> None:
    await cluster.create_topic("t", (1, 2))
    await cluster.elect("t", 2)
    hint = (2, 1)
    nowhere = await fetch(cluster, 3, "t")
    assert nowhere.error_code == ErrorCode.not_leader_or_follower
    assert (nowhere.current_leader.leader_id, nowhere.current_leader.leader_epoch) == hint
    fenced = await fetch(cluster, 2, "t", current_leader_epoch=0)
    assert fenced.error_code == ErrorCode.fenced_leader_epoch
    assert (fenced.current_leader.leader_id, fenced.current_leader.leader_epoch) == hint

    topic_id = cluster.brokers[1].image.topics["t"].topic_id
    data = PartitionProduceData(index=0, records=batch(1))
    request = ProduceRequest(
        acks=-1, timeout_ms=1000, topic_data=[TopicProduceData(topic_id=topic_id, partition_data=[data])]
    )
    response = await ask_peer(cluster.brokers[2], 1, request, ProduceResponse)
    answer = response.responses[0].partition_responses[0]
    assert answer.error_code == ErrorCode.not_leader_or_follower
    assert (answer.current_leader.leader_id, answer.current_leader.leader_epoch) == hint
    (endpoint,) = response.node_endpoints
    assert (endpoint.node_id, endpoint.port) == (2, cluster.brokers[2].node.addresses["PLAINTEXT"][1])


async def test_a_new_leader_that_may_not_know_what_is_committed_does_not_say_where_it_ends(
    cluster: Cluster,
) -> None:
    await cluster.create_topic("t", (1, 2, 3))
    await produce(cluster, "t", b"0")
    await settled(cluster, "t")
    for node_id in (1, 3):
        cluster.brokers[node_id].peers.address_of = lambda _node_id: None
    follower = cluster.brokers[2].partitions.replica("t", 0)
    assert isinstance(follower, Follower)
    cluster.brokers[2].partitions._fetching.leave(follower)
    follower.append(batch(1, base_offset=1, leader_epoch=0), 1, 0, 2_000_000)
    await cluster.elect("t", 2)  # it has one more, and waits for what the others say

    async def latest() -> int:
        wanted = ListOffsetsPartition(partition_index=0, timestamp=-1)
        request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name="t", partitions=[wanted])])
        response = await ask_peer(cluster.brokers[2], 2, request, ListOffsetsResponse)
        return response.topics[0].partitions[0].error_code

    assert await latest() == ErrorCode.offset_not_available
    await cluster.change("t", isr=(2,))
    await until(lambda: cluster.leader("t").high_watermark == 2)
    assert await latest() == ErrorCode.none


async def test_a_follower_that_waits_is_told_at_once_of_what_else_is_to_be_fetched(tmp_path: Path) -> None:
    """Its fetch would wait for half a minute, and a produce as long."""
    long = {"replica_fetch_wait_max_ms": "30000", "replica_lag_time_max_ms": "60000"}
    async with Cluster(tmp_path, count=2, **long) as cluster:
        await cluster.create_topic("first", (1, 2))
        assert await produce(cluster, "first", b"0", timeout_ms=15_000) == (ErrorCode.none, 0)
        await asyncio.sleep(0.1)  # now it waits
        await cluster.create_topic("second", (1, 2))
        assert await produce(cluster, "second", b"0", timeout_ms=15_000) == (ErrorCode.none, 0)
        await cluster.create_topic("third", (2, 1))
        assert await produce(cluster, "third", b"0", timeout_ms=15_000) == (ErrorCode.none, 0)
        await asyncio.sleep(0.1)
        await cluster.elect("third", 1)
        assert await produce(cluster, "third", b"1", timeout_ms=15_000) == (ErrorCode.none, 1)
        assert not cluster.brokers[1]._isr_watch.awaits_fetch(2)
