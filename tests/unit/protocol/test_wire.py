from __future__ import annotations

import struct
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
from tests.wire.typed import from_dict

from ottla.protocol.errors import DecodeError, EncodeError, ErrorCode, KafkaError, MalformedRequest
from ottla.protocol.headers import parse_request_header
from ottla.protocol.messages.api_versions import ApiVersion, ApiVersionsResponse, SupportedFeatureKey
from ottla.protocol.messages.delete_groups import DeletableGroupResult, DeleteGroupsResponse
from ottla.protocol.messages.heartbeat import HeartbeatResponse
from ottla.protocol.messages.list_offsets import ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic
from ottla.protocol.messages.metadata import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from ottla.protocol.messages.records.group import RECORDS, OffsetCommitKey, OffsetCommitValue
from ottla.protocol.structs import Struct
from ottla.protocol.wire import (
    decode_key,
    decode_prefixed,
    decode_request,
    decode_response,
    encode,
    encode_key,
    encode_prefixed,
    encode_request,
    encode_response,
    known_versions,
)

TOPIC_ID = UUID("11111111-2222-3333-4444-555555555555")


def test_api_versions_3_as_a_client_reads_it() -> None:
    """The header stays version 0 although body and request are flexible."""
    response = ApiVersionsResponse(api_keys=[ApiVersion(api_key=18, max_version=4)])
    frame = encode_response(response, 3, 42)
    body = bytes.fromhex("0000 02 0012 0000 0004 00 00000000 00")
    assert frame == struct.pack(">ii", len(body) + 4, 42) + body


def test_api_versions_4_with_features_in_tagged_fields() -> None:
    response = ApiVersionsResponse(
        supported_features=[SupportedFeatureKey(name="group.version", max_version=1)],
        finalized_features_epoch=7,
    )
    frame = encode_response(response, 4, 42)
    features = bytes.fromhex("02 0e") + b"group.version" + bytes.fromhex("0000 0001 00")
    body = (
        bytes.fromhex("0000 01 00000000 02")
        + b"\x00"
        + bytes([len(features)])
        + features
        + bytes.fromhex("01 08 0000000000000007")
    )
    assert frame == struct.pack(">ii", len(body) + 4, 42) + body


def test_api_versions_0_answers_an_unsupported_version() -> None:
    frame = encode_response(ApiVersionsResponse(error_code=ErrorCode.unsupported_version), 0, 42)
    assert frame == bytes.fromhex("0000000a 0000002a 0023 00000000")


def test_a_flexible_response_has_an_empty_tag_section_in_its_header() -> None:
    frame = encode_response(HeartbeatResponse(error_code=ErrorCode.unknown_member_id), 4, 42)
    assert frame == bytes.fromhex("0000000c 0000002a 00 00000000 0019 00")


def test_fields_of_the_response_may_be_missing_or_unknown_to_the_version() -> None:
    partition = MetadataResponsePartition(partition_index=1, leader_epoch=9)
    topic = MetadataResponseTopic(name="t", topic_id=TOPIC_ID, partitions=[partition])
    brokers = [MetadataResponseBroker(node_id=1, host="h", port=9092, rack="r")]
    response = MetadataResponse(brokers=brokers, topics=[topic], cluster_id="c")
    assert encode(response, 0) == bytes.fromhex(
        "00000001 00000001 0001 68 00002384"
        "00000001 0000 0001 74 00000001 0000 00000001 00000000 00000000 00000000"
    )
    assert TOPIC_ID.bytes in encode(response, 12)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"brokers": [{"host": None}]}, "None for a string that cannot be null"),
        ({"controller_id": 2**31}, "a number too large"),
        ({"topics": 5}, "no array"),
        ({"topics": [{"name": "n" * 40_000}]}, "a string too long"),
        ({"topics": [{"topic_id": "text"}]}, "no UUID"),
        ({"brokers": [{"port": "9092"}]}, "no number"),
    ],
)
def test_values_that_do_not_fit_are_our_error(value: dict[str, Any], why: str) -> None:
    for version in (8, 11) if why != "no UUID" else (12,):
        if why == "a string too long" and version > 8:
            continue
        with pytest.raises(EncodeError):
            encode(from_dict(MetadataResponse, value), version)


def test_unknown_apis_and_versions() -> None:
    for api_key, version in ((3, 99), (3, -1), (4, 0), (1000, 0), (0, 2)):
        with pytest.raises(KafkaError) as caught:
            decode_request(api_key, version, b"")
        assert caught.value.code is ErrorCode.unsupported_version


def _decode(api_key: int, version: int, body: str) -> Any:
    return decode_request(api_key, version, bytes.fromhex(body))


