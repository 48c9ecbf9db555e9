"""What is done to a graph before a topology is written from it: sources become one, and repartitions
fewer."""

from __future__ import annotations

import re
from collections.abc import Callable

from ottla.streams.dsl.graph import Graph, GraphNode
from ottla.streams.dsl.graph_nodes import (
    RepartitionGraphNode,
    SourceGraphNode,
    StreamJoinGraphNode,
    TableSourceGraphNode,
)
from ottla.streams.dsl.partitioning import repartition
from ottla.streams.errors import TopologyError

__all__ = ["drop_null_keys", "merge_sources", "optimize_graph"]


def merge_sources(graph: Graph) -> None:
    """Have one source read what several were said to."""
    by_pattern: dict[tuple[str, int], SourceGraphNode] = {}
    by_topic: dict[str, SourceGraphNode] = {}
    for node in list(graph.root.children):
        if not isinstance(node, SourceGraphNode):
            continue
        topics = node.topics
        main: SourceGraphNode | None
        if not isinstance(topics, re.Pattern):
            main = next((by_topic[topic] for topic in topics if topic in by_topic), None)
            if main is None:
                by_topic.update(dict.fromkeys(topics, node))
                continue
            known = main.topics
            assert not isinstance(known, re.Pattern)
            if set(known) != set(topics):
                raise TopologyError(
                    f"{main.name} and {node.name} read topics that overlap, but are not the same"
                    f" ({', '.join(known)}; {', '.join(topics)})"
                )
        else:
            main = by_pattern.setdefault((topics.pattern, topics.flags), node)
            if main is node:
                continue
        main.merge(node)
        graph.root.remove_child(node)


def drop_null_keys(graph: Graph) -> None:
    """Have repartitions leave out records without a key, except where a left or outer join takes them."""
    taking: dict[int, bool] = {}

    def leads_to_join(node: GraphNode) -> bool:
        if id(node) not in taking:
            taking[id(node)] = any(leads_to_join(child) or child.takes_null_keys for child in node.children)
        return taking[id(node)]

    for node in graph.nodes():
        if isinstance(node, RepartitionGraphNode):
            node.drops_null_keys = not leads_to_join(node)


def optimize_graph(graph: Graph) -> None:
    """What `topology.optimization=all` does in Kafka Streams."""
    for node in graph.added:
        if isinstance(node, TableSourceGraphNode):
            node.reuses_topic = True
    for changer, repartitions in _repartitions_by_changer(graph).items():
        if repartitions:
            _share_repartition(graph, changer, repartitions)
    for node in graph.added:
        if isinstance(node, StreamJoinGraphNode) and len(node.parents) == 1:
            _share_window(node)


def _above(node: GraphNode, matches: Callable[[GraphNode], bool]) -> GraphNode | None:
    """The node itself or the nearest above it that matches, of several ways the first that was said."""
    if matches(node):
        return node
    for parent in node.parents:
        if matches(parent):
            return parent
        found = _above(parent, matches)
        if found is not None:
            return found
    return None


def _repartitions_by_changer(graph: Graph) -> dict[GraphNode, list[RepartitionGraphNode]]:
    """The repartitions below each operator that changes keys, or below a merge of such, with the same
    values."""
    below: dict[GraphNode, list[RepartitionGraphNode]] = {}
    merges: list[GraphNode] = []
    for node in graph.added:
        if node.changes_key:
            below[node] = []
        elif isinstance(node, RepartitionGraphNode) and node.optimizable:
            changer = _above(node, lambda each: each.changes_key)
            if changer is not None and changer is _above(
                node, lambda each: each.changes_key or each.changes_value
            ):
                below[changer].append(node)
        elif node.merges:
            merges.append(node)
    merged: dict[GraphNode, list[GraphNode]] = {}
    for merge in merges:
        merged[merge] = [
            changer
            for changer, repartitions in below.items()
            if all(_is_below(each, merge) for each in repartitions) and _is_below(merge, changer)
        ]
    for merge, changers in merged.items():
        below[merge] = list(dict.fromkeys(each for changer in changers for each in below[changer]))
    for changer in dict.fromkeys(changer for changers in merged.values() for changer in changers):
        del below[changer]
    return below


def _is_below(node: GraphNode, above: GraphNode) -> bool:
    return _above(node, lambda each: above in each.parents) is not None


def _share_repartition(graph: Graph, changer: GraphNode, repartitions: list[RepartitionGraphNode]) -> None:
    """Repartition once, right below what changed the keys, instead of once for each that needs it."""
    key = next((each.key for each in repartitions if each.key is not None), None)
    value = next((each.value for each in repartitions if each.value is not None), None)
    shared = repartition(graph, repartitions[0].topic.name, key, value)
    shared.priority = changer.priority
    for each in repartitions:
        first = _above(each, lambda node: changer in node.parents)
        assert first is not None
        shared.add_child(first)
        changer.remove_child(first)
        parents = list(each.parents)
        for child in list(each.children):
            for parent in parents:
                parent.add_child(child)
            each.remove_child(child)
        for parent in parents:
            parent.remove_child(each)
        graph.replace_source(each.name, shared.name)
    changer.add_child(shared)


def _share_window(join: StreamJoinGraphNode) -> None:
    """A stream that is joined with itself needs one window."""
    (parent,) = join.parents
    for child in list(parent.children):
        if child.name == join.other_above:
            parent.remove_child(child)
            join.is_self_join = True
