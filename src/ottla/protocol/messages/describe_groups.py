"""DescribeGroups: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class DescribeGroupsRequest(Struct, key=15, versions="0-6", flexible="5+"):
    groups: Sequence[str] = array("string", "0+")
    include_authorized_operations: bool = field("bool", "3+")


class DescribedGroupMember(Struct):
    member_id: str = field("string", "0+")
    group_instance_id: str | None = field("string", "4+", nullable="4+")
    client_id: str = field("string", "0+")
    client_host: str = field("string", "0+")
    member_metadata: bytes = field("bytes", "0+")
    member_assignment: bytes = field("bytes", "0+")


class DescribedGroup(Struct):
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "6+", nullable="6+")
    group_id: str = field("string", "0+")
    group_state: str = field("string", "0+")
    protocol_type: str = field("string", "0+")
    protocol_data: str = field("string", "0+")
    members: Sequence[DescribedGroupMember] = array(DescribedGroupMember, "0+")
    authorized_operations: int = field("int32", "3+", default=-2147483648)


class DescribeGroupsResponse(Struct, key=15, versions="0-6", flexible="5+"):
    throttle_time_ms: int = field("int32", "1+")
    groups: Sequence[DescribedGroup] = array(DescribedGroup, "0+")
