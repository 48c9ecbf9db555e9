"""A classic group as a record, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ottla.coordination.groups.classic.group import ClassicGroup, ClassicMember, ClassicState
from ottla.coordination.groups.state import ShardState
from ottla.coordination.runtime import CoordinatorRecord
from ottla.protocol.messages.records.group import GroupMetadataKey, GroupMetadataValue, MemberMetadata

WRITTEN_VERSION: Final = 3
"""As Kafka 4 still does, for brokers of before KIP-915 can't read a flexible one."""


def group_metadata_record(
    group: ClassicGroup, assignments: Mapping[str, bytes] | None = None
) -> CoordinatorRecord:
    """The group's generation with its members' assignments, or with those that are about to be theirs."""
    members = [
        MemberMetadata(
            member_id=member.member_id,
            group_instance_id=member.group_instance_id,
            client_id=member.client_id,
            client_host=member.client_host,
            rebalance_timeout=member.rebalance_timeout_ms,
            session_timeout=member.session_timeout_ms,
            subscription=member.protocols[group.protocol_name or ""],
            assignment=member.assignment if assignments is None else assignments[member.member_id],
        )
        for member in group.members.values()
    ]
    value = GroupMetadataValue(
        protocol_type=group.protocol_type,
        generation=group.generation_id,
        protocol=group.protocol_name,
        leader=group.leader_id,
        current_state_timestamp=group.state_timestamp_ms,
        members=members,
    )
    return CoordinatorRecord(GroupMetadataKey(group=group.group_id), value, WRITTEN_VERSION)


def new_group_record(group: ClassicGroup) -> CoordinatorRecord:
    """A group that has just been created: nothing of its first rebalance is persistent yet."""
    value = GroupMetadataValue(current_state_timestamp=group.state_timestamp_ms)
    return CoordinatorRecord(GroupMetadataKey(group=group.group_id), value, WRITTEN_VERSION)


def replay_group_metadata(state: ShardState, key: GroupMetadataKey, value: GroupMetadataValue | None) -> None:
    """Put the group in the place of what was there; a tombstone removes it unless it is of another kind.

    Where this shard leads, a classic group is ahead of its log: rebalances go on in memory, and what is
    written of them is in place already.
    """
    existing = state.find(ClassicGroup, key.group)
    if value is not None and (existing is None or not state.is_leading):
        state.groups[key.group] = _group(key.group, value)
    elif value is None and existing is not None:
        del state.groups[key.group]


def _group(group_id: str, value: GroupMetadataValue) -> ClassicGroup:
    group = ClassicGroup(group_id, value.current_state_timestamp)
    group.generation_id = value.generation
    group.protocol_type = value.protocol_type
    group.protocol_name = value.protocol
    for member in value.members:
        session_ms, rebalance_ms = member.session_timeout, member.rebalance_timeout
        group.add(
            ClassicMember(
                member_id=member.member_id,
                group_instance_id=member.group_instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                # Records older than the field: the session timeout was the rebalance timeout, too.
                rebalance_timeout_ms=session_ms if rebalance_ms < 0 else rebalance_ms,
                session_timeout_ms=session_ms,
                protocol_type=value.protocol_type,
                protocols={value.protocol or "": member.subscription},
                assignment=member.assignment,
            )
        )
    group.leader_id = value.leader
    if group.leader_id not in group.members:
        group.leader_id = next(iter(group.members), None)
    if group.members:
        group.state = ClassicState.STABLE
    group.refresh_subscription()
    return group
