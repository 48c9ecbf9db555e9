"""What is done to a graph before a topology is written from it: sources become one, and repartitions
fewer."""

from __future__ import annotations

import re

from ottla.streams.dsl.graph import Graph, GraphNode
from ottla.streams.dsl.graph_nodes import RepartitionGraphNode, SourceGraphNode
from ottla.streams.errors import TopologyError

__all__ = ["drop_null_keys", "merge_sources"]


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
