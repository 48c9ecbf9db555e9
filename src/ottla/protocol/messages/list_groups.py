"""ListGroups: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class ListGroupsRequest(Struct, key=16, versions="0-5", flexible="3+"):
    states_filter: Sequence[str] = array("string", "4+")
    types_filter: Sequence[str] = array("string", "5+")


class ListedGroup(Struct):
    group_id: str = field("string", "0+")
    protocol_type: str = field("string", "0+")
    group_state: str = field("string", "4+")
    group_type: str = field("string", "5+")


class ListGroupsResponse(Struct, key=16, versions="0-5", flexible="3+"):
    throttle_time_ms: int = field("int32", "1+")
    error_code: int = field("int16", "0+")
    groups: Sequence[ListedGroup] = array(ListedGroup, "0+")
