"""AlterConfigs: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class AlterableConfig(Struct):
    name: str = field("string", "0+")
    value: str | None = field("string", "0+", nullable="0+")


class AlterConfigsResource(Struct):
    resource_type: int = field("int8", "0+")
    resource_name: str = field("string", "0+")
    configs: Sequence[AlterableConfig] = array(AlterableConfig, "0+")


class AlterConfigsRequest(Struct, key=33, versions="0-2", flexible="2+"):
    resources: Sequence[AlterConfigsResource] = array(AlterConfigsResource, "0+")
    validate_only: bool = field("bool", "0+")


class AlterConfigsResourceResponse(Struct):
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    resource_type: int = field("int8", "0+")
    resource_name: str = field("string", "0+")


class AlterConfigsResponse(Struct, key=33, versions="0-2", flexible="2+"):
    throttle_time_ms: int = field("int32", "0+")
    responses: Sequence[AlterConfigsResourceResponse] = array(AlterConfigsResourceResponse, "0+")
