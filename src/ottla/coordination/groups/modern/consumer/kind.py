"""What requests, timers and the life of the shard do with consumer groups."""

from __future__ import annotations

from ottla.coordination.groups.classic import join
from ottla.coordination.groups.modern.consumer import classic_compat, membership
from ottla.coordination.groups.modern.consumer.group import ConsumerGroup
from ottla.coordination.groups.state import GroupKind, ShardState
from ottla.coordination.runtime import Effects, RequestInfo, TimerKey
from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from ottla.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
from ottla.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse


class ConsumerKind(GroupKind[ConsumerGroup]):
    """The protocol of KIP-848, and members of the classic one among its members."""

    def join_group(
        self,
        state: ShardState,
        group: ConsumerGroup,
        request: JoinGroupRequest,
        info: RequestInfo[JoinGroupResponse],
        now_ms: int,
    ) -> Effects:
        if group.is_empty:
            return join.join_in_place_of(state, group, request, info, now_ms)
        return classic_compat.classic_join(state, group, request, info, now_ms)

    def sync_group(
        self,
        state: ShardState,
        group: ConsumerGroup,
        request: SyncGroupRequest,
        info: RequestInfo[SyncGroupResponse],
        now_ms: int,
    ) -> Effects:
        return classic_compat.classic_sync(state, group, request, info, now_ms)

    def heartbeat(
        self,
        state: ShardState,
        group: ConsumerGroup,
        request: HeartbeatRequest,
        info: RequestInfo[HeartbeatResponse],
        now_ms: int,
    ) -> Effects:
        return classic_compat.classic_heartbeat(state, group, request, info, now_ms)

    def leave_group(
        self,
        state: ShardState,
        group: ConsumerGroup,
        request: LeaveGroupRequest,
        info: RequestInfo[LeaveGroupResponse],
        now_ms: int,
    ) -> Effects:
        return classic_compat.classic_leave(state, group, request, info, now_ms)

    def on_timer(self, state: ShardState, group: ConsumerGroup, key: TimerKey, now_ms: int) -> Effects:
        return membership.on_timer(state, group, key, now_ms)

    def on_loaded(self, state: ShardState, group: ConsumerGroup, now_ms: int) -> Effects:
        return membership.on_loaded(state, group, now_ms)

    def on_unloaded(self, group: ConsumerGroup) -> Effects:
        return Effects(timers=[*group.cancelled_timers()])
