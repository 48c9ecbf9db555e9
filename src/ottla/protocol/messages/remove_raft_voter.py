"""RemoveRaftVoter: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from uuid import UUID

from ottla.protocol.structs import Struct, field


class RemoveRaftVoterRequest(Struct, key=81, versions="0", flexible="0+"):
    cluster_id: str | None = field("string", "0+", nullable="0+")
    voter_id: int = field("int32", "0+")
    voter_directory_id: UUID | None = field("uuid", "0+")


class RemoveRaftVoterResponse(Struct, key=81, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
