"""ListGroups: groups of every kind, filtered by state (KIP-518) and type (KIP-848)."""

from __future__ import annotations

from collections.abc import Collection

from ottla.coordination.effects import Response
from ottla.coordination.state import ShardState


def list_groups(
    state: ShardState, states_filter: Collection[str], types_filter: Collection[str]
) -> list[Response]:
    """The groups that pass both filters; upper and lower case are the same, an empty filter lets all pass."""
    states = {name.strip().lower() for name in states_filter}
    types = {name.lower() for name in types_filter}
    return [
        {
            "group_id": group.group_id,
            "protocol_type": group.protocol_type,
            "group_state": group.state_name,
            "group_type": group.type.value,
        }
        for group in state.groups.values()
        if (not states or group.state_name.lower() in states) and (not types or group.type.value in types)
    ]
