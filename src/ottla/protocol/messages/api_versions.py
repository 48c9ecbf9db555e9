"""ApiVersions: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class ApiVersionsRequest(Struct, key=18, versions="0-5", flexible="3+"):
    client_software_name: str = field("string", "3+")
    client_software_version: str = field("string", "3+")
    cluster_id: str | None = field("string", "5+", nullable="5+")
    node_id: int = field("int32", "5+", default=-1)


class ApiVersion(Struct):
    api_key: int = field("int16", "0+")
    min_version: int = field("int16", "0+")
    max_version: int = field("int16", "0+")


class SupportedFeatureKey(Struct):
    name: str = field("string", "3+")
    min_version: int = field("int16", "3+")
    max_version: int = field("int16", "3+")


class FinalizedFeatureKey(Struct):
    name: str = field("string", "3+")
    max_version_level: int = field("int16", "3+")
    min_version_level: int = field("int16", "3+")


class ApiVersionsResponse(Struct, key=18, versions="0-5", flexible="3+"):
    error_code: int = field("int16", "0+")
    api_keys: Sequence[ApiVersion] = array(ApiVersion, "0+")
    throttle_time_ms: int = field("int32", "1+")
    supported_features: Sequence[SupportedFeatureKey] = array(SupportedFeatureKey, "3+", tag=0)
    finalized_features_epoch: int = field("int64", "3+", default=-1, tag=1)
    finalized_features: Sequence[FinalizedFeatureKey] = array(FinalizedFeatureKey, "3+", tag=2)
    zk_migration_ready: bool = field("bool", "3+", tag=3)
