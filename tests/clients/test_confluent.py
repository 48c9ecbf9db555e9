"""confluent-kafka (librdkafka): records in, the same records out."""

import itertools
import random
import time

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    KafkaError,
    KafkaException,
    TopicPartition,
)

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


@pytest.mark.parametrize("idempotence", [False, True], ids=["plain", "idempotent"])
@pytest.mark.parametrize("codec", CODECS)
def test_records_come_back_as_they_were_sent(confluent, make_topic, codec, idempotence):
    topic = make_topic(partitions=3)
    records = [
        {
            "partition": n % 3,
            "key": None if n % 5 == 0 else f"key-{n}".encode(),
            "value": None if n % 7 == 0 else b"" if n % 11 == 0 else f"value-{n}".encode() * (n % 40 + 1),
            "headers": [("n", str(n).encode()), ("n", b"again"), ("none", None), ("empty", b"")]
            if n % 3
            else [],
            "timestamp": 1_600_000_000_000 + n,
        }
        for n in range(600)
    ]
    client = confluent.producer(compression_type=codec, enable_idempotence=idempotence, linger_ms=20)
    delivered = confluent.produce(client, topic, records)
    assert sorted((m.partition(), m.offset()) for m in delivered) == [
        (p, o) for p in range(3) for o in range(200)
    ]
    for partition in range(3):
        sent = [record for record in records if record["partition"] == partition]
        for offset, (message, record) in enumerate(
            zip(confluent.read_from(topic, 200, partition=partition), sent, strict=True)
        ):
            assert message.offset() == offset
            assert (message.key(), message.value()) == (record["key"], record["value"])
            assert (message.headers() or []) == record["headers"]
            assert message.timestamp() == (TIMESTAMP_CREATE_TIME, record["timestamp"])


@pytest.mark.parametrize("codec", CODECS)
def test_records_from_one_byte_to_900_kb(confluent, make_topic, codec):
    topic = make_topic()
    noise = random.Random(codec)
    values = [noise.randbytes(size) for size in (1, 2, 100, 1_000, 16_000, 100_000, 500_000, 900_000)]
    confluent.produce(
        confluent.producer(compression_type=codec), topic, [{"value": value} for value in values]
    )
    assert [message.value() for message in confluent.read_from(topic, len(values))] == values


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_every_level_of_acknowledgement(confluent, make_topic, acks):
    topic = make_topic()
    confluent.produce(confluent.producer(acks=acks), topic, [{"value": b"v"}] * 10)
    assert len(confluent.read_from(topic, 10)) == 10


def test_order_holds_with_many_idempotent_batches_in_flight(confluent, make_topic):
    topic = make_topic()
    client = confluent.producer(enable_idempotence=True, batch_num_messages=50, linger_ms=0)
    confluent.produce(client, topic, [{"value": b"%d" % n} for n in range(20_000)])
    assert [int(message.value()) for message in confluent.read_from(topic, 20_000)] == list(range(20_000))


def test_a_batch_larger_than_the_topic_allows_is_refused(confluent, make_topic):
    topic = make_topic(config={"max.message.bytes": "10000"})
    client = confluent.producer()
    with pytest.raises(KafkaException) as refused:
        confluent.produce(client, topic, [{"value": bytes(20_000)}])
    assert refused.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    confluent.produce(client, topic, [{"value": bytes(9_000)}])


def test_a_record_larger_than_every_fetch_limit_is_still_read(confluent, make_topic):
    topic = make_topic()
    confluent.produce(confluent.producer(), topic, [{"value": bytes(500_000)}, {"value": b"after"}])
    messages = confluent.read_from(topic, 2, fetch_message_max_bytes=1000)
    assert [len(message.value()) for message in messages] == [500_000, 5]


@pytest.mark.parametrize("codec", CODECS)
def test_reading_starts_in_the_middle_of_a_batch(confluent, make_topic, codec):
    topic = make_topic()
    client = confluent.producer(compression_type=codec, linger_ms=1000)
    confluent.produce(client, topic, [{"value": b"%d" % n} for n in range(100)])
    for offset in (1, 57, 99):
        messages = confluent.read_from(topic, 100 - offset, offset=offset)
        assert [(m.offset(), int(m.value())) for m in messages] == [(n, n) for n in range(offset, 100)]


def test_the_brokers_clock_when_the_topic_says_so(confluent, make_topic):
    topic = make_topic(config={"message.timestamp.type": "LogAppendTime"})
    before = time.time_ns() // 1_000_000
    confluent.produce(confluent.producer(), topic, [{"value": b"v", "timestamp": 1_000}])
    after = time.time_ns() // 1_000_000
    kind, timestamp = confluent.read_from(topic, 1)[0].timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    assert before <= timestamp <= after


