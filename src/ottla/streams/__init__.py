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
    from ottla.streams.errors import StreamsError, TopologyError
    from ottla.streams.records import Change, Record, ValueAndTimestamp, Window, Windowed

__all__ = [
    "Change",
    "Record",
    "StreamsError",
    "TopologyError",
    "ValueAndTimestamp",
    "Window",
    "Windowed",
]

_HOMES = {
    "Change": "records",
    "Record": "records",
    "StreamsError": "errors",
    "TopologyError": "errors",
    "ValueAndTimestamp": "records",
    "Window": "records",
    "Windowed": "records",
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
