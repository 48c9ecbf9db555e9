"""Replication that is throttled: replicas that are added come slowly, and those in sync stay so."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raw_client import PRODUCE, connect
from tests.unit.broker.cluster import Cluster, run_cluster, until
from tests.unit.broker.test_cluster import ALTER_REASSIGNMENTS, ask, create

from ottla.broker.assembly import Broker
from ottla.protocol.errors import ErrorCode
from ottla.records.codec import Record, encode_batch
from ottla.replica.throttles import ReplicationThrottle

RATE = 100_000
PIECE = 20_000
BATCH = encode_batch([Record(0, 1, None, bytes(PIECE - 100))])


async def produce(broker: Broker, batches: int) -> None:
    async with connect(*broker.node.addresses["PLAINTEXT"]) as client:
        for _ in range(batches):
            data = {"name": "t", "partition_data": [{"index": 0, "records": BATCH}]}
            request = {"acks": -1, "timeout_ms": 30_000, "topic_data": [data]}
            answer = await client.call(PRODUCE, 8, request)
            assert answer["responses"][0]["partition_responses"][0]["error_code"] == ErrorCode.none


async def add_replica(cluster: Cluster) -> None:
    """Broker 3 gets one, and is waited for."""
    one = cluster.brokers[1]
    wanted = {"name": "t", "partitions": [{"partition_index": 0, "replicas": [1, 2, 3]}]}
    answer = await ask(one, ALTER_REASSIGNMENTS, 0, topics=[wanted], timeout_ms=10_000)
    assert answer["responses"][0]["partitions"][0]["error_code"] == ErrorCode.none
    await until(lambda: 3 in one.image.topics["t"].partitions[0].isr)


def measured(throttle: ReplicationThrottle) -> float:
    return throttle._rate.per_second(throttle._now_ms(), throttle._window)


@pytest.mark.parametrize("side", ["leader", "follower"])
@pytest.mark.parametrize("named", ["*", "0:1,0:3,7:2"])
async def test_a_replica_that_is_added_comes_no_faster_than_allowed(
    tmp_path: Path, side: str, named: str
) -> None:
    settings = {f"{side}_replication_throttled_rate": str(RATE), "replica_fetch_max_bytes": str(PIECE)}
    async with run_cluster(tmp_path, 3, **settings) as cluster:
        one, three = cluster.brokers[1], cluster.brokers[3]
        configs = [{"name": f"{side}.replication.throttled.replicas", "value": named}]
        created = await create(one, "t", (1, 2), configs=configs)
        assert created["error_code"] == ErrorCode.none
        await cluster.agree()
        await produce(one, 12)
        await add_replica(cluster)
        throttle = three._fetchers.throttle
        if side == "leader":
            throttle = one.leader_throttle
        assert 12 * len(BATCH) * 0.4 < sum(size for _, size in throttle._rate._samples)
        assert measured(throttle) < RATE + 2 * len(BATCH)


async def test_only_what_is_named_is_throttled(tmp_path: Path) -> None:
    settings = {"leader_replication_throttled_rate": "1", "follower_replication_throttled_rate": "1"}
    async with run_cluster(tmp_path, 3, **settings) as cluster:
        one = cluster.brokers[1]
        sides = {"leader": "0:2", "follower": "0:1"}
        configs = [
            {"name": f"{side}.replication.throttled.replicas", "value": named}
            for side, named in sides.items()
        ]
        await create(one, "t", (1, 2), configs=configs)
        await cluster.agree()
        await produce(one, 5)
        await add_replica(cluster)
        assert cluster.brokers[3].partitions.replica("t", 0).log.log_end_offset == 5
