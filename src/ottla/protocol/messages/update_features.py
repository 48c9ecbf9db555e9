"""UpdateFeatures: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class FeatureUpdateKey(Struct):
    feature: str = field("string", "0+")
    max_version_level: int = field("int16", "0+")
    allow_downgrade: bool = field("bool", "0")
    upgrade_type: int = field("int8", "1+", default=1)


class UpdateFeaturesRequest(Struct, key=57, versions="0-2", flexible="0+"):
    timeout_ms: int = field("int32", "0+", default=60000)
    feature_updates: Sequence[FeatureUpdateKey] = array(FeatureUpdateKey, "0+")
    validate_only: bool = field("bool", "1+")


class UpdatableFeatureResult(Struct):
    feature: str = field("string", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")


class UpdateFeaturesResponse(Struct, key=57, versions="0-2", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    results: Sequence[UpdatableFeatureResult] = array(UpdatableFeatureResult, "0-1")
