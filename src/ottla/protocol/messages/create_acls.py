"""CreateAcls: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class AclCreation(Struct):
    resource_type: int = field("int8", "0+")
    resource_name: str = field("string", "0+")
    resource_pattern_type: int = field("int8", "1+", default=3)
    principal: str = field("string", "0+")
    host: str = field("string", "0+")
    operation: int = field("int8", "0+")
    permission_type: int = field("int8", "0+")


class CreateAclsRequest(Struct, key=30, versions="1-3", flexible="2+"):
    creations: Sequence[AclCreation] = array(AclCreation, "0+")


class AclCreationResult(Struct):
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")


class CreateAclsResponse(Struct, key=30, versions="1-3", flexible="2+"):
    throttle_time_ms: int = field("int32", "0+")
    results: Sequence[AclCreationResult] = array(AclCreationResult, "0+")
