"""UpdateRaftVoter: request and response.

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


class KRaftVersionFeature(Struct):
    min_supported_version: int = field("int16", "0+")
    max_supported_version: int = field("int16", "0+")


class UpdateRaftVoterRequest(Struct, key=82, versions="0", flexible="0+"):
    cluster_id: str | None = field("string", "0+", nullable="0+")
    current_leader_epoch: int = field("int32", "0+")
    voter_id: int = field("int32", "0+")
    voter_directory_id: UUID | None = field("uuid", "0+")
    listeners: Sequence[Listener] = array(Listener, "0+")
    k_raft_version_feature: KRaftVersionFeature = field(KRaftVersionFeature, "0+")


class CurrentLeader(Struct):
    leader_id: int = field("int32", "0+", default=-1)
    leader_epoch: int = field("int32", "0+", default=-1)
    host: str = field("string", "0+")
    port: int = field("int32", "0+")


class UpdateRaftVoterResponse(Struct, key=82, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    current_leader: CurrentLeader = field(CurrentLeader, "0+", tag=0)
