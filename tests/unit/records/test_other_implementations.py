"""Batches against those of two Kafka clients' own record builders, both ways."""

import warnings
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch as AiokafkaBatch
from aiokafka.record.default_records import DefaultRecordBatchBuilder as AiokafkaBuilder

from ottla.records.batch import ATTRIBUTES, parse_header
from ottla.records.codec import Record, decode_batch, encode_batch
from ottla.records.compression import Codec
from ottla.records.validation import validate

from .produced import DEFAULT

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of importlib.resources, which kafka-python calls
    from kafka.record.default_records import DefaultRecordBatch as KafkaPythonBatch
    from kafka.record.default_records import DefaultRecordBatchBuilder as KafkaPythonBuilder

NOW = 1_700_000_000_000
RECORDS = [
    Record(0, NOW, b"key", b"value", (("h", b"x"), ("nothing", None), ("ключ", b""))),
    Record(1, NOW + 70, None, b"", ()),
    Record(2, NOW - 9000, b"", None, ()),
    *(Record(i, NOW + i, b"k" * i, b"v" * 90 * i, ()) for i in range(3, 80)),
]
PRODUCER = {"producer_id": 1 << 35, "producer_epoch": 3, "base_sequence": 1 << 20}


def build(builder_class: Any, codec: Codec) -> bytes:
    builder = builder_class(
        magic=2, compression_type=codec, is_transactional=True, batch_size=1 << 24, **PRODUCER
    )
    for offset, timestamp, key, value, headers in RECORDS:
        assert builder.append(offset, timestamp, key, value, list(headers)) is not None
    return bytes(builder.build())


def cases(builder_class: Any, codecs: list[Codec]) -> list[Any]:
    return [
        pytest.param(builder_class, codec, id=f"{builder_class.__module__}-{codec.name}") for codec in codecs
    ]


# kafka-python needs the python-snappy and lz4 packages for those two codecs.
BUILDERS = cases(AiokafkaBuilder, list(Codec)) + cases(KafkaPythonBuilder, [Codec.none, Codec.gzip])
READERS = cases(AiokafkaBatch, list(Codec)) + cases(KafkaPythonBatch, [Codec.none, Codec.gzip])


@pytest.mark.parametrize("builder_class", [AiokafkaBuilder, KafkaPythonBuilder])
def test_the_same_records_make_the_same_bytes(builder_class: Any) -> None:
    theirs = build(builder_class, Codec.none)
    leader_epoch = int.from_bytes(theirs[12:16], "big", signed=True)
    assert encode_batch(RECORDS, leader_epoch=leader_epoch, is_transactional=True, **PRODUCER) == theirs


@pytest.mark.parametrize(("builder_class", "codec"), BUILDERS)
def test_their_batches_are_read_and_valid(builder_class: Any, codec: Codec) -> None:
    theirs = build(builder_class, codec)
    assert decode_batch(theirs, max_bytes=1 << 20) == RECORDS
    header, body, _ = validate(memoryview(theirs), DEFAULT, NOW)
    assert header == parse_header(theirs)
    assert body == theirs[ATTRIBUTES:]


@pytest.mark.parametrize(("batch_class", "codec"), READERS)
def test_our_batches_are_read_by_them(batch_class: Any, codec: Codec) -> None:
    ours = encode_batch(RECORDS, codec=codec, is_transactional=True, **PRODUCER)
    batch = batch_class(bytearray(ours))
    assert batch.validate_crc()
    assert batch.is_transactional
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == tuple(PRODUCER.values())
    read = [
        (record.offset, record.timestamp, record.key, record.value, tuple(record.headers)) for record in batch
    ]
    assert read == [tuple(record) for record in RECORDS]
