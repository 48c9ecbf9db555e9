"""Stream processing with Kafka Streams' semantics, against any Kafka.

    from ottla.streams import StreamsBuilder, Text, TimeWindows

    builder = StreamsBuilder()
    (
        builder.stream("words", key=Text(), value=Text())
        .group_by_key()
        .windowed_by(TimeWindows.of("1m"))
        .count()
        .to_stream()
        .to("counts")
    )
    print(builder.build().describe())

Kafka Streams 4.4 is the specification: terms, node names, internal topics, changelogs' bytes. What a name
needs is imported with its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ottla.streams.dsl.branched import BranchedKStream
    from ottla.streams.dsl.builder import StreamsBuilder
    from ottla.streams.dsl.global_table import GlobalKTable
    from ottla.streams.dsl.store import Store
    from ottla.streams.dsl.streams import (
        CogroupedKStream,
        KGroupedStream,
        KGroupedTable,
        KStream,
        KTable,
    )
    from ottla.streams.errors import StreamsError, TopologyError
    from ottla.streams.expressions.functions import (
        coalesce,
        col,
        concat,
        count,
        header,
        key,
        lit,
        offset,
        partition,
        timestamp,
        topic,
        value,
        when,
        window_end,
        window_start,
    )
    from ottla.streams.processor import Processor, ProcessorContext, PunctuationType
    from ottla.streams.records import Change, Record, ValueAndTimestamp, Window, Windowed
    from ottla.streams.runtime.streams import Streams
    from ottla.streams.serdes import (
        UUID,
        Boolean,
        Bytes,
        Double,
        Float,
        Integer,
        Json,
        List,
        Long,
        Serde,
        SessionWindowedSerde,
        Short,
        Text,
        TimeWindowedSerde,
    )
    from ottla.streams.testing import TopologyTest
    from ottla.streams.topology.topology import Topology
    from ottla.streams.windows import (
        JoinWindows,
        SessionWindows,
        SlidingWindows,
        TimeWindows,
        UnlimitedWindows,
    )

__all__ = [
    "Boolean",
    "BranchedKStream",
    "Bytes",
    "Change",
    "CogroupedKStream",
    "Double",
    "Float",
    "GlobalKTable",
    "Integer",
    "JoinWindows",
    "Json",
    "KGroupedStream",
    "KGroupedTable",
    "KStream",
    "KTable",
    "List",
    "Long",
    "Processor",
    "ProcessorContext",
    "PunctuationType",
    "Record",
    "Serde",
    "SessionWindowedSerde",
    "SessionWindows",
    "Short",
    "SlidingWindows",
    "Store",
    "Streams",
    "StreamsBuilder",
    "StreamsError",
    "Text",
    "TimeWindowedSerde",
    "TimeWindows",
    "Topology",
    "TopologyError",
    "TopologyTest",
    "UUID",
    "UnlimitedWindows",
    "ValueAndTimestamp",
    "Window",
    "Windowed",
    "coalesce",
    "col",
    "concat",
    "count",
    "header",
    "key",
    "lit",
    "offset",
    "partition",
    "timestamp",
    "topic",
    "value",
    "when",
    "window_end",
    "window_start",
]

_NAMES = {
    "dsl.branched": "BranchedKStream",
    "dsl.builder": "StreamsBuilder",
    "dsl.global_table": "GlobalKTable",
    "dsl.store": "Store",
    "dsl.streams": "CogroupedKStream KGroupedStream KGroupedTable KStream KTable",
    "errors": "StreamsError TopologyError",
    "expressions.functions": (
        "coalesce col concat count header key lit offset partition timestamp topic value when window_end"
        " window_start"
    ),
    "processor": "Processor ProcessorContext PunctuationType",
    "records": "Change Record ValueAndTimestamp Window Windowed",
    "runtime.streams": "Streams",
    "serdes": (
        "Boolean Bytes Double Float Integer Json List Long Serde SessionWindowedSerde Short Text"
        " TimeWindowedSerde UUID"
    ),
    "testing": "TopologyTest",
    "topology.topology": "Topology",
    "windows": "JoinWindows SessionWindows SlidingWindows TimeWindows UnlimitedWindows",
}
"""What each module below this package has of them."""
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
