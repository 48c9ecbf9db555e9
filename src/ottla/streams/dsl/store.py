"""How state is kept: the store that a user names, and what operators make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from ottla.streams.dsl.graph import Graph, check_name
from ottla.streams.errors import TopologyError
from ottla.streams.serdes import Serde
from ottla.streams.state import builders
from ottla.streams.state.builders import StoreBuilder
from ottla.streams.state.stack import StoreOptions
from ottla.streams.topology.nodes import AnySerde, serde_of
from ottla.streams.windows import Duration, milliseconds

__all__ = ["Materialized", "Store", "StoreKind", "materialized"]

K = TypeVar("K")
V = TypeVar("V")

StoreKind = Literal["default", "memory", "lmdb", "rocksdb", "versioned"]


@dataclass(frozen=True)
class Store(Generic[K, V]):
    """A state store: of a table or an aggregate (`materialized=`), or of the user's processors
    (`add_state_store`), for which it has a value for each key.

    What is left out follows from the operator. With a name it can be asked for its content. Its changelog
    topic is `APPLICATION-NAME-changelog`.
    """

    name: str | None = None
    key: Serde[K] | None = None
    value: Serde[V] | None = None
    caching: bool = True
    """Whether updates of a key that follow each other soon may become one (in the tables of the DSL)."""
    logging: bool = True
    """Whether a changelog topic restores it elsewhere."""
    retention: Duration | None = None
    """How long windows and sessions are kept, at least as long as records may come for them."""
    kind: StoreKind = "default"
    """Where it is kept; `versioned`: all values over `history_retention`, not the latest alone (KIP-889)."""
    history_retention: Duration | None = None
    topic_config: Mapping[str, str] = field(default_factory=dict)
    """Of the changelog topic."""

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name)
        if (self.kind == "versioned") is not (self.history_retention is not None):
            raise TopologyError(f"Store {self.name}: kind='versioned' goes with a history_retention")

    def options(self, *, caching: bool, logged: bool = True) -> StoreOptions:
        kind = "default" if self.kind == "versioned" else self.kind
        return StoreOptions(kind, caching and self.caching, logged and self.logging, dict(self.topic_config))

    def builder(self, graph: Graph, *, logged: bool = True) -> StoreBuilder:
        """The store of a user's processors."""
        if self.name is None:
            raise TopologyError("A store that is added has a name: Store('name', ...)")
        key = serde_of(self.key, graph.default_key, f"The store {self.name}", "key")
        value = serde_of(self.value, graph.default_value, f"The store {self.name}", "value")
        if self.history_retention is not None:
            return builders.versioned_store(
                self.name, key, value, self.history_retention, self.options(caching=False, logged=logged)
            )
        return builders.key_value_store(self.name, key, value, self.options(caching=False, logged=logged))


class Materialized:
    """A store as an operator sees it: it has a name, its own or the next number's, and serdes where known."""

    def __init__(
        self, store: Store[Any, Any], name: str, key: AnySerde, value: AnySerde, graph: Graph
    ) -> None:
        self.store = store
        self.name = name
        self.is_named = store.name is not None
        self.key = key
        self.value = value
        self._graph = graph

    @property
    def named(self) -> str | None:
        """The name that the user gave, by which it can be asked for its content."""
        return self.store.name

    @property
    def is_versioned(self) -> bool:
        return self.store.history_retention is not None

    def table(self, *, logged: bool = True) -> StoreBuilder:
        """For a table: the latest value of each key with its time, or all values."""
        if self.store.history_retention is not None:
            return builders.versioned_store(
                self.name,
                self._key(),
                self._value(),
                self.store.history_retention,
                self.store.options(caching=False, logged=logged),
            )
        options = self.store.options(caching=True, logged=logged)
        return builders.timestamped_key_value_store(self.name, self._key(), self._value(), options)

    def windows(self, size_ms: int, keep_ms: int, *, by_time: bool) -> StoreBuilder:
        """For windows of `size_ms`, for which records come as long as `keep_ms` after their start."""
        return builders.window_store(
            self.name,
            self._key(),
            self._value(),
            retention=self._retention(keep_ms),
            window_size=size_ms,
            timestamped=True,
            time_ordered=by_time,
            options=self.store.options(caching=not by_time),
        )

    def sessions(self, keep_ms: int, *, by_time: bool) -> StoreBuilder:
        return builders.session_store(
            self.name,
            self._key(),
            self._value(),
            retention=self._retention(keep_ms),
            time_ordered=by_time,
            options=self.store.options(caching=not by_time),
        )

    def _retention(self, keep_ms: int) -> int:
        if self.store.retention is None:
            return keep_ms
        retention = milliseconds(self.store.retention, "retention")
        if retention < keep_ms:
            raise TopologyError(
                f"Store {self.name} keeps windows for {retention} ms; records come for them for {keep_ms} ms"
            )
        return retention

    def _key(self) -> Serde[Any]:
        return serde_of(self.key, self._graph.default_key, f"The store {self.name}", "key")

    def _value(self) -> Serde[Any]:
        return serde_of(self.value, self._graph.default_value, f"The store {self.name}", "value")


def materialized(
    store: Store[Any, Any] | None, graph: Graph, prefix: str, key: AnySerde, value: AnySerde
) -> Materialized:
    """The store, with the serdes `key` and `value` where it has none of its own; it takes a number if it has
    no name."""
    chosen = store or Store()
    name = chosen.name or graph.new_store_name(prefix)
    return Materialized(chosen, name, chosen.key or key, chosen.value or value, graph)
