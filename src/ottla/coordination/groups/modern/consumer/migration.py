"""Online migration between the protocols (KIP-848, "Upgrade" and "Downgrade").

A classic group of consumers becomes a consumer group when a member of the new protocol joins it, and a
consumer group becomes classic again when the last such member goes and classic ones stay.
`group.consumer.migration.policy` says which of the two are allowed. Both ways are records: tombstones of
the one kind, then the other kind anew. What is not in records - requests that wait, timers, the start of
a rebalance - follows once they are written.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from ottla.coordination.groups.classic.group import ClassicGroup
from ottla.coordination.groups.classic.rebalance import fail_parked, prepare_rebalance
from ottla.coordination.groups.classic.records import WRITTEN_VERSION
from ottla.coordination.groups.modern.assignors import Partitions
from ottla.coordination.groups.modern.consumer import embedded, records
from ottla.coordination.groups.modern.consumer.group import CONSUMER_PROTOCOL_TYPE, ConsumerGroup
from ottla.coordination.groups.modern.consumer.member import (
    SESSION_TIMER,
    ClassicMetadata,
    ConsumerGroupMember,
    MemberMetadata,
    timer_key,
)
from ottla.coordination.groups.modern.reconcile import CurrentAssignment, with_epoch
from ottla.coordination.groups.modern.topics import metadata_hash
from ottla.coordination.groups.state import ShardState
from ottla.coordination.runtime import Continuation, CoordinatorRecord, Effects, SetTimer, once_written
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.records.group import GroupMetadataKey, GroupMetadataValue
from ottla.protocol.messages.records.group import MemberMetadata as ClassicMemberMetadata

_log = logging.getLogger(__name__)

_UPGRADES = frozenset({"bidirectional", "upgrade"})
_DOWNGRADES = frozenset({"bidirectional", "downgrade"})


def classic_members_may_join(state: ShardState) -> bool:
    """Whether a consumer group takes classic members at all."""
    return state.config.group_consumer_migration_policy != "disabled"


def upgrade(state: ShardState, classic: ClassicGroup, now_ms: int) -> tuple[ConsumerGroup, Effects]:
    """The consumer group that takes the classic group's place, and what writes it.

    Raises KafkaError(group_id_not_found), which tells a new member that there is no group it could join.
    """
    _check_upgrade(state, classic)
    try:
        group = _consumer_group(state, classic)
    except KafkaError as error:
        raise _not_upgraded(classic, error.message or error.code.name) from error
    effects = Effects(records=[*classic.tombstones(), *_creation_records(group)])
    sessions = [
        SetTimer(
            timer_key(SESSION_TIMER, group.group_id, member.member_id),
            now_ms + _classic(member).session_timeout_ms,
        )
        for member in group.members.values()
    ]

    def release_parked(error: KafkaError | None, _now_ms: int) -> Effects:
        if error is not None:
            return Effects()
        return Effects(replies=fail_parked(classic, ErrorCode.rebalance_in_progress))

    effects.continuations += [
        release_parked,
        once_written([*classic.cancelled_timers(), *sessions]),
    ]
    _log.info("group %s becomes a consumer group", group.group_id)
    return group, effects


def _check_upgrade(state: ShardState, classic: ClassicGroup) -> None:
    if state.config.group_consumer_migration_policy not in _UPGRADES:
        raise _not_upgraded(classic, "online upgrade is disabled")
    if not classic.uses_consumer_protocol:
        raise _not_upgraded(classic, "the group does not use the consumer embedded protocol")
    if len(classic.members) > state.config.group_consumer_max_size:
        raise _not_upgraded(classic, "the group size exceeds the consumer group maximum size")


def _not_upgraded(classic: ClassicGroup, why: str) -> KafkaError:
    return KafkaError(
        ErrorCode.group_id_not_found,
        f"Cannot upgrade classic group {classic.group_id} to consumer group because {why}.",
    )


def _consumer_group(state: ShardState, classic: ClassicGroup) -> ConsumerGroup:
    """The same members with the same assignments, in the epoch of the classic generation."""
    group = ConsumerGroup(classic.group_id)
    group.group_epoch = group.assignment_epoch = classic.generation_id
    for member in classic.members.values():
        assignment = embedded.decode_assignment(member.assignment)
        if assignment.has_user_data:
            raise KafkaError(ErrorCode.unsupported_version, "an unsupported custom assignor is in use")
        subscription = embedded.decode_subscription(member.protocols[classic.protocol_name or ""])
        target = embedded.by_topic_id(state.image, assignment.partitions)
        metadata = MemberMetadata(
            instance_id=member.group_instance_id,
            rack_id=subscription.rack_id,
            client_id=member.client_id,
            client_host=member.client_host,
            subscribed_topic_names=subscription.topics,
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            classic=ClassicMetadata(member.session_timeout_ms, tuple(member.protocols.items())),
        )
        group.target[member.member_id] = target
        group.put_metadata(member.member_id, metadata)
        assigned = with_epoch(target, classic.generation_id)
        group.put_current(
            member.member_id,
            CurrentAssignment(classic.generation_id, classic.generation_id, assigned=assigned),
        )
    group.metadata_hash = metadata_hash(state.image, group.subscribed_topics)
    return group


def _creation_records(group: ConsumerGroup) -> list[CoordinatorRecord]:
    group_id = group.group_id
    return [
        *(records.metadata_record(group_id, member_id, m.metadata) for member_id, m in group.members.items()),
        records.epoch_record(group_id, group.group_epoch, group.metadata_hash),
        *(records.target_record(group_id, member_id, target) for member_id, target in group.target.items()),
        records.target_epoch_record(group_id, group.assignment_epoch, group.assignment_timestamp_ms),
        *(records.current_record(group_id, member_id, m.current) for member_id, m in group.members.items()),
    ]


def can_downgrade(state: ShardState, group: ConsumerGroup, leaving_ids: Collection[str]) -> bool:
    """Whether only classic members stay, and the group may become theirs again."""
    staying = [member for member_id, member in group.members.items() if member_id not in leaving_ids]
    return (
        bool(staying)
        and all(member.uses_classic_protocol for member in staying)
        and state.config.group_consumer_migration_policy in _DOWNGRADES
        and len(staying) <= state.config.group_max_size
    )


def downgrade(state: ShardState, group: ConsumerGroup, leaving_ids: Collection[str], now_ms: int) -> Effects:
    """Members left: the classic ones that stay rebalance among themselves."""
    staying = [member for member_id, member in group.members.items() if member_id not in leaving_ids]
    return _downgrade(state, group, staying, group.target, now_ms, rebalance=True)


def can_downgrade_with_replacement(
    state: ShardState, group: ConsumerGroup, replaced: ConsumerGroupMember
) -> bool:
    """Whether a classic static member takes the place of the last member of the new protocol."""
    return (
        not replaced.uses_classic_protocol
        and len(group.classic_members) == len(group.members) - 1
        and state.config.group_consumer_migration_policy in _DOWNGRADES
        and len(group.members) <= state.config.group_max_size
    )


def downgrade_with_replacement(
    state: ShardState,
    group: ConsumerGroup,
    replaced_id: str,
    joining: ConsumerGroupMember,
    now_ms: int,
    *,
    rebalance: bool,
) -> Effects:
    """A classic static member took the last place of the new protocol, and that place's assignment.

    The records that `joining` has caused so far come before these, so its tombstones are needed too.
    """
    staying = [member for member_id, member in group.members.items() if member_id != replaced_id]
    target = {**group.target, joining.member_id: group.target.get(replaced_id, {})}
    effects = Effects(records=records.member_tombstones(group.group_id, joining.member_id))
    return effects.extend(_downgrade(state, group, [*staying, joining], target, now_ms, rebalance=rebalance))


def _downgrade(
    state: ShardState,
    group: ConsumerGroup,
    staying: Sequence[ConsumerGroupMember],
    target: Mapping[str, Partitions],
    now_ms: int,
    *,
    rebalance: bool,
) -> Effects:
    value = _classic_value(state, group, staying, target, now_ms)
    written = CoordinatorRecord(GroupMetadataKey(group=group.group_id), value, WRITTEN_VERSION)
    effects = Effects(records=[*group.tombstones(), written])
    effects.continuations += [
        once_written(group.cancelled_timers()),
        _start_classic(state, group.group_id, staying, rebalance=rebalance),
    ]
    _log.info("group %s becomes a classic group", group.group_id)
    return effects


def _classic_value(
    state: ShardState,
    group: ConsumerGroup,
    staying: Sequence[ConsumerGroupMember],
    target: Mapping[str, Partitions],
    now_ms: int,
) -> GroupMetadataValue:
    """The classic group in a stable generation with these members' targets."""
    protocol = _select_protocol([_protocols(member) for member in staying])
    return GroupMetadataValue(
        protocol_type=CONSUMER_PROTOCOL_TYPE,
        generation=group.group_epoch,
        protocol=protocol,
        leader=staying[0].member_id,
        current_state_timestamp=now_ms,
        members=[
            ClassicMemberMetadata(
                member_id=member.member_id,
                group_instance_id=member.metadata.instance_id,
                client_id=member.metadata.client_id,
                client_host=member.metadata.client_host,
                rebalance_timeout=member.metadata.rebalance_timeout_ms,
                session_timeout=_classic(member).session_timeout_ms,
                subscription=_protocols(member)[protocol],
                assignment=embedded.encode_assignment(
                    state.image, target.get(member.member_id, {}), _protocols(member)[protocol]
                ),
            )
            for member in staying
        ],
    )