@pytest.mark.parametrize("compression", ["gzip", "uncompressed", "producer"])
def test_the_topic_chooses_the_compression(confluent, make_topic, compression):
    topic = make_topic(config={"compression.type": compression})
    records = [{"key": b"k%d" % n, "value": b"v%d" % n, "headers": [("h", b"%d" % n)]} for n in range(50)]
    confluent.produce(confluent.producer(compression_type="lz4", linger_ms=50), topic, records)
    messages = confluent.read_from(topic, 50)
    assert [{"key": m.key(), "value": m.value(), "headers": m.headers()} for m in messages] == records


def test_seek_and_watermarks(confluent, make_topic):
    topic = make_topic()
    confluent.produce(confluent.producer(), topic, [{"value": b"%d" % n} for n in range(50)])
    client = confluent.consumer()
    client.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert len(confluent.read(client, 50)) == 50
    assert client.position([TopicPartition(topic, 0)])[0].offset == 50
    for offset in (10, 49, 0):
        client.seek(TopicPartition(topic, 0, offset))
        assert confluent.read(client, 1)[0].offset() == offset
    assert client.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (0, 50)
    client.seek(TopicPartition(topic, 0, OFFSET_END))
    time.sleep(0.2)
    confluent.produce(confluent.producer(), topic, [{"value": b"new"}])
    assert confluent.read(client, 1)[0].value() == b"new"
    client.close()


def test_offsets_for_times(confluent, make_topic):
    topic = make_topic(partitions=2)
    client = confluent.producer(linger_ms=100)
    for start in (0, 100):  # two batches, so that answers come from inside of both
        confluent.produce(
            client,
            topic,
            [{"value": b"v", "partition": 0, "timestamp": 1_000 + (start + n) * 10} for n in range(100)],
        )
    looker = confluent.consumer()

    def lookup(timestamp: int, partition: int = 0) -> int:
        return int(
            looker.offsets_for_times([TopicPartition(topic, partition, timestamp)], timeout=10)[0].offset
        )

    assert [lookup(t) for t in (0, 1_000, 1_001, 1_995, 2_000, 2_990)] == [0, 0, 1, 100, 100, 199]
    assert lookup(2_991) == OFFSET_END
    assert lookup(0, partition=1) == OFFSET_END
    looker.close()


def test_reading_outside_of_the_log(confluent, make_topic):
    topic = make_topic()
    confluent.produce(confluent.producer(), topic, [{"value": b"v"}] * 5)
    with pytest.raises(KafkaException) as refused:
        confluent.read_from(topic, 1, offset=100, auto_offset_reset="error")
    assert refused.value.args[0].code() == KafkaError._AUTO_OFFSET_RESET
    assert confluent.read_from(topic, 1, offset=100)[0].offset() == 0


def test_the_end_of_a_partition_is_told(confluent, make_topic):
    topic = make_topic()
    confluent.produce(confluent.producer(), topic, [{"value": b"v"}] * 3)
    client = confluent.consumer(enable_partition_eof=True)
    client.assign([TopicPartition(topic, 0, 0)])
    messages = list(itertools.islice(iter(lambda: client.poll(10), None), 4))
    assert [m.error() is None for m in messages] == [True, True, True, False]
    assert messages[3].error().code() == KafkaError._PARTITION_EOF
    assert messages[3].offset() == 3
    client.close()


def test_a_topic_springs_up_when_it_is_first_produced_to(confluent, new_name):
    topic = new_name("sprung")
    confluent.produce(confluent.producer(), topic, [{"value": b"first"}])
    assert confluent.read_from(topic, 1)[0].value() == b"first"


def test_a_reader_does_not_create_topics(confluent, new_name):
    client = confluent.consumer(new_name("group"))
    topic = new_name("absent")
    client.subscribe([topic])
    message = client.poll(10)
    assert message.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    client.close()
    assert topic not in confluent.consumer().list_topics(timeout=10).topics


def test_a_read_committed_reader_reads_plain_records(confluent, make_topic):
    topic = make_topic()
    confluent.produce(confluent.producer(), topic, [{"value": b"v"}] * 20)
    assert len(confluent.read_from(topic, 20, isolation_level="read_committed")) == 20


def test_a_new_record_wakes_a_waiting_reader(confluent, make_topic):
    topic = make_topic()
    client = confluent.consumer(fetch_wait_max_ms=20_000)
    client.assign([TopicPartition(topic, 0, 0)])
    assert client.poll(1) is None
    confluent.produce(confluent.producer(), topic, [{"value": b"wake"}])
    assert client.poll(10).value() == b"wake"
    client.close()


def test_metadata_names_brokers_topics_and_partitions(confluent, make_topic):
    topic = make_topic(partitions=4)
    metadata = confluent.consumer().list_topics(topic, timeout=10)
    assert confluent.bootstrap in {f"{node.host}:{node.port}" for node in metadata.brokers.values()}
    assert metadata.controller_id in metadata.brokers
    assert sorted(metadata.topics[topic].partitions) == [0, 1, 2, 3]
    for partition in metadata.topics[topic].partitions.values():
        assert partition.leader in partition.replicas
        assert sorted(partition.isrs) == sorted(partition.replicas)
