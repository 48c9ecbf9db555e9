"""What Kafka answers to requests that no good client sends, as seen in `tests/differential/`."""

from __future__ import annotations

import struct
import uuid
from typing import Any

import pytest
from tests.raw_client import FETCH, METADATA, RawClient, error_codes
from tests.running_broker import Topic, create_topic

from ottla.protocol.errors import ErrorCode
from ottla.records.codec import Record, encode_batch

DELETE_TOPICS, DESCRIBE_TOPIC_PARTITIONS, CREATE_TOPICS = 20, 75, 19
INVALID_REQUEST = ErrorCode.invalid_request
INVALID_TOPIC = ErrorCode.invalid_topic_exception
TOPIC = {"resource_type": 2}
NOBODY = uuid.UUID(int=77)
ONE = encode_batch([Record(0, 1, b"k", b"one")])


@pytest.mark.parametrize(
    ("api_key", "version", "request_", "code"),
    [
        (17, 1, {"mechanism": "PLAIN"}, ErrorCode.illegal_sasl_state),
        (36, 2, {"auth_bytes": b""}, ErrorCode.illegal_sasl_state),
        (19, 7, {"topics": [{"name": "__cluster_metadata", "num_partitions": 1, "replication_factor": 1}]},
         INVALID_REQUEST),
        (20, 5, {"topic_names": ["twice", "twice"]}, INVALID_REQUEST),
        (20, 6, {"topics": [{"name": None, "topic_id": None}]}, INVALID_REQUEST),
        (20, 6, {"topics": [{"name": None, "topic_id": NOBODY}] * 2}, INVALID_REQUEST),
        (32, 4, {"resources": [{**TOPIC, "resource_name": "a b"}]}, INVALID_TOPIC),
        (32, 4, {"resources": [{**TOPIC, "resource_name": ""}]}, INVALID_TOPIC),
        (33, 2, {"resources": [{**TOPIC, "resource_name": "", "configs": []}]}, INVALID_REQUEST),
        (44, 1, {"resources": [{**TOPIC, "resource_name": "", "configs": []}]}, INVALID_REQUEST),
        (44, 1, {"resources": [{**TOPIC, "resource_name": "a b", "configs": []}]},
         INVALID_TOPIC),
        (48, 1, {"components": [{"entity_type": "", "match_type": 0, "match": "u"}]}, INVALID_REQUEST),
        (48, 1, {"components": [{"entity_type": "user", "match_type": 0}]}, INVALID_REQUEST),
        (48, 1, {"components": [{"entity_type": "user", "match_type": 1, "match": "u"}]}, INVALID_REQUEST),
        (48, 1, {"components": [{"entity_type": each, "match_type": 2} for each in ("user", "user")]},
         INVALID_REQUEST),
        (48, 1, {"components": [{"entity_type": each, "match_type": 2} for each in ("user", "ip")]},
         INVALID_REQUEST),
        (61, 0, {"topics": [{"name": "a b", "partition_indexes": [0]}]}, INVALID_TOPIC),
        (69, 1, {"group_ids": [""]}, ErrorCode.invalid_group_id),
        (75, 0, {"topics": [{"name": "b"}], "cursor": {"topic_name": "a"}}, INVALID_REQUEST),
        (75, 0, {"topics": [{"name": "b"}], "cursor": {"topic_name": "b", "partition_index": -1}},
         INVALID_REQUEST),
    ],
)  # fmt: skip
async def test_refused(
    client: RawClient, api_key: int, version: int, request_: dict[str, Any], code: ErrorCode
) -> None:
    codes = [each for each in error_codes(await client.call(api_key, version, request_)) if each]
    assert codes == [code]


@pytest.mark.parametrize("election_type", [2, -1])
async def test_an_election_of_no_known_kind(client: RawClient, topic: Topic, election_type: int) -> None:
    asked = [{"topic": topic.name, "partitions": [0, 9]}]
    response = await client.call(43, 2, {"election_type": election_type, "topic_partitions": asked})
    assert set(error_codes(response)) == {INVALID_REQUEST}
    assert len(response["replica_election_results"][0]["partition_result"]) == 2


