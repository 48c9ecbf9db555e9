"""kafka-python: records, offsets and groups."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import CommitFailedError, KafkaError, MessageSizeTooLargeError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
ASSIGNORS = [RangePartitionAssignor, RoundRobinPartitionAssignor, CooperativeStickyAssignor]


@pytest.fixture
def start(broker) -> Iterator[Callable[..., Any]]:
    """Start a client of kafka-python; it is closed after the test."""
    clients: list[Any] = []

    def started(kind: Any, *topics: str, **settings: Any) -> Any:
        clients.append(kind(*topics, bootstrap_servers=broker.bootstrap, **settings))
        return clients[-1]

    yield started
    for client in reversed(clients):
        client.close()


def read(consumer: KafkaConsumer, count: int) -> list[Any]:
    records: list[Any] = []
    deadline = time.monotonic() + 30
    while len(records) < count and time.monotonic() < deadline:
        for polled in consumer.poll(500, max_records=count - len(records)).values():
            records += polled
    assert len(records) == count
    return records


def read_topic(
    start: Any, topic: str, count: int, partition: int = 0, offset: int = 0, **settings: Any
) -> list[Any]:
    consumer = start(KafkaConsumer, **settings)
    where = TopicPartition(topic, partition)
    consumer.assign([where])
    consumer.seek(where, offset)
    return read(consumer, count)


@pytest.mark.parametrize("idempotence", [False, True], ids=["plain", "idempotent"])
@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_as_they_were_sent(start, make_topic, codec, idempotence):
    topic = make_topic(partitions=2)
    producer = start(KafkaProducer, compression_type=codec, enable_idempotence=idempotence, linger_ms=20)
    sent = [
        {
            "partition": n % 2,
            "key": None if n % 5 == 1 else b"key-%d" % n,
            "value": None if n % 5 == 3 else b"value-%d" % n * (n % 40 + 1),
            "headers": [("n", b"%d" % n), ("n", b"again"), ("empty", b"")] if n % 3 else [],
            "timestamp_ms": 1_600_000_000_000 + n,
        }
        for n in range(200)
    ]
    reports = [future.get(30) for future in [producer.send(topic, **record) for record in sent]]
    assert [(r.partition, r.offset) for r in reports] == [(n % 2, n // 2) for n in range(200)]
    for partition in range(2):
        assert [
            {
                "partition": r.partition,
                "key": r.key,
                "value": r.value,
                "headers": list(r.headers),
                "timestamp_ms": r.timestamp,
            }
            for r in read_topic(start, topic, 100, partition)
        ] == sent[partition::2]


@pytest.mark.parametrize("codec", CODECS)
def test_records_from_one_byte_to_900_kb(start, make_topic, codec):
    topic = make_topic()
    noise = random.Random(codec)
    values = [noise.randbytes(size) for size in (1, 100, 10_000, 900_000)]
    producer = start(KafkaProducer, compression_type=codec)
    for value in values:
        producer.send(topic, value).get(30)
    assert [record.value for record in read_topic(start, topic, len(values))] == values


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_every_level_of_acknowledgement(start, make_topic, acks):
    topic = make_topic()
    producer = start(KafkaProducer, acks=acks, enable_idempotence=False)
    for _ in range(5):
        producer.send(topic, b"v")
    producer.flush(30)
    assert len(read_topic(start, topic, 5)) == 5


def test_a_batch_larger_than_the_topic_allows_is_refused(start, make_topic):
    topic = make_topic(config={"max.message.bytes": "1000"})
    with pytest.raises(MessageSizeTooLargeError):
        start(KafkaProducer).send(topic, bytes(5_000)).get(30)


def test_reading_starts_in_the_middle_of_a_batch(start, make_topic):
    topic = make_topic()
    producer = start(KafkaProducer, linger_ms=500, compression_type="lz4")
    for n in range(100):
        producer.send(topic, b"%d" % n)
    producer.flush(30)
    for offset in (1, 57, 99):
        records = read_topic(start, topic, 100 - offset, offset=offset)
        assert [(r.offset, int(r.value)) for r in records] == [(n, n) for n in range(offset, 100)]


def test_seeking_and_the_ends_of_a_partition(start, make_topic):
    topic = make_topic()
    producer = start(KafkaProducer)
    for n in range(20):
        producer.send(topic, b"%d" % n).get(30)
    where = TopicPartition(topic, 0)
    consumer = start(KafkaConsumer)
    consumer.assign([where])
    assert consumer.beginning_offsets([where]) == {where: 0}
    assert consumer.end_offsets([where]) == {where: 20}
    consumer.seek_to_beginning(where)
    assert [r.offset for r in read(consumer, 20)] == list(range(20))
    consumer.seek(where, 12)
    assert read(consumer, 1)[0].offset == 12
    consumer.seek_to_end(where)
    assert consumer.position(where) == 20
    producer.send(topic, b"new").get(30)
    assert read(consumer, 1)[0].value == b"new"
    assert consumer.highwater(where) == 21


def test_offsets_for_times(start, make_topic):
    topic = make_topic()
    producer = start(KafkaProducer)
    for n in range(10):
        producer.send(topic, b"v", timestamp_ms=1_000 + n * 10).get(30)
    consumer = start(KafkaConsumer)
    where = TopicPartition(topic, 0)

    def lookup(timestamp: int) -> Any:
        return consumer.offsets_for_times({where: timestamp})[where]

    assert [lookup(t).offset for t in (0, 1_000, 1_001, 1_090)] == [0, 0, 1, 9]
    assert lookup(1_001).timestamp == 1_010
    assert lookup(1_091) is None


def test_the_brokers_clock_when_the_topic_says_so(start, make_topic):
    topic = make_topic(config={"message.timestamp.type": "LogAppendTime"})
    before = time.time_ns() // 1_000_000
    report = start(KafkaProducer).send(topic, b"v", timestamp_ms=5).get(30)
    (record,) = read_topic(start, topic, 1)
    assert record.timestamp_type == 1
    assert record.timestamp == report.timestamp >= before


def test_reading_outside_of_the_log(start, make_topic):
    with pytest.raises(OffsetOutOfRangeError):
        read_topic(start, make_topic(), 1, offset=100, auto_offset_reset="none")


def test_a_topic_springs_up_when_it_is_first_produced_to(start, new_name):
    topic = new_name("sprung")
    start(KafkaProducer).send(topic, b"first").get(30)
    assert read_topic(start, topic, 1)[0].value == b"first"


def test_topics_and_partitions_are_known(start, make_topic):
    topic = make_topic(partitions=3)
    consumer = start(KafkaConsumer)
    assert consumer.partitions_for_topic(topic) == {0, 1, 2}
    assert topic in consumer.topics()


class Member(threading.Thread):
    """A member of a group that reads and commits until it is told to leave."""

    def __init__(self, bootstrap: str, topic: str, **settings: Any) -> None:
        super().__init__(daemon=True)
        self.assigned: set[TopicPartition] = set()
        self.seen: set[int] = set()
        self._consumer = KafkaConsumer(
            topic, bootstrap_servers=bootstrap, enable_auto_commit=False, **settings
        )
        self._leaving = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._leaving.is_set():
            for records in self._consumer.poll(500).values():
                self.seen.update(int(record.value) for record in records)
            with contextlib.suppress(KafkaError):  # a rebalance may be under way
                self._consumer.commit()
            self.assigned = self._consumer.assignment()
        self._consumer.close()
        self.assigned = set()

    def leave(self) -> None:
        self._leaving.set()
        self.join(20)


@pytest.fixture
def join(broker, make_topic, new_name) -> Iterator[Callable[..., Member]]:
    """Join a member to the test's group on its topic of four partitions."""
    members: list[Member] = []
    topic, group = make_topic(partitions=4), new_name("group")

    def joined(**settings: Any) -> Member:
        quick = {"session_timeout_ms": 10_000, "heartbeat_interval_ms": 200}
        members.append(
            Member(
                broker.bootstrap,
                topic,
                **{"group_id": group, "auto_offset_reset": "earliest", **quick, **settings},
            )
        )
        return members[-1]

    joined.topic, joined.group = topic, group  # type: ignore[attr-defined]
    yield joined
    for member in members:
        member.leave()


