"""DescribeClientQuotas: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class ComponentData(Struct):
    entity_type: str = field("string", "0+")
    match_type: int = field("int8", "0+")
    match: str | None = field("string", "0+", nullable="0+")


class DescribeClientQuotasRequest(Struct, key=48, versions="0-1", flexible="1+"):
    components: Sequence[ComponentData] = array(ComponentData, "0+")
    strict: bool = field("bool", "0+")


class EntityData(Struct):
    entity_type: str = field("string", "0+")
    entity_name: str | None = field("string", "0+", nullable="0+")


class ValueData(Struct):
    key: str = field("string", "0+")
    value: float = field("float64", "0+")


class EntryData(Struct):
    entity: Sequence[EntityData] = array(EntityData, "0+")
    values: Sequence[ValueData] = array(ValueData, "0+")


class DescribeClientQuotasResponse(Struct, key=48, versions="0-1", flexible="1+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    entries: Sequence[EntryData] | None = array(EntryData, "0+", nullable="0+")
