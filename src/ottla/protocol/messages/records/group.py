"""Records of classic groups and of offsets in `__consumer_offsets`.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class GroupMetadataKey(Struct, key=2, versions="0", flexible="none"):
    group: str = field("string", "0")


class MemberMetadata(Struct):
    member_id: str = field("string", "0+")
    group_instance_id: str | None = field("string", "3+", nullable="3+")
    client_id: str = field("string", "0+")
    client_host: str = field("string", "0+")
    rebalance_timeout: int = field("int32", "1+", default=-1)
    session_timeout: int = field("int32", "0+")
    subscription: bytes = field("bytes", "0+")
    assignment: bytes = field("bytes", "0+")


class GroupMetadataValue(Struct, key=2, versions="0-4", flexible="4+"):
    protocol_type: str = field("string", "0+")
    generation: int = field("int32", "0+")
    protocol: str | None = field("string", "0+", nullable="0+")
    leader: str | None = field("string", "0+", nullable="0+")
    current_state_timestamp: int = field("int64", "2+", default=-1)
    members: Sequence[MemberMetadata] = array(MemberMetadata, "0+")


class LegacyOffsetCommitKey(Struct, key=0, versions="0", flexible="none"):
    group: str = field("string", "0")
    topic: str = field("string", "0")
    partition: int = field("int32", "0")


class LegacyOffsetCommitValue(Struct, key=0, versions="0", flexible="none"):
    offset: int = field("int64", "0")
    metadata: str = field("string", "0")
    commit_timestamp: int = field("int64", "0")


class OffsetCommitKey(Struct, key=1, versions="0", flexible="none"):
    group: str = field("string", "0")
    topic: str = field("string", "0")
    partition: int = field("int32", "0")


class OffsetCommitValue(Struct, key=1, versions="0-4", flexible="4+"):
    offset: int = field("int64", "0+")
    leader_epoch: int = field("int32", "3+", default=-1)
    metadata: str = field("string", "0+")
    commit_timestamp: int = field("int64", "0+")
    expire_timestamp: int = field("int64", "1", default=-1)
    topic_id: UUID | None = field("uuid", "4+", tag=0)


RECORDS: Final[dict[int, tuple[type[Struct], type[Struct]]]] = {
    0: (LegacyOffsetCommitKey, LegacyOffsetCommitValue),
    1: (OffsetCommitKey, OffsetCommitValue),
    2: (GroupMetadataKey, GroupMetadataValue),
}
"""Key and value by the type of the record."""
