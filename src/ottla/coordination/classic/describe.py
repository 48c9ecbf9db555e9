"""DescribeGroups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ottla.coordination.classic.group import ClassicGroup, ClassicState
from ottla.coordination.effects import RequestInfo
from ottla.coordination.state import ShardState
from ottla.protocol.errors import ErrorCode

_NOT_FOUND_SINCE = 6


def describe_groups(state: ShardState, group_ids: Iterable[str], info: RequestInfo) -> list[dict[str, Any]]:
    """Described groups; what isn't a classic group is dead, since version 6 with an error (KIP-1043)."""
    return [_describe(state, group_id, info) for group_id in group_ids]


def _describe(state: ShardState, group_id: str, info: RequestInfo) -> dict[str, Any]:
    group = state.groups.get(group_id)
    if not isinstance(group, ClassicGroup):
        dead = {"group_id": group_id, "group_state": ClassicState.DEAD.value}
        if info.api_version < _NOT_FOUND_SINCE:
            return dead | {"error_code": ErrorCode.none}
        kind = "not found" if group is None else "is not a classic group"
        message = f"Group {group_id} {kind}."
        return dead | {"error_code": ErrorCode.group_id_not_found, "error_message": message}
    protocol = group.protocol_name if group.is_stable else None
    return {
        "error_code": ErrorCode.none,
        "group_id": group_id,
        "group_state": group.state_name,
        "protocol_type": group.protocol_type,
        "protocol_data": protocol or "",
        "members": [
            {
                "member_id": member.member_id,
                "group_instance_id": member.group_instance_id,
                "client_id": member.client_id,
                "client_host": member.client_host,
                "member_metadata": b"" if protocol is None else member.protocols[protocol],
                "member_assignment": member.assignment,
            }
            for member in group.members.values()
        ],
    }
