"""A full disk: clear errors, what is there stays readable, and writes go on when there is room again."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaException, TopicPartition

from .broker_process import BrokerProcess
from .clients import Clients, eventually, insist
from .full_disk import FullDisk, SmallDisk, SmallFilesOnly

SETTINGS = {
    "log.initial.task.delay.ms": "0",
    "log.flush.start.offset.checkpoint.interval.ms": "100",
    "log.flush.offset.checkpoint.interval.ms": "100",
    "log.retention.check.interval.ms": "100",
}
VALUE_BYTES = 10_000


@pytest.fixture(params=["file-size-limit", "small-disk"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FullDisk]:
    if request.param == "file-size-limit":
        yield SmallFilesOnly()
        return
    small = SmallDisk(tmp_path)
    if (refused := small.mount()) is not None:
        pytest.skip(f"cannot mount a file system here: {refused}")
    yield small
    small.unmount()


@pytest.fixture
def full(
    disk: FullDisk,
    tmp_path: Path,
    start_broker: Callable[..., BrokerProcess],
    clients: Callable[[BrokerProcess], Clients],
) -> Iterator[SimpleNamespace]:
    """A broker whose topic `t` has taken all records it had room for, and what it has acknowledged."""
    broker = start_broker(SETTINGS, data=tmp_path / "data")
    at = clients(broker)
    at.create_topic("t")
    commit(at, 1)
    at.produce("t", [(None, value(number)) for number in range(10)])
    disk.fill(broker)
    acked = list(range(10))
    while True:
        try:
            produce(at, len(acked))
        except KafkaException as error:
            yield SimpleNamespace(broker=broker, at=at, disk=disk, acked=acked, error=error.args[0].name())
            broker.kill()
            return
        acked.append(len(acked))


def value(number: int) -> bytes:
    return b"%d:" % number + os.urandom(VALUE_BYTES)


def produce(at: Clients, number: int) -> None:
    at.produce("t", [(None, value(number))], retries=0)


def commit(at: Clients, offset: int) -> None:
    consumer = at.consumer("group")
    try:
        where = TopicPartition("t", 0, offset, metadata="x" * 3000)
        consumer.commit(offsets=[where], asynchronous=False)
    finally:
        consumer.close()


def committed(at: Clients) -> int:
    consumer = at.consumer("group")
    (found,) = consumer.committed([TopicPartition("t", 0)], timeout=20)
    consumer.close()
    return int(found.offset)


def numbers(at: Clients) -> list[int]:
    return [int(message.value().split(b":", 1)[0]) for message in insist(at.read, "t")]  # type: ignore[union-attr]


def test_producers_are_told_and_readers_served(full: SimpleNamespace) -> None:
    assert full.error == "KAFKA_STORAGE_ERROR"
    assert numbers(full.at) == full.acked
    for _ in range(20):
        with pytest.raises(KafkaException, match="KAFKA_STORAGE_ERROR"):
            produce(full.at, -1)
    assert numbers(full.at) == full.acked
    assert full.broker.stderr.count("\n") < 60
    assert "Traceback" not in full.broker.stderr


@pytest.mark.parametrize("is_killed", [False, True], ids=["running", "killed"])
def test_writes_go_on_when_there_is_room(full: SimpleNamespace, is_killed: bool) -> None:
    if is_killed:
        full.broker.kill()
        full.disk.make_room(full.broker)
        full.broker.start()
    full.disk.make_room(full.broker)
    for _ in range(20):
        insist(produce, full.at, len(full.acked))
        full.acked.append(len(full.acked))
    assert numbers(full.at) == full.acked
    full.broker.kill_and_start()
    assert numbers(full.at) == full.acked
    full.broker.restart()
    assert numbers(full.at) == full.acked


def test_an_idempotent_producer_that_waits_loses_nothing(full: SimpleNamespace) -> None:
    producer = full.at.producer(enable_idempotence=True, message_timeout_ms=60_000)
    waiting = list(range(len(full.acked), len(full.acked) + 50))
    for number in waiting:
        producer.produce("t", value(number), partition=0)
    assert producer.flush(1) > 0
    full.disk.make_room(full.broker)
    assert producer.flush(30) == 0
    assert numbers(full.at) == full.acked + waiting


def test_commits_are_refused_and_go_on(full: SimpleNamespace) -> None:
    def commit_on() -> None:
        for offset in range(2, 3_000):
            commit(full.at, offset)

    with pytest.raises(KafkaException):
        commit_on()
    before = committed(full.at)
    full.disk.make_room(full.broker)
    assert committed(full.at) == before
    commit(full.at, 3_000)
    assert committed(full.at) == 3_000
    full.broker.kill_and_start()
    assert committed(full.at) == 3_000
    assert "Traceback" not in full.broker.all_stderr()


def test_topics_are_refused_and_made_later(full: SimpleNamespace) -> None:
    made: list[str] = []

    def make_on() -> None:
        for number in range(1000):
            full.at.create_topic(f"new-{number}")
            made.append(f"new-{number}")

    with pytest.raises(KafkaException, match="KAFKA_STORAGE_ERROR"):
        make_on()
    full.disk.make_room(full.broker)
    made.append(full.at.create_topic("later"))
    for topic in made:
        insist(full.at.produce, topic, [(None, b"x")])
    assert full.at.topics() == {"t", *made}
    full.broker.kill_and_start()
    assert insist(full.at.topics) == {"t", *made}
    assert "Traceback" not in full.broker.all_stderr()


def test_a_topic_is_deleted_at_once_or_when_there_is_room(full: SimpleNamespace) -> None:
    try:
        full.at.delete_topic("t")
    except KafkaException:
        assert numbers(full.at) == full.acked
        full.disk.make_room(full.broker)
        full.at.delete_topic("t")
    eventually(lambda: not list(full.broker.data.glob("t-0*")))
    assert "Traceback" not in full.broker.stderr


def test_a_stop_and_a_start_meet_it_with_one_line(full: SimpleNamespace) -> None:
    assert full.broker.stop() in {0, 1}
    full.broker.spawn()
    if not full.broker.is_ready_or_over():
        assert full.broker.process.returncode == 1
        assert full.broker.stderr.splitlines()[-1].startswith("ottla: ")
    assert "Traceback" not in full.broker.all_stderr()
    full.broker.kill()
    full.disk.make_room(full.broker)
    full.broker.start()
    assert numbers(full.at) == full.acked
