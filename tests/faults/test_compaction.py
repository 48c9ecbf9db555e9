"""Compaction through a live broker: the last value of each key stays, deletions go, groups survive."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, TopicPartition

from ottla.replica import compaction
from ottla.storage.cleaner.cleaning import CleanedGroup, CleaningStep
from ottla.testing.in_process import run_broker

from .broker_process import BrokerProcess
from .clients import Clients, eventually, insist

EAGER = {
    "log.initial.task.delay.ms": "0",
    "log.cleaner.backoff.ms": "50",
    "log.cleaner.min.cleanable.ratio": "0.01",
    "log.retention.check.interval.ms": "100",
}
COMPACTED = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.01",
    "internal.segment.bytes": "5000",
    "segment.ms": "50",
    "delete.retention.ms": "100",
    "file.delete.delay.ms": "100",
}
KEYS = [b"key-%d" % number for number in range(20)]
Contents = list[tuple[bytes | None, bytes | None]]


@pytest.fixture
def broker(start_broker: Callable[..., BrokerProcess]) -> BrokerProcess:
    return start_broker(EAGER)


@pytest.fixture
def at(broker: BrokerProcess, clients: Callable[[BrokerProcess], Clients]) -> Clients:
    return clients(broker)


def rounds(count: int, start: int = 0) -> Contents:
    """A value for each key, `count` times over."""
    return [(key, b"value %d" % number) for number in range(start, start + count) for key in KEYS]


def fill(at: Clients, topic: str, count: int, start: int = 0) -> None:
    at.produce(topic, rounds(count, start), batch_size=1000)


def contents(at: Clients, topic: str = "t") -> Contents:
    return [(message.key(), message.value()) for message in insist(at.read, topic)]


def without_markers(found: Contents) -> Contents:
    return [(key, value) for key, value in found if key in KEYS]


def compacted(at: Clients, wanted: Contents, topic: str = "t") -> None:
    """Wait until the topic holds just that beside the marker records, which close its last segment."""

    def is_compacted() -> bool:
        at.produce(topic, [(b"marker", b"x")])
        return without_markers(contents(at, topic)) == wanted

    eventually(is_compacted, 30)


def test_the_last_value_of_each_key_stays(broker: BrokerProcess, at: Clients) -> None:
    at.create_topic("t", COMPACTED)
    fill(at, "t", 30)
    last = rounds(1, start=29)
    compacted(at, last)
    low, high = at.offsets("t")
    assert (low, high >= 600) == (0, True)
    offsets = [message.offset() for message in at.read("t") if message.key() in KEYS]
    assert offsets == list(range(580, 600))
    for restart in (broker.restart, broker.kill_and_start):
        restart()
        assert without_markers(contents(at)) == last
        assert insist(at.offsets, "t")[1] >= high
    fill(at, "t", 10, start=30)
    compacted(at, rounds(1, start=39))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compressed_batches_are_compacted(at: Clients, compression: str) -> None:
    at.create_topic("t", COMPACTED)
    at.produce("t", rounds(60), compression_type=compression, linger_ms=20, batch_size=4000)
    compacted(at, rounds(1, start=59))


def test_deleted_keys_vanish_with_their_tombstones(at: Clients) -> None:
    at.create_topic("t", COMPACTED)
    fill(at, "t", 5)
    at.produce("t", [(key, None) for key in KEYS[:10]])
    compacted(at, rounds(1, start=4)[10:])


def test_tombstones_stay_as_long_as_they_have_to(at: Clients) -> None:
    at.create_topic("t", {**COMPACTED, "delete.retention.ms": "3600000"})
    fill(at, "t", 5)
    tombstones: Contents = [(key, None) for key in KEYS[:10]]
    at.produce("t", tombstones)
    compacted(at, rounds(1, start=4)[10:] + tombstones)


def test_a_policy_of_both_compacts_and_deletes(at: Clients) -> None:
    at.create_topic("t", {**COMPACTED, "cleanup.policy": "compact,delete", "retention.ms": "3600000"})
    fill(at, "t", 10)
    compacted(at, rounds(1, start=9))
    at.configure("t", retention_ms="1")
    eventually(lambda: at.offsets("t")[0] >= 200)


def test_a_policy_that_becomes_compact_applies_at_once(at: Clients) -> None:
    at.create_topic("t", {**COMPACTED, "cleanup.policy": "delete"})
    fill(at, "t", 10)
    at.produce("t", [(None, b"without a key")])
    assert len(contents(at)) == 201
    at.configure("t", cleanup_policy="compact")
    compacted(at, rounds(1, start=9))
    with pytest.raises(KafkaException, match="INVALID_RECORD|Broker failed to validate record"):
        at.produce("t", [(None, b"without a key")])


def test_groups_survive_the_compaction_of_their_offsets(
    start_broker: Callable[..., BrokerProcess], clients: Callable[[BrokerProcess], Clients]
) -> None:
    broker = start_broker({**EAGER, "offsets.topic.num.partitions": "1"})
    at = clients(broker)
    at.create_topic("t")
    insist(committed, at, "any")  # which makes the topic
    at.configure("__consumer_offsets", internal_segment_bytes="5000")
    groups = [f"group-{number}" for number in range(3)]
    for group in groups:
        consumer = at.consumer(group)
        for offset in range(1, 101):
            consumer.commit(offsets=[TopicPartition("t", 0, offset)], asynchronous=False)
        consumer.close()
    offsets = broker.partition("__consumer_offsets")
    eventually(lambda: sum(log.stat().st_size for log in offsets.glob("*.log")) < 10_000)
    assert "compacted __consumer_offsets-0" in broker.stderr
    for restart in (broker.restart, broker.kill_and_start):
        restart()
        assert {group: committed(at, group) for group in groups} == dict.fromkeys(groups, 100)


def committed(at: Clients, group: str) -> int:
    consumer = at.consumer(group)
    (found,) = consumer.committed([TopicPartition("t", 0)], timeout=20)
    consumer.close()
    return int(found.offset)


# -- a topic that goes while it is compacted


class HeldCleaner:
    """Stands between the cleaner and the broker: a group of cleaned segments waits until it is let go."""

    def __init__(self) -> None:
        self.has_cleaned = threading.Event()
        self.go_on = threading.Event()
        self._next = compaction._next

    def next(self, steps: Iterator[CleaningStep]) -> CleaningStep | None:
        step = self._next(steps)
        if isinstance(step, CleanedGroup):
            self.has_cleaned.set()
            assert self.go_on.wait(30)
        return step


def test_segments_of_a_deleted_topic_do_not_get_into_the_next_of_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cleaner = HeldCleaner()
    monkeypatch.setattr(compaction, "_next", cleaner.next)
    with run_broker(EAGER, data_dir=str(tmp_path)) as broker:
        at = Clients(broker.bootstrap_servers)
        at.create_topic("t", COMPACTED)
        fill(at, "t", 30)
        assert cleaner.has_cleaned.wait(30)
        at.delete_topic("t")
        at.create_topic("t", COMPACTED)
        new = [(b"new", b"only")]
        at.produce("t", new)
        cleaner.go_on.set()
        # The next compaction, of another topic, comes after this one's end.
        at.create_topic("other", COMPACTED)
        fill(at, "other", 30)
        compacted(at, rounds(1, start=29), "other")
        assert contents(at) == new
    with run_broker(EAGER, data_dir=str(tmp_path)) as broker:
        at = Clients(broker.bootstrap_servers)
        assert contents(at) == new
        assert not [path.name for path in (tmp_path / "t-0").iterdir() if path.suffix == ".cleaned"]
        fill(at, "t", 30)
        compacted(at, rounds(1, start=29))
