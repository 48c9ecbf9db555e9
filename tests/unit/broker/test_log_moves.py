"""Logs that move to another data folder of their broker while they are used (KIP-113)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import RawClient
from tests.unit.broker.cluster import run_cluster, until
from tests.unit.broker.test_cluster import ALTER_REASSIGNMENTS, ask
from tests.unit.broker.test_cluster import create as create_in_cluster
from tests.unit.broker.test_failing_disks import produce as produce_to
from tests.unit.broker.test_log_dirs import (
    ALTER_LOG_DIRS,
    DESCRIBE_LOG_DIRS,
    create,
    delete,
    logs,
    produce,
    running,
)

from ottla.broker.assembly import Broker
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.storage.fs import OsFileSystem


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "a", tmp_path / "b"


async def move(client: RawClient, path: Path, topic: str = "t", index: int = 0) -> ErrorCode:
    wanted = {"path": str(path), "topics": [{"name": topic, "partitions": [index]}]}
    answer = await client.call(ALTER_LOG_DIRS, 2, {"dirs": [wanted]})
    return ErrorCode(answer["results"][0]["partitions"][0]["error_code"])


async def described(client: RawClient) -> dict[str, list[dict[str, Any]]]:
    """What is of the topic in each folder."""
    answer = await client.call(DESCRIBE_LOG_DIRS, 4, {"topics": None})
    return {
        each["log_dir"]: [partition for topic in each["topics"] for partition in topic["partitions"]]
        for each in answer["results"]
    }


def held(broker: Broker) -> Callable[[], None]:
    """Have nothing copied until what this returns is called."""
    moves = broker.log_moves
    moves._is_too_fast = lambda: True  # type: ignore[method-assign]
    return lambda: delattr(moves, "_is_too_fast")


def home(broker: Broker, index: int = 0) -> Path:
    return Path(broker.partitions.get("t", index).log_dir)


def other(folders: tuple[Path, Path], path: Path) -> Path:
    return folders[1] if path == folders[0] else folders[0]


def aside(path: Path) -> list[str]:
    return [each.name.rpartition("-")[2] for each in path.iterdir() if each.is_dir() and "." in each.name]


async def test_a_log_moves_while_it_is_written_and_read(folders: tuple[Path, Path]) -> None:
    async with running(*folders) as (broker, client):
        await create(client, "t", 2)
        a = home(broker)
        b = other(folders, a)
        for _ in range(5):
            assert await produce(client, "t", 0) is ErrorCode.none
        before = broker.partitions.get("t", 0)
        before.log.delete_records(2)
        release = held(broker)
        assert await move(client, b) is ErrorCode.none
        found = await described(client)
        (future,) = [each for each in found[str(b)] if each["is_future_key"]]
        assert (future["partition_index"], future["partition_size"], future["offset_lag"]) == (0, 0, 5)
        (present,) = [each for each in found[str(a)] if each["partition_index"] == 0]
        assert (present["is_future_key"], present["offset_lag"]) == (False, 0)
        assert aside(b) == ["future"]
        assert await produce(client, "t", 0) is ErrorCode.none
        release()
        await until(lambda: home(broker) == b)
        after = broker.partitions.get("t", 0)
        assert after is not before
        assert before.is_closed
        log = after.log
        assert (log.log_start_offset, log.high_watermark, log.log_end_offset) == (2, 6, 6)
        assert log.recovery_point == 6
        assert await produce(client, "t", 0) is ErrorCode.none
        await until(lambda: aside(a) == aside(b) == [])
        assert (logs(a), logs(b)) == (set(), {"t-0", "t-1"}) or (logs(a), logs(b)) == ({"t-1"}, {"t-0"})
        assert [each["is_future_key"] for each in (await described(client))[str(b)]].count(True) == 0
    async with running(*folders) as (broker, _):
        log = broker.partitions.get("t", 0).log
        assert (home(broker), log.log_start_offset, log.log_end_offset) == (b, 2, 7)


async def test_a_move_goes_on_after_a_restart(folders: tuple[Path, Path]) -> None:
    async with running(*folders, kill=True) as (broker, client):
        await create(client, "t", 1)
        a = home(broker)
        b = other(folders, a)
        await produce(client, "t", 0)
        held(broker)
        await move(client, b)
    assert aside(b) == ["future"]
    async with running(*folders) as (broker, _):
        await until(lambda: home(broker) == b)
        assert broker.partitions.get("t", 0).log.log_end_offset == 1
    assert aside(b) == []


async def test_a_crash_between_the_two_renames_loses_nothing(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(*folders, kill=True) as (broker, client):
        await create(client, "t", 1)
        a = home(broker)
        b = other(folders, a)
        await produce(client, "t", 0)
        rename = OsFileSystem.rename
        crashed: list[str] = []

        def stop_halfway(fs: OsFileSystem, source: str, target: str) -> None:
            if crashed or source.endswith("-future"):
                crashed.append(source)
                raise OSError(5, "it was killed")
            rename(fs, source, target)

        monkeypatch.setattr(OsFileSystem, "rename", stop_halfway)
        await move(client, b)
        await until(lambda: len(crashed) == 2)
        monkeypatch.undo()
    assert (aside(a), aside(b)) == (["delete"], ["future"])
    async with running(*folders) as (broker, client):
        assert home(broker) == b
        assert broker.partitions.get("t", 0).log.log_end_offset == 1
    assert aside(a) == aside(b) == []


async def test_a_move_is_taken_back_and_ends_with_its_topic(folders: tuple[Path, Path]) -> None:
    async with running(*folders) as (broker, client):
        await create(client, "t", 1)
        a = home(broker)
        b = other(folders, a)
        release = held(broker)
        assert await move(client, b) is ErrorCode.none
        assert await move(client, a) is ErrorCode.none
        assert list(broker.log_moves) == []
        await until(lambda: aside(b) == [])
        assert await move(client, b) is ErrorCode.none
        await delete(client, "t")
        release()
        await until(lambda: list(broker.log_moves) == [] and aside(a) == aside(b) == [])
        assert (logs(a), logs(b)) == (set(), set())


async def test_where_logs_may_not_go(folders: tuple[Path, Path]) -> None:
    a, b = folders
    async with running(a, b, cordoned_log_dirs=str(b)) as (_, client):
        await create(client, "t", 1)
        assert await move(client, b) is ErrorCode.invalid_replica_assignment
        assert await move(client, Path("/elsewhere")) is ErrorCode.log_dir_not_found
        assert await move(client, a, "none") is ErrorCode.unknown_topic_or_partition
        assert await move(client, a, "t" * 240) is ErrorCode.invalid_topic_exception
        assert await move(client, a) is ErrorCode.none
        assert aside(a) == aside(b) == []


async def test_moves_keep_to_their_rate(folders: tuple[Path, Path]) -> None:
    limit = "replica_alter_log_dirs_io_max_bytes_per_second"
    async with running(*folders, **{limit: "10"}) as (broker, client):
        await create(client, "t", 1)
        a = home(broker)
        await produce(client, "t", 0)
        await move(client, other(folders, a))
        await until(lambda: [each.copy.log.log_end_offset for each in broker.log_moves] == [1])
        assert broker.log_moves._is_too_fast()
        await asyncio.sleep(0.1)
        assert home(broker) == a  # it waits, although there is nothing left to copy


async def test_replicas_of_a_cluster_move_and_come_where_they_are_wanted(tmp_path: Path) -> None:
    def of(node_id: int) -> list[str]:
        return [str(tmp_path / f"{node_id}-{letter}") for letter in "ab"]

    def high_watermark(broker: Broker) -> int:
        return broker.partitions.replica("t", 0).high_watermark

    async with run_cluster(tmp_path, 0) as cluster:
        one, two = [
            await cluster.start(node_id, log_dirs=",".join(of(node_id)), min_insync_replicas="2")
            for node_id in (1, 2)
        ]
        await create_in_cluster(one, "t", (1, 2))
        await cluster.agree()
        for count in range(1, 4):
            assert await produce_to(one, 0) is ErrorCode.none
            for broker in (one, two):
                replica = broker.partitions.replica("t", 0)
                target = next(path for path in of(broker.node.node_id) if path != replica.log_dir)
                broker.log_moves.begin("t", 0, target)
                await until(lambda: broker.partitions.replica("t", 0).log_dir == target)  # noqa: B023
            state = one.image.topics["t"].partitions[0]
            assert (state.isr, state.leader_epoch) == ((1, 2), 0)
            await until(lambda: all(high_watermark(each) == count for each in (one, two)))  # noqa: B023
        await create_in_cluster(one, "u", (1,))
        await cluster.agree()
        with pytest.raises(KafkaError, match="not_leader_or_follower"):
            two.log_moves.begin("u", 0, of(2)[1])
        wanted = {"name": "u", "partitions": [{"partition_index": 0, "replicas": [1, 2]}]}
        await ask(one, ALTER_REASSIGNMENTS, 0, topics=[wanted], timeout_ms=10_000)
        await until(lambda: two.partitions.replicas_of("u") != [])
        assert two.partitions.replica("u", 0).log_dir == of(2)[1]
