"""Parts of topics as tables, against a broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import polars as pl
import pyarrow as pa
import pytest
from tests.unit.client.consumer.world import World, cluster_of, run_world

from ottla.client import json as json_values
from ottla.client import text
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ClientError, ConfigurationError
from ottla.client.tables import Progress, latest, read, read_columns, stream
from ottla.client.tables.scan import Range, Scan
from ottla.protocol.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from ottla.records.codec import Record, encode_batch


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with run_world() as made:
        await made.create("t", 3)
        yield made


async def _fill(world: World, count: int = 10) -> None:
    """In each of three partitions, timestamps 1000, 1001, ..."""
    for partition in range(3):
        await world.produce("t", partition, [b"%d-%d" % (partition, each) for each in range(count)])


def _places(table: pa.Table) -> list[tuple[int, int]]:
    return list(zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True))


async def test_whole_topic_by_partition_and_offset(world: World) -> None:
    await _fill(world)
    table = await read(world.cluster, "t")
    assert _places(table) == [(p, o) for p in range(3) for o in range(10)]
    assert table["value"].to_pylist()[:2] == [b"0-0", b"0-1"]
    assert table["key"].to_pylist()[:2] == [b"k0", b"k1"]
    assert table.schema.names == [
        "partition",
        "offset",
        "timestamp",
        "timestamp_type",
        "key",
        "value",
        "headers",
    ]


async def test_parts(world: World) -> None:
    await _fill(world)

    async def places(**range_: object) -> list[tuple[int, int]]:
        return _places(await read(world.cluster, "t", **range_))  # type: ignore[arg-type]

    assert await places(start=8) == [(p, o) for p in range(3) for o in (8, 9)]
    assert await places(start=-1) == [(p, 9) for p in range(3)]
    assert await places(end=1) == [(p, 0) for p in range(3)]
    assert await places(start=3, end=5, partitions=[2, 1]) == [(1, 3), (1, 4), (2, 3), (2, 4)]
    assert await places(start={0: 9, 1: 10}) == [(0, 9), *((2, o) for o in range(10))]
    assert await places(end={0: 2}, partitions=[0, 1]) == [(0, 0), (0, 1), *((1, o) for o in range(10))]
    assert await places(start="1970-01-01T00:00:01.004Z", end="1970-01-01T00:00:01.006Z") == [
        (p, o) for p in range(3) for o in (4, 5)
    ]
    assert await places(start="-1h") == []
    assert await places(start=5, end=2) == []
    assert await places(start=1000) == []


async def test_values_as_they_were_asked_for(world: World) -> None:
    await world.produce("t", 0, [json.dumps({"n": each}).encode() for each in range(5)])
    table = await read(world.cluster, "t", key=text(), value=json_values())
    assert table["value"].to_pylist() == [{"n": each} for each in range(5)]
    assert table["key"].to_pylist() == ["k0", "k1", "k2", "k3", "k4"]
    empty = await read(world.cluster, "t", start="end", key=text())
    assert (len(empty), empty.schema.field("key").type) == (0, pa.string())


async def test_broken_values(world: World) -> None:
    await world.produce("t", 0, [b'{"n": 1}', b"{", b'{"n": 3}'])
    skipped = await read(world.cluster, "t", value=json_values(errors="skip"))
    assert [each["n"] for each in skipped["value"].to_pylist()] == [1, 3]
    told = await read(world.cluster, "t", value=json_values(errors="column"))
    assert [each is None for each in told["value_error"].to_pylist()] == [True, False, True]
    with pytest.raises(ValueError, match="offset 1"):
        await read(world.cluster, "t", value=json_values())


async def test_keys(world: World) -> None:
    await _fill(world)
    table = await read(world.cluster, "t", keys=["k3", b"k7"])
    assert _places(table) == [(p, o) for p in range(3) for o in (3, 7)]
    assert len(await read(world.cluster, "t", keys=["none"])) == 0


async def test_end_is_fixed_at_the_beginning(world: World) -> None:
    await _fill(world)
    busy = True

    async def write() -> None:
        while busy:
            await world.produce("t", 0, [b"more"])

    writing = asyncio.create_task(write())
    try:
        async with asyncio.timeout(20):
            assert len(await read(world.cluster, "t")) >= 30
    finally:
        busy = False
        await writing


async def test_columns_without_arrow(world: World) -> None:
    await _fill(world)
    columns = await read_columns(world.cluster, "t", start=9)
    assert list(columns.partition) == [0, 1, 2]
    assert len(await read_columns(world.cluster, "t", start="end")) == 0


async def test_stream_and_progress(world: World) -> None:
    await _fill(world)
    told: list[Progress] = []
    rows = 0
    async for batch in stream(world.cluster, "t", report=told.append):
        assert len(set(batch["partition"].to_pylist())) == 1
        rows += len(batch)
    assert rows == 30
    assert (told[-1].topic, told[-1].records, told[-1].offsets, told[-1].total) == ("t", 30, 30, 30)
    assert [each.offsets for each in told] == sorted(each.offsets for each in told)


async def test_stream_that_is_left_stops_fetching(world: World) -> None:
    await _fill(world)
    before = asyncio.all_tasks()
    batches = stream(world.cluster, "t")
    await anext(batches)
    await batches.aclose()  # type: ignore[attr-defined]
    assert asyncio.all_tasks() <= before


async def test_polars_takes_it(world: World) -> None:
    await _fill(world)
    frame = pl.from_arrow(await read(world.cluster, "t", value=text()))
    assert isinstance(frame, pl.DataFrame)
    assert frame.group_by("partition").len().sort("partition")["len"].to_list() == [10, 10, 10]


async def test_missing_topics_and_partitions(world: World) -> None:
    with pytest.raises(ConfigurationError, match="no partition 7"):
        await read(world.cluster, "t", partitions=[7])
    with pytest.raises(ConfigurationError, match="no partition 9"):
        await read(world.cluster, "t", start={9: 0})
    async with cluster_of(world.bootstrap_servers, **{"default.api.timeout.ms": 300}) as impatient:
        with pytest.raises(ClientError, match="missing"):
            await read(impatient, "missing")


async def _to_the_end(scan: Scan) -> None:
    """Or as far as it gets."""
    async with asyncio.timeout(20):
        async for _ in scan:
            pass


async def test_topic_that_is_deleted_ends_a_read(world: World) -> None:
    await world.produce("t", 0, [b"1", b"2", b"3"])
    async with (
        cluster_of(world.bootstrap_servers, **{"default.api.timeout.ms": 500}) as impatient,
        Scan(impatient, {TopicPartition("t", 0): Range(0, 10)}) as scan,
    ):
        _, rows = await anext(aiter(scan))
        assert len(rows) == 3
        await world.delete("t")
        with pytest.raises(ClientError, match="topic t: unknown_topic_or_partition"):
            await _to_the_end(scan)


async def test_topic_that_is_made_anew_ends_a_read(world: World) -> None:
    await world.produce("t", 0, [b"1", b"2", b"3"])
    async with Scan(world.cluster, {TopicPartition("t", 0): Range(0, 10)}) as scan:
        await anext(aiter(scan))
        await world.delete("t")
        await world.create("t")
        with pytest.raises(ClientError, match="t-0.*deleted and made again"):
            await _to_the_end(scan)


async def _put(world: World, partition: int, *pairs: tuple[bytes | None, bytes | None], at: int = 0) -> None:
    records = [Record(offset=i, timestamp=at, key=key, value=value) for i, (key, value) in enumerate(pairs)]
    data = PartitionProduceData(index=partition, records=encode_batch(records))
    topic = TopicProduceData(name="t", partition_data=[data])
    request = ProduceRequest(acks=-1, timeout_ms=5000, topic_data=[topic])
    response = await world.cluster.send(request, ProduceResponse, max_version=12)
    assert response.responses[0].partition_responses[0].error_code == 0


async def test_latest_by_key(world: World) -> None:
    await _put(world, 0, (b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (None, b"keyless"), (b"gone", b"1"))
    await _put(world, 0, (b"gone", None), (b"c", b"1"), (b"b", b"2"))
    await _put(world, 1, (b"moved", b"new"), at=9)
    await _put(world, 2, (b"moved", b"old"), at=5)

    table = await latest(world.cluster, "t", key=text(), value=text())
    assert dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True)) == {
        "a": "2",
        "b": "2",
        "c": "1",
        "moved": "new",
    }
    assert table["key"].to_pylist() == ["a", "b", "c", "moved"]
    assert table["offset"].to_pylist() == [2, 7, 6, 0]
    deleted = await latest(world.cluster, "t", tombstones=True)
    assert deleted.filter(pa.compute.equal(deleted["key"], b"gone"))["value"].to_pylist() == [None]
    assert len(await latest(world.cluster, "t", partitions=[2])) == 1
