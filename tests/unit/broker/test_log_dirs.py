"""A broker with several data folders."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import CREATE_TOPICS, PRODUCE, RawClient, connect
from tests.unit.broker.cluster import until

from ottla.broker.assembly import Broker, BrokerSettings
from ottla.config.broker import broker_config
from ottla.config.layers import BrokerLayers
from ottla.protocol.errors import ErrorCode
from ottla.records.codec import Record, encode_batch
from ottla.replica.data_dir import DataDirError

DELETE_TOPICS, ALTER_LOG_DIRS, DESCRIBE_LOG_DIRS, INCREMENTAL_ALTER_CONFIGS = 20, 34, 35, 44
ONE = encode_batch([Record(0, 1, b"k", b"one")])


@contextlib.asynccontextmanager
async def running(
    *folders: Path, kill: bool = False, **settings: str
) -> AsyncIterator[tuple[Broker, RawClient]]:
    """A broker on these folders, and its client; killed at the end or stopped."""
    layers = BrokerLayers(
        static={
            "node.id": "1",
            "listeners": "PLAINTEXT://127.0.0.1:0",
            "log.dirs": ",".join(map(str, folders)),
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
    )
    broker = Broker(BrokerSettings(broker_config(layers), layers))
    async with connect(*await broker.start()) as client:
        yield broker, client
    if kill:
        await broker._abandon_start()
    else:
        await broker.stop()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "a", tmp_path / "b"


async def create(client: RawClient, name: str, partitions: int, **configs: str) -> None:
    wanted = {
        "name": name,
        "num_partitions": partitions,
        "replication_factor": 1,
        "configs": [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()],
    }
    created = await client.call(CREATE_TOPICS, 7, {"topics": [wanted], "timeout_ms": 10_000})
    assert created["topics"][0]["error_code"] == ErrorCode.none, created


async def delete(client: RawClient, name: str) -> None:
    response = await client.call(DELETE_TOPICS, 6, {"topics": [{"name": name}], "timeout_ms": 10_000})
    assert response["responses"][0]["error_code"] == ErrorCode.none


async def produce(client: RawClient, name: str, partition: int) -> ErrorCode:
    data = {"name": name, "partition_data": [{"index": partition, "records": ONE}]}
    response = await client.call(PRODUCE, 8, {"acks": -1, "timeout_ms": 1000, "topic_data": [data]})
    return ErrorCode(response["responses"][0]["partition_responses"][0]["error_code"])


async def described(client: RawClient) -> dict[str, dict[str, Any]]:
    results = (await client.call(DESCRIBE_LOG_DIRS, 4, {"topics": None}))["results"]
    return {Path(each["log_dir"]).name: each for each in results}


def logs(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir() if each.is_dir()}


def checkpointed(folder: Path, name: str = "recovery-point-offset-checkpoint") -> set[str]:
    lines = (folder / name).read_text().splitlines()[2:]
    return {"-".join(line.split()[:2]) for line in lines}


def ends(broker: Broker, name: str, count: int) -> list[int]:
    return [broker.partitions.get(name, index).log.log_end_offset for index in range(count)]


async def test_partitions_are_spread_and_found_again(folders: tuple[Path, Path]) -> None:
    a, b = folders
    async with running(a, b) as (broker, client):
        await create(client, "t", 3)
        await create(client, "u", 2)
        await create(client, "v", 1)
        assert logs(a) == {"t-0", "t-2", "u-1"}
        assert logs(b) == {"t-1", "u-0", "v-0"}
        for index in range(3):
            assert await produce(client, "t", index) is ErrorCode.none
        found = await described(client)
        assert set(found) == {"a", "b"}
        sizes = {
            (folder, topic["name"], each["partition_index"]): each["partition_size"]
            for folder, result in found.items()
            for topic in result["topics"]
            for each in topic["partitions"]
        }
        assert sizes == {
            ("a", "t", 0): len(ONE), ("b", "t", 1): len(ONE), ("a", "t", 2): len(ONE),
            ("b", "u", 0): 0, ("a", "u", 1): 0, ("b", "v", 0): 0,
        }  # fmt: skip
        assert all(result["total_bytes"] > result["usable_bytes"] > 0 for result in found.values())
        assert found["a"]["error_code"] == found["b"]["error_code"] == ErrorCode.none
    for folder in folders:
        assert (folder / ".kafka_cleanshutdown").exists()
        assert checkpointed(folder) == logs(folder)
        assert checkpointed(folder, "replication-offset-checkpoint") == logs(folder)
    async with running(a, b, kill=True) as (broker, client):
        assert ends(broker, "t", 3) == [1, 1, 1]
        assert all(folder.clean for folder in broker.data_dirs.online)
        await delete(client, "t")
        # The next goes where room was made: both had three, now a has one and b two.
        await create(client, "w", 1)
        assert {each for each in logs(a) if "delete" not in each} == {"u-1", "w-0"}
    async with running(a, b) as (broker, client):
        assert not any(folder.clean for folder in broker.data_dirs.online)
        assert logs(a) == {"u-1", "w-0"}
        assert logs(b) == {"u-0", "v-0"}
        assert ends(broker, "w", 1) == [0]


async def test_the_order_of_folders_matters_to_the_metadata_alone(folders: tuple[Path, Path]) -> None:
    a, b = folders
    async with running(a, b) as (_, client):
        await create(client, "t", 2)
        assert await produce(client, "t", 1) is ErrorCode.none
    with pytest.raises(DataDirError, match=r"metadata\.sqlite is in .*/a, not in .*/b"):
        async with running(b, a):
            pass
    assert (a / ".kafka_cleanshutdown").exists()
    assert (b / ".kafka_cleanshutdown").exists()
    async with running(b, a, metadata_log_dir=str(a)) as (broker, client):
        assert ends(broker, "t", 2) == [0, 1]
    assert (logs(a), logs(b)) == ({"t-0"}, {"t-1"})


async def test_a_folder_for_the_metadata_alone(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for _ in range(2):
        async with running(*folders, metadata_log_dir=str(tmp_path / "m")) as (broker, client):
            if not broker.image.topics:
                await create(client, "t", 2)
            assert set(await described(client)) == {"a", "b"}
            assert await produce(client, "t", 1) is ErrorCode.none
    assert (tmp_path / "m" / "metadata.sqlite").exists()
    assert not (folders[0] / "metadata.sqlite").exists()
    assert not logs(tmp_path / "m")
    with pytest.raises(DataDirError, match="/m, not in"):
        async with running(tmp_path / "m2", tmp_path / "m"):
            pass


async def test_without_one_folder_its_partitions_are_offline_and_come_back(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    a, b = folders
    async with running(a, b) as (_, client):
        await create(client, "t", 2)
        await produce(client, "t", 1)
    b.rename(b.with_name("unplugged"))
    b.touch()
    async with running(a, b) as (broker, client):
        assert f"the data folder {b} cannot be used" in caplog.text
        assert await produce(client, "t", 0) is ErrorCode.none
        assert await produce(client, "t", 1) is ErrorCode.kafka_storage_error
        found = await described(client)
        assert (found["b"]["error_code"], found["b"]["topics"]) == (ErrorCode.kafka_storage_error, [])
        assert found["b"]["total_bytes"] == -1
        await create(client, "new", 2)
        assert logs(a) == {"t-0", "new-0", "new-1"}
        await broker._reopen_partitions()
        assert broker.partitions.offline == [("t", 1)]
        moves = {"path": str(b), "topics": [{"name": "t", "partitions": [0]}]}
        answer = await client.call(ALTER_LOG_DIRS, 2, {"dirs": [moves]})
        assert answer["results"][0]["partitions"][0]["error_code"] == ErrorCode.kafka_storage_error
    assert (a / ".kafka_cleanshutdown").exists()
    b.unlink()
    b.with_name("unplugged").rename(b)
    async with running(a, b) as (broker, client):
        assert all(folder.clean for folder in broker.data_dirs.online)
        assert (ends(broker, "t", 2), ends(broker, "new", 2)) == ([1, 1], [0, 0])
    assert logs(a) == {"t-0", "new-0", "new-1"}


async def test_what_a_missing_folder_may_hold_is_not_begun_anew(folders: tuple[Path, Path]) -> None:
    a, b = folders
    async with running(a, b) as (_, client):
        await create(client, "t", 2)
        await produce(client, "t", 1)
    away = b.rename(b.with_name("unplugged"))
    for chosen in ((a,), (a, b), (a,)):  # left out; an empty folder where a disk was mounted; left out again
        async with running(*chosen) as (broker, client):
            assert broker.partitions.offline == [("t", 1)]
            await broker._reopen_partitions()
            assert broker.partitions.offline == [("t", 1)]
        assert logs(a) == {"t-0"}
    assert not logs(b)
    shutil.rmtree(b)
    away.rename(b)
    async with running(a, b) as (broker, client):
        assert ends(broker, "t", 2) == [0, 1]
        await delete(client, "t")
        await create(client, "u", 1)
    shutil.rmtree(b)
    # Nothing is missing now, so b is forgotten, and what has no log gets one.
    async with running(a):
        pass
    shutil.rmtree(a / "u-0")
    async with running(a) as (broker, client):
        assert broker.image.log_dirs[1] == (broker.data_dirs.online[0].directory_id,)
        assert await produce(client, "u", 0) is ErrorCode.none


async def test_a_partition_in_two_folders_is_offline(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    a, b = folders
    async with running(a, b) as (_, client):
        await create(client, "t", 2)
        await produce(client, "t", 0)
    shutil.copytree(a / "t-0", b / "t-0")
    async with running(a, b) as (broker, client):
        assert broker.partitions.offline == [("t", 0)]
        assert f"cannot open the log of t-0: kafka_storage_error: it is in {a} and in {b}:" in caplog.text
    assert not (a / ".kafka_cleanshutdown").exists()
    assert not (b / ".kafka_cleanshutdown").exists()
    shutil.rmtree(b / "t-0")
    async with running(a, b) as (broker, client):
        assert ends(broker, "t", 2) == [1, 0]


async def test_the_log_of_an_older_topic_in_another_folder_is_put_aside(folders: tuple[Path, Path]) -> None:
    a, b = folders
    async with running(a, b) as (_, client):
        await create(client, "t", 2)
        await produce(client, "t", 0)
        kept = shutil.copytree(a / "t-0", a.parent / "kept")
        await delete(client, "t")
        await create(client, "t", 2)
    assert (logs(a), logs(b)) == ({"t-0"}, {"t-1"})
    shutil.copytree(kept, b / "t-0")
    shutil.copytree(kept, a / "gone-0")
    async with running(a, b) as (broker, _):
        assert ends(broker, "t", 2) == [0, 0]
        assert not broker.partitions.offline
    assert {each.rpartition(".")[0] for each in logs(a)} == {"", "gone-0"}
    assert {each.rpartition(".")[0] for each in logs(b)} == {"", "t-0"}
    assert all(each.endswith("-stray") for each in {*logs(a), *logs(b)} - {"t-0", "t-1"})


async def test_cordoned_folders_get_no_new_partitions(folders: tuple[Path, Path]) -> None:
    a, b = folders
    async with running(a, b, cordoned_log_dirs=str(a)) as (_, client):
        await create(client, "t", 3)
        assert (logs(a), logs(b)) == (set(), {"t-0", "t-1", "t-2"})
        results = (await client.call(DESCRIBE_LOG_DIRS, 5, {"topics": []}))["results"]
        assert [each["is_cordoned"] for each in results] == [True, False]


async def test_a_broker_whose_folders_are_all_cordoned_gets_no_new_partitions(
    folders: tuple[Path, Path],
) -> None:
    a, b = folders
    async with running(a, b) as (_, client):
        await create(client, "t", 1)
    async with running(a, b, cordoned_log_dirs="*") as (broker, client):
        refused = (ErrorCode.invalid_replication_factor, ErrorCode.invalid_replica_assignment)
        assert await creations(client, "u") == refused
        assert ends(broker, "t", 1) == [0]
        await cordon(client, str(a))
        await until(lambda: not broker.image.cordoned)
        assert await creations(client, "u") == (ErrorCode.none, ErrorCode.topic_already_exists)
        await cordon(client, f"{a},{b}")
        await until(lambda: broker.image.cordoned == {1})
        assert await creations(client, "v") == refused
    async with running(a, b) as (broker, client):
        assert await creations(client, "v") == refused
        await cordon(client, "")
        await until(lambda: not broker.image.cordoned)


async def creations(client: RawClient, name: str) -> tuple[int, int]:
    """The error codes where the broker is to place a topic, and where the client does."""
    placed = {"name": name, "num_partitions": 1, "replication_factor": 1}
    assigned = {
        "name": name,
        "num_partitions": -1,
        "replication_factor": -1,
        "assignments": [{"partition_index": 0, "broker_ids": [1]}],
    }
    first, second = [
        (await client.call(CREATE_TOPICS, 7, {"topics": [each], "timeout_ms": 30_000}))["topics"][0]
        for each in (placed, assigned)
    ]
    return first["error_code"], second["error_code"]


async def cordon(client: RawClient, folders: str) -> None:
    change = {"name": "cordoned.log.dirs", "config_operation": 0, "value": folders}
    resource = {"resource_type": 4, "resource_name": "1", "configs": [change]}
    answer = await client.call(INCREMENTAL_ALTER_CONFIGS, 1, {"resources": [resource]})
    assert answer["responses"][0]["error_code"] == ErrorCode.none


async def test_a_folder_that_refuses_a_log_is_passed_over(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = folders
    async with running(a, b) as (broker, client):
        make_dirs = broker.data_dirs.online[0].fs.make_dirs

        def refuse(path: str, *, sync: bool = False) -> None:
            if path.startswith(f"{a}/"):
                raise OSError(5, "Input/output error", path)
            make_dirs(path, sync=sync)

        monkeypatch.setattr(broker.data_dirs.online[0].fs, "make_dirs", refuse)
        await create(client, "t", 2)
        assert (logs(a), logs(b)) == (set(), {"t-0", "t-1"})
        assert not broker.partitions.offline


async def test_each_folder_notes_how_far_its_logs_are_compacted(folders: tuple[Path, Path]) -> None:
    settings = {
        "log.initial.task.delay.ms": "0",
        "log.cleaner.backoff.ms": "10",
        "log.cleaner.min.cleanable.ratio": "0.01",
    }
    compacted = {"cleanup_policy": "compact", "internal_segment_bytes": "200"}
    async with running(*folders, **settings) as (_, client):
        await create(client, "t", 2, **compacted)
        for index in range(2):
            for _ in range(10):
                await produce(client, "t", index)
        for folder, name in zip(folders, ("t-0", "t-1"), strict=True):
            while not (folder / "cleaner-offset-checkpoint").exists():
                await asyncio.sleep(0.01)
            assert checkpointed(folder, "cleaner-offset-checkpoint") == {name}
    async with running(*folders, **settings) as (_, client):
        await delete(client, "t")
        for folder in folders:
            while checkpointed(folder, "cleaner-offset-checkpoint"):
                await asyncio.sleep(0.01)


async def test_a_single_folder_is_as_it_was(tmp_path: Path) -> None:
    async with running(tmp_path) as (broker, client):
        await create(client, "t", 1)
        assert not broker.image.log_dirs
    names = {each.name for each in tmp_path.iterdir()}
    assert names == {
        ".kafka_cleanshutdown",
        ".lock",
        "log-start-offset-checkpoint",
        "meta.properties",
        "metadata.sqlite",
        "recovery-point-offset-checkpoint",
        "replication-offset-checkpoint",
        "t-0",
    }
