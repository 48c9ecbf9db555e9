"""The frames made by hand are what Kafka's schemas say."""

from __future__ import annotations

import struct

import pytest
from bench import requests, wire

from ottla.protocol.wire import decode_request
from ottla.records.batch import parse_header


def _decoded(frame: bytes) -> object:
    size, key, version, _, client = struct.unpack_from(">ihhih", frame)
    assert size == len(frame) - 4
    flexible = (key, version) == (wire.PRODUCE, 9)
    return decode_request(key, version, frame, 14 + client + flexible)


def test_produce() -> None:
    request = _decoded(requests.produce_request("t", 3, 100))
    (topic,) = request.topic_data  # type: ignore[attr-defined]
    (partition,) = topic.partition_data
    assert (topic.name, partition.index) == ("t", 3)
    header = parse_header(bytes(partition.records))
    assert (header.record_count, header.size) == (1, len(partition.records))


def test_fetch() -> None:
    request = _decoded(wire.fetch_request("t", max_bytes=200))
    (topic,) = request.topics  # type: ignore[attr-defined]
    (partition,) = topic.partitions
    assert (topic.topic, partition.partition, partition.fetch_offset) == ("t", 0, 0)
    assert (request.max_bytes, partition.partition_max_bytes) == (200, 200)  # type: ignore[attr-defined]


def test_join_group() -> None:
    request = _decoded(wire.frame(wire.JOIN_GROUP, 2, wire.join_request("g", "", "t")))
    assert (request.group_id, request.member_id) == ("g", "")  # type: ignore[attr-defined]
    assert request.protocol_type == "consumer"  # type: ignore[attr-defined]
    assert request.session_timeout_ms == 30_000  # type: ignore[attr-defined]
    (protocol,) = request.protocols  # type: ignore[attr-defined]
    assert protocol.name == "range"
    assert b"\0\1t" in bytes(protocol.metadata)


class _Answers(wire.Connection):
    def __init__(self, body: bytes) -> None:
        self._body = body
        self.asked = b""

    def ask(self, api_key: int, version: int, body: bytes) -> wire.Reader:
        self.asked = wire.frame(api_key, version, body)
        return wire.Reader(self._body)


def test_end_offsets() -> None:
    partitions = struct.pack(">ihqq", 1, 0, -1, 7) + struct.pack(">ihqq", 0, 0, -1, 5)
    connection = _Answers(struct.pack(">i", 1) + wire.string("t") + struct.pack(">i", 2) + partitions)
    assert wire.end_offsets(connection, "t", 2) == [5, 7]
    request = _decoded(connection.asked)
    (topic,) = request.topics  # type: ignore[attr-defined]
    assert [(each.partition_index, each.timestamp) for each in topic.partitions] == [(0, -1), (1, -1)]


def test_end_offsets_with_an_error() -> None:
    partition = struct.pack(">ihqq", 0, 6, -1, -1)
    connection = _Answers(struct.pack(">i", 1) + wire.string("t") + struct.pack(">i", 1) + partition)
    with pytest.raises(wire.RefusedError, match="t-0: error 6"):
        wire.end_offsets(connection, "t", 1)


def test_brokers_and_leaders() -> None:
    broker = struct.pack(">i", 1) + wire.string("host") + struct.pack(">i", 9092) + struct.pack(">h", -1)
    led = struct.pack(">hii", 0, 0, 1) + struct.pack(">ii", 1, 1) * 2
    leaderless = struct.pack(">hii", 5, 1, -1) + struct.pack(">ii", 1, 1) + struct.pack(">i", 0)
    topic = struct.pack(">h", 0) + wire.string("t") + b"\0" + struct.pack(">i", 2) + led + leaderless
    body = struct.pack(">i", 1) + broker + struct.pack(">i", 1) + struct.pack(">i", 1) + topic
    brokers, leaders = wire.brokers_and_leaders(_Answers(body), ["t"])
    assert brokers == 1
    assert leaders == {("t", 0): True, ("t", 1): False}
