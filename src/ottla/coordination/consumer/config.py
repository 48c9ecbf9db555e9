"""Settings that a group can have of its own (KIP-848's GROUP resources), else the broker's."""

from __future__ import annotations

from ottla.coordination.state import ShardState


def _of_group(state: ShardState, group_id: str, name: str, default: int) -> int:
    value = state.group_configs(group_id).get(name)
    return default if value is None else int(value)


def session_timeout_ms(state: ShardState, group_id: str) -> int:
    """How long a member may stay silent."""
    default = state.config.group_consumer_session_timeout_ms
    return _of_group(state, group_id, "consumer.session.timeout.ms", default)


def heartbeat_interval_ms(state: ShardState, group_id: str) -> int:
    """How often members are told to heartbeat."""
    default = state.config.group_consumer_heartbeat_interval_ms
    return _of_group(state, group_id, "consumer.heartbeat.interval.ms", default)


def assignment_interval_ms(state: ShardState, group_id: str) -> int:
    """The least time between two targets (KIP-1263)."""
    default = state.config.group_consumer_assignment_interval_ms
    return _of_group(state, group_id, "consumer.assignment.interval.ms", default)
