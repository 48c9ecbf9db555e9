"""ConsumerGroupDescribe (KIP-848), versions 0 and 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from uuid import UUID

from ottla.coordination.groups.modern.consumer.group import ConsumerGroup, preferred_assignor
from ottla.coordination.groups.modern.consumer.member import ConsumerGroupMember
from ottla.coordination.groups.state import ShardState
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.consumer_group_describe import (
    Assignment,
    DescribedGroup,
    Member,
    TopicPartitions,
)

_CLASSIC_MEMBER = 0
_CONSUMER_MEMBER = 1


def describe_consumer_groups(state: ShardState, group_ids: Iterable[str]) -> list[DescribedGroup]:
    """The groups in the order asked for; what is not a consumer group with GROUP_ID_NOT_FOUND."""
    return [_described(state, group_id) for group_id in group_ids]


def _described(state: ShardState, group_id: str) -> DescribedGroup:
    group = state.find(ConsumerGroup, group_id)
    if group is None:
        what = "is not a consumer group" if group_id in state.groups else "not found"
        return DescribedGroup(
            group_id=group_id,
            error_code=ErrorCode.group_id_not_found,
            error_message=f"Group {group_id} {what}.",
        )
    supported = state.config.group_consumer_assignors
    return DescribedGroup(
        group_id=group_id,
        group_state=group.state_name,
        group_epoch=group.group_epoch,
        assignment_epoch=group.assignment_epoch,
        assignor_name=preferred_assignor(group.members.values(), supported),
        members=[_member(state.image, group, member) for member in group.members.values()],
    )


def _member(image: MetadataImage, group: ConsumerGroup, member: ConsumerGroupMember) -> Member:
    metadata = member.metadata
    owned: dict[UUID, set[int]] = {}
    for partitions in (member.current.assigned, member.current.pending_revocation):
        for topic_id, epochs in partitions.items():
            owned.setdefault(topic_id, set()).update(epochs)
    return Member(
        member_id=member.member_id,
        instance_id=metadata.instance_id,
        rack_id=metadata.rack_id,
        member_epoch=member.epoch,
        client_id=metadata.client_id,
        client_host=metadata.client_host,
        subscribed_topic_names=sorted(metadata.subscribed_topic_names),
        subscribed_topic_regex=metadata.subscribed_topic_regex,
        assignment=_assignment(image, owned),
        target_assignment=_assignment(image, group.target.get(member.member_id, {})),
        member_type=_CLASSIC_MEMBER if member.uses_classic_protocol else _CONSUMER_MEMBER,
    )


def _assignment(image: MetadataImage, partitions: Mapping[UUID, AbstractSet[int]]) -> Assignment:
    """Deleted topics are left out, for they have no name any more."""
    topics = [
        TopicPartitions(
            topic_id=topic_id, topic_name=image.topics_by_id[topic_id].name, partitions=sorted(numbers)
        )
        for topic_id, numbers in sorted(partitions.items())
        if topic_id in image.topics_by_id
    ]
    return Assignment(topic_partitions=topics)
