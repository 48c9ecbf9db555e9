"""A topology as text: what `TopologyDescription` of Kafka Streams says of it, letter for letter.

Order included: nodes come by how many lie below them, then by name, and sets as Java's hash sets give them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cmp_to_key

from ottla.streams.topology.java_order import java_hash_order
from ottla.streams.topology.nodes import Node, NodeGroup, ProcessorNode, SinkNode, SourceNode

__all__ = ["describe"]


class _Described:
    """A node and its neighbours, each kept in order of the sizes that they had when they came."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 1
        self.parents: list[_Described] = []
        self.children: list[_Described] = []

    def grow(self, by: int) -> None:
        self.size += by
        for parent in self.parents:
            parent.grow(by)


def _compare(one: _Described, other: _Described) -> int:
    if one.size != other.size:
        return other.size - one.size
    return (one.name > other.name) - (one.name < other.name)


def _insert(nodes: list[_Described], node: _Described) -> None:
    low, high = 0, len(nodes)
    while low < high:
        middle = (low + high) // 2
        if _compare(node, nodes[middle]) < 0:
            high = middle
        else:
            low = middle + 1
    nodes.insert(low, node)


def describe(nodes: Mapping[str, Node], groups: Sequence[NodeGroup]) -> str:
    parts = []
    for number, group in enumerate(groups):
        write = _describe_global if group.is_global else _describe_group
        parts.append(write({name: nodes[name] for name in group.names}, number))
    return "Topologies:\n " + "".join(f"  {part}" for part in parts)


def _describe_group(nodes: Mapping[str, Node], number: int) -> str:
    described = {name: _Described(name) for name in java_hash_order(java_hash_order(nodes))}
    for node in described.values():
        spec = nodes[node.name]
        for name in () if isinstance(spec, SourceNode) else spec.parents:
            parent = described[name]
            _insert(node.parents, parent)
            _insert(parent.children, node)
            parent.grow(node.size)
    ordered = sorted(described.values(), key=cmp_to_key(_compare))
    lines = "".join(f"    {_describe_node(nodes[node.name], node)}\n" for node in ordered)
    return f"Sub-topology: {number}\n{lines}\n"


def _describe_node(spec: Node, node: _Described) -> str:
    children, parents = _names(node.children), _names(node.parents)
    if isinstance(spec, SourceNode):
        topics = spec.pattern.pattern if spec.pattern is not None else _set(spec.topics)
        return f"Source: {spec.name} (topics: {topics})\n      --> {children}"
    if isinstance(spec, ProcessorNode):
        return (
            f"Processor: {spec.name} (stores: {_set(spec.stores)})\n      --> {children}\n      <-- {parents}"
        )
    return f"Sink: {spec.name} ({_target(spec)})\n      <-- {parents}"


def _describe_global(nodes: Mapping[str, Node], number: int) -> str:
    source = next(node for node in nodes.values() if isinstance(node, SourceNode))
    processor = next(node for node in nodes.values() if isinstance(node, ProcessorNode))
    return (
        f"Sub-topology: {number} for global store (will not generate tasks)\n"
        f"    Source: {source.name} (topics: {_set(source.topics)})\n      --> {processor.name}\n"
        f"    Processor: {processor.name} (stores: {_set(processor.stores)})\n"
        f"      --> none\n      <-- {source.name}\n"
    )


def _target(sink: SinkNode) -> str:
    if isinstance(sink.topic, str):
        return f"topic: {sink.topic}"
    name = getattr(sink.topic, "__qualname__", type(sink.topic).__qualname__)
    return f"extractor class: {name}"


def _names(nodes: list[_Described]) -> str:
    return ", ".join(node.name for node in nodes) or "none"


def _set(texts: tuple[str, ...] | list[str]) -> str:
    return f"[{', '.join(java_hash_order(texts))}]"
