"""What control records hold.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class ControlRecordTypeSchema(Struct, versions="0", flexible="none"):
    type: int = field("int16", "0+")


class EndTxnMarker(Struct, versions="0", flexible="none"):
    coordinator_epoch: int = field("int32", "0+")


class KRaftVersionRecord(Struct, versions="0", flexible="0+"):
    version: int = field("int16", "0+")
    k_raft_version: int = field("int16", "0+")


class LeaderChangeMessageVoter(Struct):
    voter_id: int = field("int32", "0+")
    voter_directory_id: UUID | None = field("uuid", "1+")


class LeaderChangeMessage(Struct, versions="0-1", flexible="0+"):
    version: int = field("int16", "0+")
    leader_id: int = field("int32", "0+")
    voters: Sequence[LeaderChangeMessageVoter] = array(LeaderChangeMessageVoter, "0+")
    granting_voters: Sequence[LeaderChangeMessageVoter] = array(LeaderChangeMessageVoter, "0+")


class SnapshotFooterRecord(Struct, versions="0", flexible="0+"):
    version: int = field("int16", "0+")


class SnapshotHeaderRecord(Struct, versions="0", flexible="0+"):
    version: int = field("int16", "0+")
    last_contained_log_timestamp: int = field("int64", "0+")


class Endpoint(Struct):
    name: str = field("string", "0+")
    host: str = field("string", "0+")
    port: int = field("uint16", "0+")


class KRaftVersionFeature(Struct):
    min_supported_version: int = field("int16", "0+")
    max_supported_version: int = field("int16", "0+")


class VotersRecordVoter(Struct):
    voter_id: int = field("int32", "0+")
    voter_directory_id: UUID | None = field("uuid", "0+")
    endpoints: Sequence[Endpoint] = array(Endpoint, "0+")
    k_raft_version_feature: KRaftVersionFeature = field(KRaftVersionFeature, "0+")


class VotersRecord(Struct, versions="0", flexible="0+"):
    version: int = field("int16", "0+")
    voters: Sequence[VotersRecordVoter] = array(VotersRecordVoter, "0+")
