"""The records' bytes are Kafka's, at every version that a topic may hold."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.coordination.groups.records import SCHEMAS, RecordType, decode_record, encode_record
from ottla.protocol.errors import ErrorCode, KafkaError

TOPIC_ID = UUID("00112233-4455-6677-8899-aabbccddeeff")


def string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def test_offset_commit_as_kafka_writes_it() -> None:
    record = encode_record(
        RecordType.OFFSET_COMMIT,
        {"group": "g", "topic": "t", "partition": 3},
        {
            "offset": 7,
            "leader_epoch": 2,
            "metadata": "m",
            "commit_timestamp": 9,
            "expire_timestamp": -1,
            "topic_id": TOPIC_ID,
        },
    )

    assert record.key == struct.pack(">h", 1) + string("g") + string("t") + struct.pack(">i", 3)
    fields = struct.pack(">hqi", 4, 7, 2) + b"\x02m" + struct.pack(">q", 9)
    assert record.value == fields + b"\x01\x00\x10" + TOPIC_ID.bytes


def test_group_metadata_as_kafka_writes_it() -> None:
    member = {
        "member_id": "m",
        "group_instance_id": None,
        "client_id": "c",
        "client_host": "h",
        "rebalance_timeout": 5,
        "session_timeout": 6,
        "subscription": b"s",
        "assignment": b"a",
    }
    record = encode_record(
        RecordType.GROUP_METADATA,
        {"group": "g"},
        {
            "protocol_type": "consumer",
            "generation": 4,
            "protocol": "range",
            "leader": "m",
            "current_state_timestamp": 8,
            "members": [member],
        },
    )

    assert record.key == struct.pack(">h", 2) + string("g")
    head = struct.pack(">h", 3) + string("consumer") + struct.pack(">i", 4) + string("range") + string("m")
    body = struct.pack(">qi", 8, 1) + string("m") + struct.pack(">h", -1) + string("c") + string("h")
    tail = struct.pack(">ii", 5, 6) + struct.pack(">i", 1) + b"s" + struct.pack(">i", 1) + b"a"
    assert record.value == head + body + tail


@pytest.mark.parametrize(
    ("version", "value"),
    [
        (0, struct.pack(">q", 7) + string("m") + struct.pack(">q", 9)),
        (1, struct.pack(">q", 7) + string("m") + struct.pack(">qq", 9, 11)),
        (2, struct.pack(">q", 7) + string("m") + struct.pack(">q", 9)),
        (3, struct.pack(">qi", 7, 2) + string("m") + struct.pack(">q", 9)),
        (4, struct.pack(">qi", 7, 2) + b"\x02m" + struct.pack(">q", 9) + b"\x00"),
    ],
)
def test_every_version_of_an_offset_commit_is_read(version: int, value: bytes) -> None:
    key = struct.pack(">h", 1) + string("g") + string("t") + struct.pack(">i", 3)
    record = decode_record(key, struct.pack(">h", version) + value)

    assert record is not None
    assert record.key == {"group": "g", "topic": "t", "partition": 3}
    assert record.value == {
        "offset": 7,
        "leader_epoch": 2 if version >= 3 else -1,
        "metadata": "m",
        "commit_timestamp": 9,
        "expire_timestamp": 11 if version == 1 else -1,
        "topic_id": None,
    }


def test_offsets_of_the_first_brokers_are_replayed(driver: Any) -> None:
    key = struct.pack(">h", 0) + string("g") + string("t") + struct.pack(">i", 3)
    driver.shard.replay(key, struct.pack(">hq", 0, 7) + string("m") + struct.pack(">q", 9), 0, 0)

    assert driver.shard.state.offsets.get("g", "t", 3).offset == 7


@pytest.mark.parametrize("version", [0, 1, 2, 3, 4])
def test_every_version_of_group_metadata_is_replayed(driver: Any, version: int) -> None:
    member = {
        "member_id": "m",
        "client_id": "c",
        "client_host": "h",
        "rebalance_timeout": 5,
        "session_timeout": 6,
        "subscription": b"s",
        "assignment": b"a",
    }
    value = {"protocol_type": "x", "generation": 4, "protocol": "p", "leader": "m", "members": [member]}
    record = encode_record(RecordType.GROUP_METADATA, {"group": "g"}, value, version=version)
    driver.shard.replay(record.key, record.value, 0, 0)

    group = driver.group()
    assert (group.state_name, group.generation_id, group.leader_id) == ("Stable", 4, "m")
    assert group.rebalance_timeout_ms == (5 if version else 6)
    assert group.members["m"].assignment == b"a"


@pytest.mark.parametrize("record_type", [9, 10, 15, 17, 20, 99, 32767])
def test_other_groups_records_are_skipped(driver: Any, record_type: int) -> None:
    driver.shard.replay(struct.pack(">h", record_type) + b"whatever", b"\xff\xff\xff", 0, 0)

    assert not driver.shard.state.groups


@given(st.binary(max_size=80), st.binary(max_size=80) | st.none())
def test_broken_records_are_refused(key: bytes, value: bytes | None) -> None:
    with suppress(KafkaError):  # and nothing else is raised
        decode_record(key, value)


@given(st.sampled_from(sorted(SCHEMAS)), st.binary(max_size=80))
def test_broken_values_are_refused(record_type: RecordType, value: bytes) -> None:
    key = struct.pack(">h", record_type) + string("g") + string("x") + struct.pack(">i", 0)
    with suppress(KafkaError):  # and nothing else is raised
        decode_record(key, value)


def test_a_record_that_can_not_be_read_is_corrupt(driver: Any) -> None:
    with pytest.raises(KafkaError) as refused:
        driver.shard.replay(struct.pack(">h", 2) + string("g"), b"\x00\x03\x00", 0, 0)

    assert refused.value.code is ErrorCode.corrupt_message


@pytest.mark.parametrize("record_type", sorted(SCHEMAS))
def test_tombstones_have_only_a_key(record_type: RecordType) -> None:
    names = {
        "group": "g",
        "group_id": "g",
        "topic": "t",
        "partition": 1,
        "member_id": "m",
        "regular_expression": "r",
    }
    record = encode_record(record_type, names, None)
    decoded = decode_record(record.key, None)

    assert record.value is None
    assert decoded is not None
    assert decoded.type is record_type
    assert decoded.value is None


def test_consumer_group_member_metadata_keeps_a_classic_members_protocols() -> None:
    value = {
        "instance_id": "i",
        "rack_id": None,
        "client_id": "c",
        "client_host": "h",
        "subscribed_topic_names": ["t"],
        "subscribed_topic_regex": None,
        "rebalance_timeout_ms": 5,
        "server_assignor": "range",
        "classic_member_metadata": {
            "session_timeout_ms": 6,
            "supported_protocols": [{"name": "range", "metadata": b"x"}],
        },
    }
    for classic in (value["classic_member_metadata"], None):
        written = value | {"classic_member_metadata": classic}
        record = encode_record(
            RecordType.CONSUMER_GROUP_MEMBER_METADATA, {"group_id": "g", "member_id": "m"}, written
        )
        decoded = decode_record(record.key, record.value)
        assert decoded is not None
        assert decoded.value is not None
        assert decoded.value["classic_member_metadata"] == (
            None
            if classic is None
            else {"session_timeout_ms": 6, "supported_protocols": [{"name": "range", "metadata": b"x"}]}
        )
