"""A classic group as a record, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ottla.coordination.groups.classic.group import ClassicGroup, ClassicMember, ClassicState
from ottla.coordination.groups.records import RecordType, encode_record
from ottla.coordination.groups.state import ShardState
from ottla.coordination.runtime import CoordinatorRecord


def group_metadata_record(
    group: ClassicGroup,
    assignments: Mapping[str, bytes] | None = None,
    *,
    applied: bool = True,
) -> CoordinatorRecord:
    """The group's generation with its members' assignments, or with those that are about to be theirs."""
    members = [
        {
            "member_id": member.member_id,
            "group_instance_id": member.group_instance_id,
            "client_id": member.client_id,
            "client_host": member.client_host,
            "rebalance_timeout": member.rebalance_timeout_ms,
            "session_timeout": member.session_timeout_ms,
            "subscription": member.protocols[group.protocol_name or ""],
            "assignment": member.assignment if assignments is None else assignments[member.member_id],
        }
        for member in group.members.values()
    ]
    return _record(
        group,
        {
            "protocol_type": group.protocol_type,
            "generation": group.generation_id,
            "protocol": group.protocol_name,
            "leader": group.leader_id,
            "members": members,
        },
        applied=applied,
    )


def new_group_record(group: ClassicGroup) -> CoordinatorRecord:
    """A group that has just been created: nothing of its first rebalance is persistent yet."""
    value = {"protocol_type": "", "generation": 0, "protocol": None, "leader": None, "members": []}
    return _record(group, value, applied=True)


def _record(group: ClassicGroup, value: dict[str, Any], *, applied: bool) -> CoordinatorRecord:
    value["current_state_timestamp"] = group.state_timestamp_ms
    return encode_record(RecordType.GROUP_METADATA, {"group": group.group_id}, value, applied=applied)


def replay_group_metadata(state: ShardState, key: Mapping[str, Any], value: Mapping[str, Any] | None) -> None:
    """Put the group in the place of what was there; a tombstone removes it unless it is of another kind."""
    group_id: str = key["group"]
    if value is not None:
        state.groups[group_id] = _group(group_id, value)
    elif state.find(ClassicGroup, group_id) is not None:
        del state.groups[group_id]


def _group(group_id: str, value: Mapping[str, Any]) -> ClassicGroup:
    group = ClassicGroup(group_id, value["current_state_timestamp"])
    group.generation_id = value["generation"]
    group.protocol_type = value["protocol_type"]
    group.protocol_name = value["protocol"]
    for member in value["members"]:
        session_timeout_ms: int = member["session_timeout"]
        rebalance_timeout_ms: int = member["rebalance_timeout"]
        group.add(
            ClassicMember(
                member_id=member["member_id"],
                group_instance_id=member["group_instance_id"],
                client_id=member["client_id"],
                client_host=member["client_host"],
                # Records older than the field: the session timeout was the rebalance timeout, too.
                rebalance_timeout_ms=session_timeout_ms if rebalance_timeout_ms < 0 else rebalance_timeout_ms,
                session_timeout_ms=session_timeout_ms,
                protocol_type=value["protocol_type"],
                protocols={value["protocol"] or "": bytes(member["subscription"])},
                assignment=bytes(member["assignment"]),
            )
        )
    group.leader_id = value["leader"]
    if group.leader_id not in group.members:
        group.leader_id = next(iter(group.members), None)
    if group.members:
        group.state = ClassicState.STABLE
    group.refresh_subscription()
    return group
