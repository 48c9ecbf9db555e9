"""The records' bytes are Kafka's, and every version that a topic may hold is replayed."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.coordination.groups.shard import GroupShard
from ottla.coordination.runtime import CoordinatorRecord, encode_record
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.records import consumer_group, group
from ottla.protocol.messages.records.group import GroupMetadataKey, GroupMetadataValue, MemberMetadata

TYPES = {**group.RECORDS, **consumer_group.RECORDS}
TOPIC_ID = UUID("00112233-4455-6677-8899-aabbccddeeff")


def string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def replay(shard: GroupShard, key: bytes, value: bytes | None) -> None:
    record = shard.record_types.decode(key, value)
    if record is not None:
        shard.replay(record, 0, 0)


def test_a_commit_is_written_as_kafka_does(driver: Any) -> None:
    driver.now_ms = 9
    driver.commit({("t", 3): 7}, metadata="m")

    (written,) = driver.log.records
    assert written.key == struct.pack(">h", 1) + string("g") + string("t") + struct.pack(">i", 3)
    fields = struct.pack(">hqi", 4, 7, 5) + b"\x02m" + struct.pack(">q", 9)
    assert written.value == fields + b"\x01\x00\x10" + driver.image.topics["t"].topic_id.bytes


def test_a_commit_with_an_expiry_is_written_as_kafka_does(driver: Any) -> None:
    driver.now_ms = 9
    driver.commit({("t", 3): 7}, metadata="m", retention_time_ms=2, version=4)

    (written,) = driver.log.records
    assert written.value == struct.pack(">hq", 1, 7) + string("m") + struct.pack(">qq", 9, 11)


def test_a_generation_is_written_as_kafka_does(driver: Any) -> None:
    (member_id,) = driver.stable_group(1, protocols={"range": b"s"}, client_id="c")

    written = driver.log.records[-1]
    assert written.key == struct.pack(">h", 2) + string("g")
    head = struct.pack(">h", 3) + string("consumer") + struct.pack(">i", 1) + string("range")
    since = struct.pack(">qi", driver.group().state_timestamp_ms, 1)
    who = string(member_id) + struct.pack(">h", -1) + string("c") + string("/10.0.0.1")
    tail = struct.pack(">ii", 60_000, 10_000) + struct.pack(">i", 1) + b"s"
    assigned = struct.pack(">i", len(member_id)) + member_id.encode()
    assert written.value == head + string(member_id) + since + who + tail + assigned


@pytest.mark.parametrize(
    ("version", "value"),
    [
        (0, struct.pack(">q", 7) + string("m") + struct.pack(">q", 9)),
        (1, struct.pack(">q", 7) + string("m") + struct.pack(">qq", 9, 11)),
        (2, struct.pack(">q", 7) + string("m") + struct.pack(">q", 9)),
        (3, struct.pack(">qi", 7, 2) + string("m") + struct.pack(">q", 9)),
        (4, struct.pack(">qi", 7, 2) + b"\x02m" + struct.pack(">q", 9) + b"\x01\x00\x10" + TOPIC_ID.bytes),
    ],
)
def test_every_version_of_a_commit_is_replayed(driver: Any, version: int, value: bytes) -> None:
    key = struct.pack(">h", 1) + string("g") + string("t") + struct.pack(">i", 3)
    replay(driver.shard, key, struct.pack(">h", version) + value)

    stored = driver.shard.state.offsets.get("g", "t", 3)
    assert (stored.offset, stored.metadata, stored.commit_timestamp_ms) == (7, "m", 9)
    assert stored.leader_epoch == (2 if version >= 3 else -1)
    assert stored.expire_timestamp_ms == (11 if version == 1 else -1)
    assert stored.topic_id == (TOPIC_ID if version == 4 else None)


def test_offsets_of_the_first_brokers_are_replayed(driver: Any) -> None:
    key = struct.pack(">h", 0) + string("g") + string("t") + struct.pack(">i", 3)
    replay(driver.shard, key, struct.pack(">hq", 0, 7) + string("m") + struct.pack(">q", 9))

    assert driver.shard.state.offsets.get("g", "t", 3).offset == 7


@pytest.mark.parametrize("version", [0, 1, 2, 3, 4])
def test_every_version_of_group_metadata_is_replayed(driver: Any, version: int) -> None:
    member = MemberMetadata(
        member_id="m",
        client_id="c",
        client_host="h",
        rebalance_timeout=5,
        session_timeout=6,
        subscription=b"s",
        assignment=b"a",
    )
    value = GroupMetadataValue(protocol_type="x", generation=4, protocol="p", leader="m", members=[member])
    replay(driver.shard, *encode_record(CoordinatorRecord(GroupMetadataKey(group="g"), value, version)))

    group = driver.group()
    assert (group.state_name, group.generation_id, group.leader_id) == ("Stable", 4, "m")
    assert group.rebalance_timeout_ms == (5 if version else 6)
    assert group.members["m"].assignment == b"a"


@pytest.mark.parametrize("record_type", [9, 10, 15, 17, 20, 99, 32767])
def test_other_groups_records_are_skipped(driver: Any, record_type: int) -> None:
    replay(driver.shard, struct.pack(">h", record_type) + b"whatever", b"\xff\xff\xff")

    assert not driver.shard.state.groups


@given(st.binary(max_size=80), st.binary(max_size=80) | st.none())
def test_broken_records_are_refused(key: bytes, value: bytes | None) -> None:
    with suppress(KafkaError):  # and nothing else is raised
        GroupShard.record_types.decode(key, value)


@given(st.sampled_from(sorted(TYPES)), st.binary(max_size=80))
def test_broken_values_are_refused(record_type: int, value: bytes) -> None:
    key = struct.pack(">h", record_type) + string("g") + string("x") + struct.pack(">i", 0)
    with suppress(KafkaError):  # and nothing else is raised
        GroupShard.record_types.decode(key, value)


def test_a_record_that_can_not_be_read_is_corrupt() -> None:
    with pytest.raises(KafkaError) as refused:
        GroupShard.record_types.decode(struct.pack(">h", 2) + string("g"), b"\x00\x03\x00")

    assert refused.value.code is ErrorCode.corrupt_message


@pytest.mark.parametrize("record_type", sorted(TYPES))
def test_tombstones_have_only_a_key(record_type: int) -> None:
    key = TYPES[record_type][0]()
    encoded = encode_record(CoordinatorRecord(key, None))

    assert encoded[0][:2] == struct.pack(">h", record_type)
    assert GroupShard.record_types.decode(*encoded) == CoordinatorRecord(key, None)
