"""Partitions of keys, beside what other clients' code makes of the same keys."""

from __future__ import annotations

import random
import warnings
import zlib

import pytest

from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.implementation import Implementation
from ottla.client.columns.partitioner import ANYWHERE, PARTITIONERS

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of importlib.resources, which kafka-python calls
    from kafka.partitioner.default import murmur2

KEYS: list[bytes | None] = [None, b"", *(random.Random(1).randbytes(size) for size in range(1, 60))]


def test_murmur2_is_that_of_kafka(implementation: Implementation) -> None:
    for key in KEYS:
        if key is not None:
            assert implementation.hash_key("murmur2", key) == murmur2(key) & 0x7FFFFFFF


# As in the unit tests of Kafka's clients (murmur2, before the sign is taken away) and of librdkafka (fnv1a).
@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("murmur2", b"21", -973932308),
        ("murmur2", b"foobar", -790332482),
        ("murmur2", b"a-little-bit-long-string", -985981536),
        ("murmur2", b"a-little-bit-longer-string", -1486304829),
        ("murmur2", b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("murmur2", b"abc", 479470107),
        ("fnv1a", b"kafka", 0xD33C4E1),
        ("fnv1a", b"giberish123456789", 0x77A58295),
        ("fnv1a", b"1234", 0x23BDD03),
        ("fnv1a", b"234", 0x2DEA3CD2),
        ("fnv1a", b"34", 0x740FA83E),
        ("fnv1a", b"4", 0x310CA263),
        ("fnv1a", b"PreAmbleWillBeRemoved,ThePrePartThatIs", 0x65CBD69C),
        ("fnv1a", b"reAmbleWillBeRemoved,ThePrePartThatIs", 0x6E49C79A),
        ("crc32", b"123456789", 0xCBF43926),
    ],
)
def test_known_hashes(implementation: Implementation, name: str, key: bytes, expected: int) -> None:
    if name == "murmur2":
        expected &= 0x7FFFFFFF
    assert implementation.hash_key(name, key) == expected


def test_crc32_is_that_of_zlib(implementation: Implementation) -> None:
    for key in KEYS:
        if key is not None:
            assert implementation.hash_key("crc32", key) == zlib.crc32(key)


@pytest.mark.parametrize("name", PARTITIONERS)
@pytest.mark.parametrize("partitions", [1, 7, 1000])
def test_a_column_is_its_keys(implementation: Implementation, name: str, partitions: int) -> None:
    partitioner = PARTITIONERS[name]
    one_by_one = [partitioner.of_key(key, partitions, implementation=implementation) for key in KEYS]
    column = BinaryColumn.of([b"before", *KEYS])[1:]
    assert list(partitioner.of_column(column, partitions, implementation=implementation)) == one_by_one
    assert {partition for partition in one_by_one if partition != ANYWHERE} <= set(range(partitions))
    filled = list(partitioner.of_column(column, partitions, 0, implementation=implementation))
    assert filled == [0 if partition == ANYWHERE else partition for partition in one_by_one]


def test_where_records_without_a_key_go() -> None:
    anywhere = {
        name: [partitioner.of_key(key, 100) == ANYWHERE for key in (None, b"", b"key")]
        for name, partitioner in PARTITIONERS.items()
    }
    assert anywhere == {
        "murmur2_random": [True, False, False],
        "murmur2": [False, False, False],
        "consistent_random": [True, True, False],
        "consistent": [False, False, False],
        "fnv1a_random": [True, False, False],
        "fnv1a": [False, False, False],
        "random": [True, True, True],
    }


def test_nonsense_is_refused(implementation: Implementation) -> None:
    keys = BinaryColumn.of([b"a"])
    with pytest.raises(ValueError, match="no hash md5"):
        implementation.hash_key("md5", b"")
    with pytest.raises(ValueError, match="no hash md5"):
        implementation.hash_keys("md5", keys.raw, 1, 0, 0)
    with pytest.raises(ValueError, match="0 partitions"):
        implementation.hash_keys("murmur2", keys.raw, 0, 0, 0)
