"""Several data folders under a broker that is killed, started on other ones, and on those of others."""

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, TopicPartition

from .broker_process import BrokerProcess
from .clients import Clients, insist
from .test_process import EXIT_FAILURE, EXIT_OK, EXIT_USAGE, assert_refused, run

MakeClients = Callable[[BrokerProcess], Clients]
RECORDS = [(b"k%d" % number, bytes(100)) for number in range(200)]
PARTITIONS = 3


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "a", tmp_path / "b"


@pytest.fixture
def broker(make_broker: Callable[..., BrokerProcess], folders: tuple[Path, Path]) -> BrokerProcess:
    made = make_broker({"log.dirs": f"{folders[0]},{folders[1]}", "ottla.acks.all.flush": "true"})
    made.start()
    return made


@pytest.fixture
def at(broker: BrokerProcess, clients: MakeClients) -> Clients:
    """Clients of a broker that has a topic in both folders, records in each partition, and a group."""
    made = clients(broker)
    made.create_topic("t", {"internal.segment.bytes": "30000"}, partitions=PARTITIONS)
    for partition in range(PARTITIONS):
        made.produce("t", RECORDS, partition=partition)
    consumer = made.consumer("g")
    consumer.commit(offsets=[TopicPartition("t", 1, 150)], asynchronous=False)
    consumer.close()
    return made


def assert_all_there(at: Clients) -> None:
    for partition in range(PARTITIONS):
        assert [(each.key(), each.value()) for each in insist(at.read, "t", partition)] == RECORDS
    consumer = at.consumer("g")
    assert [each.offset for each in insist(consumer.committed, [TopicPartition("t", 1)])] == [150]
    consumer.close()


def where(folder: Path, topic: str = "t") -> set[str]:
    return {each.name for each in folder.glob(f"{topic}-*")}


def test_all_is_there_after_a_kill_in_any_order_of_folders(
    broker: BrokerProcess, at: Clients, folders: tuple[Path, Path]
) -> None:
    a, b = folders
    spread = where(a), where(b)
    assert sorted(map(len, spread)) == [1, 2]
    broker.kill_and_start()
    assert_all_there(at)
    broker.kill()
    ended = run("--set", f"log.dirs={b},{a}", "--listen", "127.0.0.1:0")
    assert_refused(ended, EXIT_FAILURE, f"metadata.sqlite is in {a}", f"metadata.log.dir={a}")
    broker.settings |= {"log.dirs": f"{b},{a}", "metadata.log.dir": str(a)}
    broker.start()
    assert_all_there(at)
    assert (where(a), where(b)) == spread
    assert broker.stop() == EXIT_OK
    assert (a / ".kafka_cleanshutdown").exists()
    assert (b / ".kafka_cleanshutdown").exists()
    assert "Traceback" not in broker.all_stderr()


def test_what_is_in_a_missing_folder_is_offline_until_it_is_back(
    broker: BrokerProcess, at: Clients, folders: tuple[Path, Path]
) -> None:
    b = folders[1]
    lost = {int(name.rpartition("-")[2]) for name in where(b)}
    broker.kill()
    away = b.rename(b.with_name("unplugged"))
    for prepare in (b.touch, b.unlink):  # no folder can be there; then an empty one is made
        prepare()
        broker.start()
        assert "it is in none of the data folders that are here" in broker.stderr
        if b.is_file():
            assert f"the data folder {b} cannot be used" in broker.stderr
        for partition in range(PARTITIONS):
            if partition in lost:
                with pytest.raises(KafkaException):
                    at.produce("t", RECORDS, partition=partition, message_timeout_ms=500)
            else:
                assert len(insist(at.read, "t", partition)) == len(RECORDS)
        broker.kill()
    assert not where(b)
    for each in b.iterdir():
        each.unlink()
    b.rmdir()
    away.rename(b)
    broker.start()
    assert_all_there(at)
    assert "Traceback" not in broker.all_stderr()


def test_folders_of_other_brokers_are_refused(
    broker: BrokerProcess, start_broker: Callable[..., BrokerProcess], folders: tuple[Path, Path]
) -> None:
    a, b = folders
    other = start_broker()
    assert broker.stop() == other.stop() == EXIT_OK
    listen = ("--listen", "127.0.0.1:0")
    ended = run("--set", f"log.dirs={a},{other.data}", *listen)
    assert_refused(ended, EXIT_FAILURE, str(other.data), "of cluster")
    ended = run("--set", f"log.dirs={a},{b}", "--node-id", "7", *listen)
    assert_refused(ended, EXIT_FAILURE, str(a), "node 1", "node 7")
    (b.parent / "link").symlink_to(a)
    ended = run("--set", f"log.dirs={a},{b.parent / 'link'}", *listen)
    assert_refused(ended, EXIT_FAILURE, str(b.parent / "link"), str(a), "same folder")
    ended = run("--data", f"{a},{b}", *listen)
    assert_refused(ended, EXIT_USAGE, f"--set log.dirs={a},{b}")
    broker.start()
    ended = run("--set", f"log.dirs={b.parent / 'new'},{b}", *listen)
    assert_refused(ended, EXIT_FAILURE, str(b), "in use")
    assert broker.stop() == EXIT_OK
