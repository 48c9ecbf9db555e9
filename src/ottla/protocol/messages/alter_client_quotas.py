"""AlterClientQuotas: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class AlterClientQuotasRequestEntityData(Struct):
    entity_type: str = field("string", "0+")
    entity_name: str | None = field("string", "0+", nullable="0+")


class OpData(Struct):
    key: str = field("string", "0+")
    value: float = field("float64", "0+")
    remove: bool = field("bool", "0+")


class AlterClientQuotasRequestEntryData(Struct):
    entity: Sequence[AlterClientQuotasRequestEntityData] = array(AlterClientQuotasRequestEntityData, "0+")
    ops: Sequence[OpData] = array(OpData, "0+")


class AlterClientQuotasRequest(Struct, key=49, versions="0-1", flexible="1+"):
    entries: Sequence[AlterClientQuotasRequestEntryData] = array(AlterClientQuotasRequestEntryData, "0+")
    validate_only: bool = field("bool", "0+")


class AlterClientQuotasResponseEntityData(Struct):
    entity_type: str = field("string", "0+")
    entity_name: str | None = field("string", "0+", nullable="0+")


class AlterClientQuotasResponseEntryData(Struct):
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    entity: Sequence[AlterClientQuotasResponseEntityData] = array(AlterClientQuotasResponseEntityData, "0+")


class AlterClientQuotasResponse(Struct, key=49, versions="0-1", flexible="1+"):
    throttle_time_ms: int = field("int32", "0+")
    entries: Sequence[AlterClientQuotasResponseEntryData] = array(AlterClientQuotasResponseEntryData, "0+")
