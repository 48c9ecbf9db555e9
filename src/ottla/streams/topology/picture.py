"""A topology as a picture: a Mermaid flowchart, which editors and code hosts draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ottla.streams.topology.nodes import Node, NodeGroup, ProcessorNode, SinkNode, SourceNode

__all__ = ["flowchart"]


def flowchart(nodes: Mapping[str, Node], groups: Sequence[NodeGroup]) -> str:
    """Topics are stadiums, processors boxes, stores cylinders; each sub-topology has a frame."""
    ids = {name: f"n{number}" for number, name in enumerate(nodes)}
    topics: dict[str, str] = {}
    stores: dict[str, str] = {}
    frames: list[str] = []
    edges: list[str] = []

    def topic_id(topic: str) -> str:
        return topics.setdefault(topic, f"t{len(topics)}")

    for number, group in enumerate(groups):
        title = "Global store" if group.is_global else "Sub-topology"
        frames.append(f'  subgraph g{number}["{title} {number}"]')
        for name in group.names:
            node = nodes[name]
            frames.append(f'    {ids[name]}["{_text(name)}"]')
            if isinstance(node, SourceNode):
                names = node.topics if node.pattern is None else (f"/{node.pattern.pattern}/",)
                edges += [f"  {topic_id(topic)} --> {ids[name]}" for topic in names]
                continue
            edges += [f"  {ids[parent]} --> {ids[name]}" for parent in node.parents]
            if isinstance(node, SinkNode):
                edges.append(
                    f"  {ids[name]} --> {topic_id(node.topic if isinstance(node.topic, str) else '…')}"
                )
            elif isinstance(node, ProcessorNode):
                for store in node.stores:
                    if store not in stores:
                        stores[store] = f"s{len(stores)}"
                        frames.append(f'    {stores[store]}[("{_text(store)}")]')
                    edges.append(f"  {ids[name]} -.- {stores[store]}")
        frames.append("  end")
    shown = [f'  {id_}(["{_text(topic)}"])' for topic, id_ in topics.items()]
    return "\n".join(["flowchart TD", *shown, *frames, *edges, ""])


def _text(name: str) -> str:
    return name.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
