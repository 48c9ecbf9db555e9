"""One partition of `__consumer_offsets`: where requests, timers and records come in.

Live operation and recovery share `replay`. Reads answer at once; everything else returns `Effects` to obey.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from ottla.config.groups import GroupCoordinatorConfig
from ottla.coordination.groups.classic.group import ClassicGroup
from ottla.coordination.groups.classic.join import join_new
from ottla.coordination.groups.classic.kind import ClassicKind
from ottla.coordination.groups.classic.membership import describe_groups, unknown_members_response
from ottla.coordination.groups.classic.rebalance import refused_join
from ottla.coordination.groups.classic.records import replay_group_metadata
from ottla.coordination.groups.modern.consumer.describe import describe as describe_consumer_groups
from ottla.coordination.groups.modern.consumer.heartbeat import consumer_group_heartbeat
from ottla.coordination.groups.modern.consumer.kind import ConsumerKind
from ottla.coordination.groups.modern.consumer.replay import REPLAYERS
from ottla.coordination.groups.offsets import removal
from ottla.coordination.groups.offsets.commit import commit_error, commit_offsets, commit_transaction_offsets
from ottla.coordination.groups.offsets.fetch import fetch_offsets
from ottla.coordination.groups.offsets.store import NO_TOPIC_ID, StoredOffset
from ottla.coordination.groups.records import RecordType, decode_record
from ottla.coordination.groups.state import GroupKind, GroupType, HeartbeatBudget, ShardState
from ottla.coordination.runtime import CancelTimer, Effects, Reply, RequestInfo, Response, SetTimer, TimerKey
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode

KINDS: Final[Mapping[GroupType, GroupKind[Any]]] = MappingProxyType(
    {GroupType.CLASSIC: ClassicKind(), GroupType.CONSUMER: ConsumerKind()}
)
EXPIRATION_TIMER: Final[TimerKey] = ("offset-expiration",)

_APPEND_ERRORS: Final[Mapping[ErrorCode, ErrorCode]] = {
    ErrorCode.unknown_topic_or_partition: ErrorCode.coordinator_not_available,
    ErrorCode.not_enough_replicas: ErrorCode.coordinator_not_available,
    ErrorCode.not_enough_replicas_after_append: ErrorCode.coordinator_not_available,
    ErrorCode.request_timed_out: ErrorCode.coordinator_not_available,
    ErrorCode.not_leader_or_follower: ErrorCode.not_coordinator,
    ErrorCode.kafka_storage_error: ErrorCode.not_coordinator,
    ErrorCode.message_too_large: ErrorCode.unknown_server_error,
    ErrorCode.record_list_too_large: ErrorCode.unknown_server_error,
    ErrorCode.invalid_fetch_size: ErrorCode.unknown_server_error,
}
"""What a client is told about a failed append: mostly to look for the coordinator again."""


class GroupShard:
    """The groups and offsets of one partition. See `effects` for what its caller has to do."""

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

    def join_group(self, request: Any, info: RequestInfo, now_ms: int) -> Effects:
        """JoinGroup; the reply may come with later effects."""
        member_id: str = request.member_id
        config = self.state.config
        if not request.group_id:
            return refused_join(info, ErrorCode.invalid_group_id, member_id)
        allowed = range(config.group_min_session_timeout_ms, config.group_max_session_timeout_ms + 1)
        if request.session_timeout_ms not in allowed:
            return refused_join(info, ErrorCode.invalid_session_timeout, member_id)
        group = self.state.groups.get(request.group_id)
        if group is None:
            return join_new(self.state, request, info, now_ms)
        return KINDS[group.type].join_group(self.state, group, request, info, now_ms)

    def sync_group(self, request: Any, info: RequestInfo, now_ms: int) -> Effects:
        """SyncGroup; the reply may come with later effects."""
        if not request.group_id:
            return _refuse(info, ErrorCode.invalid_group_id)
        group = self.state.groups.get(request.group_id)
        if group is None or group.is_empty:
            return _refuse(info, ErrorCode.unknown_member_id)
        return KINDS[group.type].sync_group(self.state, group, request, info, now_ms)

    def heartbeat(self, request: Any, info: RequestInfo, now_ms: int) -> Effects:
        """Heartbeat of the classic protocol."""
        if not request.group_id:
            return _refuse(info, ErrorCode.invalid_group_id)
        group = self.state.groups.get(request.group_id)
        if group is None:
            return _refuse(info, ErrorCode.unknown_member_id)
        return KINDS[group.type].heartbeat(self.state, group, request, info, now_ms)

    def leave_group(self, request: Any, info: RequestInfo, now_ms: int) -> Effects:
        """LeaveGroup, of one member or of several."""
        if not request.group_id:
            return _refuse(info, ErrorCode.invalid_group_id)
        group = self.state.groups.get(request.group_id)
        if group is None:
            return Effects.reply_with(info, unknown_members_response(request, info))
        return KINDS[group.type].leave_group(self.state, group, request, info, now_ms)

    # The consumer protocol

    def consumer_group_heartbeat(self, request: Any, info: RequestInfo, now_ms: int) -> Effects:
        """ConsumerGroupHeartbeat (KIP-848): join, stay, reconcile and leave in one."""
        return consumer_group_heartbeat(self.state, request, info, now_ms)

    def consumer_group_describe(
        self, group_ids: Iterable[str], info: RequestInfo, now_ms: int
    ) -> list[Response]:
        """Entries of ConsumerGroupDescribe's `groups`."""
        return describe_consumer_groups(self.state, list(group_ids), info, now_ms)

    # Administration

    def describe_groups(self, group_ids: Iterable[str], info: RequestInfo) -> list[Response]:
        """Entries of DescribeGroups' `groups`."""
        return describe_groups(self.state, group_ids, info)

    def list_groups(self, states_filter: Collection[str], types_filter: Collection[str]) -> list[Response]:
        """Entries of ListGroups' `groups`."""
        return list_groups(self.state, states_filter, types_filter)

    def delete_groups(self, group_ids: Collection[str], info: RequestInfo) -> Effects:
        """DeleteGroups; the reply holds `results` for these groups."""
        return removal.delete_groups(self.state, group_ids, info)

    # Offsets

    def offset_commit(self, request: Any, info: RequestInfo, now_ms: int) -> Effects:
        """OffsetCommit."""
        return commit_offsets(self.state, request, info, now_ms)

    def txn_offset_commit(self, request: Any, info: RequestInfo, now_ms: int) -> Effects:
        """TxnOffsetCommit; the records belong to the producer's transaction."""
        if not request.group_id:
            refused = commit_error(self.state.image, request, info, ErrorCode.invalid_group_id)
            return Effects.reply_with(info, refused)
        return commit_transaction_offsets(self.state, request, info, now_ms)

    def offset_fetch(self, group: Any, *, require_stable: bool, api_version: int) -> Response:
        """One entry of OffsetFetch's `groups`, for an entry of the request's."""
        return fetch_offsets(self.state, group, require_stable=require_stable, api_version=api_version)

    def offset_delete(self, request: Any, info: RequestInfo) -> Effects:
        """OffsetDelete."""
        if not request.group_id:
            return _refuse(info, ErrorCode.invalid_group_id)
        return removal.delete_offsets(self.state, request, info)

    # Life of the shard

    def on_loaded(self, now_ms: int) -> Effects:
        """Every record has been replayed and this broker leads."""
        effects = Effects(timers=[self._next_expiration(now_ms)])
        for group in list(self.state.groups.values()):
            effects.extend(KINDS[group.type].on_loaded(self.state, group, now_ms))
        return effects

    def on_unloaded(self) -> Effects:
        """Another broker leads now: parked requests are sent there."""
        effects = Effects(timers=[CancelTimer(EXPIRATION_TIMER)])
        for group in self.state.groups.values():
            effects.extend(KINDS[group.type].on_unloaded(group))
        return effects

    def on_image(self, image: MetadataImage) -> Effects:
        """Topics changed: offsets of deleted ones go. Consumer groups notice on their next heartbeat."""
        deleted = [
            (topic.name, topic_id)
            for topic_id, topic in self.state.image.topics_by_id.items()
            if topic_id not in image.topics_by_id
        ]
        self.state.image = image
        return removal.forget_topics(self.state, deleted)

    def on_timer(self, key: TimerKey, now_ms: int) -> Effects:
        """A deadline that some effects set has passed."""
        if key == EXPIRATION_TIMER:
            effects = removal.expire(self.state, now_ms)
            effects.timers.append(self._next_expiration(now_ms))
            return effects
        group = self.state.groups.get(key[1])
        if group is None:
            return Effects()
        return KINDS[group.type].on_timer(self.state, group, key, now_ms)

    def _next_expiration(self, now_ms: int) -> SetTimer:
        return SetTimer(EXPIRATION_TIMER, now_ms + self.state.config.offsets_retention_check_interval_ms)

    # Records

    def replay(
        self, key: bytes, value: bytes | None, offset: int, timestamp_ms: int, producer_id: int = -1
    ) -> None:
        """Take in one record; transactional ones come with their producer's id.

        KafkaError(corrupt_message) where it can't be read; other kinds of groups' types are skipped.
        """
        record = decode_record(key, value)
        if record is None:
            return
        if record.type in (RecordType.OFFSET_COMMIT, RecordType.LEGACY_OFFSET_COMMIT):
            self._replay_offset(record.key, record.value, offset, timestamp_ms, producer_id)
        elif record.type is RecordType.GROUP_METADATA:
            replay_group_metadata(self.state, record.key, record.value)
        else:
            REPLAYERS[record.type](self.state, record.key, record.value)

    def replay_transaction_end(self, producer_id: int, *, committed: bool) -> None:
        """Take in a transaction marker (KIP-98)."""
        self.state.offsets.end_transaction(producer_id, committed=committed)

    def on_appended(self, effects: Effects, base_offset: int, now_ms: int) -> Effects:
        """The records are in the log from this offset on. Returns further effects."""
        producer_id = -1 if effects.producer is None else effects.producer.producer_id
        for offset, record in enumerate(effects.records, base_offset):
            if not record.applied:
                self.replay(record.key, record.value, offset, now_ms, producer_id)
        return self._continue(effects, None, now_ms)

    def on_append_failed(self, effects: Effects, code: ErrorCode, now_ms: int) -> Effects:
        """The records are not in the log. Returns the effects that take the place of these."""
        told = _APPEND_ERRORS.get(code, code)
        replies = [_failed(reply, told) for reply in effects.replies]
        failed = Effects(replies=replies, timers=list(effects.timers))
        return failed.extend(self._continue(effects, told, now_ms))

    def _continue(self, effects: Effects, code: ErrorCode | None, now_ms: int) -> Effects:
        further = Effects()
        for continuation in effects.continuations:
            further.extend(continuation(code, now_ms))
        return further

    def _replay_offset(
        self,
        key: Mapping[str, Any],
        value: Mapping[str, Any] | None,
        offset: int,
        timestamp_ms: int,
        producer_id: int,
    ) -> None:
        group_id: str = key["group"]
        partition = (key["topic"], key["partition"])
        if value is None:
            self.state.offsets.replay(group_id, partition, None)
            return
        if group_id not in self.state.groups:
            self.state.groups[group_id] = ClassicGroup(group_id, timestamp_ms)
        stored = StoredOffset(
            offset=value["offset"],
            leader_epoch=value.get("leader_epoch", -1),
            metadata=value["metadata"],
            commit_timestamp_ms=value["commit_timestamp"],
            expire_timestamp_ms=value.get("expire_timestamp", -1),
            topic_id=value.get("topic_id") or NO_TOPIC_ID,
            record_offset=offset,
        )
        self.state.offsets.replay(group_id, partition, stored, producer_id)


def _refuse(info: RequestInfo, code: ErrorCode) -> Effects:
    return Effects.reply_with(info, {"error_code": code})


def _failed(reply: Reply, code: ErrorCode) -> Reply:
    response = {"error_code": code} if reply.on_failure is None else reply.on_failure(code)
    return Reply(reply.reply_to, response, lambda _code: response)


def list_groups(
    state: ShardState, states_filter: Collection[str], types_filter: Collection[str]
) -> list[Response]:
    """ListGroups: the groups that pass both filters (KIP-518, KIP-848); an empty one lets all pass.

    Upper and lower case are the same.
    """
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
