"""DeleteGroups: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class DeleteGroupsRequest(Struct, key=42, versions="0-3", flexible="2+"):
    groups_names: Sequence[str] = array("string", "0+")


class DeletableGroupResult(Struct):
    group_id: str = field("string", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "3+", nullable="3+")


class DeleteGroupsResponse(Struct, key=42, versions="0-3", flexible="2+"):
    throttle_time_ms: int = field("int32", "0+")
    results: Sequence[DeletableGroupResult] = array(DeletableGroupResult, "0+")
