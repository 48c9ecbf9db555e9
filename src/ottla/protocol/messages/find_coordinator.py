"""FindCoordinator: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class FindCoordinatorRequest(Struct, key=10, versions="0-6", flexible="3+"):
    key: str = field("string", "0-3")
    key_type: int = field("int8", "1+")
    coordinator_keys: Sequence[str] = array("string", "4+")


class Coordinator(Struct):
    key: str = field("string", "4+")
    node_id: int = field("int32", "4+")
    host: str = field("string", "4+")
    port: int = field("int32", "4+")
    error_code: int = field("int16", "4+")
    error_message: str | None = field("string", "4+", nullable="4+")


class FindCoordinatorResponse(Struct, key=10, versions="0-6", flexible="3+"):
    throttle_time_ms: int = field("int32", "1+")
    error_code: int = field("int16", "0-3")
    error_message: str | None = field("string", "1-3", nullable="1-3")
    node_id: int = field("int32", "0-3")
    host: str = field("string", "0-3")
    port: int = field("int32", "0-3")
    coordinators: Sequence[Coordinator] = array(Coordinator, "4+")
