"""BrokerHeartbeat: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class BrokerHeartbeatRequest(Struct, key=63, versions="0-2", flexible="0+"):
    broker_id: int = field("int32", "0+")
    broker_epoch: int = field("int64", "0+", default=-1)
    current_metadata_offset: int = field("int64", "0+")
    want_fence: bool = field("bool", "0+")
    want_shut_down: bool = field("bool", "0+")
    offline_log_dirs: Sequence[UUID | None] = array("uuid", "1+", tag=0)
    cordoned_log_dirs: Sequence[UUID | None] | None = array("uuid", "2+", nullable="2+", tag=1)


class BrokerHeartbeatResponse(Struct, key=63, versions="0-2", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    is_caught_up: bool = field("bool", "0+")
    is_fenced: bool = field("bool", "0+", default=True)
    should_shut_down: bool = field("bool", "0+")
