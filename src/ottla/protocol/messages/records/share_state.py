"""Records in `__share_group_state` (KIP-932).

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class ShareSnapshotKey(Struct, key=0, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    topic_id: UUID | None = field("uuid", "0")
    partition: int = field("int32", "0")


class ShareSnapshotValueStateBatch(Struct):
    first_offset: int = field("int64", "0+")
    last_offset: int = field("int64", "0+")
    delivery_state: int = field("int8", "0+")
    delivery_count: int = field("int16", "0+")


class ShareSnapshotValue(Struct, key=0, versions="0", flexible="0+"):
    snapshot_epoch: int = field("int32", "0+")
    state_epoch: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")
    start_offset: int = field("int64", "0+")
    delivery_complete_count: int = field("int32", "0+", default=-1, tag=0)
    create_timestamp: int = field("int64", "0+")
    write_timestamp: int = field("int64", "0+")
    state_batches: Sequence[ShareSnapshotValueStateBatch] = array(ShareSnapshotValueStateBatch, "0+")


class ShareUpdateKey(Struct, key=1, versions="0", flexible="none"):
    group_id: str = field("string", "0")
    topic_id: UUID | None = field("uuid", "0")
    partition: int = field("int32", "0")


class ShareUpdateValueStateBatch(Struct):
    first_offset: int = field("int64", "0+")
    last_offset: int = field("int64", "0+")
    delivery_state: int = field("int8", "0+")
    delivery_count: int = field("int16", "0+")


class ShareUpdateValue(Struct, key=1, versions="0", flexible="0+"):
    snapshot_epoch: int = field("int32", "0+")
    leader_epoch: int = field("int32", "0+")
    start_offset: int = field("int64", "0+")
    delivery_complete_count: int = field("int32", "0+", default=-1, tag=0)
    state_batches: Sequence[ShareUpdateValueStateBatch] = array(ShareUpdateValueStateBatch, "0+")


RECORDS: Final[dict[int, tuple[type[Struct], type[Struct]]]] = {
    0: (ShareSnapshotKey, ShareSnapshotValue),
    1: (ShareUpdateKey, ShareUpdateValue),
}
"""Key and value by the type of the record."""
