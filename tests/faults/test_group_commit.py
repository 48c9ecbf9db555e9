"""`ottla.acks.all.flush`: what is acknowledged to `acks=all` is on the disk, one sync serving many."""

import asyncio
import contextlib
import errno
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import CREATE_TOPICS, PRODUCE, RawClient, connect

from ottla.protocol.errors import ErrorCode
from ottla.records.codec import Record, encode_batch
from ottla.storage.fs import OsFileSystem
from ottla.testing.in_process import InProcessBroker, run_broker_async

PRODUCE_VERSION, OFFSET_COMMIT_VERSION, JOIN_VERSION = 9, 8, 7
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP = 8, 9, 10, 11
ACKS_ALL, ACKS_LEADER = -1, 1
GROUP = "group"


class Disk:
    """Counts the syncs of each topic's logs; holds them up, or refuses them, when told."""

    def __init__(self) -> None:
        self.syncs = Counter[str]()
        self.refused = ""
        self._gate = threading.Event()
        self._gate.set()
        self._entered = threading.Event()
        self._real = OsFileSystem.sync_file

    def sync_file(self, fs: OsFileSystem, path: str) -> None:
        topic = Path(path).parent.name.rpartition("-")[0]
        if path.endswith(".log"):
            self.syncs[topic] += 1
            self._entered.set()
            assert self._gate.wait(30)
            if topic == self.refused:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._real(fs, path)

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        self._entered.clear()
        self._gate.clear()
        try:
            yield
        finally:
            self._gate.set()

    async def entered(self) -> None:
        """Wait until somebody waits for the disk."""
        assert await asyncio.to_thread(self._entered.wait, 30)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()

    def sync_file(fs: OsFileSystem, path: str) -> None:
        disk.sync_file(fs, path)

    monkeypatch.setattr(OsFileSystem, "sync_file", sync_file)
    yield disk
    disk._gate.set()


@pytest.fixture
async def broker(disk: Disk, tmp_path: Path) -> AsyncIterator[InProcessBroker]:
    async with run_broker_async({"ottla.acks.all.flush": True}, data_dir=str(tmp_path)) as running:
        async with connect(running.host, running.port) as client:
            topics = [
                {"name": name, "num_partitions": 1, "replication_factor": 1, "assignments": [], "configs": []}
                for name in ("a", "b")
            ]
            created = await client.call(CREATE_TOPICS, 5, {"topics": topics, "timeout_ms": 5000})
            assert not any(topic["error_code"] for topic in created["topics"])
        yield running


@pytest.fixture
async def client(broker: InProcessBroker) -> AsyncIterator[RawClient]:
    async with connect(broker.host, broker.port) as client:
        yield client


def produce(*topics: str, acks: int = ACKS_ALL) -> dict[str, Any]:
    batch = encode_batch([Record(0, 1_700_000_000_000, None, b"value", ())])
    return {
        "transactional_id": None,
        "acks": acks,
        "timeout_ms": 30_000,
        "topic_data": [
            {"name": topic, "partition_data": [{"index": 0, "records": batch}]} for topic in topics
        ],
    }


def errors(response: dict[str, Any]) -> dict[str, int]:
    return {topic["name"]: topic["partition_responses"][0]["error_code"] for topic in response["responses"]}


def offset(response: dict[str, Any]) -> int:
    return int(response["responses"][0]["partition_responses"][0]["base_offset"])


async def answers(client: RawClient) -> bool:
    """Whether there is an answer already; the loop gets its turns, and nothing that is due is left over."""
    for _ in range(20):
        await asyncio.sleep(0)
    return bool(client.reader._buffer)  # type: ignore[attr-defined]


async def test_an_answer_waits_for_the_disk(disk: Disk, broker: InProcessBroker, client: RawClient) -> None:
    async with connect(broker.host, broker.port) as other:
        with disk.held_up():
            client.send(PRODUCE, PRODUCE_VERSION, produce("a"))
            await disk.entered()
            # One that does not ask for durability is answered meanwhile.
            await other.call(PRODUCE, PRODUCE_VERSION, produce("a", acks=ACKS_LEADER))
            assert not await answers(client)
        response = await client.receive(PRODUCE, PRODUCE_VERSION)
    assert errors(response) == {"a": ErrorCode.none}
    assert disk.syncs["a"] == 1


async def test_one_sync_serves_all_that_wait(disk: Disk, broker: InProcessBroker) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(broker.host, broker.port)) for _ in range(20)]
        with disk.held_up():
            clients[0].send(PRODUCE, PRODUCE_VERSION, produce("a"))
            await disk.entered()
            for client in clients[1:]:
                client.send(PRODUCE, PRODUCE_VERSION, produce("a"))
            while (await appended(broker)) < len(clients):
                await asyncio.sleep(0)
        offsets = {offset(await client.receive(PRODUCE, PRODUCE_VERSION)) for client in clients}
    assert offsets == set(range(20))
    assert disk.syncs["a"] == 2


async def appended(broker: InProcessBroker) -> int:
    """The log end offset of topic `a`."""
    async with connect(broker.host, broker.port) as client:
        topics = [{"name": "a", "partitions": [{"partition_index": 0, "timestamp": -1}]}]
        listed = await client.call(2, 1, {"replica_id": -1, "topics": topics})
    return int(listed["topics"][0]["partitions"][0]["offset"])


