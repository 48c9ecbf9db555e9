"""Topics deleted and made again, and folders that do not fit: nothing old gets into something new."""

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, TopicPartition

from ottla.replica import maintenance
from ottla.testing.in_process import run_broker

from .broker_process import BrokerProcess
from .clients import Clients, eventually, insist

TEN = [(None, b"old %d" % number) for number in range(10)]
THREE = [(None, b"new %d" % number) for number in range(3)]


@pytest.fixture
def broker(start_broker: Callable[..., BrokerProcess]) -> BrokerProcess:
    return start_broker()


@pytest.fixture
def at(broker: BrokerProcess, clients: Callable[[BrokerProcess], Clients]) -> Clients:
    return clients(broker)


def values(at: Clients, topic: str) -> list[bytes | None]:
    return [message.value() for message in insist(at.read, topic)]


def delete_records(at: Clients, topic: str, offset: int) -> None:
    where = TopicPartition(topic, 0, offset)
    at.admin.delete_records([where])[where].result(20)


def test_a_topic_made_again_does_not_start_where_the_old_one_did(broker: BrokerProcess, at: Clients) -> None:
    at.create_topic("t")
    at.produce("t", TEN)
    delete_records(at, "t", 10)
    broker.restart()
    assert insist(at.offsets, "t") == (10, 10)
    at.delete_topic("t")
    at.create_topic("t")
    assert insist(at.offsets, "t") == (0, 0)


@pytest.mark.parametrize("is_down_between", [False, True], ids=["at-once", "after-a-restart"])
def test_checkpoints_of_a_deleted_topic_are_gone_before_its_name_is_used(
    broker: BrokerProcess, at: Clients, is_down_between: bool
) -> None:
    at.create_topic("t")
    at.produce("t", TEN)
    delete_records(at, "t", 10)
    broker.restart()
    insist(at.delete_topic, "t")
    if is_down_between:
        broker.kill_and_start()
    insist(at.create_topic, "t")
    assert insist(at.offsets, "t") == (0, 0)
    at.produce("t", THREE)
    broker.kill_and_start()
    assert values(at, "t") == [value for _, value in THREE]


def test_a_folder_that_a_deletion_left_is_moved_aside(broker: BrokerProcess, at: Clients) -> None:
    at.create_topic("t")
    at.produce("t", TEN)
    folder = broker.partition("t")
    aside = broker.folder / "aside"
    assert broker.stop() == 0
    folder.rename(aside)
    broker.start()
    insist(at.delete_topic, "t")
    assert broker.stop() == 0
    for left in broker.data.glob("t-0*"):
        left.rmdir()
    aside.rename(folder)
    broker.start()
    insist(at.create_topic, "t")
    at.produce("t", THREE)
    assert values(at, "t") == [value for _, value in THREE]
    (stray,) = broker.data.glob("t-0.*-stray")
    assert stray.name in broker.stderr


def test_the_folder_of_a_deleted_topic_is_removed(broker: BrokerProcess, at: Clients) -> None:
    at.create_topic("t", partitions=3)
    at.produce("t", TEN)
    at.delete_topic("t")
    eventually(lambda: not list(broker.data.glob("t-*")))


def test_a_log_that_cannot_be_opened_stops_neither_the_others_nor_its_own_return(
    broker: BrokerProcess, at: Clients
) -> None:
    at.create_topic("t", partitions=2)
    at.produce("t", TEN)
    at.produce("t", TEN, partition=1)
    delete_records(at, "t", 4)
    folder, aside = broker.partition("t"), broker.folder / "aside"
    broker.restart()
    at.produce("t", TEN[:1])
    broker.kill()
    with next(folder.glob("*.log")).open("ab") as log:
        log.write(b"half of a batch that a crash tore")
    folder.rename(aside)
    folder.write_bytes(b"in the way")
    broker.start()
    with pytest.raises(KafkaException, match="Disk error|STORAGE"):
        at.produce("t", TEN, message_timeout_ms=1500, retries=1)
    at.produce("t", THREE, partition=1)
    assert broker.stop() == 0
    assert "Traceback" not in broker.stderr
    folder.unlink()
    aside.rename(folder)
    broker.start()
    at.produce("t", THREE)
    assert values(at, "t") == [value for _, value in TEN[4:] + TEN[:1] + THREE]
    assert len(insist(at.read, "t", 1)) == 13


def test_a_log_that_could_not_be_made_is_made_when_it_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(maintenance, "_REOPEN_INTERVAL_MS", 50)
    with run_broker(data_dir=str(tmp_path)) as broker:
        at = Clients(broker.bootstrap_servers)
        for topic in ("t", "__consumer_offsets"):
            (tmp_path / f"{topic}-0").write_bytes(b"in the way")
        at.create_topic("t")
        with pytest.raises(KafkaException):
            at.produce("t", THREE, retries=0)
        consumer = at.consumer("group")
        with pytest.raises(KafkaException):
            consumer.committed([at.start_of("t")], timeout=0.5)
        for topic in ("t", "__consumer_offsets"):
            (tmp_path / f"{topic}-0").unlink()
        insist(at.produce, "t", THREE)
        assert values(at, "t") == [value for _, value in THREE]
        insist(lambda: consumer.commit(offsets=[TopicPartition("t", 0, 2)], asynchronous=False))
        consumer.close()
