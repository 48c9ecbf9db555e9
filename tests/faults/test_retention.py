"""Retention and topic configuration through a live broker: applied at once, and kept over restarts."""

import time
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaException, TopicPartition

from .broker_process import BrokerProcess
from .clients import Clients, eventually, insist

EAGER = {
    "log.retention.check.interval.ms": "100",
    "log.initial.task.delay.ms": "0",
    "log.flush.start.offset.checkpoint.interval.ms": "100",
    "log.flush.offset.checkpoint.interval.ms": "100",
}
SMALL = {"internal.segment.bytes": "10000", "file.delete.delay.ms": "100"}
HUNDRED = [(None, b"%03d" % number + b"x" * 990) for number in range(100)]


@pytest.fixture
def broker(start_broker: Callable[..., BrokerProcess]) -> BrokerProcess:
    return start_broker(EAGER)


@pytest.fixture
def at(broker: BrokerProcess, clients: Callable[[BrokerProcess], Clients]) -> Clients:
    return clients(broker)


def produce(at: Clients, topic: str = "t") -> None:
    """A hundred records of a kilobyte, nine to a segment."""
    at.produce(topic, HUNDRED, batch_num_messages=1)


def numbers(at: Clients) -> list[int]:
    return [int(message.value()[:3]) for message in insist(at.read, "t")]  # type: ignore[index]


def log_bytes(broker: BrokerProcess) -> int:
    return sum(log.stat().st_size for log in broker.partition("t").glob("*.log"))


def test_a_log_keeps_to_its_size(broker: BrokerProcess, at: Clients) -> None:
    at.create_topic("t", {**SMALL, "retention.bytes": "30000"})
    produce(at)
    eventually(lambda: at.offsets("t")[0] > 50)
    low, high = at.offsets("t")
    assert high == 100
    # As in Kafka a segment goes when what is left without it is still as much as is wanted.
    assert 30_000 <= log_bytes(broker) < 41_000
    assert numbers(at) == list(range(low, 100))
    for restart in (broker.restart, broker.kill_and_start):
        restart()
        assert numbers(at) == list(range(low, 100))
    eventually(lambda: not list(broker.partition("t").glob("*.deleted")))


def test_old_records_go_and_the_log_goes_on_where_it_was(broker: BrokerProcess, at: Clients) -> None:
    at.create_topic("t", SMALL)
    produce(at)
    assert numbers(at) == list(range(100))
    at.configure("t", retention_ms="1")
    eventually(lambda: at.offsets("t") == (100, 100))
    at.configure("t", retention_ms="-1")
    broker.kill_and_start()
    assert insist(at.offsets, "t") == (100, 100)
    produce(at)
    assert at.offsets("t") == (100, 200)
    broker.restart()
    assert numbers(at) == list(range(100))


def test_removed_records_stay_removed(broker: BrokerProcess, at: Clients) -> None:
    at.create_topic("t", SMALL)
    produce(at)
    where = TopicPartition("t", 0, 42)
    assert at.admin.delete_records([where])[where].result(20).low_watermark == 42
    assert numbers(at) == list(range(42, 100))
    eventually(lambda: log_bytes(broker) < 70_000)
    checkpoint = broker.data / "log-start-offset-checkpoint"
    eventually(lambda: checkpoint.exists() and "t 0 42" in checkpoint.read_text())
    for restart in (broker.kill_and_start, broker.restart):
        restart()
        assert numbers(at) == list(range(42, 100))
    consumer = at.consumer(auto_offset_reset="earliest")
    consumer.assign([TopicPartition("t", 0, 7)])
    first = eventually(lambda: consumer.poll(0.5))
    assert first.offset() == 42
    consumer.close()


def test_records_cannot_be_removed_past_the_end(at: Clients) -> None:
    at.create_topic("t", SMALL)
    produce(at)
    where = TopicPartition("t", 0, 101)
    with pytest.raises(KafkaException, match="OFFSET_OUT_OF_RANGE"):
        at.admin.delete_records([where])[where].result(20)


def test_configuration_applies_at_once_and_stays(broker: BrokerProcess, at: Clients) -> None:
    at.create_topic("t")
    produce(at)
    at.configure("t", max_message_bytes="500")
    for restart in (lambda: None, broker.restart, broker.kill_and_start):
        restart()
        with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
            insist_unless_too_large(at)
    at.configure("t", max_message_bytes="100000", message_timestamp_type="LogAppendTime")
    before_ms = time.time() * 1000 - 1
    at.produce("t", [(None, b"x")])
    kind, timestamp_ms = at.read("t")[-1].timestamp()
    assert (kind, timestamp_ms >= before_ms) == (2, True)


def insist_unless_too_large(at: Clients) -> None:
    """A thousand bytes, once the topic is there after a restart."""
    insist(at.offsets, "t")
    at.produce("t", HUNDRED[:1])


def test_a_smaller_segment_applies_to_the_next_append(broker: BrokerProcess, at: Clients) -> None:
    at.create_topic("t")
    produce(at)
    assert len(list(broker.partition("t").glob("*.log"))) == 1
    at.configure("t", internal_segment_bytes="10000")
    produce(at)
    assert len(list(broker.partition("t").glob("*.log"))) > 10
