"""StreamsGroupTopologyDescriptionUpdate: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class TopologyDescriptionNode(Struct):
    name: str = field("string", "0+")
    node_type: int = field("int8", "0+")
    source_topics: Sequence[str] = array("string", "0+")
    sink_topic: str | None = field("string", "0+", nullable="0+")
    stores: Sequence[str] = array("string", "0+")
    successors: Sequence[str] = array("string", "0+")


class TopologyDescriptionSubtopology(Struct):
    subtopology_id: str = field("string", "0+")
    nodes: Sequence[TopologyDescriptionNode] = array(TopologyDescriptionNode, "0+")


class TopologyDescriptionGlobalStore(Struct):
    source: TopologyDescriptionNode = field(TopologyDescriptionNode, "0+")
    processor: TopologyDescriptionNode = field(TopologyDescriptionNode, "0+")


class TopologyDescription(Struct):
    subtopologies: Sequence[TopologyDescriptionSubtopology] = array(TopologyDescriptionSubtopology, "0+")
    global_stores: Sequence[TopologyDescriptionGlobalStore] = array(TopologyDescriptionGlobalStore, "0+")


class StreamsGroupTopologyDescriptionUpdateRequest(Struct, key=93, versions="0", flexible="0+"):
    group_id: str = field("string", "0+")
    member_id: str = field("string", "0+")
    topology_epoch: int = field("int32", "0+")
    topology_description: TopologyDescription = field(TopologyDescription, "0+")


class StreamsGroupTopologyDescriptionUpdateResponse(Struct, key=93, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
