"""The processor API."""

from __future__ import annotations

from functools import partial
from typing import cast

from ottla.streams import (
    Long,
    Processor,
    ProcessorContext,
    PunctuationType,
    Record,
    Store,
    StreamsBuilder,
    Text,
)
from ottla.streams.state.stores import KeyValueStore

from .stateless import text


class Counting(Processor[str, str, str, int]):
    """Counts by key; tells all counts where it punctuates, each count at once where it does not."""

    def __init__(self, punctuation: PunctuationType | None) -> None:
        self._punctuation = punctuation

    def init(self, context: ProcessorContext[str, int]) -> None:
        super().init(context)
        self._seen = cast("KeyValueStore[str, int]", context.store("seen"))
        if self._punctuation is not None:
            context.schedule("10ms", self._punctuation, self._tell)

    def _tell(self, timestamp: int) -> None:
        for key, count in self._seen.all():
            self.context.forward(Record(key, count, timestamp))

    def process(self, record: Record[str, str]) -> None:
        count = (self._seen.get(record.key) or 0) + 1
        self._seen.put(record.key, count)
        if self._punctuation is None:
            self.context.forward(record.with_value(count))


class Numbering(Processor[str, str, str, str]):
    """Says how many records it has seen, and which time it is."""

    def init(self, context: ProcessorContext[str, str]) -> None:
        super().init(context)
        self._number = 0

    def process(self, record: Record[str, str]) -> None:
        self._number += 1
        value = f"{self._number}:{record.value}:{self.context.stream_time_ms}"
        self.context.forward(record.with_value(value))


class Heading(Processor[str, str, str, str]):
    """Adds where a record came from to its headers."""

    def process(self, record: Record[str, str]) -> None:
        place = self.context.record_metadata
        assert place is not None
        where = f"{place.topic}/{place.partition}/{place.offset}".encode()
        self.context.forward(record.with_headers((*record.headers, ("from", where))))


def counting(b: StreamsBuilder, punctuation: PunctuationType | None) -> None:
    b.add_state_store(Store("seen", key=Text(), value=Long()))
    text(b).process(partial(Counting, punctuation), "seen").to("out", key=Text(), value=Long())


TOPOLOGIES = {
    "process_with_store": lambda b: counting(b, None),
    "punctuate_stream_time": lambda b: counting(b, "stream_time"),
    "punctuate_wall_clock": lambda b: counting(b, "wall_clock_time"),
    "process_values": lambda b: text(b).process_values(Numbering).to("out"),
    "process_headers": lambda b: text(b).process(Heading).to("out"),
}
