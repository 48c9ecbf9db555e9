"""One partition of `__consumer_offsets`: where requests, timers and records come in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from ottla.config.groups import GroupCoordinatorConfig
from ottla.coordination.groups.classic.join import join_new
from ottla.coordination.groups.classic.kind import ClassicKind
from ottla.coordination.groups.classic.membership import describe_groups, unknown_members_response
from ottla.coordination.groups.classic.records import replay_group_metadata
from ottla.coordination.groups.modern.consumer.describe import describe_consumer_groups
from ottla.coordination.groups.modern.consumer.heartbeat import consumer_group_heartbeat
from ottla.coordination.groups.modern.consumer.kind import ConsumerKind
from ottla.coordination.groups.modern.consumer.replay import REPLAYERS
from ottla.coordination.groups.offsets import removal
from ottla.coordination.groups.offsets.commit import (
    commit_offsets,
    commit_transaction_offsets,
    replay_offset,
)
from ottla.coordination.groups.offsets.fetch import fetch_offsets
from ottla.coordination.groups.offsets.store import GroupOffsets
from ottla.coordination.groups.state import Group, GroupKind, GroupType, HeartbeatBudget, ShardState
from ottla.coordination.runtime import (
    CancelTimer,
    CoordinatorRecord,
    Effects,
    RecordTypes,
    RequestInfo,
    SetTimer,
    TimerKey,
)
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages import consumer_group_describe
from ottla.protocol.messages import describe_groups as described
from ottla.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)
from ottla.protocol.messages.delete_groups import DeletableGroupResult
from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from ottla.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
from ottla.protocol.messages.list_groups import ListedGroup, ListGroupsRequest
from ottla.protocol.messages.offset_commit import OffsetCommitRequest, OffsetCommitResponse
from ottla.protocol.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteResponse
from ottla.protocol.messages.offset_fetch import OffsetFetchRequestGroup, OffsetFetchResponseGroup
from ottla.protocol.messages.records import consumer_group, group
from ottla.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from ottla.protocol.messages.txn_offset_commit import TxnOffsetCommitRequest, TxnOffsetCommitResponse

KINDS: Final[Mapping[GroupType, GroupKind[Any]]] = MappingProxyType(
    {GroupType.CLASSIC: ClassicKind(), GroupType.CONSUMER: ConsumerKind()}
)
EXPIRATION_TIMER: Final[TimerKey] = ("offset-expiration",)


class GroupShard:
    """The groups and offsets of one partition; a `Shard` (see `ottla.coordination.runtime`)."""

    record_types = RecordTypes(group.RECORDS, consumer_group.RECORDS)

    def __init__(
        self,
        config: GroupCoordinatorConfig,
        new_uuid: Callable[[], UUID],
        image: MetadataImage,
        group_configs: Callable[[str], Mapping[str, str]] = lambda _group_id: {},
        heartbeat_budget: HeartbeatBudget | None = None,
    ) -> None:
        budget = heartbeat_budget or HeartbeatBudget()
        self.state = ShardState(config, new_uuid, image, group_configs, budget)

    def reconfigure(self, config: GroupCoordinatorConfig) -> None:
        """Decide by changed settings from now on."""
        self.state.config = config

    # The classic protocol

    def join_group(
        self, request: JoinGroupRequest, info: RequestInfo[JoinGroupResponse], now_ms: int
    ) -> Effects:
        """JoinGroup; the reply may come with later effects."""
        known = self._find(request.group_id)
        config = self.state.config
        allowed = range(config.group_min_session_timeout_ms, config.group_max_session_timeout_ms + 1)
        if request.session_timeout_ms not in allowed:
            raise KafkaError(ErrorCode.invalid_session_timeout)
        if known is None:
            return join_new(self.state, request, info, now_ms)
        return KINDS[known.type].join_group(self.state, known, request, info, now_ms)

    def sync_group(
        self, request: SyncGroupRequest, info: RequestInfo[SyncGroupResponse], now_ms: int
    ) -> Effects:
        """SyncGroup; the reply may come with later effects."""
        known = self._find(request.group_id)
        if known is None or known.is_empty:
            raise KafkaError(ErrorCode.unknown_member_id)
        return KINDS[known.type].sync_group(self.state, known, request, info, now_ms)

    def heartbeat(
        self, request: HeartbeatRequest, info: RequestInfo[HeartbeatResponse], now_ms: int
    ) -> Effects:
        """Heartbeat of the classic protocol."""
        known = self._find(request.group_id)
        if known is None:
            raise KafkaError(ErrorCode.unknown_member_id)
        return KINDS[known.type].heartbeat(self.state, known, request, info, now_ms)

    def leave_group(
        self, request: LeaveGroupRequest, info: RequestInfo[LeaveGroupResponse], now_ms: int
    ) -> Effects:
        """LeaveGroup, of one member or of several."""
        known = self._find(request.group_id)
        if known is None:
            return Effects.reply_with(info, unknown_members_response(request, info.api_version))
        return KINDS[known.type].leave_group(self.state, known, request, info, now_ms)

    # The consumer protocol

    def consumer_group_heartbeat(
        self,
        request: ConsumerGroupHeartbeatRequest,
        info: RequestInfo[ConsumerGroupHeartbeatResponse],
        now_ms: int,
    ) -> Effects:
        """ConsumerGroupHeartbeat (KIP-848): join, stay, reconcile and leave in one."""
        return consumer_group_heartbeat(self.state, request, info, now_ms)

    def consumer_group_describe(
        self, group_ids: Sequence[str], info: RequestInfo[list[consumer_group_describe.DescribedGroup]]
    ) -> Effects:
        """Entries of ConsumerGroupDescribe's `groups`."""
        return Effects.reply_with(info, describe_consumer_groups(self.state, group_ids))

    # Administration

    def describe_groups(
        self, group_ids: Sequence[str], info: RequestInfo[list[described.DescribedGroup]]
    ) -> Effects:
        """Entries of DescribeGroups' `groups`."""
        return Effects.reply_with(info, describe_groups(self.state, group_ids, info.api_version))

    def list_groups(self, request: ListGroupsRequest, info: RequestInfo[list[ListedGroup]]) -> Effects:
        """Entries of ListGroups' `groups` (KIP-518, KIP-848): those that pass both filters.

        Upper and lower case are the same, and an empty filter lets all pass.
        """
        states = {name.strip().lower() for name in request.states_filter}
        types = {name.lower() for name in request.types_filter}
        listed = [
            ListedGroup(
                group_id=known.group_id,
                protocol_type=known.protocol_type,
                group_state=known.state_name,
                group_type=known.type.value,
            )
            for known in self.state.groups.values()
            if (not states or known.state_name.lower() in states) and (not types or known.type.value in types)
        ]
        return Effects.reply_with(info, listed)

    def delete_groups(
        self, group_ids: Collection[str], info: RequestInfo[list[DeletableGroupResult]]
    ) -> Effects:
        """DeleteGroups; the entries of `results` for these groups."""
        return removal.delete_groups(self.state, group_ids, info)

    # Offsets

    def committed_offsets(self) -> list[GroupOffsets]:
        """Of all groups; also of those that have members and nothing committed."""
        groups, offsets = self.state.groups, self.state.offsets
        return [
            GroupOffsets(each, groups[each].member_count if each in groups else 0, offsets.of_group(each))
            for each in dict.fromkeys((*groups, *offsets.groups()))
        ]

    def offset_commit(
        self, request: OffsetCommitRequest, info: RequestInfo[OffsetCommitResponse], now_ms: int
    ) -> Effects:
        """OffsetCommit."""
        return commit_offsets(self.state, request, info, now_ms)

    def txn_offset_commit(
        self, request: TxnOffsetCommitRequest, info: RequestInfo[TxnOffsetCommitResponse], now_ms: int
    ) -> Effects:
        """TxnOffsetCommit; the records belong to the producer's transaction."""
        self._find(request.group_id)
        return commit_transaction_offsets(self.state, request, info, now_ms)

    def offset_fetch(
        self,
        asked: OffsetFetchRequestGroup,
        info: RequestInfo[OffsetFetchResponseGroup],
        *,
        require_stable: bool,
    ) -> Effects:
        """One entry of OffsetFetch's `groups`."""
        version = info.api_version
        response = fetch_offsets(self.state, asked, require_stable=require_stable, api_version=version)
        return Effects.reply_with(info, response)

    def offset_delete(self, request: OffsetDeleteRequest, info: RequestInfo[OffsetDeleteResponse]) -> Effects:
        """OffsetDelete."""
        self._find(request.group_id)
        return removal.delete_offsets(self.state, request, info)

    def _find(self, group_id: str) -> Group | None:
        if not group_id:
            raise KafkaError(ErrorCode.invalid_group_id)
        return self.state.groups.get(group_id)

    # Life of the shard

    def on_loaded(self, now_ms: int) -> Effects:
        self.state.is_leading = True
        effects = Effects(timers=[self._next_expiration(now_ms)])
        for known in list(self.state.groups.values()):
            effects.extend(KINDS[known.type].on_loaded(self.state, known, now_ms))
        return effects

    def on_unloaded(self) -> Effects:
        self.state.is_leading = False
        effects = Effects(timers=[CancelTimer(EXPIRATION_TIMER)])
        for known in self.state.groups.values():
            effects.extend(KINDS[known.type].on_unloaded(known))
        return effects

    def on_image(self, image: MetadataImage) -> Effects:
        """Offsets of deleted topics go. Consumer groups notice changes on their next heartbeat."""
        deleted = [
            (topic.name, topic_id)
            for topic_id, topic in self.state.image.topics_by_id.items()
            if topic_id not in image.topics_by_id
        ]
        self.state.image = image
        return removal.forget_topics(self.state, deleted)

    def on_timer(self, key: TimerKey, now_ms: int) -> Effects:
        if key == EXPIRATION_TIMER:
            effects = removal.expire(self.state, now_ms)
            effects.timers.append(self._next_expiration(now_ms))
            return effects
        known = self.state.groups.get(key[1])
        if known is None:
            return Effects()
        return KINDS[known.type].on_timer(self.state, known, key, now_ms)

    def _next_expiration(self, now_ms: int) -> SetTimer:
        return SetTimer(EXPIRATION_TIMER, now_ms + self.state.config.offsets_retention_check_interval_ms)

    # Records

    def replay(
        self, record: CoordinatorRecord, offset: int, timestamp_ms: int, producer_id: int = -1
    ) -> None:
        key: Any = record.key
        value: Any = record.value
        replayer = REPLAYERS.get(type(key))
        if replayer is not None:
            replayer(self.state, key, value)
        elif isinstance(key, group.GroupMetadataKey):
            replay_group_metadata(self.state, key, value)
        else:
            replay_offset(self.state, key, value, (offset, timestamp_ms, producer_id))

    def replay_transaction_end(self, producer_id: int, *, committed: bool) -> None:
        self.state.offsets.end_transaction(producer_id, committed=committed)
