"""Records appended, and refused."""

from __future__ import annotations

import uuid
from typing import Any

from ottla.records.varint import encode_varint

from . import batches
from .batches import START_MS, batch, patched
from .scenario import Ask, scenario

NOWHERE = uuid.UUID(int=77)


def produce(ask: Ask, topic: dict[str, Any], *partitions: tuple[int, bytes | None], **fields: Any) -> None:
    data = [{"index": index, "records": records} for index, records in partitions]
    topic_data = [{**topic, "partition_data": data}]
    ask("Produce", **{"acks": -1, "timeout_ms": 10_000, "topic_data": topic_data, **fields})


def read_back(ask: Ask, topic: dict[str, Any], offset: int = 0) -> None:
    partition = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20}
    topics = [{"topic": topic["name"], "topic_id": topic["topic_id"], "partitions": [partition]}]
    ask("Fetch", max_wait_ms=0, min_bytes=0, max_bytes=1 << 20, topics=topics)


@scenario("Produce")
def test_produce(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    for acks in (-1, 1):
        produce(ask, topic, (0, batch(b"a", None, b"")), (1, batch(b"b", key=None)), acks=acks)
    produce(ask, topic, (0, batch(b"h", headers=(("h", b"1"), ("h", None), ("", b"")))))
    read_back(ask, topic)


@scenario("Produce")
def test_produce_in_every_codec(ask: Ask) -> None:
    topic = ask.topic()
    for codec in batches.CODECS:
        produce(ask, topic, (0, batch(b"x" * 100, b"y" * 100, codec=codec)))
    read_back(ask, topic)


@scenario("Produce", versions=(3, 7))
def test_produce_zstd_before_its_version(ask: Ask) -> None:
    produce(ask, ask.topic(), (0, batch(b"x" * 100, codec="zstd")))


@scenario("Produce")
def test_produce_to_unknown_topics(ask: Ask) -> None:
    topic = ask.topic()
    produce(ask, {"name": ask.name("nowhere"), "topic_id": NOWHERE}, (0, batch(b"v")))
    for index in (1, -1, 2**31 - 1):
        produce(ask, topic, (index, batch(b"v")), (0, batch(b"v")))


@scenario("Produce", versions=(3, 8, 12))
def test_produce_to_invalid_names(ask: Ask) -> None:
    for name in ("", "a b", "x" * 250):
        produce(ask, {"name": name}, (0, batch(b"v")))


@scenario("Produce")
def test_produce_with_odd_acks(ask: Ask) -> None:
    topic = ask.topic()
    for acks in (2, -2):
        produce(ask, topic, (0, batch(b"v")), acks=acks)


@scenario("Produce")
def test_produce_nothing(ask: Ask) -> None:
    topic = ask.topic()
    ask("Produce", acks=-1, timeout_ms=1000, topic_data=[])
    produce(ask, topic)
    produce(ask, topic, (0, b""))  # null is never answered by Kafka


@scenario("Produce", versions=(3, 13))
def test_produce_twice_in_one_request(ask: Ask) -> None:
    topic = ask.topic()
    produce(ask, topic, (0, batch(b"a") + batch(b"b")))
    produce(ask, topic, (0, batch(b"a")), (0, batch(b"b")))
    read_back(ask, topic)


@scenario("Produce", versions=(3, 13))
def test_produce_odd_records(ask: Ask) -> None:
    topic = ask.topic()
    good = bytes((0, 0, 0)) + encode_varint(1) + b"k" + encode_varint(1) + b"v" + encode_varint(0)
    sized = encode_varint(len(good)) + good
    for payload, count in (
        (sized, 1), (sized + sized, 2), (sized + b"\0", 1), (sized, 2), (sized + sized, 1), (b"", 1),
        (b"", 0),
        (encode_varint(len(good) + 1) + good + b"\0", 1),
        (encode_varint(len(good) - 1) + good, 1),
        (encode_varint(6) + bytes((0, 0, 0)) + encode_varint(50) + b"k" + encode_varint(0), 1),
        (encode_varint(6) + bytes((0, 0, 0)) + encode_varint(-1) + encode_varint(-1) + encode_varint(-1), 1),
        (encode_varint(6) + bytes((0, 0, 0)) + encode_varint(-5) + encode_varint(-7) + encode_varint(0), 1),
        (encode_varint(-1), 1), (b"\xff" * 20, 1),
    ):  # fmt: skip
        produce(ask, topic, (0, batches.with_payload(payload, count)))


@scenario("Produce", versions=(3, 13))
def test_produce_odd_headers_of_batches(ask: Ask) -> None:
    topic = ask.topic()
    good = batch(b"a", b"b")
    for changes in (
        [(0, "q", 5)], [(0, "q", -1)], [(12, "i", 7)], [(8, "i", len(good))], [(8, "i", 10)], [(8, "i", -1)],
        [(16, "b", 3)], [(16, "b", -1)],
        [(21, "h", 0x20)], [(21, "h", 0x08)], [(21, "h", 0x40)], [(21, "h", 0x80)], [(21, "h", 7)],
        [(21, "h", 1)],
        [(23, "i", 0)], [(23, "i", 5)], [(23, "i", -1)],
        [(57, "i", 1)], [(57, "i", 3)], [(57, "i", 0)], [(57, "i", -1)],
        [(53, "i", 3)], [(43, "q", 5)], [(51, "h", 3)], [(43, "q", -2)],
    ):  # fmt: skip
        produce(ask, topic, (0, patched(good, changes)))
    produce(ask, topic, (0, patched(good, [(17, "I", 1)], crc=False)))
    produce(ask, topic, (0, good[:-1]))
    produce(ask, topic, (0, good[:40]))
    produce(ask, topic, (0, good[:5]))
    produce(ask, topic, (0, good + b"\0"))


@scenario("Produce", versions=(3, 13))
def test_produce_old_magic(ask: Ask) -> None:
    topic = ask.topic()
    for magic in (0, 1):
        produce(ask, topic, (0, patched(batch(b"a"), [(16, "b", magic)])))


@scenario("Produce", versions=(13,))
def test_produce_odd_compressed_records(ask: Ask) -> None:
    topic = ask.topic()
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        good = batch(b"x" * 100, b"y" * 100, codec=codec)
        produce(ask, topic, (0, patched(good[:61], [(8, "i", 49)])))
        produce(ask, topic, (0, patched(good, [(70, "q", 0)])))
        produce(ask, topic, (0, patched(good, [(57, "i", 3), (23, "i", 2)])))
        produce(ask, topic, (0, patched(good, [(57, "i", 1), (23, "i", 0)])))
        produce(ask, topic, (0, patched(good[:-3], [(8, "i", len(good) - 15)])))


@scenario("Produce", versions=(13,))
def test_produce_too_large(ask: Ask) -> None:
    topic = ask.topic(max_message_bytes="200")
    produce(
        ask,
        topic,
        (0, batch(b"x" * 300)),
    )
    produce(ask, topic, (0, batch(b"x" * 300, codec="gzip")))
    produce(ask, topic, (0, batch(b"x" * 100)))


@scenario("Produce", versions=(13,))
def test_produce_odd_times(ask: Ask) -> None:
    topic = ask.topic(message_timestamp_after_max_ms="1000", message_timestamp_before_max_ms="1000")
    for time in (-1, 0, -2, START_MS, 2**62):
        produce(ask, topic, (0, patched(batch(b"a"), [(27, "q", time), (35, "q", time)])))


@scenario("Produce", versions=(13,))
def test_produce_with_a_wrong_greatest_time(ask: Ask) -> None:
    topic = ask.topic()
    produce(ask, topic, (0, patched(batch(b"a", b"b", b"c"), [(35, "q", START_MS + 1000)])))
    for time in (-3, START_MS + 1500, START_MS + 2500):
        listed = [{"name": topic["name"], "partitions": [{"partition_index": 0, "timestamp": time}]}]
        ask("ListOffsets", replica_id=-1, topics=listed)


@scenario("Produce", versions=(2 + 1, 13))
def test_produce_to_append_time(ask: Ask) -> None:
    topic = ask.topic(message_timestamp_type="LogAppendTime")
    data = [{**topic, "partition_data": [{"index": 0, "records": batch(b"a", b"b")}]}]
    answer = ask.quietly("Produce", acks=-1, timeout_ms=1000, topic_data=data)
    partition = answer["responses"][0]["partition_responses"][0]
    ask.note("Produce", None, {**partition, "log_append_time_ms": partition["log_append_time_ms"] > START_MS})
    read_back(ask, topic)


@scenario("Produce", versions=(5, 13))
def test_produce_to_compacted(ask: Ask) -> None:
    topic = ask.topic(cleanup_policy="compact")
    produce(ask, topic, (0, batch(b"a", key=None)))
    produce(ask, topic, (0, batch(b"a", key=None, codec="gzip")))
    produce(ask, topic, (0, batch(b"a", key=b"")))


@scenario("Produce", versions=(3, 13))
def test_produce_compressed_by_the_broker(ask: Ask) -> None:
    topic = ask.topic(compression_type="uncompressed")
    produce(ask, topic, (0, batch(b"a", b"b", codec="gzip")))
    produce(ask, topic, (0, batch(b"a", b"b")))
    read_back(ask, topic)


@scenario("Produce", versions=(3, 8, 12))
def test_produce_to_internal_topics(ask: Ask) -> None:
    produce(ask, {"name": "__consumer_offsets"}, (0, batch(b"v")))


@scenario("Produce", versions=(13,))
def test_produce_with_too_few_replicas(ask: Ask) -> None:
    topic = ask.topic(min_insync_replicas="2")
    for acks in (1, -1):
        produce(ask, topic, (0, batch(b"v")), acks=acks)


@scenario("Produce", versions=(3, 13))
def test_produce_idempotently(ask: Ask) -> None:
    topic = ask.topic()
    producer = ask("InitProducerId", transactional_id=None, transaction_timeout_ms=60_000)["producer_id"]

    def append(sequence: int, *values: bytes, epoch: int = 0, producer_id: int = producer) -> None:
        numbered = batch(*values, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)
        produce(ask, topic, (0, numbered))

    append(0, b"a", b"b")
    append(0, b"a", b"b")
    append(0, b"a")
    append(3, b"c")
    append(2, b"c")
    append(1, b"b")
    for _ in range(6):
        append(0, b"a", b"b")
    for sequence in range(3, 9):
        append(sequence, b"d")
    append(2, b"c")
    append(0, b"a", b"b")
    append(5, b"e", epoch=1)
    append(0, b"e", epoch=1)
    append(1, b"e", epoch=0)
    append(0, b"e", epoch=-1)
    append(-1, b"e", epoch=1)
    append(7, b"e", producer_id=producer + 500_000)
    append(2**31 - 1, b"e", b"f", producer_id=producer + 500_001)
    described = [{"name": topic["name"], "partition_indexes": [0]}]
    answer = ask.quietly("DescribeProducers", topics=described)["topics"][0]["partitions"][0]
    for each in answer["active_producers"]:
        each["last_timestamp"] = "<time>"
    ask.note("DescribeProducers", None, answer)


@scenario("Produce", versions=(3, 13))
def test_produce_two_numbered_batches(ask: Ask) -> None:
    topic = ask.topic()
    numbered = {"producer_id": 4_000, "producer_epoch": 0}
    two = batch(b"a", base_sequence=0, **numbered) + batch(b"b", base_sequence=1, **numbered)
    produce(ask, topic, (0, two))


@scenario("DescribeProducers")
def test_producers(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    for name in (topic["name"], ask.name("nowhere"), "", "a b"):
        ask("DescribeProducers", topics=[{"name": name, "partition_indexes": [0, 1, 2, -1]}])
    ask("DescribeProducers", topics=[{"name": topic["name"], "partition_indexes": []}])
    ask("DescribeProducers", topics=[])


@scenario("InitProducerId")
def test_init_producer_id(ask: Ask) -> None:
    ask("InitProducerId", transactional_id=None, transaction_timeout_ms=60_000)
    ask("InitProducerId", transactional_id=None, transaction_timeout_ms=0)
    ask("InitProducerId", transactional_id=None, transaction_timeout_ms=-1)


@scenario("InitProducerId", versions=(3, 4, 5))
def test_init_producer_id_again(ask: Ask) -> None:
    producer = ask("InitProducerId", transactional_id=None, transaction_timeout_ms=1)["producer_id"]
    for producer_id, epoch in ((producer, 0), (producer, 5), (producer + 100_000, 0), (0, 0), (-1, -1)):
        ask(
            "InitProducerId",
            transactional_id=None,
            transaction_timeout_ms=1,
            producer_id=producer_id,
            producer_epoch=epoch,
        )


@scenario("InitProducerId", versions=(3, 5))
def test_init_producer_id_by_half(ask: Ask) -> None:
    for producer_id, epoch in ((5, -1), (-1, 5), (-2, 5), (5, -2), (-2, -2)):
        ask(
            "InitProducerId",
            transactional_id=None,
            transaction_timeout_ms=1,
            producer_id=producer_id,
            producer_epoch=epoch,
        )
