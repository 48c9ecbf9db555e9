"""DeleteRecords in a cluster, answered when the records are gone from all live replicas (KIP-107)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.broker.cluster import run_cluster
from tests.unit.broker.test_cluster import ask, create
from tests.unit.broker.test_failing_disks import produce

from ottla.broker.assembly import Broker
from ottla.protocol.errors import ErrorCode

DELETE_RECORDS = 21


async def delete(leader: Broker, offset: int, timeout_ms: int) -> tuple[ErrorCode, int]:
    topics: list[dict[str, Any]] = [
        {"name": "t", "partitions": [{"partition_index": 0, "offset": offset}, {"partition_index": 9}]}
    ]
    answer = await ask(leader, DELETE_RECORDS, 2, topics=topics, timeout_ms=timeout_ms)
    found, missing = answer["topics"][0]["partitions"]
    assert missing["error_code"] == ErrorCode.unknown_topic_or_partition
    return ErrorCode(found["error_code"]), found["low_watermark"]


async def test_deleted_records_are_gone_from_all_replicas(tmp_path: Path) -> None:
    settings = {"replica_fetch_wait_max_ms": "20000", "replica_lag_time_max_ms": "60000"}
    async with run_cluster(tmp_path, 3, **settings) as cluster:
        one = cluster.brokers[1]
        await create(one, "t", (1, 2, 3))
        await cluster.agree()
        for _ in range(5):
            assert await produce(one, 0) is ErrorCode.none
        assert await delete(one, 3, 30_000) == (ErrorCode.none, 3)
        starts = [each.partitions.replica("t", 0).log.log_start_offset for each in cluster.brokers.values()]
        assert starts == [3, 3, 3]
        assert await delete(one, 2, 30_000) == (ErrorCode.none, 3)
        assert await delete(one, 7, 30_000) == (ErrorCode.offset_out_of_range, -1)

        # One that is alive, and fetches no more, is waited for; one that is gone is not.
        await cluster.brokers[3]._fetchers.stop()
        assert await delete(one, 4, 100) == (ErrorCode.request_timed_out, 3)
        await cluster.stop(3)
        await cluster.agree()
        assert await delete(one, -1, 30_000) == (ErrorCode.none, 5)