async def test_a_config_given_twice_is_not_altered(client: RawClient, topic: Topic) -> None:
    twice = [{"name": "retention.ms", "value": value} for value in ("1", "2")]
    resource = {**TOPIC, "resource_name": topic.name, "configs": twice}
    response = await client.call(33, 2, {"resources": [resource]})
    assert list(error_codes(response)) == [INVALID_REQUEST]


async def test_a_sync_without_its_protocol(client: RawClient) -> None:
    asked = {"group_id": "g", "generation_id": 1, "member_id": "m", "protocol_type": "consumer"}
    assert (await client.call(14, 5, asked))["error_code"] == ErrorCode.inconsistent_group_protocol
    assert (await client.call(14, 4, asked))["error_code"] != ErrorCode.inconsistent_group_protocol


async def test_a_topic_by_its_id_and_its_name_is_not_deleted(client: RawClient) -> None:
    topic, other = await create_topic(client), await create_topic(client)
    named = [
        {"name": topic.name, "topic_id": None},
        {"name": None, "topic_id": topic.topic_id},
        {"name": other.name, "topic_id": None},
    ]
    response = await client.call(DELETE_TOPICS, 6, {"topics": named, "timeout_ms": 1000})
    codes = {each["name"]: each["error_code"] for each in response["responses"]}
    assert codes == {topic.name: INVALID_REQUEST, other.name: ErrorCode.none}
    assert (await topic.fetch(0))["error_code"] == ErrorCode.none


@pytest.mark.parametrize("name", ["", "some other", "a-name-of-no-topic"])
async def test_metadata_takes_an_id_before_a_name(client: RawClient, topic: Topic, name: str) -> None:
    asked = [{"name": name, "topic_id": topic.topic_id}, {"name": "beside-an-id", "topic_id": None}]
    response = await client.call(METADATA, 12, {"topics": asked, "allow_auto_topic_creation": True})
    (found,) = response["topics"]
    assert (found["name"], found["topic_id"], found["error_code"]) == (topic.name, topic.topic_id, 0)
    known = await client.call(METADATA, 12, {"topics": None})
    assert {name, "beside-an-id"}.isdisjoint(each["name"] for each in known["topics"])


async def test_a_page_of_no_partitions_has_one(client: RawClient, topic: Topic) -> None:
    for limit in (0, -5):
        asked = {"topics": [{"name": topic.name}], "response_partition_limit": limit}
        response = await client.call(DESCRIBE_TOPIC_PARTITIONS, 0, asked)
        assert len(response["topics"][0]["partitions"]) == 1


@pytest.mark.parametrize("version", [6, 100, 32767, -1])
async def test_api_versions_that_are_not_served(client: RawClient, version: int) -> None:
    """Only what is needed to ask again (KIP-511), in version 0."""
    request = struct.pack(">hhih", 18, version, 7, -1) + b"\0"
    client.writer.write(struct.pack(">i", len(request)) + request)
    answer = await client.receive_frame()
    correlation_id, code, rows, key, low, high = struct.unpack(">ihihhh", answer)
    assert (correlation_id, code, rows, key, low) == (7, ErrorCode.unsupported_version, 1, 18, 0)
    assert high == 5