def test_durations_are_integers_and_arrays_tuples() -> None:
    request = _decode(19, 7, "01 00007530 01 00")
    assert (request.timeout_ms, request.topics, request.validate_only) == (30_000, (), True)


@pytest.mark.parametrize(
    ("api_key", "version", "body", "expected"),
    [
        # JoinGroup 0: no rebalance timeout; Kafka then takes the session timeout.
        (11, 0, "0001 67 00002710 0000 0001 63 00000000", {"rebalance_timeout_ms": -1, "reason": None}),
        # Metadata 0 and 1 always create topics.
        (3, 0, "00000000", {"allow_auto_topic_creation": True, "include_topic_authorized_operations": False}),
        (3, 1, "ffffffff", {"allow_auto_topic_creation": True, "topics": None}),
        (3, 4, "ffffffff 00", {"allow_auto_topic_creation": False}),
        # FindCoordinator: one key up to 3, an array from 4 on; the key's type from 1 on.
        (10, 0, "0001 67", {"key": "g", "key_type": 0, "coordinator_keys": ()}),
        (10, 4, "00 02 02 67 00", {"key": "", "coordinator_keys": ("g",)}),
        # OffsetFetch: one group up to 7, an array from 8 on.
        (9, 1, "0001 67 00000000", {"group_id": "g", "groups": (), "topics": (), "require_stable": False}),
        (9, 8, "01 01 00", {"group_id": "", "groups": (), "topics": None, "require_stable": True}),
        # DeleteTopics: names up to 5, names or ids from 6 on.
        (20, 1, "00000001 0001 74 00000001", {"topic_names": ("t",), "topics": (), "timeout_ms": 1}),
        (20, 6, "01 00000001 00", {"topic_names": (), "topics": ()}),
        # ListOffsets 1 has no isolation level; it reads uncommitted.
        (2, 1, "ffffffff 00000000", {"isolation_level": 0, "timeout_ms": 0}),
        # OffsetCommit 2 to 4 have a retention time, -1 elsewhere.
        (8, 5, "0001 67 ffffffff 0000 00000000", {"retention_time_ms": -1, "group_instance_id": None}),
        # LeaveGroup: one member up to 2, an array from 3 on.
        (13, 0, "0001 67 0001 6d", {"member_id": "m", "members": ()}),
        (13, 3, "0001 67 00000000", {"member_id": "", "members": ()}),
        # Fetch: the replica id moved into a tagged struct with 15.
        (1, 4, "ffffffff" + "00" * 17, {"replica_id": -1, "session_epoch": -1, "rack_id": ""}),
        (1, 15, "000001f4" + "00" * 13 + "ffffffff 01 01 01 00", {"replica_id": -1, "max_wait_ms": 500}),
        (32, 1, "00000000 00", {"include_documentation": False}),
        (22, 0, "ffff 00000064", {"producer_id": -1, "producer_epoch": -1, "transactional_id": None}),
        (60, 0, "00 00", {"endpoint_type": 1, "include_fenced_brokers": False}),
        (43, 0, "00000000 00000064", {"election_type": 0, "topic_partitions": ()}),
        (18, 0, "", {"client_software_name": "", "client_software_version": ""}),
    ],
)  # fmt: skip
def test_what_a_version_lacks_has_its_default(
    api_key: int, version: int, body: str, expected: dict[str, Any]
) -> None:
    request = _decode(api_key, version, body)
    assert {name: getattr(request, name) for name in expected} == expected


def test_defaults_reach_into_nested_structs() -> None:
    request = _decode(1, 4, "ffffffff 00000000 00000000 00000400 00 00000001 0001 74 00000001" + "00" * 16)
    (topic,) = request.topics
    (partition,) = topic.partitions
    assert topic.topic_id is None
    assert (partition.current_leader_epoch, partition.last_fetched_epoch) == (-1, -1)
    assert request.replica_state.replica_id == -1
    assert request.replica_state.replica_epoch == -1


@pytest.mark.parametrize("api_key", [1, 2, 3, 8, 9, 10, 11, 15, 18, 19, 20, 32])
def test_a_field_of_no_version_is_an_attribute_error(api_key: int) -> None:
    request = decode_request(api_key, known_versions(api_key)[0], bytes(64))
    with pytest.raises(AttributeError, match="topic_nmaes"):
        _ = request.topic_nmaes
    assert not hasattr(request, "__len__")


