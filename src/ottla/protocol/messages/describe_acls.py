"""DescribeAcls: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class DescribeAclsRequest(Struct, key=29, versions="1-3", flexible="2+"):
    resource_type_filter: int = field("int8", "0+")
    resource_name_filter: str | None = field("string", "0+", nullable="0+")
    pattern_type_filter: int = field("int8", "1+", default=3)
    principal_filter: str | None = field("string", "0+", nullable="0+")
    host_filter: str | None = field("string", "0+", nullable="0+")
    operation: int = field("int8", "0+")
    permission_type: int = field("int8", "0+")


class AclDescription(Struct):
    principal: str = field("string", "0+")
    host: str = field("string", "0+")
    operation: int = field("int8", "0+")
    permission_type: int = field("int8", "0+")


class DescribeAclsResource(Struct):
    resource_type: int = field("int8", "0+")
    resource_name: str = field("string", "0+")
    pattern_type: int = field("int8", "1+", default=3)
    acls: Sequence[AclDescription] = array(AclDescription, "0+")


class DescribeAclsResponse(Struct, key=29, versions="1-3", flexible="2+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    resources: Sequence[DescribeAclsResource] = array(DescribeAclsResource, "0+")
