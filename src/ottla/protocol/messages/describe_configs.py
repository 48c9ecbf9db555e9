"""DescribeConfigs: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class DescribeConfigsResource(Struct):
    resource_type: int = field("int8", "0+")
    resource_name: str = field("string", "0+")
    configuration_keys: Sequence[str] | None = array("string", "0+", nullable="0+")


class DescribeConfigsRequest(Struct, key=32, versions="1-4", flexible="4+"):
    resources: Sequence[DescribeConfigsResource] = array(DescribeConfigsResource, "0+")
    include_synonyms: bool = field("bool", "1+")
    include_documentation: bool = field("bool", "3+")


class DescribeConfigsSynonym(Struct):
    name: str = field("string", "1+")
    value: str | None = field("string", "1+", nullable="0+")
    source: int = field("int8", "1+")


class DescribeConfigsResourceResult(Struct):
    name: str = field("string", "0+")
    value: str | None = field("string", "0+", nullable="0+")
    read_only: bool = field("bool", "0+")
    config_source: int = field("int8", "1+", default=-1)
    is_sensitive: bool = field("bool", "0+")
    synonyms: Sequence[DescribeConfigsSynonym] = array(DescribeConfigsSynonym, "1+")
    config_type: int = field("int8", "3+")
    documentation: str | None = field("string", "3+", nullable="0+")


class DescribeConfigsResult(Struct):
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    resource_type: int = field("int8", "0+")
    resource_name: str = field("string", "0+")
    configs: Sequence[DescribeConfigsResourceResult] = array(DescribeConfigsResourceResult, "0+")


class DescribeConfigsResponse(Struct, key=32, versions="1-4", flexible="4+"):
    throttle_time_ms: int = field("int32", "0+")
    results: Sequence[DescribeConfigsResult] = array(DescribeConfigsResult, "0+")
