"""Who a request comes from: members that join, take a static member's place, or come back."""

from __future__ import annotations

from dataclasses import replace

from ottla.coordination.consumer import records
from ottla.coordination.consumer.assignors import Partitions
from ottla.coordination.consumer.group import ConsumerGroup
from ottla.coordination.consumer.member import (
    JOIN_GROUP_EPOCH,
    LEAVE_GROUP_STATIC_EPOCH,
    ConsumerGroupMember,
    contains,
)
from ottla.coordination.effects import CoordinatorRecord
from ottla.coordination.state import ShardState
from ottla.protocol.errors import ErrorCode, KafkaError


def check_size(state: ShardState, group: ConsumerGroup, member_id: str, instance_id: str | None) -> None:
    """Refuse one member more than the limit, with KafkaError(group_max_size_reached)."""
    limit = state.config.group_consumer_max_size
    if instance_id in group.static_members or member_id in group.members or len(group.members) < limit:
        return
    raise KafkaError(
        ErrorCode.group_max_size_reached,
        f"The consumer group has reached its maximum capacity of {limit} members.",
    )


def known_member(group: ConsumerGroup, member_id: str, instance_id: str | None) -> ConsumerGroupMember:
    """The member by its instance id where it has one; KafkaError for strangers and replaced instances."""
    if instance_id is None:
        return group.member(member_id)
    member = known_static_member(group, instance_id)
    if member.member_id != member_id:
        raise KafkaError(
            ErrorCode.fenced_instance_id,
            f"Static member {member_id} with instance id {instance_id} was fenced by member "
            f"{member.member_id}.",
        )
    return member


def known_static_member(group: ConsumerGroup, instance_id: str) -> ConsumerGroupMember:
    """Who holds the instance id, or KafkaError(unknown_member_id)."""
    member = group.static_member(instance_id)
    if member is None:
        raise KafkaError(ErrorCode.unknown_member_id, f"Instance id {instance_id} is unknown.")
    return member


def check_epoch(member: ConsumerGroupMember, epoch: int, reported: Partitions | None) -> None:
    """Refuse an epoch that is not the member's, with KafkaError(fenced_member_epoch).

    The previous epoch is accepted: the member did not get the answer that had the new one. It had nothing
    left to give back when it entered that, so what it owns is its own. Kafka wants to see a report, which
    librdkafka does not add to a request that it repeats. It waits for an answer no longer than its heartbeat
    interval, so with short ones a pause of the broker would fence its members.
    """
    if epoch in (JOIN_GROUP_EPOCH, member.epoch):
        return
    is_retry = (
        epoch == member.current.previous_member_epoch
        and epoch < member.epoch
        and (reported is None or contains(member.current.assigned, reported))
    )
    if not is_retry:
        relation = "greater" if epoch > member.epoch else "smaller"
        raise KafkaError(
            ErrorCode.fenced_member_epoch,
            f"The consumer group member has a {relation} member epoch ({epoch}) than the one known by the "
            f"group coordinator ({member.epoch}). The member must abandon all its partitions and rejoin.",
        )


def joining_static_member(
    group: ConsumerGroup, member_id: str, instance_id: str, *, uses_classic_protocol: bool
) -> tuple[ConsumerGroupMember, str | None]:
    """The joining member with what it takes over, and the id of the member that had the place, if any.

    Between members of this protocol the place must have been left: KafkaError(unreleased_instance_id). A
    classic member never announces that it comes back, so there the newer one wins (KIP-345).
    """
    existing = group.static_member(instance_id)
    if existing is None:
        return group.members.get(member_id, ConsumerGroupMember(member_id)), None
    both_new = not uses_classic_protocol and not existing.uses_classic_protocol
    if both_new and existing.epoch != LEAVE_GROUP_STATIC_EPOCH:
        raise KafkaError(
            ErrorCode.unreleased_instance_id,
            f"Static member {member_id} with instance id {instance_id} cannot join the group because the "
            f"instance id is owned by {existing.member_id} member.",
        )
    current = replace(existing.current, member_epoch=JOIN_GROUP_EPOCH, previous_member_epoch=JOIN_GROUP_EPOCH)
    return ConsumerGroupMember(member_id, existing.metadata, current), existing.member_id


def replacement_records(
    group: ConsumerGroup, replaced_id: str, member: ConsumerGroupMember
) -> list[CoordinatorRecord]:
    """The old id goes, the new one gets its target and what it owned: nobody else notices."""
    return [
        *records.member_tombstones(group.group_id, replaced_id),
        records.metadata_record(group.group_id, member.member_id, member.metadata),
        records.target_record(group.group_id, member.member_id, group.target.get(replaced_id, {})),
        records.current_record(group.group_id, member.member_id, member.current),
    ]
