"""What is committed of a task, and how it goes on from that."""

from __future__ import annotations

import base64

import pytest

from ottla.client.columns.columns import Columns
from ottla.client.core.metadata import TopicPartition
from ottla.streams import KGroupedStream, SessionWindows, SlidingWindows, StreamsBuilder, Text, TimeWindows
from ottla.streams.dsl.aggregations import Windows
from ottla.streams.records import Headers
from ottla.streams.runtime.protocol import TaskId
from ottla.streams.runtime.work import TURN_S, Pace, Work, decode_metadata, encode_metadata
from ottla.streams.task.input import RawRecord
from ottla.streams.task.task import Task, TaskSettings
from ottla.streams.topology.topology import Topology

# What Kafka Streams' TopicPartitionMetadata has: a version, the time, how many names, each name and number.
WRITTEN = bytes.fromhex("02 0000000000000007 00000001 00000003 666f78 0000000000000005")


def test_metadata_is_kafka_streams() -> None:
    assert base64.b64decode(encode_metadata(7, {"fox": 5})) == WRITTEN
    assert base64.b64decode(encode_metadata(7, {})) == WRITTEN[:9]
    assert decode_metadata(encode_metadata(7, {"fox": 5, "ox": -1})) == (7, {"fox": 5, "ox": -1})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x01" + WRITTEN[1:9], (7, {})),
        (WRITTEN[:9], (7, {})),
        (b"\x03" + WRITTEN[1:], (-1, {})),
        (WRITTEN[:-1], (-1, {})),
        (WRITTEN[:13] + b"\xff" * 4 + WRITTEN[17:], (-1, {})),
        (WRITTEN[:17] + b"\xff" + WRITTEN[18:], (-1, {})),
        (b"", (-1, {})),
    ],
)
def test_other_metadata_says_nothing(data: bytes, expected: tuple[int, dict[str, int]]) -> None:
    assert decode_metadata(base64.b64encode(data).decode()) == expected
    assert decode_metadata("no base64") == (-1, {})


class Written:
    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, bytes | None, int]] = []

    def send(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers,
    ) -> None:
        self.records.append((topic, key or b"", value, timestamp))

    def send_columns(self, topic: str, columns: Columns) -> None:
        raise NotImplementedError

    def partitions(self, topic: str) -> int:
        return 1

    def to(self, topic: str) -> list[tuple[bytes, bytes | None, int]]:
        return [(key, value, at) for name, key, value, at in self.records if name == topic]


def made(topology: Topology, written: Written) -> Work:
    settings = TaskSettings("app", lambda: 0, emit_interval_ms=0)
    task = Task(topology, topology.nodes, "0_0", [("in", 0)], settings, written)
    return Work(TaskId(0, 0), task, {}, frozenset())


def process(work: Work, *times: int) -> None:
    records = (RawRecord("in", 0, time, time, b"k", b"v") for time in times)
    work.task.add_records(("in", 0), records)
    while work.task.buffered:
        work.task.process()


@pytest.mark.parametrize(
    ("windows", "closing"),
    [
        (TimeWindows.of(10, grace=5), 25),
        (SessionWindows.of(5, grace=5), 21),
        (SlidingWindows.of(5, grace=5), 17),
    ],
)
def test_windows_that_closed_are_told_once_across_a_restart(windows: Windows, closing: int) -> None:
    builder = StreamsBuilder(default_key=Text(), default_value=Text())
    grouped: KGroupedStream[str, str, str] = builder.stream("in", Text(), Text()).group_by_key()
    grouped.windowed_by(windows).emit("on_window_close").count().to_stream().to("out")
    topology = builder.build()
    written = Written()
    before = made(topology, written)
    before.task.initialize()
    process(before, 10, closing)
    assert len(written.to("out")) == 1
    committed = before.committable()[TopicPartition("in", 0)]

    after = made(topology, written)
    ((_, changelog),) = topology.changelogs("app").items()
    after.task.stores[0].restore(written.to(changelog))
    after.task.go_on_from(("in", 0), *decode_metadata(committed.metadata))
    after.task.initialize()
    process(after, closing + 1)
    assert len(written.to("out")) == 1
    process(after, closing + 12)
    assert len(written.to("out")) > 1


def test_a_run_is_as_long_as_a_turn_allows() -> None:
    pace, longest = Pace(), 0.0

    def run(records: int, each_s: float) -> None:
        nonlocal longest
        for _ in range(records):
            pace.took(pace.records, pace.records * each_s)
            longest = pace.records * each_s

    run(20, 1e-6)
    assert TURN_S / 4 < longest <= TURN_S
    run(20, 1e-3)
    assert TURN_S / 4 < longest <= TURN_S
    run(20, 1.0)
    assert pace.records == 1
    run(20, 1e-6)
    assert longest > TURN_S / 4


def test_fewer_that_were_there_say_nothing() -> None:
    pace = Pace()
    before = pace.records
    pace.took(before // 2, 0.0)
    assert pace.records == before