def _start_classic(
    state: ShardState, group_id: str, members: Sequence[ConsumerGroupMember], *, rebalance: bool
) -> Continuation:
    """Once the records are replayed: what a record does not hold of a classic group."""

    def start(error: KafkaError | None, now_ms: int) -> Effects:
        group = state.find(ClassicGroup, group_id)
        if error is not None or group is None:
            return Effects()
        for member in members:
            group.update_protocols(group.members[member.member_id], dict(_protocols(member)))
        sessions = [group.session_timer(member, now_ms) for member in group.members.values()]
        effects = Effects(timers=[*sessions])
        if rebalance:
            effects.extend(prepare_rebalance(state, group, "the group became a classic group", now_ms))
        return effects

    return start


def _classic(member: ConsumerGroupMember) -> ClassicMetadata:
    classic = member.metadata.classic
    assert classic is not None, "only classic members stay in a downgraded group"
    return classic


def _protocols(member: ConsumerGroupMember) -> dict[str, bytes]:
    return dict(_classic(member).protocols)


def _select_protocol(supported: Sequence[Mapping[str, bytes]]) -> str:
    """What most members prefer among the protocols that all support; joining saw to it that there is one."""
    common = set(supported[0]).intersection(*supported)
    votes = Counter(next(name for name in protocols if name in common) for protocols in supported)
    return max(votes, key=lambda name: votes[name])
