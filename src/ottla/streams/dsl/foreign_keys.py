"""Joins of tables, by key or by foreign key: what the latter add to the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal

from ottla.streams.dsl.functions import of_value
from ottla.streams.dsl.graph import Graph, GraphNode, Named, Parameters, ProcessorGraphNode
from ottla.streams.dsl.graph_nodes import Consumed, SinkGraphNode, SourceGraphNode
from ottla.streams.dsl.parts import TableParts
from ottla.streams.dsl.store import Store, materialized
from ottla.streams.dsl.suppliers import SourceSupplier
from ottla.streams.dsl.table_joins import table_join
from ottla.streams.errors import TopologyError
from ottla.streams.processors import foreign_keys as operators
from ottla.streams.processors.foreign_keys import ForeignKeySerdes, ResponseSerde, SubscriptionSerde
from ottla.streams.processors.views import View
from ottla.streams.serdes import Bytes
from ottla.streams.state import builders
from ottla.streams.state.stack import StoreOptions
from ottla.streams.topology.nodes import AnyProcessor, InternalTopic, StoreBuilder, serde_of

__all__ = ["joined"]

Kind = Literal["inner", "left"]
FK_JOIN = "KTABLE-FK-JOIN-"
REGISTRATION = f"{FK_JOIN}SUBSCRIPTION-REGISTRATION-"
RESPONSE = f"{FK_JOIN}SUBSCRIPTION-RESPONSE-"
PROCESSOR = f"{FK_JOIN}SUBSCRIPTION-PROCESSOR-"
RESOLVER = f"{FK_JOIN}SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-"
STORE = f"{FK_JOIN}SUBSCRIPTION-STATE-STORE-"
OUTPUT = f"{FK_JOIN}OUTPUT-"
SINK = "KTABLE-SINK-"
SOURCE = "KTABLE-SOURCE-"


def joined(
    table: TableParts,
    other: TableParts,
    kind: Kind,
    joiner: Callable[[Any, Any], Any],
    given: Store[Any, Any] | None,
    name: str | None,
    foreign_key: object,
    with_key: bool,
) -> TableParts:
    """A join by key, or by a foreign key if one is given (see `of_value`)."""
    if foreign_key is None:
        if with_key:
            raise TopologyError("with_key=True is for a foreign_key(key, value)")
        return table_join(table, other, joiner, given, name, kind)

    extract = of_value(foreign_key, with_key, "foreign_key")
    return _Join(table, other, kind, joiner, extract, Named(name, table.graph)).write(given)


class _ByVersion(ProcessorGraphNode):
    """A processor that has to know whether its table is versioned, which is known when the graph is."""

    def __init__(
        self, name: str, make: Callable[[bool], AnyProcessor], stores: Sequence[StoreBuilder] = ()
    ) -> None:
        self._versioned = False
        super().__init__(Parameters(name, lambda: make(self._versioned), lambda: stores))

    def use_versioned_semantics(self, parent: GraphNode) -> None:  # noqa: ARG002
        self._versioned = True


class _Join:
    """Adds the parts one after the other: each takes the number that it has in Java."""

    def __init__(
        self,
        table: TableParts,
        other: TableParts,
        kind: Kind,
        joiner: Callable[[Any, Any], Any],
        foreign_key: Callable[[Any, Any], Any],
        named: Named,
    ) -> None:
        self._table = table
        self._other = other
        self._is_left = kind == "left"
        self._joiner = joiner
        self._foreign_key = foreign_key
        self._named = named
        self._graph: Graph = table.graph
        other.enable_old(force=True)
        table.enable_old(force=True)

    def write(self, given: Store[Any, Any] | None) -> TableParts:
        graph, named, table, other = self._graph, self._named, self._table, self._other
        topic = named.suffixed("-subscription-registration", REGISTRATION) + "-topic"
        primary = serde_of(table.key, graph.default_key, topic, "key")
        foreign = serde_of(other.key, graph.default_key, topic, "key")
        left_value = serde_of(table.value, graph.default_value, topic, "value")
        right_value = serde_of(other.value, graph.default_value, topic, "value")
        serdes = ForeignKeySerdes(topic, primary, foreign, left_value)
        graph.internal_topics.append(InternalTopic(topic))
        subscriptions = self._subscribe(topic, foreign, serdes)
        answers = self._answer(subscriptions, serdes)
        responses = self._respond(answers, primary, ResponseSerde(right_value))
        sources = graph.copartition(table.sources, (responses.name,))
        resolving = named.suffixed("-subscription-response-resolver", RESOLVER)
        view = table.view()
        resolver = self._reading(resolving, view, partial(self._resolver, view, serdes))
        graph.add(responses, resolver)
        name = named.suffixed("-result", OUTPUT)
        store = materialized(given, graph, OUTPUT, table.key, None)
        supplier = SourceSupplier(store)
        node = ProcessorGraphNode(Parameters(name, supplier, supplier.stores))
        node.output_versioned = store.is_versioned
        graph.add(resolver, node)
        return TableParts(name, store.key, store.value, sources, supplier, node, graph, store.name)

    def _subscribe(self, topic: str, foreign: Any, serdes: ForeignKeySerdes) -> SourceGraphNode:
        """From the left table to where the foreign keys lie."""
        graph, named = self._graph, self._named
        name = named.suffixed("-subscription-registration-processor", REGISTRATION)
        subscribe = partial(self._subscriber, serdes)
        sending = _ByVersion(name, subscribe)
        graph.add(self._table.node, sending)
        wrapped = SubscriptionSerde(serdes)
        sink_name = named.suffixed("-subscription-registration-sink", SINK)
        sink = SinkGraphNode(sink_name, topic, foreign, wrapped, None)
        graph.add(sending, sink)
        source_name = named.suffixed("-subscription-registration-source", SOURCE)
        source = SourceGraphNode(source_name, (topic,), Consumed(foreign, wrapped))
        graph.add(sink, source)
        graph.copartition(self._other.sources, (source_name,))
        return source

    def _answer(self, subscriptions: GraphNode, serdes: ForeignKeySerdes) -> list[GraphNode]:
        """Where the foreign keys lie: subscriptions are kept, and answered."""
        graph, named = self._graph, self._named
        store_name = named.suffixed("-subscription-store", STORE)
        store = builders.timestamped_key_value_store(
            store_name, Bytes(), SubscriptionSerde(serdes), StoreOptions(caching=False)
        )
        keeping = named.suffixed("-subscription-receive", PROCESSOR)
        keep = partial(operators.KeepSubscriptions, store_name, serdes)
        kept = ProcessorGraphNode(Parameters(keeping, keep, lambda: (store,)))
        graph.add(subscriptions, kept)
        view = self._other.view()
        answering = named.suffixed("-subscription-join-foreign", PROCESSOR)
        answered = self._reading(answering, view, lambda: operators.AnswerSubscriptions(view.make()))
        graph.add(kept, answered)
        telling = named.suffixed("-foreign-join-subscription", PROCESSOR)

        def tell(versioned: bool) -> AnyProcessor:
            return operators.AnswerForeignChanges(store_name, serdes, versioned=versioned)

        told = _ByVersion(telling, tell, (store,))
        graph.add(self._other.node, told)
        return [answered, told]

    def _respond(self, answers: list[GraphNode], primary: Any, response: ResponseSerde) -> SourceGraphNode:
        """Back to where the rows lie: to the partition that the subscription names."""
        graph, named = self._graph, self._named
        topic = named.suffixed("-subscription-response", RESPONSE) + "-topic"
        graph.internal_topics.append(InternalTopic(topic))
        sink_name = named.suffixed("-subscription-response-sink", SINK)
        sink = SinkGraphNode(sink_name, topic, primary, response, _to_asking_partition)
        graph.add(answers, sink)
        source_name = named.suffixed("-subscription-response-source", SOURCE)
        source = SourceGraphNode(source_name, (topic,), Consumed(primary, response))
        graph.add(sink, source)
        return source

    def _reading(self, name: str, view: View, make: Callable[[], AnyProcessor]) -> ProcessorGraphNode:
        return ProcessorGraphNode(Parameters(name, make), lambda: view.stores)

    def _subscriber(self, serdes: ForeignKeySerdes, versioned: bool) -> AnyProcessor:
        return operators.Subscribe(self._foreign_key, serdes, is_left=self._is_left, versioned=versioned)

    def _resolver(self, view: View, serdes: ForeignKeySerdes) -> AnyProcessor:
        return operators.ResolveResponses(view.make(), self._joiner, serdes, is_left=self._is_left)


def _to_asking_partition(
    topic: str,  # noqa: ARG001
    key: Any,  # noqa: ARG001
    value: Any,
    partitions: int,  # noqa: ARG001
    /,
) -> int | Iterable[int] | None:
    partition: int | None = value.partition
    return partition
