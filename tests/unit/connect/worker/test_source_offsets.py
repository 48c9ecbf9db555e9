"""Offsets of sources: Kafka's keys and values, and the file of its standalone worker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.connect.worker.java_map import JavaMapError, decode, encode
from ottla.connect.worker.offset_changes import Change, parse_sink_offsets, sink_offsets_shown
from ottla.connect.worker.source_offsets import SourceOffsets

# What an ObjectOutputStream of Java writes for a HashMap of one entry: `["c",{"a":1}]` to `{"p":2}`.
JAVA = bytes.fromhex(
    "aced0005737200116a6176612e7574696c2e486173684d61700507dac1c31660d103000246000a6c6f6164466163746f72"
    "4900097468726573686f6c6478703f4000000000000c770800000010000000017572"
    "00025b42acf317f8060854e00200007870"
    "0000000d5b2263222c7b2261223a317d5d7571007e0002000000077b2270223a327d78"
)


def test_keys_that_are_there_are_kept() -> None:
    offsets = SourceOffsets()
    offsets.replay(b'["c",{"b":1,"a":2}]', b'{"position":5}')
    assert offsets.get("c", {"a": 2, "b": 1}) == {"position": 5}
    assert offsets.written("c", {"a": 2, "b": 1}, {"position": 6}) == (
        b'["c",{"b":1,"a":2}]',
        b'{"position":6}',
    )
    assert offsets.written("c", {"a": 3}, {"p": None}) == (b'["c",{"a":3}]', b'{"p":null}')
    offsets.replay(b'["c",{"b":1,"a":2}]', None)
    assert offsets.of("c") == []
    assert offsets.written("c", {"a": 2, "b": 1}, {}).key == b'["c",{"b":1,"a":2}]'


@pytest.mark.parametrize("key", [None, b"", b"{}", b'["c"]', b"[1,{}]", b'["c",null]', b'["c",[]]', b"["])
def test_keys_that_are_none_are_left_out(key: bytes | None) -> None:
    offsets = SourceOffsets()
    offsets.replay(key, b"{}")
    assert offsets.of("c") == []


def test_file_of_java() -> None:
    entries = {b'["c",{"a":1}]': b'{"p":2}'}
    assert decode(JAVA) == entries
    assert encode(entries) == JAVA


@given(st.dictionaries(st.binary(max_size=20), st.none() | st.binary(max_size=20), max_size=40))
def test_file_holds_what_it_is_given(entries: dict[bytes, bytes | None]) -> None:
    assert decode(encode(entries)) == entries


@given(st.integers(0, len(JAVA) - 1), st.integers(0, 255))
def test_broken_files_are_refused(where: int, byte: int) -> None:
    for broken in (JAVA[:where], JAVA[:where] + bytes([byte]) + JAVA[where + 1 :]):
        try:
            decode(broken)
        except JavaMapError:
            pass


def test_offsets_of_sinks() -> None:
    shown = sink_offsets_shown({("t", 1): 5})
    wanted = {"partition": {"kafka_topic": "t", "kafka_partition": 1}, "offset": {"kafka_offset": 5}}
    assert shown == {"offsets": [wanted]}
    partition = {"kafka_topic": "t", "kafka_partition": "1"}
    assert parse_sink_offsets([Change(partition, {"kafka_offset": "7"})]) == {("t", 1): 7}
    assert parse_sink_offsets([Change(partition, None)]) == {("t", 1): None}
    for wrong in (
        Change(None, None),
        Change({"kafka_topic": "t"}, None),
        Change({"kafka_topic": None, "kafka_partition": 0}, None),
        Change({"kafka_topic": "t", "kafka_partition": None}, None),
        Change({"kafka_topic": "t", "kafka_partition": "x"}, None),
        Change(partition, {}),
        Change(partition, {"kafka_offset": "x"}),
        Change(partition, {"kafka_offset": True}),
    ):
        with pytest.raises(ValueError):
            parse_sink_offsets([wrong])
