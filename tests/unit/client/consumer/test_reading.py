"""Assigned partitions: positions, seeks, pauses, codecs, bounds, errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.consumer import AsyncConsumer, CommittedOffset, NoOffsetError, UnreadableRecordsError
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ClientClosedError, ClientError, ConfigurationError
from ottla.records.compression import Codec

from .world import World, batch_of, partitions, run_world, until, values_of

T0, T1 = partitions("t", 2)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with run_world() as made:
        await made.create("t", 2)
        yield made


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % each for each in range(start, start + count)]


async def test_batches_in_order_with_positions(world: World) -> None:
    await world.produce("t", 0, numbers(10))
    await world.produce("t", 0, numbers(5, 10))
    consumer = await world.consumer()
    consumer.assign([T0])

    first = await batch_of(consumer, 7)
    assert list(first.columns.value) == numbers(7)
    assert (first.topic, len(first), first.offsets) == ("t", 7, {T0: CommittedOffset(7, 0)})
    assert await consumer.position(T0) == 7
    assert await values_of(consumer, 8) == numbers(8, 7)
    assert await consumer.position(T0) == 15
    assert await consumer.poll(timeout_s=0.05) is None


async def test_a_batch_is_of_one_topic(world: World) -> None:
    await world.create("u")
    await world.produce("t", 0, numbers(3))
    await world.produce("u", 0, numbers(4))
    consumer = await world.consumer()
    consumer.assign([T0, ("u", 0)])
    await until(lambda: consumer._fetching._fetcher.buffered > 0, "something is buffered")
    got = {(batch := await batch_of(consumer)).topic: len(batch) for _ in range(2)}
    assert got == {"t": 3, "u": 4}


async def test_records_one_by_one(world: World) -> None:
    await world.produce("t", 1, numbers(3))
    consumer = await world.consumer()
    consumer.assign([T1])
    records = [record async for record in consumer.records(timeout_s=0.3)]
    assert [(each.topic, each.partition, each.offset, each.value) for each in records] == [
        ("t", 1, offset, b"%d" % offset) for offset in range(3)
    ]
    assert [(each.key, each.timestamp, each.timestamp_type) for each in records] == [
        (b"k%d" % each, 1000 + each, 0) for each in range(3)
    ]


async def test_loop_over_records_may_be_left_and_taken_up(world: World) -> None:
    await world.produce("t", 0, numbers(10))
    consumer = await world.consumer()
    consumer.assign([T0])
    async for record in consumer:
        if record.offset == 3:
            break
    assert await consumer.position(T0) == 4
    async for record in consumer:
        assert record.offset == 4
        break
    assert await values_of(consumer, 2) == numbers(2, 5)
    async for record in consumer:
        assert record.offset == 7
        break
    assert await values_of(consumer, 2) == numbers(2, 8)


async def test_seek_ends_what_was_being_read(world: World) -> None:
    await world.produce("t", 0, numbers(10))
    consumer = await world.consumer()
    consumer.assign([T0])
    seen = []
    async for record in consumer:
        seen.append(record.offset)
        if seen == [0, 1]:
            consumer.seek(T0, 8)
        if record.offset == 9:
            break
    assert seen == [0, 1, 8, 9]
    consumer.seek_to_beginning()
    assert await values_of(consumer, 1) == [b"0"]
    consumer.seek_to_end([T0])
    assert await consumer.position(T0) == 10
    await world.produce("t", 0, [b"new"])
    assert await values_of(consumer, 1) == [b"new"]
    with pytest.raises(ClientError, match="not assigned"):
        consumer.seek(T1, 0)


async def test_paused_partition_gives_nothing_and_loses_nothing(world: World) -> None:
    await world.produce("t", 0, numbers(4))
    await world.produce("t", 1, numbers(4))
    consumer = await world.consumer()
    consumer.assign([T0, T1])
    first = await batch_of(consumer, 2)
    busy = next(iter(first.offsets))
    consumer.pause([busy])
    assert consumer.paused() == [busy]
    rest = [batch async for batch in consumer.batches(100, timeout_s=0.3)]
    assert [list(batch.offsets) for batch in rest] == [[T1 if busy == T0 else T0]]
    consumer.resume([busy])
    assert await values_of(consumer, 2) == numbers(2, 2)


async def test_paused_in_the_middle_of_what_was_fetched(world: World) -> None:
    for start in (0, 10, 20):
        await world.produce("t", 0, numbers(10, start))
    await world.produce("t", 1, [b"other"])
    consumer = await world.consumer()
    consumer.assign([T0])
    assert await values_of(consumer, 14, 14) == numbers(14)
    consumer.pause([T0])
    consumer.assign([T0, T1])
    assert await values_of(consumer, 1) == [b"other"]
    consumer.resume([T0])
    assert await values_of(consumer, 16) == numbers(16, 14)


async def test_a_batch_takes_turns_of_partitions_whose_batches_do_not_fit_together(world: World) -> None:
    for start in (0, 6, 12):
        await world.produce("t", 0, numbers(6, start))
        await world.produce("t", 1, numbers(6, start))
    consumer = await world.consumer()
    consumer.assign([T0, T1])
    await until(lambda: len(consumer._fetching._fetcher._chunks) == 2, "both are buffered")
    order = []
    for _ in range(6):
        batch = await batch_of(consumer, 10)
        assert len(batch) == 6
        order.append(next(iter(batch.offsets)).partition)
    assert order == [order[0], 1 - order[0]] * 3


async def test_a_batch_of_several_partitions_and_batches(world: World) -> None:
    for partition in (0, 1):
        await world.produce("t", partition, numbers(3))
        await world.produce("t", partition, numbers(4, 3), codec=Codec.lz4)
    consumer = await world.consumer()
    consumer.assign([T0, T1])
    await until(lambda: len(consumer._fetching._fetcher._chunks) == 2, "both are buffered")
    batch = await batch_of(consumer)
    assert batch.offsets == {T0: CommittedOffset(7, 0), T1: CommittedOffset(7, 0)}
    rows = sorted((row.partition, row.offset, row.value) for row in batch.records())
    assert rows == [(each, i, b"%d" % i) for each in (0, 1) for i in range(7)]


async def test_assigning_anew_keeps_what_stays(world: World) -> None:
    await world.produce("t", 0, numbers(4))
    await world.produce("t", 1, numbers(4))
    consumer = await world.consumer()
    consumer.assign([T0])
    await values_of(consumer, 2)
    consumer.assign([T1, T0])
    assert await consumer.position(T0) == 2
    assert sorted(await values_of(consumer, 6)) == sorted(numbers(4) + numbers(2, 2))
    consumer.assign([])
    with pytest.raises(ClientError, match="nothing is subscribed"):
        await consumer.poll(timeout_s=0)


async def test_old_records_stay_in_the_topics_of_tests() -> None:
    """They are of 1970, and brokers look for what is too old while tests run."""
    quick = {"log.initial.task.delay.ms": 1, "log.retention.check.interval.ms": 10}
    async with run_world(**quick) as world:
        await world.create("t", 2)
        await world.produce("t", 0, numbers(3))
        await world.create("gone", retention_ms=1000)
        await world.produce("gone", 0, numbers(3))
        consumer = await world.consumer()
        gone = TopicPartition("gone", 0)

        async def is_gone() -> bool:
            return (await consumer.beginning_offsets([gone]))[gone] == 3

        await until(is_gone, "the broker has looked")
        assert await consumer.beginning_offsets([T0]) == {T0: 0}


@pytest.mark.parametrize("codec", Codec)
async def test_every_codec(world: World, codec: Codec) -> None:
    values = [b"value %d" % each * 10 for each in range(100)]
    await world.produce("t", 0, values, codec=codec)
    consumer = await world.consumer()
    consumer.assign([T0])
    consumer.seek(T0, 40)
    assert await values_of(consumer, 60) == values[40:]


async def test_reset_policies(world: World) -> None:
    await world.produce("t", 0, numbers(3))
    latest = await world.consumer(auto_offset_reset="latest")
    latest.assign([T0])
    assert await latest.position(T0) == 3
    now_ms = world.cluster.host.now_ms()
    await world.produce("t", 0, [b"now"], start_ms=now_ms)
    by_duration = await world.consumer(auto_offset_reset="by_duration:PT1H")
    by_duration.assign([T0, T1])
    assert await by_duration.position(T0) == 3
    assert await by_duration.position(T1) == 0
    none = await world.consumer(auto_offset_reset="none")
    none.assign([T0])
    with pytest.raises(NoOffsetError, match="t-0"):
        await none.poll(timeout_s=20)
    none.seek(T0, 1)
    assert await values_of(none, 1) == [b"1"]


async def test_out_of_range_is_reset_or_told(world: World) -> None:
    await world.produce("t", 0, numbers(3))
    consumer = await world.consumer()
    consumer.assign([T0])
    consumer.seek(T0, 100)
    assert await values_of(consumer, 3) == numbers(3)
    strict = await world.consumer(auto_offset_reset="none")
    strict.assign([T0])
    strict.seek(T0, 100)
    with pytest.raises(NoOffsetError) as told:
        await strict.poll(timeout_s=20)
    (error,) = told.value.errors
    assert error.position is not None
    assert error.position.offset == 100


async def test_offsets_of_logs(world: World) -> None:
    await world.produce("t", 0, numbers(3))
    consumer = await world.consumer(group_id=None)
    assert await consumer.beginning_offsets([T0, T1]) == {T0: 0, T1: 0}
    assert await consumer.end_offsets([("t", 0), T1]) == {T0: 3, T1: 0}
    found = await consumer.offsets_for_times({T0: 1001, T1: 1001})
    assert (found[T0].offset, found[T0].timestamp) == (1, 1001)  # type: ignore[union-attr]
    assert found[T1] is None
    assert await consumer.partitions_for("t") == [T0, T1]
    with pytest.raises(ClientError, match="missing"):
        await consumer.end_offsets([("missing", 0)], timeout_s=0.3)


async def test_lag(world: World) -> None:
    await world.produce("t", 0, numbers(10))
    consumer = await world.consumer()
    consumer.assign([T0])
    assert consumer.lag(T0) is None
    await values_of(consumer, 4)
    assert consumer.lag(T0) == 6


async def test_slow_application_has_bounded_buffers(world: World) -> None:
    for _ in range(40):
        await world.produce("t", 0, [b"x" * 10_000])
        await world.produce("t", 1, [b"x" * 10_000])
    consumer = await world.consumer(max_partition_fetch_bytes=20_000, queued_max_messages_kbytes=50)
    consumer.assign([T0, T1])
    most, total = 0, 0
    for _ in range(80):
        await asyncio.sleep(0.005)
        most = max(most, consumer._fetching._fetcher.buffered)
        total += len(await values_of(consumer, 1))
    assert total == 80
    assert 20_000 < most <= 50 * 1024


async def test_topic_that_comes_later(world: World) -> None:
    consumer = await world.consumer(allow_auto_create_topics=False)
    consumer.assign([("later", 0)])
    assert await consumer.poll(timeout_s=0.3) is None
    await world.create("later")
    await world.produce("later", 0, [b"here"])
    assert await values_of(consumer, 1) == [b"here"]


async def test_topic_made_again_is_read_from_its_start(world: World) -> None:
    await world.create("again")
    await world.produce("again", 0, numbers(3))
    consumer = await world.consumer(auto_offset_reset="latest", fetch_max_wait_ms=50)
    consumer.assign([("again", 0)])
    consumer.seek(("again", 0), 0)
    assert await values_of(consumer, 3) == numbers(3)
    await world.delete("again")
    await world.create("again")
    await world.produce("again", 0, numbers(5, 100))
    assert await values_of(consumer, 5) == numbers(5, 100)


async def test_records_that_cannot_be_read_are_told_and_can_be_passed(world: World) -> None:
    await world.produce("t", 0, numbers(2))
    await world.produce("t", 0, numbers(2, 2))
    await world.produce("t", 0, numbers(2, 4))
    consumer = await world.consumer()
    consumer.assign([T0])
    await until(lambda: consumer._fetching._fetcher.buffered > 0, "something is buffered")
    (chunk,) = consumer._fetching._fetcher._chunks[T0]
    records = bytearray(chunk.records)
    second = 12 + int.from_bytes(records[8:12], "big")
    records[second + 70] ^= 0xFF
    consumer._fetching._fetcher._chunks[T0][0] = chunk._replace(records=memoryview(records))

    assert await values_of(consumer, 2) == numbers(2)
    for _ in range(2):
        with pytest.raises(UnreadableRecordsError) as told:
            await consumer.poll(timeout_s=5)
    assert (told.value.partition, told.value.offset) == (T0, 2)
    assert await consumer.position(T0) == 2
    consumer.seek(T0, 4)
    assert await values_of(consumer, 2) == numbers(2, 4)


async def test_one_task_polls(world: World) -> None:
    consumer = await world.consumer()
    consumer.assign([T0])
    waiting = asyncio.create_task(consumer.poll(timeout_s=5))
    await asyncio.sleep(0)
    with pytest.raises(ClientError, match="another task"):
        await consumer.poll()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await world.produce("t", 0, [b"after"])
    assert await values_of(consumer, 1) == [b"after"]


async def test_closing_ends_a_poll(world: World) -> None:
    consumer = await world.consumer()
    consumer.assign([T0])
    waiting = asyncio.create_task(consumer.poll())
    await asyncio.sleep(0.05)
    await consumer.close()
    with pytest.raises(ClientClosedError):
        await waiting
    with pytest.raises(ClientClosedError):
        await consumer.poll()
    await consumer.close()


async def test_closed_consumer_leaves_nothing_behind(world: World) -> None:
    consumer = await world.consumer()
    consumer.assign([T0])
    await consumer.poll(timeout_s=0.1)
    await consumer.close()
    assert [each for each in asyncio.all_tasks() if each.get_name().startswith("ottla-consumer")] == []
    assert consumer not in world.cluster._followers


async def test_standalone_commits(world: World) -> None:
    await world.produce("t", 0, numbers(6))
    async with AsyncConsumer(world.cluster, (await world.consumer())._settings) as first:
        first.assign([T0])
        batch = await batch_of(first, 2)
        await first.commit({T0: 1})
        assert await first.committed([T0, T1]) == {T0: CommittedOffset(1), T1: None}
        await batch.commit()
        assert await first.committed([T0]) == {T0: CommittedOffset(2, 0)}
        await values_of(first, 2)
    second = await world.consumer()
    second.assign([T0])
    assert await values_of(second, 2) == numbers(2, 4)


async def test_no_commit_at_close_after_a_failure(world: World) -> None:
    await world.produce("t", 0, numbers(3))
    settings = (await world.consumer(auto_commit_interval_ms=60_000))._settings

    async def fail() -> None:
        async with AsyncConsumer(world.cluster, settings) as consumer:
            consumer.assign([T0])
            await batch_of(consumer, 2)
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await fail()
    other = await world.consumer()
    other.assign([T0])
    assert await values_of(other, 1) == [b"0"]


async def test_commit_of_a_loop_over_records_covers_what_was_delivered(world: World) -> None:
    await world.produce("t", 0, numbers(10))
    consumer = await world.consumer(enable_auto_commit=False)
    consumer.assign([T0])
    async for record in consumer:
        if record.offset == 4:
            await consumer.commit()
            break
    assert (await consumer.committed([T0]))[T0] == CommittedOffset(5, 0)


async def test_without_a_group_nothing_is_committed(world: World) -> None:
    consumer = await world.consumer(group_id=None)
    consumer.assign([T0])
    for call in (consumer.commit(), consumer.committed([T0])):
        with pytest.raises(ConfigurationError, match=r"group\.id"):
            await call
    with pytest.raises(ConfigurationError, match=r"group\.id"):
        consumer.subscribe(["t"])


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"auto_offset_reset": "soon"}, "auto.offset.reset"),
        ({"auto_offset_reset": "by_duration:an hour"}, "duration"),
        ({"group_id": ""}, "group.id"),
        ({"group_id": None, "group_instance_id": "i"}, "group.instance.id"),
        ({"partition_assignment_strategy": "best"}, "assignor 'best'"),
        ({"group_remote_assignor": "uniform"}, "group.protocol=consumer"),
        ({"heartbeat_interval_ms": 45_000}, "heartbeat.interval.ms"),
        ({"isolation_level": "snapshot"}, "isolation.level"),
    ],
)
async def test_settings_are_checked(world: World, settings: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        await world.consumer(**settings)


def test_partitions_may_be_named_by_tuples() -> None:
    assert TopicPartition("t", 0) == ("t", 0)


async def test_read_committed_leaves_out_what_was_aborted(world: World) -> None:
    async with (
        AsyncClient(client_settings(world.bootstrap_servers, {}, {})) as client,
        client.producer(transactional_id="tx") as producer,
    ):
        for each in range(6):
            await producer.begin_transaction()
            await (await producer.send("t", b"%d" % each, partition=0))
            await (producer.commit_transaction() if each % 2 else producer.abort_transaction())
        await producer.begin_transaction()
        await (await producer.send("t", b"open", partition=0))
        committed = await world.consumer(isolation_level="read_committed")
        committed.assign([T0])
        assert await values_of(committed, 3) == [b"1", b"3", b"5"]
        assert await committed.poll(timeout_s=0.3) is None
        # Markers and aborted records are passed too; what is open is not.
        assert await committed.position(T0) == 12
        assert await committed.end_offsets([T0]) == {T0: 12}
        every = await world.consumer(group_id=None)
        every.assign([T0])
        assert await values_of(every, 7) == [*numbers(6), b"open"]
        await producer.commit_transaction()
        assert await values_of(committed, 1) == [b"open"]
