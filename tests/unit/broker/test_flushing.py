"""What is synced without being asked for: after `flush.messages`, and when a segment is closed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import PRODUCE, RawClient
from tests.running_broker import Topic, create_topic

from ottla.broker.assembly import Broker
from ottla.protocol.errors import ErrorCode
from ottla.records.codec import Record, encode_batch
from ottla.storage.fs import OsFileSystem
from ottla.storage.log import Log

from .test_settings import SET, TOPIC_RESOURCE, alter, client_of, eventually, running

PERIODICALLY_NEVER = {"log.initial.task.delay.ms": "3600000"}


def batch(count: int = 1, value: bytes = b"v") -> bytes:
    return encode_batch([Record(offset, 0, None, value, ()) for offset in range(count)])


@contextlib.asynccontextmanager
async def topic_of(tmp_path: Path, **configs: str) -> AsyncIterator[tuple[Broker, RawClient, Topic, Log]]:
    async with running(tmp_path, PERIODICALLY_NEVER) as broker, client_of(broker) as client:
        topic = await create_topic(client, **configs)
        yield broker, client, topic, broker.partitions.get(topic.name, 0).log


@pytest.mark.parametrize("acks", [1, -1])
async def test_the_write_that_reaches_flush_messages_is_answered_from_the_disk(
    tmp_path: Path, acks: int
) -> None:
    async with topic_of(tmp_path, flush_messages="3") as (_, _, topic, log):
        await topic.produce(batch(2), acks=acks)
        assert log.recovery_point == 0
        await topic.produce(batch(1), acks=acks)
        assert log.recovery_point == 3
        await topic.produce(batch(2), acks=acks)
        assert log.recovery_point == 3
        await topic.produce(batch(7), acks=acks)
        assert log.recovery_point == 12


async def test_a_write_that_is_not_answered_is_synced_as_well(tmp_path: Path) -> None:
    async with topic_of(tmp_path, flush_messages="2") as (_, client, topic, log):
        data = {"name": topic.name, "partition_data": [{"index": 0, "records": batch(2)}]}
        client.send(PRODUCE, 8, {"acks": 0, "timeout_ms": 1000, "topic_data": [data]})
        await eventually(lambda: log.recovery_point == 2)


async def test_by_default_nothing_is_synced(tmp_path: Path) -> None:
    async with topic_of(tmp_path) as (broker, _, topic, log):
        for _ in range(3):
            await topic.produce(batch(100))
        assert log.recovery_point == 0
        assert broker.group_commit._round is None


async def test_a_changed_flush_messages_counts_from_the_next_write_on(tmp_path: Path) -> None:
    async with topic_of(tmp_path) as (_, client, topic, log):
        await topic.produce(batch(2))
        await alter(client, topic.name, SET, kind=TOPIC_RESOURCE, flush_messages="1")
        assert log.recovery_point == 0
        await topic.produce(batch(1))
        assert log.recovery_point == 3


async def test_closed_segments_are_synced_soon(tmp_path: Path) -> None:
    async with topic_of(tmp_path, internal_segment_bytes="1000") as (broker, _, topic, log):
        await topic.produce(batch(value=bytes(600)))
        assert log.recovery_point == 0
        await topic.produce(batch(value=bytes(600)))
        assert len(log.segments) == 2
        await eventually(lambda: log.recovery_point >= 1)
        await broker.group_commit.finish()
        await topic.produce(batch(value=bytes(10)))
        assert broker.group_commit._round is None


async def test_a_disk_that_does_not_sync_is_told_to_the_producer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    async with topic_of(tmp_path, flush_messages="2") as (_, client, topic, _):
        other = await create_topic(client)
        monkeypatch.setattr(OsFileSystem, "sync_file", fail)
        assert (await topic.produce(batch(1)))["error_code"] == ErrorCode.none
        data = [
            {"name": each.name, "partition_data": [{"index": 0, "records": batch(1)}]}
            for each in (topic, other)
        ]
        answer = await client.call(PRODUCE, 8, {"acks": 1, "timeout_ms": 1000, "topic_data": data})
        codes = [each["partition_responses"][0]["error_code"] for each in answer["responses"]]
        assert codes == [ErrorCode.kafka_storage_error, ErrorCode.none]
        monkeypatch.undo()
