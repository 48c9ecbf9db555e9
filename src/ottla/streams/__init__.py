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
    from ottla.streams.dsl.builder import StreamsBuilder
    from ottla.streams.dsl.global_table import GlobalKTable
    from ottla.streams.dsl.store import Store
    from ottla.streams.dsl.streams import (
        BranchedKStream,
        CogroupedKStream,
        KGroupedStream,
        KGroupedTable,
        KStream,
        KTable,
    )
    from ottla.streams.errors import StreamsError, TopologyError
    from ottla.streams.expressions import (
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

_HOMES = {
    "Streams": "runtime.streams",
    "Boolean": "serdes",
    "BranchedKStream": "dsl.streams",
    "Bytes": "serdes",
    "Change": "records",
    "CogroupedKStream": "dsl.streams",
    "Double": "serdes",
    "Float": "serdes",
    "GlobalKTable": "dsl.global_table",
    "Integer": "serdes",
    "JoinWindows": "windows",
    "Json": "serdes",
    "KGroupedStream": "dsl.streams",
    "KGroupedTable": "dsl.streams",
    "KStream": "dsl.streams",
    "KTable": "dsl.streams",
    "List": "serdes",
    "Long": "serdes",
    "Processor": "processor",
    "ProcessorContext": "processor",
    "PunctuationType": "processor",
    "Record": "records",
    "Serde": "serdes",
    "SessionWindowedSerde": "serdes",
    "SessionWindows": "windows",
    "Short": "serdes",
    "SlidingWindows": "windows",
    "Store": "dsl.store",
    "StreamsBuilder": "dsl.builder",
    "StreamsError": "errors",
    "Text": "serdes",
    "TimeWindowedSerde": "serdes",
    "TimeWindows": "windows",
    "Topology": "topology.topology",
    "TopologyError": "errors",
    "TopologyTest": "testing",
    "UUID": "serdes",
    "UnlimitedWindows": "windows",
    "ValueAndTimestamp": "records",
    "Window": "records",
    "Windowed": "records",
    "coalesce": "expressions",
    "col": "expressions",
    "concat": "expressions",
    "count": "expressions",
    "header": "expressions",
    "key": "expressions",
    "lit": "expressions",
    "offset": "expressions",
    "partition": "expressions",
    "timestamp": "expressions",
    "topic": "expressions",
    "value": "expressions",
    "when": "expressions",
    "window_end": "expressions",
    "window_start": "expressions",
}
"""Where each name is defined, below this package."""


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
