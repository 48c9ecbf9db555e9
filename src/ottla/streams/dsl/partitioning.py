"""Repartitions: what has records of a key come to one task."""

from __future__ import annotations

import re

from ottla.streams.dsl.graph import Graph, Parameters
from ottla.streams.dsl.graph_nodes import RepartitionGraphNode
from ottla.streams.errors import TopologyError
from ottla.streams.processors.stateless import PassThrough
from ottla.streams.topology.nodes import AnySerde, InternalTopic, Partitioner

__all__ = ["repartition"]

_GENERATED = re.compile("KSTREAM.*-[0-9]{10}")
SUFFIX = "-repartition"


def repartition(
    graph: Graph,
    prefix: str,
    key: AnySerde,
    value: AnySerde,
    *,
    partitioner: Partitioner | None = None,
    partitions: int | None = None,
    optimizable: bool = True,
) -> RepartitionGraphNode:
    """A repartition to be, whose topic is `prefix` with `-repartition` after it; its name is that of its
    source."""
    if partitions is not None and partitions < 1:
        raise TopologyError(f"{prefix}: a topic of {partitions} partitions")
    topic = prefix if prefix.endswith(SUFFIX) else prefix + SUFFIX
    sink = graph.new_name("KSTREAM-SINK-")
    filtering = graph.new_name("KSTREAM-FILTER-")
    source = graph.new_name("KSTREAM-SOURCE-")
    if not _GENERATED.fullmatch(prefix):
        sink, filtering, source = f"{topic}-sink", f"{topic}-filter", f"{topic}-source"
    return RepartitionGraphNode(
        source,
        sink,
        Parameters(filtering, PassThrough),
        InternalTopic(topic, partitions),
        key,
        value,
        partitioner,
        optimizable=optimizable,
    )
