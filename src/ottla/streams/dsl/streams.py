"""Streams and tables, and what becomes of them: the DSL as its users see it.

Each operator gives another stream or table, and takes a `name` for its node; nothing happens before the
topology runs. Functions see keys and values as the serdes give them, None for null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Literal, overload

from ottla.streams.columnar.stateless import TableFunction
from ottla.streams.dsl import aggregations, foreign_keys, inferred, stateless, stream_joins, tables
from ottla.streams.dsl.aggregations import By, Emit, Windows
from ottla.streams.dsl.branched import BranchedKStream
from ottla.streams.dsl.functions import of_key_and_value, of_value
from ottla.streams.dsl.global_table import GlobalKTable
from ottla.streams.dsl.graph import Named
from ottla.streams.dsl.grouping import Aggregation
from ottla.streams.dsl.parts import StreamParts, TableParts, derived, same
from ottla.streams.dsl.suppressed import Until, WhenFull, suppressed
from ottla.streams.dsl.table_joins import table_join
from ottla.streams.dsl.types import KO, KR, KT, VO, VR, A, Computed, Condition, K, Kept, Name, V
from ottla.streams.expressions.nodes import Aggregate, Expression
from ottla.streams.processor import Processor
from ottla.streams.processors import stateless as operators
from ottla.streams.records import Windowed
from ottla.streams.serdes import Serde
from ottla.streams.topology.nodes import Partitioner, TopicNameExtractor
from ottla.streams.windows import Duration, JoinWindows

BY_KEY = By()


class KStream(Generic[K, V]):
    """A stream of records, each a fact of its own."""

    def __init__(self, parts: StreamParts) -> None:
        self.parts = parts

    def filter(self, function: Condition[K, V], *, name: Name = None) -> KStream[K, V]:
        """Only the records of which the function, or expression, is true."""
        return KStream(stateless.filtered(self.parts, function, name))

    def filter_not(self, function: Condition[K, V], *, name: Name = None) -> KStream[K, V]:
        """Only the records of which the function is not true, or the expression false."""
        return KStream(stateless.filtered(self.parts, function, name, negated=True))

    def map(self, function: Callable[[K, V], tuple[KR, VR]], *, name: Name = None) -> KStream[KR, VR]:
        """Another key and value for each. What groups or joins by key is repartitioned after it."""
        make = partial(operators.Map, of_key_and_value(function, "map"))
        return KStream(derived(self.parts, "KSTREAM-MAP-", name, make, changes_key=True))

    def flat_map(
        self, function: Callable[[K, V], Iterable[tuple[KR, VR]]], *, name: Name = None
    ) -> KStream[KR, VR]:
        """Any number of keys and values for each."""
        make = partial(operators.FlatMap, of_key_and_value(function, "flat_map"))
        return KStream(derived(self.parts, "KSTREAM-FLATMAP-", name, make, changes_key=True))

    @overload
    def map_values(self, function: Callable[[V], VR], *, name: Name = None) -> KStream[K, VR]: ...
    @overload
    def map_values(
        self, function: Callable[[K, V], VR], *, with_key: Literal[True], name: Name = None
    ) -> KStream[K, VR]: ...
    @overload
    def map_values(self, function: Computed, *, name: Name = None) -> KStream[K, Any]: ...
    def map_values(self, function: Any, *, with_key: bool = False, name: Name = None) -> KStream[K, Any]:
        """Another value for each: of a function of the value (`with_key`: of key and value), an expression,
        or a dict of expressions, which makes a dict."""
        return KStream(stateless.values_mapped(self.parts, function, with_key, name))

    def map_batches(self, function: TableFunction, *, name: Name = None) -> KStream[Any, Any]:
        """Other keys, values and times for many records at a time."""
        return KStream(stateless.batches_mapped(self.parts, function, name))

    def flat_map_values(
        self, function: Callable[..., Iterable[VR]], *, with_key: bool = False, name: Name = None
    ) -> KStream[K, VR]:
        """Any number of values for each: of a function of the value, or `with_key` of key and value."""
        make = partial(operators.FlatMapValues, of_value(function, with_key, "flat_map_values"))
        return KStream(derived(self.parts, "KSTREAM-FLATMAPVALUES-", name, make, changes_value=True))

    def select_key(self, function: Callable[[K, V], KR] | Expression, *, name: Name = None) -> KStream[KR, V]:
        """Another key for each."""
        return KStream(stateless.select_key(self.parts, function, name))

    def peek(self, function: Callable[[K, V], object], *, name: Name = None) -> KStream[K, V]:
        """Call the function for each, and go on with the same records."""
        return KStream(same(self.parts, "KSTREAM-PEEK-", name, partial(operators.Peek, function)))

    def for_each(self, function: Callable[[K, V], object], *, name: Name = None) -> None:
        """Call the function for each."""
        stateless.for_each(self.parts, function, name)

    def merge(self, other: KStream[K, V], *, name: Name = None) -> KStream[K, V]:
        """The records of both."""
        return KStream(stateless.merged(self.parts, other.parts, name))

    def split(self, *, name: Name = None) -> BranchedKStream[K, V, KStream[K, V]]:
        """Streams of parts of the records: say with `branch` which."""
        return BranchedKStream(self.parts, name, KStream)

    def repartition(
        self,
        name: Name = None,
        key: Serde[K] | None = None,
        value: Serde[V] | None = None,
        *,
        partitions: int | None = None,
        partitioner: Partitioner | None = None,
    ) -> KStream[K, V]:
        """Write the records to a topic of the application's, `APPLICATION-NAME-repartition`, and read them
        from it."""
        return KStream(stateless.repartitioned(self.parts, name, key, value, partitions, partitioner))

    def to(
        self,
        topic: str | TopicNameExtractor,
        key: Serde[K] | None = None,
        value: Serde[V] | None = None,
        *,
        partitioner: Partitioner | None = None,
        name: Name = None,
    ) -> None:
        """Write the records to a topic, or each to the one that a function of it and its metadata names."""
        stateless.sink(self.parts, topic, key, value, partitioner, name)

    def to_table(self, materialized: Kept[K, V] = None, *, name: Name = None) -> KTable[K, V]:
        """The records as updates of a table."""
        return KTable(tables.stream_to_table(self.parts, materialized, name))

    def process(
        self, supplier: Callable[[], Processor[K, V, KR, VR]], *stores: str, name: Name = None
    ) -> KStream[KR, VR]:
        """What a processor of yours forwards: each task has its own, of `supplier`. It may use the `stores`
        named, and those that the supplier has as `stores`."""
        return KStream(stateless.processed(self.parts, supplier, stores, name, changes_key=True))

    def process_values(
        self, supplier: Callable[[], Processor[K, V, K, VR]], *stores: str, name: Name = None
    ) -> KStream[K, VR]:
        """As `process`, of a processor that forwards no other keys."""
        return KStream(stateless.processed(self.parts, supplier, stores, name, changes_key=False))

    def group_by_key(
        self, key: Serde[K] | None = None, value: Serde[V] | None = None, *, name: Name = None
    ) -> KGroupedStream[K, V, K]:
        """Group by the keys; `name` is that of the repartition topic, if one is needed."""
        s = self.parts
        return KGroupedStream(Aggregation(replace(s, key=key or s.key, value=value or s.value), name))

    def group_by(
        self,
        function: Callable[[K, V], KR] | Expression,
        key: Serde[KR] | None = None,
        value: Serde[V] | None = None,
        *,
        name: Name = None,
    ) -> KGroupedStream[KR, V, KR]:
        """Group by what the function, or expression, says; the records are repartitioned by it."""
        s = self.parts
        node = stateless.key_selecting_node(s, function, Named(name, s.graph))
        key_serde = inferred.key_serde(function, key, s.key, s.value)
        parts = StreamParts(node.name, key_serde, value or s.value, s.sources, True, node, s.graph)
        return KGroupedStream(Aggregation(parts, name))

    @overload
    def join(
        self, other: KStream[K, VO], joiner: Callable[[V, VO], VR], windows: JoinWindows, **options: Any
    ) -> KStream[K, VR]: ...
    @overload
    def join(self, other: KTable[K, VO], joiner: Callable[[V, VO], VR], **options: Any) -> KStream[K, VR]: ...
    @overload
    def join(
        self, other: KTable[K, VO], joiner: Mapping[str, Any] | Expression, **options: Any
    ) -> KStream[K, Any]: ...
    @overload
    def join(
        self,
        other: GlobalKTable[KT, VO],
        joiner: Callable[[V, VO], VR],
        *,
        key_mapper: Callable[[K, V], KT | None],
        **options: Any,
    ) -> KStream[K, VR]: ...
    def join(
        self, other: Any, joiner: stream_joins.Joiner, windows: JoinWindows | None = None, **options: Any
    ) -> KStream[K, Any]:
        """What the joiner makes of a record's value and of that which

        - another stream has with the same key within the `windows`. Options: `key`, `value`, `other_value`
          (serdes of the windows' stores), `store_name`;
        - a table has for its key now (a versioned one: had then). Options: `key`, `value`, `grace`: wait so
          long for the table, which then has to be versioned;
        - a global table has for what `key_mapper(key, value)` gives.
        `with_key=True`: the joiner takes the key first. It may be an expression, or a dict of them, of the
        two values as the fields `left` and `right` of one: `{"city": col("right.city")}`.
        """
        return self._joined("inner", other, joiner, windows, **options)

    def left_join(
        self, other: Any, joiner: stream_joins.Joiner, windows: JoinWindows | None = None, **options: Any
    ) -> KStream[K, Any]:
        """As `join`, with None where there is nothing to join with: of a stream, once nothing can come any
        more."""
        return self._joined("left", other, joiner, windows, **options)

    def outer_join(
        self, other: KStream[K, VO], joiner: Callable[..., VR], windows: JoinWindows, **options: Any
    ) -> KStream[K, VR]:
        """As `join` of two streams, with None where either has nothing."""
        return self._joined("outer", other, joiner, windows, **options)

    def _joined(
        self,
        kind: stream_joins.StreamJoinKind,
        other: KStream[Any, Any] | KTable[Any, Any] | GlobalKTable[Any, Any],
        joiner: stream_joins.Joiner,
        windows: JoinWindows | None = None,
        *,
        with_key: bool = False,
        **options: Any,
    ) -> KStream[K, Any]:
        function = stream_joins.joiner_of(joiner, with_key)
        parts = stream_joins.joined(self.parts, other.parts, kind, function, windows, options)
        parts.value = inferred.value_serde(joiner)
        return KStream(parts)


class KGroupedStream(Generic[K, V, KO]):
    """A stream grouped by key, and perhaps by window: then the keys of its tables are windowed. Records
    without a key are dropped; so are those without a value, but not in tumbling windows and sessions."""

    def __init__(self, aggregation: Aggregation, by: By = BY_KEY) -> None:
        self.aggregation = aggregation
        self._by = by

    def windowed_by(self, windows: Windows) -> KGroupedStream[K, V, Windowed[K]]:
        """Aggregate by window, too."""
        return KGroupedStream(self.aggregation, By(windows))

    def emit(self, strategy: Emit) -> KGroupedStream[K, V, KO]:
        """When results of windows go on: with each record, or once when their window has closed (KIP-825)."""
        return KGroupedStream(self.aggregation, self._by.emit(strategy))

    def count(self, materialized: Kept[K, int] = None, *, name: Name = None) -> KTable[KO, int]:
        """How many records there are."""
        return KTable(aggregations.counted(self.aggregation, self._by, materialized, name))

    def reduce(
        self, reducer: Callable[[V, V], V | None], materialized: Kept[K, V] = None, *, name: Name = None
    ) -> KTable[KO, V]:
        """The values made one: `reducer(aggregate, value)`."""
        return KTable(aggregations.reduced(self.aggregation, self._by, reducer, materialized, name))

    @overload
    def aggregate(
        self,
        initializer: Callable[[], A],
        aggregator: Callable[[K, V, A], A | None],
        materialized: Kept[K, A] = None,
        *,
        merger: Callable[[K, A, A], A] | None = None,
        name: Name = None,
    ) -> KTable[KO, A]: ...
    @overload
    def aggregate(
        self, initializer: Mapping[str, Aggregate], *, materialized: Kept[K, Any] = None, name: Name = None
    ) -> KTable[KO, dict[str, Any]]: ...
    def aggregate(
        self,
        initializer: Any,
        aggregator: Any = None,
        materialized: Any = None,
        *,
        merger: Any = None,
        name: Name = None,
    ) -> KTable[KO, Any]:
        """What `aggregator(key, value, aggregate)` makes of the values, beginning with the initializer's;
        sessions that become one are merged by `merger(key, one, other)`. Or, of a dict of aggregates such as
        `{"n": count(), "total": col("amount").sum()}`, rows of their results."""
        args = self.aggregation, self._by, initializer, aggregator, merger, materialized, name
        return KTable(aggregations.aggregated(*args))

    def cogroup(self, aggregator: Callable[[K, V, A], A | None]) -> CogroupedKStream[K, A, K]:
        """Aggregate several streams into one table, this one with `aggregator(key, value, aggregate)`."""
        return CogroupedKStream([(self.aggregation, aggregator)])


class CogroupedKStream(Generic[K, A, KO]):
    """Several grouped streams that are aggregated into one table."""

    def __init__(self, groups: list[tuple[Aggregation, aggregations.Aggregator]], by: By = BY_KEY) -> None:
        self._groups = groups
        self._by = by

    def cogroup(
        self, grouped: KGroupedStream[K, V, K], aggregator: Callable[[K, V, A], A | None]
    ) -> CogroupedKStream[K, A, KO]:
        """Aggregate this one, too, with `aggregator(key, value, aggregate)`."""
        return CogroupedKStream([*self._groups, (grouped.aggregation, aggregator)], self._by)

    def windowed_by(self, windows: Windows) -> CogroupedKStream[K, A, Windowed[K]]:
        """Aggregate by window, too."""
        return CogroupedKStream(self._groups, By(windows))

    def aggregate(
        self,
        initializer: Callable[[], A],
        materialized: Kept[K, A] = None,
        *,
        merger: Callable[[K, A, A], A] | None = None,
        name: Name = None,
    ) -> KTable[KO, A]:
        """The table, in which each key begins with the initializer's value."""
        return KTable(aggregations.cogrouped(self._groups, self._by, initializer, merger, materialized, name))


class KTable(Generic[K, V]):
    """A table: the latest value of each key. One that is `materialized` with a named store can be asked for
    its content; others are computed from those that are."""

    def __init__(self, parts: TableParts) -> None:
        self.parts = parts

    def filter(
        self, function: Condition[K, V], materialized: Kept[K, V] = None, *, name: Name = None
    ) -> KTable[K, V]:
        """Only the keys whose value the function, or expression, is true of."""
        return KTable(tables.filtered(self.parts, function, materialized, name, negated=False))

    def filter_not(
        self, function: Condition[K, V], materialized: Kept[K, V] = None, *, name: Name = None
    ) -> KTable[K, V]:
        """Only the keys whose value the function is not true of."""
        return KTable(tables.filtered(self.parts, function, materialized, name, negated=True))

    @overload
    def map_values(
        self, function: Callable[[V], VR | None], materialized: Kept[K, VR] = None, *, name: Name = None
    ) -> KTable[K, VR]: ...
    @overload
    def map_values(
        self,
        function: Callable[[K, V], VR | None],
        materialized: Kept[K, VR] = None,
        *,
        with_key: Literal[True],
        name: Name = None,
    ) -> KTable[K, VR]: ...
    @overload
    def map_values(
        self, function: Computed, materialized: Kept[K, Any] = None, *, name: Name = None
    ) -> KTable[K, Any]: ...
    def map_values(
        self, function: Any, materialized: Kept[K, Any] = None, *, with_key: bool = False, name: Name = None
    ) -> KTable[K, Any]:
        """Another value for each key, as of a stream; None deletes."""
        return KTable(tables.map_values(self.parts, function, with_key, materialized, name))

    @overload
    def to_stream(self, function: None = None, *, name: Name = None) -> KStream[K, V]: ...
    @overload
    def to_stream(self, function: Callable[[K, V], KR], *, name: Name = None) -> KStream[KR, V]: ...
    def to_stream(self, function: Any = None, *, name: Name = None) -> KStream[Any, V]:
        """The table's updates, None for what is deleted; with another key for each, if a function gives
        one."""
        parts = tables.to_stream(self.parts, name)
        return KStream(parts if function is None else stateless.select_key(parts, function, None))

    def group_by(
        self,
        function: Callable[[K, V], tuple[KR, VR]],
        key: Serde[KR] | None = None,
        value: Serde[VR] | None = None,
        *,
        name: Name = None,
    ) -> KGroupedTable[KR, VR]:
        """Group what the function makes of keys and values by the new keys; what is replaced leaves its
        group."""
        return KGroupedTable(tables.regrouped(self.parts, function, key, value, name))

    def suppress(
        self,
        until: Until,
        after: Duration | None = None,
        *,
        max_records: int | None = None,
        max_bytes: int | None = None,
        when_full: WhenFull | None = None,
        name: Name = None,
    ) -> KTable[K, V]:
        """Hold updates back: until their window can change no more, or a time `after` the first. More than
        `max_records` or `max_bytes` of them end the application (`shut_down`), or the oldest go on early
        (`emit_early`, the default of `time_limit`)."""
        return KTable(suppressed(self.parts, until, after, max_records, max_bytes, when_full, name))

    def join(
        self,
        other: KTable[KO, VO],
        joiner: Callable[[V, VO], VR],
        materialized: Kept[K, VR] = None,
        *,
        foreign_key: Callable[..., KO | None] | Expression | None = None,
        with_key: bool = False,
        name: Name = None,
    ) -> KTable[K, VR]:
        """What the joiner makes of the values of a key that is in both tables; with a `foreign_key`, of a
        value and of that which the other table has for its foreign key: a function of the value (`with_key`:
        of key and value), or an expression."""
        args = joiner, materialized, name, foreign_key, with_key
        return KTable(foreign_keys.joined(self.parts, other.parts, "inner", *args))

    def left_join(
        self,
        other: KTable[KO, VO],
        joiner: Callable[[V, VO | None], VR],
        materialized: Kept[K, VR] = None,
        *,
        foreign_key: Callable[..., KO | None] | Expression | None = None,
        with_key: bool = False,
        name: Name = None,
    ) -> KTable[K, VR]:
        """As `join`, with None for what the other table does not have."""
        args = joiner, materialized, name, foreign_key, with_key
        return KTable(foreign_keys.joined(self.parts, other.parts, "left", *args))

    def outer_join(
        self,
        other: KTable[K, VO],
        joiner: Callable[[V | None, VO | None], VR],
        materialized: Kept[K, VR] = None,
        *,
        name: Name = None,
    ) -> KTable[K, VR]:
        """As `join` by key, with None for what either table does not have."""
        return KTable(table_join(self.parts, other.parts, joiner, materialized, name, "outer"))


class KGroupedTable(Generic[K, V]):
    """A table grouped by other keys: what is replaced is subtracted from its group."""

    def __init__(self, grouped: tables.GroupedTable) -> None:
        self._grouped = grouped

    def count(self, materialized: Kept[K, int] = None, *, name: Name = None) -> KTable[K, int]:
        """How many keys of the table each group has."""
        return KTable(tables.grouped_count(self._grouped, materialized, name))

    def reduce(
        self,
        adder: Callable[[V, V], V | None],
        subtractor: Callable[[V, V], V | None],
        materialized: Kept[K, V] = None,
        *,
        name: Name = None,
    ) -> KTable[K, V]:
        """The values of each group made one: `adder(aggregate, value)`, and `subtractor(aggregate,
        value)`."""
        return KTable(tables.grouped_reduce(self._grouped, adder, subtractor, materialized, name))

    @overload
    def aggregate(
        self,
        initializer: Callable[[], A],
        adder: Callable[[K, V, A], A | None],
        subtractor: Callable[[K, V, A], A | None],
        materialized: Kept[K, A] = None,
        *,
        name: Name = None,
    ) -> KTable[K, A]: ...
    @overload
    def aggregate(
        self, initializer: Mapping[str, Aggregate], *, materialized: Kept[K, Any] = None, name: Name = None
    ) -> KTable[K, dict[str, Any]]: ...
    def aggregate(
        self,
        initializer: Any,
        adder: Any = None,
        subtractor: Any = None,
        materialized: Any = None,
        *,
        name: Name = None,
    ) -> KTable[K, Any]:
        """What the functions of key, value and aggregate make of each group, beginning with the initializer's
        value. Or, of a dict of aggregates that values can be taken back from (count, sum, mean, collect), the
        rows of their results; a sum of nothing left is 0."""
        functions = initializer, adder, subtractor
        return KTable(tables.grouped_aggregated(self._grouped, *functions, materialized, name))
