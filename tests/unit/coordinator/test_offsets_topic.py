"""The life of `__consumer_offsets` under its coordinators."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import RawClient, connect

from ottla.protocol.errors import ErrorCode
from ottla.testing import run_broker_async

OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP, LIST_GROUPS = 8, 9, 10, 11, 16
CREATE_TOPICS, DELETE_TOPICS = 19, 20
PARTITIONS = 4
GROUPS = [f"group-{number}" for number in range(8)]


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[RawClient]:
    """A client of a broker that has loaded its groups."""
    settings = {"offsets.topic.num.partitions": PARTITIONS}
    async with (
        run_broker_async(settings, data_dir=folder) as broker,
        connect(broker.host, broker.port) as client,
    ):
        while (await client.call(LIST_GROUPS, 4, {}))["error_code"] == ErrorCode.coordinator_load_in_progress:
            await asyncio.sleep(0.01)
        yield client


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[RawClient]:
    async with serving(tmp_path) as connected:
        await create_topic(connected)
        yield connected


async def create_topic(client: RawClient) -> None:
    topic = {"name": "t", "num_partitions": 1, "replication_factor": 1}
    await client.call(CREATE_TOPICS, 7, {"topics": [topic], "timeout_ms": 1000})


async def commit(client: RawClient, group_id: str, offset: int) -> ErrorCode:
    partition = {"partition_index": 0, "committed_offset": offset, "committed_leader_epoch": -1}
    request = {
        "group_id": group_id,
        "generation_id_or_member_epoch": -1,
        "topics": [{"name": "t", "partitions": [partition]}],
    }
    response = await client.call(OFFSET_COMMIT, 8, request)
    return ErrorCode(response["topics"][0]["partitions"][0]["error_code"])


async def committed(client: RawClient, group_id: str) -> int:
    topics = [{"name": "t", "partition_indexes": [0]}]
    response = await client.call(OFFSET_FETCH, 8, {"groups": [{"group_id": group_id, "topics": topics}]})
    (group,) = response["groups"]
    assert group["error_code"] == ErrorCode.none
    return int(group["topics"][0]["partitions"][0]["committed_offset"])


async def find(client: RawClient) -> None:
    found = await client.call(FIND_COORDINATOR, 4, {"key_type": 0, "coordinator_keys": GROUPS})
    assert {each["error_code"] for each in found["coordinators"]} == {ErrorCode.none}


async def delete_offsets_topic(client: RawClient) -> None:
    deleted = await client.call(DELETE_TOPICS, 5, {"topic_names": ["__consumer_offsets"], "timeout_ms": 1000})
    assert deleted["responses"][0]["error_code"] == ErrorCode.none


async def test_groups_begin_anew_when_their_topic_was_deleted(client: RawClient) -> None:
    await find(client)
    for group_id in GROUPS:
        assert await commit(client, group_id, 5) is ErrorCode.none
    await delete_offsets_topic(client)
    assert await commit(client, GROUPS[0], 6) is ErrorCode.not_coordinator
    await find(client)
    for group_id in GROUPS:
        assert await committed(client, group_id) == -1
        assert await commit(client, group_id, 7) is ErrorCode.none
        assert await commit(client, group_id, 8) is ErrorCode.none
    listed = await client.call(LIST_GROUPS, 4, {})
    assert {group["group_id"] for group in listed["groups"]} == set(GROUPS)


async def test_what_is_committed_anew_is_there_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        await create_topic(client)
        await find(client)
        for group_id in GROUPS:
            await commit(client, group_id, 5)
        await delete_offsets_topic(client)
        await find(client)
        for group_id in GROUPS:
            assert await commit(client, group_id, 8) is ErrorCode.none
    async with serving(tmp_path) as client:
        for group_id in GROUPS:
            assert await committed(client, group_id) == 8


async def test_whoever_waits_for_a_rebalance_is_sent_to_look_for_the_coordinator(client: RawClient) -> None:
    await find(client)
    request = {
        "group_id": GROUPS[0],
        "session_timeout_ms": 10_000,
        "rebalance_timeout_ms": 60_000,
        "member_id": "",
        "protocol_type": "consumer",
        "protocols": [{"name": "range", "metadata": b""}],
    }
    member_id: Any = (await client.call(JOIN_GROUP, 4, request))["member_id"]
    joined = await client.call(JOIN_GROUP, 4, {**request, "member_id": member_id})
    assert joined["error_code"] == ErrorCode.none
    client.send(JOIN_GROUP, 3, request)
    async with connect(*client.writer.get_extra_info("peername")[:2]) as admin:
        await delete_offsets_topic(admin)
    parked = await client.receive(JOIN_GROUP, 3)
    assert parked["error_code"] == ErrorCode.not_coordinator