def test_entities_of_one_version_compare_by_value() -> None:
    body = "00 02 02 67 00"
    assert _decode(10, 4, body) == _decode(10, 4, body)
    assert _decode(10, 4, body) != _decode(10, 4, "00 02 02 68 00")
    assert repr(_decode(10, 4, body)) == "FindCoordinatorRequest(coordinator_keys=('g',))"


def test_tagged_fields_are_read_unknown_ones_skipped() -> None:
    before = "000001f4 00000001 00000400 00 00000000 ffffffff 01 01 01"
    cluster, unknown = "00 03 02 63 63", "63 02 abcd"
    with pytest.raises(MalformedRequest, match="cluster_id"):
        _decode(1, 15, f"{before} 01 {cluster}")
    request = _decode(1, 15, f"{before} 02 00 02 02 63 {unknown}")
    assert request.cluster_id == "c"
    with pytest.raises(MalformedRequest):
        _decode(1, 15, f"{before} 01 63 03 abcd")


def test_delete_groups_3_has_error_messages() -> None:
    assert _decode(42, 3, "02 02 67 00").groups_names == ("g",)
    result = DeletableGroupResult(group_id="g", error_code=ErrorCode.group_id_not_found, error_message="m")
    assert encode(DeleteGroupsResponse(results=[result]), 3) == bytes.fromhex(
        "00000000 02 02 67 0045 02 6d 00 00"
    )


def test_a_client_reads_what_a_broker_writes() -> None:
    request = ListOffsetsRequest(topics=[ListOffsetsTopic(name="t")], isolation_level=1)
    frame = encode_request(request, 6, 7, "me")
    assert int.from_bytes(frame[:4]) == len(frame) - 4
    key, version, correlation_id, client_id, offset = parse_request_header(frame[4:])
    assert (key, version, correlation_id, client_id) == (2, 6, 7, "me")
    assert decode_request(2, 6, frame[4:], offset) == request
    response = ListOffsetsResponse(throttle_time_ms=5)
    for version in (5, 6):
        answer = encode_response(response, version, 7)
        assert decode_response(ListOffsetsResponse, version, answer[4:]) == (7, response)
        for cut in range(len(answer) - 4):
            with pytest.raises(DecodeError):
                decode_response(ListOffsetsResponse, version, answer[4 : 4 + cut])


def test_records_of_coordinators_as_kafka_writes_them() -> None:
    key = OffsetCommitKey(group="g", topic="t", partition=3)
    assert encode_key(key) == bytes.fromhex("0001 0001 67 0001 74 00000003")
    keys = {type_: key_class for type_, (key_class, _) in RECORDS.items()}
    assert decode_key(keys, encode_key(key)) == key
    assert decode_key(keys, b"\x00\x63rest") is None
    value = OffsetCommitValue(offset=5, leader_epoch=2, metadata="m", commit_timestamp=9, topic_id=TOPIC_ID)
    assert encode_prefixed(value, 1) == struct.pack(">hqh1sqq", 1, 5, 1, b"m", 9, -1)
    assert encode_prefixed(value, 3) == struct.pack(">hqih1sq", 3, 5, 2, 1, b"m", 9)
    tagged = struct.pack(">hqiB1sq", 4, 5, 2, 2, b"m", 9) + b"\x01\x00\x10" + TOPIC_ID.bytes
    assert encode_prefixed(value, 4) == tagged
    assert decode_prefixed(OffsetCommitValue, memoryview(tagged)) == (4, value)
    assert decode_prefixed(OffsetCommitValue, encode_prefixed(value, 0))[1] == OffsetCommitValue(
        offset=5, metadata="m", commit_timestamp=9
    )
    for nonsense in (b"", b"\0", b"\0\x05" + tagged[2:], b"\xff\xff", tagged[:-1]):
        with pytest.raises(DecodeError):
            decode_prefixed(OffsetCommitValue, nonsense)
    with pytest.raises(DecodeError):
        decode_key(keys, b"\0")


@pytest.mark.parametrize(
    "module",
    [
        "consumer_group",
        "consumer_protocol",
        "control",
        "group",
        "remote_log",
        "share_group",
        "share_state",
        "streams_group",
        "transaction",
    ],
)
def test_every_record_is_read_as_it_was_written(module: str) -> None:
    loaded = import_module(f"ottla.protocol.messages.records.{module}")
    classes = [each for each in vars(loaded).values() if isinstance(each, type) and issubclass(each, Struct)]
    messages = [each for each in classes if each.__versions__]
    assert messages
    for class_ in messages:
        for version in class_.__versions__:
            encoded = encode_prefixed(class_(), version)
            decoded = decode_prefixed(class_, encoded)
            assert decoded == (version, decoded[1])
            assert encode_prefixed(decoded[1], version) == encoded
