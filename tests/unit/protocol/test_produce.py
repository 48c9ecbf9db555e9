"""How many topics and partitions a Produce request may name, and what its response explains."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from ottla.protocol import wire
from ottla.protocol.errors import MalformedRequest
from ottla.protocol.messages import produce as messages
from ottla.protocol.messages.produce import ProduceResponse
from ottla.protocol.produce import (
    PartitionData,
    PartitionResult,
    ProduceRequest,
    decode_produce,
    encode_produce,
    encode_produce_response,
)
from ottla.protocol.wire import decode_response


def legacy(partitions_of_topics: list[int], *, topics: int | None = None) -> bytes:
    """A request of version 3 to 8."""
    parts = [
        b"\xff\xff",
        struct.pack(">hii", -1, 1000, len(partitions_of_topics) if topics is None else topics),
    ]
    for count in partitions_of_topics:
        parts += (b"\0\1t", struct.pack(">i", count), struct.pack(">ii", 0, -1) * max(count, 0))
    return b"".join(parts)


def flexible(partitions_of_topics: list[int], *, topics: int | None = None) -> bytes:
    """A request of version 9 to 12."""
    head = b"\0" + struct.pack(">hi", -1, 1000)
    parts = [head, bytes([(len(partitions_of_topics) if topics is None else topics) + 1])]
    for count in partitions_of_topics:
        parts += (b"\2t", bytes([count + 1]), (struct.pack(">i", 0) + b"\0\0") * max(count, 0), b"\0")
    return b"".join([*parts, b"\0"])


@pytest.mark.parametrize(("version", "request_"), [(8, legacy), (9, flexible)])
def test_topics_and_partitions_are_bounded_together(version: int, request_: Callable[..., bytes]) -> None:
    def decode(encoded: bytes) -> int:
        return len(decode_produce(version, memoryview(encoded), max_partitions=4).partitions)

    assert decode(request_([2, 2])) == 4
    assert decode(request_([0, 0, 0, 4])) == 4
    assert decode(request_([])) == 0
    for wrong in (
        request_([2, 3]),
        request_([5]),
        request_([0] * 5),
        request_([-1]),
        request_([], topics=-1),
    ):
        with pytest.raises(MalformedRequest, match="at most"):
            decode(wrong)


@pytest.mark.parametrize("version", [3, 8])
def test_a_topic_has_a_name(version: int) -> None:
    nameless = legacy([1]).replace(b"\0\1t", b"\xff\xff", 1)
    with pytest.raises(MalformedRequest, match="null where a string must be"):
        decode_produce(version, memoryview(nameless), max_partitions=4)


@pytest.mark.parametrize("version", [10, 13])
@pytest.mark.parametrize(
    "told", [{"current_leader": (3, 7)}, {"error_message": "why"}, {"record_errors": [(4, "why")]}]
)
def test_what_explains_one_partitions_result_is_in_the_response(version: int, told: dict[str, Any]) -> None:
    topic_id = UUID(int=7)
    frame = encode_produce_response(version, 1, [PartitionResult("t", topic_id, 5, error_code=6, **told)])
    _, response = decode_response(ProduceResponse, version, frame[4:])
    ((partition,),) = [topic.partition_responses for topic in response.responses]
    leader = partition.current_leader
    errors = [(each.batch_index, each.batch_index_error_message) for each in partition.record_errors]
    assert partition.error_code == 6
    assert (leader.leader_id, leader.leader_epoch) == told.get("current_leader", (-1, -1))
    assert partition.error_message == told.get("error_message")
    assert errors == told.get("record_errors", [])


@pytest.mark.parametrize("transactional_id", [None, "", "tx"])
@pytest.mark.parametrize("version", range(3, 14))
def test_a_clients_request_is_as_its_message_has_it(version: int, transactional_id: str | None) -> None:
    ids = {"a": UUID(int=1), "b": UUID(int=2)} if version >= 13 else {"a": None, "b": None}
    records = memoryview(bytes(range(200)))
    given = [("a", 0, records), ("a", 7, None), ("b", 1, records[:1]), ("b", 0, records[:0])]
    partitions = [
        PartitionData(None if version >= 13 else topic, ids[topic], index, data)
        for topic, index, data in given
    ]
    request = ProduceRequest(transactional_id, -1, 1234, partitions)
    pieces = encode_produce(version, request)
    message = messages.ProduceRequest(
        transactional_id=transactional_id,
        acks=-1,
        timeout_ms=1234,
        topic_data=[
            messages.TopicProduceData(
                name=name,
                topic_id=ids[name],
                partition_data=[
                    messages.PartitionProduceData(index=index, records=data)
                    for topic, index, data in given
                    if topic == name
                ],
            )
            for name in ids
        ],
    )
    whole = b"".join(pieces)
    assert whole == wire.encode(message, version)
    assert decode_produce(version, memoryview(whole), max_partitions=9) == request
    assert any(piece is records for piece in pieces)


@pytest.mark.parametrize("version", [3, 9, 13])
def test_a_clients_request_may_be_empty(version: int) -> None:
    request = ProduceRequest(None, 0, 0, [])
    (encoded,) = encode_produce(version, request)
    assert decode_produce(version, memoryview(encoded), max_partitions=0) == request
