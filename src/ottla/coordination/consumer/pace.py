"""When a member shall heartbeat again: soon while its group moves, in the group's own interval otherwise.

Members learn only from answers to heartbeats what they may own and what they must give back, so a group
moves as fast as it beats. Right after a new target the interval is short; it grows with the target's age
back to the group's own, so that a member is late by no more than a part of what the rebalance has lasted
anyway, and one that takes long (a member gives back only when it polls) costs little.
"""

from __future__ import annotations

from ottla.coordination.consumer.config import heartbeat_interval_ms
from ottla.coordination.consumer.group import ConsumerGroup
from ottla.coordination.state import ShardState


def next_heartbeat_ms(state: ShardState, group: ConsumerGroup, target_epoch: int, now_ms: int) -> int:
    """The interval for a member that was just brought towards the target of `target_epoch`.

    Like Kafka, the coordinator answers with the group's own interval, but for groups with a new target.
    """
    config = state.config
    own_ms = heartbeat_interval_ms(state, group.group_id)
    is_new = target_epoch > group.assignment_epoch  # computed for this request, and not replayed yet
    age_ms = 0 if is_new else now_ms - group.assignment_timestamp_ms
    grown_ms = own_ms * age_ms // config.ottla_group_consumer_rebalance_settling_ms
    wanted_ms = max(config.ottla_group_consumer_rebalance_heartbeat_interval_ms, grown_ms)
    per_second = config.ottla_group_consumer_rebalance_heartbeats_per_second_max
    return state.heartbeat_budget.interval_ms(wanted_ms, own_ms, per_second, now_ms)
