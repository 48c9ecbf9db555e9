"""What becomes of records that cannot be read, processed or written."""

from __future__ import annotations

import pytest

from ottla.streams import Json, Long, Processor, Record, StreamsBuilder, Text, TopologyTest, col
from ottla.streams.columnar.stateless import FilterByExpression
from ottla.streams.errors import DeserializationError, ProcessingError, ProductionError, StreamsError


def _topology():
    builder = StreamsBuilder()
    builder.stream("in", Text(), Long()).map_values(lambda value: 10 // value).to("out", value=Long())
    return builder.build()


def test_a_function_that_raises_is_named_with_the_record() -> None:
    with TopologyTest(_topology()) as test:
        test.input("in").pipe("a", 5, ts=0)
        with pytest.raises(
            ProcessingError, match=r"ZeroDivisionError.*MAPVALUES.*in-0 at offset 1"
        ) as raised:
            test.input("in").pipe("a", 0, ts=0)
        assert (raised.value.topic, raised.value.offset) == ("in", 1)


def test_records_can_be_left_out() -> None:
    config = {"processing_exception_handler": "continue", "errors_dead_letter_queue_topic_name": "dead"}
    with TopologyTest(_topology(), config) as test:
        for value in (5, 0, 2):
            test.input("in").pipe("a", value, ts=0)
        assert [record.value for record in test.output("out").read()] == [2, 5]
        (dead,) = test.output("dead", Text(), Long()).read()
        assert (dead.key, dead.value) == ("a", 0)
        headers = dict(dead.headers)
        assert headers["__streams.errors.topic"] == b"in"
        assert headers["__streams.errors.offset"] == b"1"
        assert headers["__streams.errors.exception"] == b"builtins.ZeroDivisionError"


def test_bytes_that_no_serde_reads() -> None:
    with TopologyTest(_topology()) as test, pytest.raises(DeserializationError, match="KSTREAM-SOURCE"):
        test.pipe_raw("in", b"a", b"123", 0)
    with TopologyTest(_topology(), {"deserialization_exception_handler": "continue"}) as test:
        test.pipe_raw("in", b"a", b"123", 0)
        test.input("in").pipe("a", 5, ts=0)
        assert [record.value for record in test.output("out").read()] == [2]


def test_values_that_no_serde_writes() -> None:
    builder = StreamsBuilder()
    builder.stream("in", Text(), Text()).to("out", value=Long())
    with TopologyTest(builder.build()) as test, pytest.raises(ProductionError, match="KSTREAM-SINK"):
        test.input("in").pipe("a", "text", ts=0)


def test_times_that_an_extractor_gives() -> None:
    builder = StreamsBuilder(Text(), Long())
    builder.stream("in", timestamp_extractor=lambda record, partition_time: 100 // record.value).to("out")
    with TopologyTest(builder.build()) as test:
        test.input("in").pipe("a", 5, ts=0)
        test.input("in").pipe("dropped", -5, ts=0)
        assert [(record.key, record.timestamp) for record in test.output("out").read()] == [("a", 20)]


def test_records_without_a_time_are_refused() -> None:
    builder = StreamsBuilder(Text(), Long())
    builder.stream("in").to("out")
    with TopologyTest(builder.build()) as test, pytest.raises(StreamsError, match="has the timestamp -1"):
        test.input("in").pipe("a", 5, ts=-1)


class _WithAMethodOfThatName(Processor[str, int, str, int]):
    def process(self, record: Record[str, int]) -> None:
        self.context.forward(record)

    def process_chunk(self, chunk: object) -> None:
        raise AssertionError("that is none of ours")


def test_a_users_processor_is_given_no_chunks() -> None:
    b = StreamsBuilder(Text(), Long())
    b.stream("in").process(_WithAMethodOfThatName).to("out")
    with TopologyTest(b.build(), {"columnar_max_records": 100}) as test:
        test.input("in").pipe_batch([Record("a", number, number) for number in range(3)])
        assert [record.value for record in test.output("out").read()] == [0, 1, 2]


def test_what_is_raised_for_a_chunk_says_where_that_began(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: object, chunk: object) -> None:
        raise KeyError("a slip of ours")

    monkeypatch.setattr(FilterByExpression, "process_chunk", failing)
    b = StreamsBuilder(Text(), Json())
    b.stream("in").filter(col("n") > 0).to("out")
    config = {"columnar_max_records": 100, "processing_exception_handler": "continue"}
    with TopologyTest(b.build(), config) as test:
        with pytest.raises(ProcessingError, match=r"KeyError.*KSTREAM-FILTER.*in-0 at offset 0") as raised:
            test.input("in").pipe_batch([Record("a", {"n": number}, number) for number in range(3)])
        assert isinstance(raised.value.__cause__, KeyError)
