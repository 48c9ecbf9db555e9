"""Files that a crash or a person has damaged: indexes are rebuilt, a torn tail is cut, the rest stays."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from ottla.coordinator.shards import partition_for

from .broker_process import BrokerProcess
from .clients import Clients, insist

SEGMENTS = {"internal.segment.bytes": "20000", "index.interval.bytes": "500"}
SETTINGS = {"log.flush.scheduler.interval.ms": "100", "log.flush.offset.checkpoint.interval.ms": "100"}
FIRST_TIMESTAMP = 1_700_000_000_000
COUNT = 500

INDEX_SUFFIXES = (".index", ".timeindex", ".txnindex")
SIDE_FILES = (*INDEX_SUFFIXES, ".snapshot", "leader-epoch-checkpoint")


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def halve(path: Path) -> None:
    # An odd size is no multiple of an entry: whole entries that are missing cannot be told, nor can Kafka.
    os.truncate(path, path.stat().st_size // 2 | 1)


def cut_a_byte(path: Path) -> None:
    os.truncate(path, max(path.stat().st_size - 1, 0))


def scramble(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


DAMAGES = [remove, empty, halve, cut_a_byte, scramble]


@pytest.fixture
def is_full(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--full"))


@pytest.fixture
def broker(start_broker: Callable[..., BrokerProcess]) -> BrokerProcess:
    return start_broker(SETTINGS)


@pytest.fixture
def at(broker: BrokerProcess, clients: Callable[[BrokerProcess], Clients]) -> Clients:
    """Clients of a broker whose topic `t` has COUNT records in several segments."""
    at = clients(broker)
    at.create_topic("t", SEGMENTS)
    write(at, 0, COUNT)
    return at


def write(at: Clients, start: int, stop: int) -> None:
    producer = at.producer(enable_idempotence=True, batch_num_messages=5)
    for number in range(start, stop):
        producer.produce(
            "t", b"%d:" % number + b"x" * 200, partition=0, timestamp=FIRST_TIMESTAMP + number * 1000
        )
        producer.poll(0)
    assert producer.flush(30) == 0


def check(at: Clients, count: int) -> None:
    """The first `count` records are all there is, and are found by offset and by time."""
    messages = insist(at.read, "t")
    assert [int(m.value().split(b":")[0]) for m in messages] == list(range(count))
    assert [m.offset() for m in messages] == list(range(count))
    consumer = at.consumer()
    for number in random.Random(2).sample(range(count), 4):
        (found,) = consumer.offsets_for_times(
            [TopicPartition("t", 0, FIRST_TIMESTAMP + number * 1000 - 500)], timeout=20
        )
        assert found.offset == number
        consumer.assign([TopicPartition("t", 0, number)])
        message = consumer.poll(20)
        assert message is not None
        assert message.offset() == number
    consumer.close()


def side_files(broker: BrokerProcess) -> list[Path]:
    return [path for path in broker.partition("t").iterdir() if path.name.endswith(SIDE_FILES)]


def active_log(broker: BrokerProcess) -> Path:
    return max(broker.partition("t").glob("*.log"))


@pytest.mark.parametrize("is_clean", [True, False], ids=["stopped", "killed"])
def test_side_files_are_rebuilt(broker: BrokerProcess, at: Clients, is_clean: bool, is_full: bool) -> None:
    count = COUNT
    for first in range(len(DAMAGES) if is_full else 1):
        if is_clean:
            assert broker.stop() == 0
        else:
            broker.restart()  # so that indexes of flushed segments are damaged, too
            insist(at.offsets, "t")
            broker.kill()
        damaged = side_files(broker)
        assert {path.suffix for path in damaged} >= {".index", ".timeindex", ".snapshot"}
        if is_clean:
            # A clean stop vouches for the log's end by a snapshot's name: those are no crash's to take away.
            damaged = [path for path in damaged if path.suffix in INDEX_SUFFIXES]
        for number, path in enumerate(damaged, start=first):
            DAMAGES[number % len(DAMAGES)](path)
        broker.start()
        check(at, count)
        write(at, count, count + 50)
        count += 50
        broker.restart()
        check(at, count)
    assert "Traceback" not in broker.all_stderr()


TAILS = [
    bytes(4096),
    b"half of a batch's header",
    b"\0\0\0\0\0\0\x01\xf4\x7f\xff\xff\xff" + b"a length past the end" * 10,
    b"\0\0\0\0\0\0\x01\xf4\0\0\0\x40" + bytes(64),  # a wrong checksum
    b"\xff" * 200,
    b"x",
]


def test_a_torn_tail_is_cut(broker: BrokerProcess, at: Clients, is_full: bool) -> None:
    tails = TAILS if is_full else TAILS[:3]
    for round_, tail in enumerate(tails):
        broker.kill()
        with active_log(broker).open("ab") as log:
            log.write(tail)
        broker.start()
        check(at, COUNT + round_ * 10)
        write(at, COUNT + round_ * 10, COUNT + round_ * 10 + 10)
    check(at, COUNT + len(tails) * 10)


def test_what_is_cut_off_is_lost_and_nothing_else(broker: BrokerProcess, at: Clients, is_full: bool) -> None:
    high = COUNT
    for lost_bytes in (1, 100, 1000, 3000) if is_full else (1, 3000):
        broker.kill()
        log = active_log(broker)
        os.truncate(log, max(log.stat().st_size - lost_bytes, 0))
        broker.start()
        low, cut = insist(at.offsets, "t")
        assert low == 0
        assert high - 5 - lost_bytes // 200 <= cut < high
        check(at, cut)
        high = cut + 20
        write(at, cut, high)
    broker.restart()
    check(at, high)


def test_a_whole_segment_may_be_torn(broker: BrokerProcess, at: Clients) -> None:
    """As after a power loss: a segment in the middle ends early, so what is behind it is no log any more."""
    broker.kill()
    (broker.data / "recovery-point-offset-checkpoint").unlink(missing_ok=True)
    logs = sorted(broker.partition("t").glob("*.log"))
    torn = logs[len(logs) // 2]
    os.truncate(torn, torn.stat().st_size - 10)
    broker.start()
    high = insist(at.offsets, "t")[1]
    assert int(torn.stem) < high < int(logs[len(logs) // 2 + 1].stem)
    check(at, high)
    write(at, high, high + 50)
    check(at, high + 50)


@pytest.mark.parametrize("is_clean", [True, False], ids=["stopped", "killed"])
def test_checkpoints_only_save_time(
    broker: BrokerProcess, at: Clients, is_clean: bool, is_full: bool
) -> None:
    broker.restart()
    insist(write, at, COUNT, COUNT + 10)
    for first in range(len(DAMAGES) if is_full else 1):
        if is_clean:
            assert broker.stop() == 0
        else:
            broker.kill()
        for number, path in enumerate(broker.data.glob("*-checkpoint"), start=first):
            DAMAGES[number % len(DAMAGES)](path)
        broker.start()
        check(at, COUNT + 10)


def test_groups_beside_a_damaged_offsets_partition_are_served(broker: BrokerProcess, at: Clients) -> None:
    groups = [f"group-{number}" for number in range(8)]
    for group in groups:
        insist(commit, at, group)
    assert broker.stop() == 0
    log = next(broker.partition("__consumer_offsets", 1).glob("*.log"))
    with log.open("r+b") as damaged:
        damaged.seek(log.stat().st_size - 20)
        damaged.write(b"nothing that was written")
    broker.start()
    served = [group for group in groups if partition_for(group, 2) == 0]
    assert 0 < len(served) < len(groups)
    for group in served:
        assert insist(committed, at, group) == 7
    assert "cannot load __consumer_offsets-1" in broker.stderr
    assert broker.stop() == 0
    assert "Traceback" not in broker.all_stderr()


def commit(at: Clients, group: str) -> None:
    consumer = at.consumer(group)
    consumer.commit(offsets=[TopicPartition("t", 0, 7)], asynchronous=False)
    consumer.close()


def committed(at: Clients, group: str) -> int:
    consumer = at.consumer(group)
    (found,) = consumer.committed([TopicPartition("t", 0)], timeout=20)
    consumer.close()
    return int(found.offset)
