"""AddRaftVoter: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class Listener(Struct):
    name: str = field("string", "0+")
    host: str = field("string", "0+")
    port: int = field("uint16", "0+")


class AddRaftVoterRequest(Struct, key=80, versions="0-1", flexible="0+"):
    cluster_id: str | None = field("string", "0+", nullable="0+")
    timeout_ms: int = field("int32", "0+")
    voter_id: int = field("int32", "0+")
    voter_directory_id: UUID | None = field("uuid", "0+")
    listeners: Sequence[Listener] = array(Listener, "0+")
    ack_when_committed: bool = field("bool", "1+", default=True)


class AddRaftVoterResponse(Struct, key=80, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