async def test_a_refused_sync_fails_the_topics_concerned_and_no_others(
    disk: Disk, broker: InProcessBroker, client: RawClient
) -> None:
    disk.refused = "a"
    async with connect(broker.host, broker.port) as other:
        with disk.held_up():
            other.send(PRODUCE, PRODUCE_VERSION, produce("b"))
            await disk.entered()
            client.send(PRODUCE, PRODUCE_VERSION, produce("a", "b"))
            other.send(PRODUCE, PRODUCE_VERSION, produce("b"))
        assert errors(await client.receive(PRODUCE, PRODUCE_VERSION)) == {
            "a": ErrorCode.kafka_storage_error,
            "b": ErrorCode.none,
        }
        for _ in range(2):
            assert errors(await other.receive(PRODUCE, PRODUCE_VERSION)) == {"b": ErrorCode.none}


async def test_after_a_refused_sync_nothing_is_acknowledged_any_more(
    disk: Disk, broker: InProcessBroker, client: RawClient
) -> None:
    """The system may call the next sync a success although it has dropped the pages of the first."""
    disk.refused = "a"
    await client.call(PRODUCE, PRODUCE_VERSION, produce("a"))
    disk.refused = ""
    for acks in (ACKS_ALL, ACKS_LEADER):
        response = await client.call(PRODUCE, PRODUCE_VERSION, produce("a", acks=acks))
        assert errors(response) == {"a": ErrorCode.kafka_storage_error}
    assert errors(await client.call(PRODUCE, PRODUCE_VERSION, produce("b"))) == {"b": ErrorCode.none}


async def test_answers_keep_the_order_of_their_requests(
    disk: Disk, broker: InProcessBroker, client: RawClient
) -> None:
    with disk.held_up():
        sent = [client.send(PRODUCE, PRODUCE_VERSION, produce("a"))]
        await disk.entered()
        sent += [
            client.send(PRODUCE, PRODUCE_VERSION, produce("a", acks=acks))
            for acks in (ACKS_LEADER, ACKS_ALL, ACKS_LEADER, ACKS_ALL)
        ]
        while (await appended(broker)) < len(sent):
            await asyncio.sleep(0)
        assert not await answers(client)
    received = [int.from_bytes((await client.receive_frame())[:4], "big") for _ in sent]
    assert received == sent


# -- groups


async def find_coordinator(client: RawClient) -> None:
    while True:
        found = await client.call(FIND_COORDINATOR, 1, {"key": GROUP, "key_type": 0})
        if found["error_code"] == ErrorCode.none:
            return
        await asyncio.sleep(0.01)


def commit(offset: int) -> dict[str, Any]:
    partition = {
        "partition_index": 0,
        "committed_offset": offset,
        "committed_leader_epoch": -1,
        "committed_metadata": "",
    }
    return {
        "group_id": GROUP,
        "generation_id_or_member_epoch": -1,
        "member_id": "",
        "group_instance_id": None,
        "topics": [{"name": "a", "partitions": [partition]}],
    }


def commit_error(response: dict[str, Any]) -> int:
    return int(response["topics"][0]["partitions"][0]["error_code"])


async def commit_until_loaded(client: RawClient, offset: int) -> int:
    while True:
        error = commit_error(await client.call(OFFSET_COMMIT, OFFSET_COMMIT_VERSION, commit(offset)))
        if error not in {ErrorCode.coordinator_load_in_progress, ErrorCode.not_coordinator}:
            return error
        await asyncio.sleep(0.01)


async def test_a_commit_waits_for_the_disk(disk: Disk, broker: InProcessBroker, client: RawClient) -> None:
    await find_coordinator(client)
    assert await commit_until_loaded(client, 1) == ErrorCode.none
    with disk.held_up():
        client.send(OFFSET_COMMIT, OFFSET_COMMIT_VERSION, commit(2))
        await disk.entered()
        assert not await answers(client)
    assert commit_error(await client.receive(OFFSET_COMMIT, OFFSET_COMMIT_VERSION)) == ErrorCode.none


async def test_a_commit_that_is_not_on_the_disk_is_refused(
    disk: Disk, broker: InProcessBroker, client: RawClient
) -> None:
    await find_coordinator(client)
    assert await commit_until_loaded(client, 1) == ErrorCode.none
    disk.refused = "__consumer_offsets"
    for offset in (2, 3):  # the first fails when it is synced, the second when it is appended
        response = await client.call(OFFSET_COMMIT, OFFSET_COMMIT_VERSION, commit(offset))
        assert commit_error(response) != ErrorCode.none


async def test_members_join_with_every_step_on_the_disk(
    disk: Disk, broker: InProcessBroker, client: RawClient
) -> None:
    await find_coordinator(client)
    assert await commit_until_loaded(client, 1) == ErrorCode.none
    join = {
        "group_id": "joined",
        "session_timeout_ms": 10_000,
        "rebalance_timeout_ms": 10_000,
        "member_id": "",
        "group_instance_id": "static",
        "protocol_type": "consumer",
        "protocols": [{"name": "range", "metadata": b""}],
    }
    joined = await asyncio.wait_for(client.call(JOIN_GROUP, JOIN_VERSION, join), 20)
    assert joined["error_code"] == ErrorCode.none
    sync = {
        "group_id": "joined",
        "generation_id": joined["generation_id"],
        "member_id": joined["member_id"],
        "group_instance_id": "static",
        "protocol_type": "consumer",
        "protocol_name": "range",
        "assignments": [{"member_id": joined["member_id"], "assignment": b"all"}],
    }
    synced = await asyncio.wait_for(client.call(14, 5, sync), 20)
    assert (synced["error_code"], synced["assignment"]) == (ErrorCode.none, b"all")
