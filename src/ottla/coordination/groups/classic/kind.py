"""What requests, timers and the life of the shard do with classic groups."""

from __future__ import annotations

from ottla.coordination.groups.classic import join, membership, rebalance
from ottla.coordination.groups.classic.group import ClassicGroup, ClassicState
from ottla.coordination.groups.state import GroupKind, ShardState
from ottla.coordination.runtime import Effects, RequestInfo, TimerKey
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from ottla.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
from ottla.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse


class ClassicKind(GroupKind[ClassicGroup]):
    """The classic rebalance protocol."""

    def join_group(
        self,
        state: ShardState,
        group: ClassicGroup,
        request: JoinGroupRequest,
        info: RequestInfo[JoinGroupResponse],
        now_ms: int,
    ) -> Effects:
        return join.join(state, group, request, info, now_ms)

    def sync_group(
        self,
        state: ShardState,
        group: ClassicGroup,
        request: SyncGroupRequest,
        info: RequestInfo[SyncGroupResponse],
        now_ms: int,  # noqa: ARG002 - consumer groups set timers
    ) -> Effects:
        return rebalance.sync(state, group, request, info)

    def heartbeat(
        self,
        state: ShardState,  # noqa: ARG002 - consumer groups look at the image
        group: ClassicGroup,
        request: HeartbeatRequest,
        info: RequestInfo[HeartbeatResponse],
        now_ms: int,
    ) -> Effects:
        return membership.heartbeat(group, request, info, now_ms)

    def leave_group(
        self,
        state: ShardState,
        group: ClassicGroup,
        request: LeaveGroupRequest,
        info: RequestInfo[LeaveGroupResponse],
        now_ms: int,
    ) -> Effects:
        return membership.leave(state, group, request, info, now_ms)

    def on_timer(self, state: ShardState, group: ClassicGroup, key: TimerKey, now_ms: int) -> Effects:
        match key:
            case ("classic-session", _, member_id):
                return membership.on_session_timer(state, group, member_id, now_ms)
            case ("classic-join", _):
                return rebalance.on_join_timer(group, now_ms)
            case ("classic-sync", _):
                return rebalance.on_sync_timer(state, group, now_ms)
        return Effects()

    def on_loaded(self, state: ShardState, group: ClassicGroup, now_ms: int) -> Effects:
        effects = Effects(timers=[group.session_timer(member, now_ms) for member in group.members.values()])
        if len(group.members) > state.config.group_max_size:
            reason = f"{len(group.members)} members are more than group.max.size allows"
            effects.extend(rebalance.prepare_rebalance(state, group, reason, now_ms))
        return effects

    def on_unloaded(self, group: ClassicGroup) -> Effects:
        replies = rebalance.fail_parked(group, ErrorCode.not_coordinator)
        group.state = ClassicState.DEAD
        return Effects(replies=replies, timers=[*group.cancelled_timers()])
