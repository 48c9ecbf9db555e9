"""Data folders whose disks fail under brokers of a cluster: others lead, and what works again comes back."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import METADATA, PRODUCE, connect
from tests.unit.broker.cluster import Cluster, run_cluster, until
from tests.unit.broker.test_cluster import create

from ottla.broker.assembly import Broker
from ottla.protocol.errors import ErrorCode
from ottla.records.codec import Record, encode_batch
from ottla.storage.errors import LogStorageError
from ottla.storage.fs import OsFileSystem, _OsFile

ONE = encode_batch([Record(0, 1, b"k", b"one")])
DESCRIBE_LOG_DIRS = 35


class Disks:
    """Those of the folders that are named here refuse everything, with an error number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failing: dict[str, int] = {}

        def spoil(kind: type, name: str, path_of: Callable[..., str]) -> None:
            working = getattr(kind, name)

            def maybe(*arguments: Any, **more: Any) -> Any:
                path = path_of(*arguments)
                for folder, number in self.failing.items():
                    if path.startswith(folder) and (number != errno.ENOSPC or "write" in name):
                        raise OSError(number, "the disk fails")
                return working(*arguments, **more)

            monkeypatch.setattr(kind, name, maybe)

        for name in ("write", "pread", "sync"):
            spoil(_OsFile, name, lambda file, *_: file.path)
        for name in ("sync_file", "sync_dir", "write_atomic", "listdir", "make_dirs", "space"):
            spoil(OsFileSystem, name, lambda _, path, *__: path)


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Disks:
    return Disks(monkeypatch)


def folders(root: Path, node_id: int) -> list[str]:
    return [str(root / f"{node_id}-{letter}") for letter in "ab"]


async def start(cluster: Cluster, root: Path, node_id: int) -> Broker:
    return await cluster.start(node_id, log_dirs=",".join(folders(root, node_id)))


async def produce(broker: Broker, partition: int, topic: str = "t") -> ErrorCode:
    data = {"name": topic, "partition_data": [{"index": partition, "records": ONE}]}
    async with connect(*broker.node.addresses["PLAINTEXT"]) as client:
        answer = await client.call(PRODUCE, 8, {"acks": -1, "timeout_ms": 10_000, "topic_data": [data]})
    return ErrorCode(answer["responses"][0]["partition_responses"][0]["error_code"])


async def partitions_of(broker: Broker) -> dict[int, dict[str, Any]]:
    async with connect(*broker.node.addresses["PLAINTEXT"]) as client:
        request = {"topics": [{"name": "t"}], "allow_auto_topic_creation": False}
        answer = await client.call(METADATA, 7, request)
    return {each["partition_index"]: each for each in answer["topics"][0]["partitions"]}


def in_folder(broker: Broker, path: str) -> list[int]:
    return [each.index for each in broker.partitions if each.log_dir == path]


async def test_others_lead_what_a_failing_disk_holds(tmp_path: Path, disks: Disks) -> None:
    async with run_cluster(tmp_path, 0, min_insync_replicas="2", replica_lag_time_max_ms="60000") as cluster:
        one, two, three = [await start(cluster, tmp_path, node_id) for node_id in (1, 2, 3)]
        await create(one, "t", *[(1, 2, 3)] * 4)
        await cluster.agree()
        for index in range(4):
            assert await produce(one, index) is ErrorCode.none
        bad, good = folders(tmp_path, 1)
        lost, kept = in_folder(one, bad), in_folder(one, good)
        assert len(lost) == len(kept) == 2
        notes = [Path(each, ".ottla_run") for each in (bad, good)]
        assert all(f'"brokerEpoch":{one._own_epoch()},' in each.read_text() for each in notes)

        disks.failing[bad] = errno.EIO
        assert await produce(one, lost[0]) is ErrorCode.kafka_storage_error
        states = lambda: two.image.topics["t"].partitions  # noqa: E731
        assert not any(each.exists() for each in notes)  # killed now, it may have less than it wrote
        await until(lambda: all(states()[index].leader != 1 for index in lost))
        await until(lambda: all(1 not in states()[index].isr for index in lost))
        assert all(states()[index].leader == 1 for index in kept)
        found = await partitions_of(three)
        assert {index: found[index]["offline_replicas"] for index in found} == {
            index: [1] if index in lost else [] for index in range(4)
        }
        for index in lost:
            leader = cluster.brokers[states()[index].leader]
            assert await produce(leader, index) is ErrorCode.none
        async with connect(*one.node.addresses["PLAINTEXT"]) as client:
            answer = await client.call(DESCRIBE_LOG_DIRS, 4, {"topics": None})
        assert {each["log_dir"]: each["error_code"] for each in answer["results"]} == {
            bad: ErrorCode.kafka_storage_error,
            good: ErrorCode.none,
        }
        # New partitions go to what works.
        await create(one, "u", (1,), (1,))
        await cluster.agree()
        assert {each.log_dir for each in one.partitions.replicas_of("u")} == {good}

        await one.maintenance.reopen()  # in vain, as yet
        assert sorted(index for _, index in one.partitions.offline) == sorted(lost)
        disks.failing.clear()
        await one.maintenance.reopen()
        await until(lambda: all(1 in states()[index].isr for index in lost))
        found = await partitions_of(three)
        assert [each["offline_replicas"] for each in found.values()] == [[]] * 4
        ends = [
            cluster.brokers[n].partitions.replica("t", i).log.log_end_offset for i in lost for n in (1, 2)
        ]
        assert ends == [2] * 4


