"""ListConfigResources: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class ListConfigResourcesRequest(Struct, key=74, versions="0-1", flexible="0+"):
    resource_types: Sequence[int] = array("int8", "1+")


class ConfigResource(Struct):
    resource_name: str = field("string", "0+")
    resource_type: int = field("int8", "1+", default=16)


class ListConfigResourcesResponse(Struct, key=74, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    config_resources: Sequence[ConfigResource] = array(ConfigResource, "0+")