@pytest.mark.parametrize("assignor", ASSIGNORS, ids=lambda assignor: assignor.name)
def test_every_record_is_read_while_members_come_and_go(start, join, eventually, assignor):
    producer = start(KafkaProducer)

    def send(numbers: range) -> None:
        for future in [producer.send(join.topic, b"%d" % n, partition=n % 4) for n in numbers]:
            future.get(30)

    def shares(*members: Member) -> bool:
        sizes = sorted(len(member.assigned) for member in members)
        together = set().union(*(member.assigned for member in members))
        return min(sizes) > 0 and sum(sizes) == len(together) == 4

    send(range(100))
    first = join(partition_assignment_strategy=(assignor,))
    eventually(lambda: shares(first))
    second = join(partition_assignment_strategy=(assignor,))
    eventually(lambda: shares(first, second))
    send(range(100, 200))
    first.leave()
    eventually(lambda: shares(second))
    send(range(200, 300))
    eventually(lambda: first.seen | second.seen == set(range(300)))
    second.leave()
    consumer = start(KafkaConsumer, group_id=join.group)
    assert [consumer.committed(TopicPartition(join.topic, p)) for p in range(4)] == [75] * 4


def test_a_static_member_comes_back_to_its_partitions(join, eventually):
    stays = join(group_instance_id="stays")
    returns = join(group_instance_id="returns")
    eventually(lambda: len(stays.assigned) == len(returns.assigned) == 2)
    before = returns.assigned
    returns.leave()
    returned = join(group_instance_id="returns")
    eventually(lambda: returned.assigned == before)
    assert len(stays.assigned) == 2


def test_commits_keep_offset_and_metadata(start, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    producer = start(KafkaProducer)
    for n in range(10):
        producer.send(topic, b"%d" % n).get(30)
    settings = {"group_id": group, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    where = TopicPartition(topic, 0)
    consumer = start(KafkaConsumer, topic, **settings)
    read(consumer, 10)
    assert consumer.committed(where) is None
    consumer.commit({where: OffsetAndMetadata(4, "why", -1)})
    assert consumer.committed(where, metadata=True) == OffsetAndMetadata(4, "why", -1)
    consumer.close()
    again = start(KafkaConsumer, topic, **settings)
    assert [int(r.value) for r in read(again, 6)] == [4, 5, 6, 7, 8, 9]


def test_a_stranger_may_not_commit_for_a_living_group(start, join, eventually):
    where = TopicPartition(join.topic, 0)
    stranger = start(KafkaConsumer, group_id=join.group, enable_auto_commit=False)
    stranger.assign([where])
    stranger.commit({where: OffsetAndMetadata(3, "", -1)})
    member = join()
    eventually(lambda: len(member.assigned) == 4)
    with pytest.raises(CommitFailedError):
        stranger.commit({where: OffsetAndMetadata(5, "", -1)})