async def test_a_restart_without_the_folder_says_what_is_offline(tmp_path: Path) -> None:
    async with run_cluster(tmp_path, 0) as cluster:
        one, two = [await start(cluster, tmp_path, node_id) for node_id in (1, 2)]
        await create(one, "t", *[(1, 2)] * 4)
        await cluster.agree()
        bad = folders(tmp_path, 1)[1]
        lost = in_folder(one, bad)
        assert len(lost) == 2
        await cluster.stop(1)
        away = Path(bad).rename(tmp_path / "away")
        Path(bad).touch()
        one = await start(cluster, tmp_path, 1)
        await until(lambda: all(each.leader in (1, 2) for each in two.image.topics["t"].partitions))

        def offline() -> list[int]:
            topic = two.image.topics["t"]
            return [index for index in range(4) if two.image.brokers_without(topic, index)]

        await until(lambda: offline() == lost)
        await until(lambda: all(two.image.topics["t"].partitions[each].leader == 2 for each in lost))
        await cluster.stop(1)
        Path(bad).unlink()
        away.rename(bad)
        await start(cluster, tmp_path, 1)
        await until(lambda: offline() == [])
        await until(lambda: all(len(each.isr) == 2 for each in two.image.topics["t"].partitions))


async def test_a_full_disk_keeps_what_is_nowhere_else(tmp_path: Path, disks: Disks) -> None:
    async with run_cluster(tmp_path, 0) as cluster:
        one, two = [await start(cluster, tmp_path, node_id) for node_id in (1, 2)]
        await create(one, "t", (1, 2))
        await create(one, "u", (1,))
        await cluster.agree()
        for topic in ("t", "u"):
            assert await produce(one, 0, topic) is ErrorCode.none
        for folder in folders(tmp_path, 1):
            disks.failing[folder] = errno.ENOSPC

        def leader(topic: str) -> int:
            return two.image.topics[topic].partitions[0].leader

        for topic in ("t", "u"):
            assert await produce(one, 0, topic) is ErrorCode.kafka_storage_error
        await until(lambda: leader("t") == 2)
        await one._disk_failures.stop()
        one._disk_failures.start()
        assert leader("u") == 1
        assert one.partitions.get("u", 0).read(0, 1000, 0, min_one=True).records
        disks.failing.clear()
        await one.maintenance.reopen()
        await until(lambda: 1 in two.image.topics["t"].partitions[0].isr)
        assert await produce(one, 0, "u") is ErrorCode.none


async def test_a_log_that_could_not_be_synced_is_opened_again(tmp_path: Path, disks: Disks) -> None:
    """Its folder works, and a write that fails does no harm by itself."""
    async with run_cluster(tmp_path, 0) as cluster:
        one, two = [await start(cluster, tmp_path, node_id) for node_id in (1, 2)]
        await create(one, "t", (1, 2))
        await cluster.agree()
        log = one.partitions.get("t", 0).log
        disks.failing[log.local.directory] = errno.EIO
        assert await produce(one, 0) is ErrorCode.kafka_storage_error
        disks.failing.clear()
        assert await produce(one, 0) is ErrorCode.none
        assert one.partitions.get("t", 0).log is log
        disks.failing[log.local.directory] = errno.EIO
        with pytest.raises(LogStorageError, match="cannot sync"):
            log.flush()
        await until(lambda: two.image.topics["t"].partitions[0].leader == 2)
        disks.failing.clear()
        await one.maintenance.reopen()
        await until(lambda: 1 in two.image.topics["t"].partitions[0].isr)
