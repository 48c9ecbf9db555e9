"""The hand-packed Produce and Fetch codecs give what the generic encoder and kio give, byte for byte."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ottla.protocol.errors import EncodeError, MalformedRequest
from ottla.protocol.fetch import FetchedPartition, FetchedTopic, encode_fetch_response
from ottla.protocol.fetch_request import AskedPartition, FetchRequest, decode_fetch
from ottla.protocol.messages.fetch import FetchResponse
from ottla.protocol.messages.produce import ProduceResponse
from ottla.protocol.produce import (
    NodeEndpoint,
    PartitionResult,
    ProduceRequest,
    decode_produce,
    encode_produce_response,
)
from ottla.protocol.wire import decode_request, encode_response

from . import kio_values
from .typed import from_dict

PRODUCE, FETCH = 0, 1
PRODUCE_VERSIONS = range(3, 14)
FETCH_VERSIONS = range(4, 19)

some = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
int16 = st.integers(-(2**15), 2**15 - 1)
int32 = st.integers(-(2**31), 2**31 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
names = (
    st.text("abc.é", min_size=1, max_size=8) | st.just("n" * 126) | st.just("n" * 127) | st.just("n" * 249)
)
texts = st.none() | st.text("abc é", max_size=5)
pairs = st.none() | st.tuples(int32, int32)
endpoints = st.lists(st.tuples(int32, names, int32, texts).map(NodeEndpoint._make), max_size=2)
topics = st.lists(st.tuples(names, st.uuids()), max_size=3, unique_by=(lambda t: t[0], lambda t: t[1]))


def _endpoints(nodes: list[NodeEndpoint]) -> list[dict[str, Any]]:
    return [node._asdict() for node in nodes]


def _leader(leader: tuple[int, int] | None) -> dict[str, int]:
    return {} if leader is None else {"leader_id": leader[0], "leader_epoch": leader[1]}


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
@some
@given(data=st.data())
def test_produce_requests_are_read_as_kio_writes_them(version: int, data: st.DataObject) -> None:
    class_ = kio_values.request_class(PRODUCE, version)
    request = data.draw(kio_values.messages(class_))
    encoded = kio_values.kio_write(kio_values.to_kio(class_, request))
    decoded = decode_produce(version, memoryview(b"head" + encoded + b"ignored"), 4, max_partitions=6)
    assert decoded == ProduceRequest(
        request["transactional_id"],
        request["acks"],
        request["timeout_ms"],
        [
            (topic.get("name"), topic.get("topic_id"), partition["index"], partition["records"])
            for topic in request["topic_data"]
            for partition in topic["partition_data"]
        ],
    )


@pytest.mark.parametrize("version", FETCH_VERSIONS)
@some
@given(data=st.data())
def test_fetch_requests_are_read_as_the_generic_decoder_does(version: int, data: st.DataObject) -> None:
    class_ = kio_values.request_class(FETCH, version)
    encoded = kio_values.kio_write(kio_values.to_kio(class_, data.draw(kio_values.messages(class_))))
    decoded = decode_fetch(version, memoryview(b"head" + encoded + b"ignored"), 4)
    expected = decode_request(FETCH, version, encoded)
    for name in FetchRequest._fields[1:7]:
        assert getattr(decoded, name) == getattr(expected, name), name
    assert decoded.rack_id == expected.rack_id
    follower = expected.replica_state if version >= 15 else expected
    assert decoded.replica_id == follower.replica_id
    assert decoded.replica_epoch == (follower.replica_epoch if version >= 15 else -1)
    with_ids = version >= 13
    for mine, theirs in zip(decoded.topics, expected.topics, strict=True):
        assert (mine.topic_id, mine.topic) == ((theirs.topic_id, None) if with_ids else (None, theirs.topic))
        assert mine.partitions == [
            tuple(getattr(each, name) for name in AskedPartition._fields) for each in theirs.partitions
        ]
    forgotten = expected.forgotten_topics_data
    for mine, theirs in zip(decoded.forgotten_topics_data, forgotten, strict=True):
        assert (mine.topic_id, mine.topic) == ((theirs.topic_id, None) if with_ids else (None, theirs.topic))
        assert mine.partitions == list(theirs.partitions)


def _request_9(partitions: int) -> bytes:
    partition = struct.pack(">i", 0) + b"\x03ab\0"
    head = b"\0" + struct.pack(">hi", -1, 1000) + b"\x02\x02t"
    return head + bytes([partitions + 1]) + partition * partitions + b"\0\0"


def _read(version: int, encoded: bytes) -> ProduceRequest | None:
    """None for nonsense."""
    try:
        return decode_produce(version, memoryview(b"head" + encoded), 4, max_partitions=6)
    except MalformedRequest:
        return None


@pytest.mark.parametrize("version", [9, 12, 13])
@some
@given(data=st.data())
def test_a_produce_request_of_one_partition_is_read_as_any_other(version: int, data: st.DataObject) -> None:
    """It is read in a way of its own, for which bytes behind the request are not usual."""
    class_ = kio_values.request_class(PRODUCE, version)
    request = data.draw(kio_values.messages(class_))
    records = data.draw(st.sampled_from([None, b"", b"r" * 126, b"r" * 127, b"r" * 17_000]) | st.binary())
    partition = {"index": data.draw(int32), "records": records}
    name, topic_id = data.draw(names), data.draw(st.uuids())
    topic = {"topic_id": topic_id} if version >= 13 else {"name": name}
    request |= {"transactional_id": None, "topic_data": [{**topic, "partition_data": [partition]}]}
    encoded = kio_values.kio_write(kio_values.to_kio(class_, request))
    decoded = _read(version, encoded)
    assert decoded is not None
    assert decoded == _read(version, encoded + b"ignored")
    assert decoded.partitions[0][2:] == (partition["index"], records)


@pytest.mark.parametrize("records", [b"\x03ab", b"\x01", b"\0"], ids=["two bytes", "empty", "null"])
@pytest.mark.parametrize("version", [9, 13])
def test_a_damaged_produce_request_is_read_either_way_alike(version: int, records: bytes) -> None:
    where = b"\x07" * 16 if version >= 13 else b"\x05name"
    fields = (b"\0", struct.pack(">hi", -1, 1000), b"\x02", where, b"\x02", struct.pack(">i", 0), records)
    encoded = b"".join(fields) + b"\0\0\0"
    for position in range(len(encoded)):
        for value in (0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF):
            for missing in range(4):
                damaged = bytearray(encoded)
                damaged[position] = value
                cut = bytes(damaged[: len(damaged) - missing])
                assert (read := _read(version, cut)) is None or read == _read(version, cut + b"ignored"), cut


def test_records_are_a_slice_of_the_request() -> None:
    buffer = bytearray(_request_9(1))
    records = decode_produce(9, memoryview(buffer), max_partitions=1).partitions[0].records
    assert records is not None
    assert records.obj is buffer


def test_a_produce_request_has_no_more_partitions_than_allowed() -> None:
    assert len(decode_produce(9, memoryview(_request_9(5)), max_partitions=5).partitions) == 5
    with pytest.raises(MalformedRequest, match="at most 4"):
        decode_produce(9, memoryview(_request_9(5)), max_partitions=4)


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
@some
@given(data=st.data())
def test_produce_responses_are_as_the_generic_encoder_has_them(version: int, data: st.DataObject) -> None:
    results: list[PartitionResult] = []
    for name, topic_id in data.draw(topics):
        plain = st.tuples(st.just(name), st.just(topic_id), int32, int16, int64, int64, int64)
        errors = st.lists(st.tuples(int32, texts), max_size=2)
        explained = st.tuples(plain, errors, texts, pairs).map(lambda parts: (*parts[0], *parts[1:]))
        partition_results = (plain | explained).map(lambda values: PartitionResult(*values))
        results += data.draw(st.lists(partition_results, min_size=1, max_size=3))
    throttle_time_ms, nodes = data.draw(int32), data.draw(endpoints)
    topics_seen = list(dict.fromkeys((result.topic, result.topic_id) for result in results))
    responses = [
        {
            "name": name,
            "topic_id": topic_id,
            "partition_responses": [
                {
                    "index": result.partition,
                    "error_code": result.error_code,
                    "base_offset": result.base_offset,
                    "log_append_time_ms": result.log_append_time_ms,
                    "log_start_offset": result.log_start_offset,
                    "record_errors": [
                        {"batch_index": index, "batch_index_error_message": message}
                        for index, message in result.record_errors
                    ],
                    "error_message": result.error_message,
                    "current_leader": _leader(result.current_leader),
                }
                for result in results
                if result.topic == name
            ],
        }
        for name, topic_id in topics_seen
    ]
    response = {
        "throttle_time_ms": throttle_time_ms,
        "node_endpoints": _endpoints(nodes),
        "responses": responses,
    }
    expected = encode_response(from_dict(ProduceResponse, response), version, 77)
    assert encode_produce_response(version, 77, results, throttle_time_ms, nodes) == expected


@pytest.mark.parametrize("version", FETCH_VERSIONS)
@some
@given(data=st.data())
def test_fetch_responses_are_as_the_generic_encoder_has_them(version: int, data: st.DataObject) -> None:
    records = st.binary(max_size=9) | st.just(b"r" * 300) | st.just(b"r" * 20_000)
    partitions = st.lists(
        st.tuples(
            int32,
            int16,
            int64,
            int64,
            int64,
            st.none() | st.lists(st.tuples(int64, int64), max_size=2),
            int32,
            records,
            st.none() | st.tuples(int32, int64),
            pairs,
        ).map(FetchedPartition._make),
        max_size=3,
    )
    fetched = [FetchedTopic(*topic, data.draw(partitions)) for topic in data.draw(topics)]
    session_id, error_code, throttle_time_ms = data.draw(int32), data.draw(int16), data.draw(int32)
    nodes = data.draw(endpoints)
    response = {
        "throttle_time_ms": throttle_time_ms,
        "error_code": error_code,
        "session_id": session_id,
        "node_endpoints": _endpoints(nodes),
        "responses": [
            {
                "topic": topic.topic,
                "topic_id": topic.topic_id,
                "partitions": [_fetched(partition) for partition in topic.partitions],
            }
            for topic in fetched
        ],
    }
    frame = encode_fetch_response(
        version,
        77,
        fetched,
        error_code=error_code,
        session_id=session_id,
        throttle_time_ms=throttle_time_ms,
        node_endpoints=nodes,
    )
    whole = frame if isinstance(frame, bytes) else b"".join(frame)
    assert whole == encode_response(from_dict(FetchResponse, response), version, 77)


def _fetched(partition: FetchedPartition) -> dict[str, Any]:
    aborted = partition.aborted
    diverging = partition.diverging_epoch
    return {
        "partition_index": partition.partition,
        "error_code": partition.error_code,
        "high_watermark": partition.high_watermark,
        "last_stable_offset": partition.last_stable_offset,
        "log_start_offset": partition.log_start_offset,
        "aborted_transactions": None
        if aborted is None
        else [{"producer_id": producer_id, "first_offset": offset} for producer_id, offset in aborted],
        "preferred_read_replica": partition.preferred_read_replica,
        "records": partition.records,
        "diverging_epoch": {} if diverging is None else {"epoch": diverging[0], "end_offset": diverging[1]},
        "current_leader": _leader(partition.current_leader),
    }


def test_records_that_are_not_in_memory_stay_as_they_are() -> None:
    class Elsewhere:
        def __len__(self) -> int:
            return 10

    records = Elsewhere()
    frame = encode_fetch_response(16, 1, [FetchedTopic("t", None, [FetchedPartition(0, records=records)])])
    assert isinstance(frame, list)
    assert any(piece is records for piece in frame)


def test_a_response_that_does_not_fit_is_our_error() -> None:
    with pytest.raises(EncodeError):
        encode_produce_response(9, 1, [PartitionResult("t", None, 0, base_offset=2**63)])
    with pytest.raises(EncodeError):
        encode_produce_response(9, 1, [PartitionResult(None, None, 0)])
    with pytest.raises(EncodeError):
        encode_fetch_response(12, 1, [FetchedTopic(None, None, [])])