@pytest.mark.parametrize(("groups", "code"), [(1000, ErrorCode.none), (1001, ErrorCode.policy_violation)])
async def test_configs_of_many_groups(client: RawClient, topic: Topic, groups: int, code: ErrorCode) -> None:
    """Each would be kilobytes, of groups that there are not."""
    resources = [{"resource_type": 32, "resource_name": str(number)} for number in range(groups)]
    asked = [*resources, {**TOPIC, "resource_name": topic.name}]
    *described, own = (await client.call(32, 4, {"resources": asked}))["results"]
    assert {(each["error_code"], bool(each["configs"])) for each in described} == {(code, not code)}
    assert [each["resource_name"] for each in described] == [each["resource_name"] for each in resources]
    assert (own["error_code"], bool(own["configs"])) == (ErrorCode.none, True)


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({"cluster_id": None, "node_id": -1}, ErrorCode.none),
        ({}, ErrorCode.none),
        ({"cluster_id": "another"}, ErrorCode.rebootstrap_required),
        ({"node_id": 77}, ErrorCode.rebootstrap_required),
        ({"cluster_id": "another", "node_id": 77}, ErrorCode.rebootstrap_required),
        ({"cluster_id": None}, INVALID_REQUEST),
        ({"node_id": -1}, INVALID_REQUEST),
    ],
)
async def test_a_client_that_takes_this_for_another_broker(
    client: RawClient, named: dict[str, Any], code: ErrorCode
) -> None:
    """It knows addresses of brokers from long ago, and has to ask its bootstrap servers (KIP-1242)."""
    known = await client.call(METADATA, 12, {"topics": []})
    expected = {"cluster_id": known["cluster_id"], "node_id": known["controller_id"]}
    asked = {"client_software_name": "raw", "client_software_version": "1", **expected, **named}
    response = await client.call(18, 5, asked)
    assert (response["error_code"], bool(response["api_keys"])) == (code, code is ErrorCode.none)
    assert (await client.call(18, 4, asked))["error_code"] == ErrorCode.none


async def test_where_the_log_begins_is_told_with_refused_records(client: RawClient, topic: Topic) -> None:
    numbered = encode_batch([Record(0, 1, b"k", b"v")], producer_id=9, producer_epoch=0, base_sequence=5)
    assert (await topic.produce(numbered))["log_start_offset"] == 0
    refused = await topic.produce(numbered[:53] + struct.pack(">i", 9) + numbered[57:])
    assert (refused["error_code"], refused["log_start_offset"]) == (ErrorCode.corrupt_message, -1)


async def test_a_fetch_with_an_epoch_that_no_log_has(client: RawClient, topic: Topic) -> None:
    assert (await topic.produce(ONE))["error_code"] == 0
    assert (await topic.fetch(0, current_leader_epoch=-2))["error_code"] == ErrorCode.none
    assert (await topic.fetch(1, last_fetched_epoch=7))["error_code"] == ErrorCode.offset_out_of_range
    diverging = await topic.fetch(5, last_fetched_epoch=0)
    assert (diverging["high_watermark"], diverging["diverging_epoch"]["end_offset"]) == (1, 1)


async def test_a_fetch_session_of_nothing(client: RawClient) -> None:
    asked = {"max_wait_ms": 0, "min_bytes": 0, "session_epoch": 0, "topics": []}
    response = await client.call(FETCH, 12, asked)
    assert response["session_id"]
    again = await client.call(FETCH, 12, {**asked, "session_id": response["session_id"], "session_epoch": 1})
    assert (again["error_code"], again["responses"]) == (ErrorCode.none, [])


@pytest.mark.parametrize("frame", [b"", b"\0", b"\0\0\0"])
async def test_a_frame_too_short_for_a_header(client: RawClient, frame: bytes) -> None:
    client.writer.write(struct.pack(">i", len(frame)) + frame)
    assert await client.is_closed()


async def test_a_second_batch_that_does_not_fit_is_not_sent(client: RawClient, topic: Topic) -> None:
    for partition in (0, 1):
        await topic.produce(ONE, partition=partition)
    asked = [{"partition": index, "fetch_offset": 0, "partition_max_bytes": 10} for index in (0, 1)]
    request_ = {**topic.fetch_request(), "topics": [{"topic": topic.name, "partitions": asked}]}
    response = await client.call(FETCH, 11, request_)
    first, second = response["responses"][0]["partitions"]
    assert (len(first["records"]), second["records"] or b"") == (len(ONE), b"")
