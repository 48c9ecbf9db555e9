"""The nodes of a topology, as they are described before a task runs them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from ottla.streams.errors import TopologyError
from ottla.streams.processor import Processor
from ottla.streams.records import Record, RecordMetadata
from ottla.streams.serdes import Serde
from ottla.streams.state.stack import StoreEnvironment
from ottla.streams.state.stores import StateStore, StoreContext

__all__ = [
    "AnyProcessor",
    "AnySerde",
    "InputRecord",
    "InternalTopic",
    "Node",
    "NodeGroup",
    "OffsetReset",
    "Partitioner",
    "ProcessorNode",
    "SinkNode",
    "SourceNode",
    "StoreBuilder",
    "TimestampExtractor",
    "TopicNameExtractor",
    "serde_of",
]

AnyProcessor = Processor[Any, Any, Any, Any]
"""Keys and values have types in the DSL only: a topology joins nodes by their names."""

OffsetReset = Literal["earliest", "latest", "none"]
TopicNameExtractor = Callable[[Record[Any, Any], RecordMetadata | None], str]


class InputRecord(Protocol):
    """What a timestamp extractor sees: a record of the input with its key and value deserialized."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: Any
    value: Any


TimestampExtractor = Callable[[InputRecord, int], int]
"""Gives a record's time from it and the greatest time seen in its partition (-1: none); negative drops it."""


class StoreBuilder(Protocol):
    """Makes a store for each task."""

    @property
    def name(self) -> str: ...
    @property
    def logging(self) -> bool:
        """Whether a changelog topic has what is written to it."""

    @property
    def meaning(self) -> str:
        """What its bytes depend on beside its serdes, in words: where it changes, state cannot be read."""

    @property
    def layout(self) -> str:
        """How its bytes lie on disk, in words: where it changes, they are had from the changelog again."""

    def build(self, context: StoreContext, environment: StoreEnvironment | None, /) -> StateStore:
        """Without an environment in memory, and without a cache."""

    def changelog_config(self) -> dict[str, str]:
        """How its changelog topic is to be created."""


class Partitioner(Protocol):
    """Says which partition of a topic a record goes to; several for all of them, None for Kafka's default."""

    def __call__(
        self, topic: str, key: Any, value: Any, partitions: int, /
    ) -> int | Iterable[int] | None: ...


AnySerde = Serde[Any] | None
"""None: the application's default."""


def serde_of(serde: AnySerde, default: AnySerde, node: str, what: str) -> Serde[Any]:
    """`serde`, or else the default. Raises TopologyError where there is neither."""
    chosen = default if serde is None else serde
    if chosen is None:
        raise TopologyError(
            f"{node} has no serde for its {what}s: give it {what}=, or the builder default_{what}="
        )
    return chosen


@dataclass(slots=True)
class SourceNode:
    """Reads topics, or all topics whose whole name a pattern matches."""

    name: str
    topics: tuple[str, ...]
    pattern: re.Pattern[str] | None = None
    key: AnySerde = None
    value: AnySerde = None
    timestamp_extractor: TimestampExtractor | None = None
    reset: OffsetReset | None = None

    def matches(self, topic: str) -> bool:
        """Whether it reads by a pattern, and that matches the topic."""
        return self.pattern is not None and self.pattern.fullmatch(topic) is not None


@dataclass(slots=True)
class ProcessorNode:
    """Has a processor of its own in each task."""

    name: str
    parents: tuple[str, ...]
    supplier: Callable[[], AnyProcessor]
    stores: list[str] = field(default_factory=list)


@dataclass(slots=True)
class SinkNode:
    """Writes to a topic, or to the one that is said for each record."""

    name: str
    parents: tuple[str, ...]
    topic: str | TopicNameExtractor
    key: AnySerde = None
    value: AnySerde = None
    partitioner: Partitioner | None = None


Node = SourceNode | ProcessorNode | SinkNode


class NodeGroup(NamedTuple):
    """The names of the nodes of a sub-topology."""

    names: list[str]
    is_global: bool
    """Whether they keep a global store, so that no task runs them."""


@dataclass(frozen=True, slots=True)
class InternalTopic:
    """A repartition topic as the topology names it: without the application's id in front."""

    name: str
    partitions: int | None = None
    """None: as many as the topics that it comes from, or is joined with, have."""
    config: Mapping[str, str] = field(default_factory=dict)
