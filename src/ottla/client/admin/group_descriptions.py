"""What is known of a group of each kind, made from the answers of its coordinator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ottla.client.admin.calls import operations
from ottla.client.core.groups.subscription import decode_assignment
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ClientError, broker_error
from ottla.protocol.codes import Operation as AclOperation
from ottla.protocol.errors import DecodeError, ErrorCode

if TYPE_CHECKING:
    from ottla.protocol.messages import (
        consumer_group_describe,
        describe_groups,
        share_group_describe,
        streams_group_describe,
    )

__all__ = [
    "GroupDescription",
    "MemberDescription",
    "ShareGroupDescription",
    "ShareMember",
    "StreamsGroupDescription",
    "StreamsMember",
    "Subtopology",
    "Task",
    "describe_classic",
    "describe_consumer",
    "describe_share",
    "describe_streams",
]


class MemberDescription(NamedTuple):
    """A member of a consumer group, or of a classic group with another protocol.

    Of a classic group `metadata` and `assigned` are the protocol's own bytes; in other groups they are empty
    and the epoch, subscription and target are known.
    """

    member_id: str
    group_instance_id: str | None
    client_id: str
    host: str
    assignment: tuple[TopicPartition, ...]
    metadata: bytes = b""
    assigned: bytes = b""
    rack_id: str | None = None
    member_epoch: int | None = None
    subscription: tuple[str, ...] | None = None
    subscribed_regex: str | None = None
    target: tuple[TopicPartition, ...] | None = None
    is_classic: bool = True


class GroupDescription(NamedTuple):
    """A classic group or a consumer group: `type` is "classic" or "consumer", `state` Kafka's name of it.

    `assignor` is what the members of a classic group agreed on: the name of a protocol.
    """

    group_id: str
    type: str
    state: str
    protocol_type: str
    assignor: str
    members: tuple[MemberDescription, ...]
    coordinator: int | None
    group_epoch: int | None = None
    assignment_epoch: int | None = None
    authorized_operations: frozenset[AclOperation] | None = None

    @property
    def is_simple(self) -> bool:
        """Whether it is of no members ever: only its offsets are kept."""
        return self.type == "classic" and not self.protocol_type


class ShareMember(NamedTuple):
    member_id: str
    client_id: str
    host: str
    rack_id: str | None
    member_epoch: int
    subscription: tuple[str, ...]
    assignment: tuple[TopicPartition, ...]


class ShareGroupDescription(NamedTuple):
    group_id: str
    state: str
    assignor: str
    members: tuple[ShareMember, ...]
    coordinator: int | None
    group_epoch: int
    assignment_epoch: int
    authorized_operations: frozenset[AclOperation] | None = None


class Task(NamedTuple):
    subtopology_id: str
    partition: int


class StreamsMember(NamedTuple):
    """`offsets` and `end_offsets` are of the tasks that it keeps the state of."""

    member_id: str
    member_epoch: int
    group_instance_id: str | None
    client_id: str
    host: str
    rack_id: str | None
    process_id: str
    topology_epoch: int
    endpoint: tuple[str, int] | None
    client_tags: tuple[tuple[str, str], ...]
    active: tuple[Task, ...]
    standby: tuple[Task, ...]
    warmup: tuple[Task, ...]
    target_active: tuple[Task, ...]
    target_standby: tuple[Task, ...]
    target_warmup: tuple[Task, ...]
    offsets: tuple[tuple[Task, int], ...]
    end_offsets: tuple[tuple[Task, int], ...]
    is_classic: bool


class Subtopology(NamedTuple):
    subtopology_id: str
    source_topics: tuple[str, ...]
    repartition_sink_topics: tuple[str, ...]
    repartition_source_topics: tuple[str, ...]
    state_changelog_topics: tuple[str, ...]


class StreamsGroupDescription(NamedTuple):
    """`topology_epoch` and `subtopologies` are None while the group has no topology."""

    group_id: str
    state: str
    assignor: str | None
    members: tuple[StreamsMember, ...]
    coordinator: int | None
    group_epoch: int
    assignment_epoch: int
    topology_epoch: int | None
    subtopologies: tuple[Subtopology, ...] | None
    authorized_operations: frozenset[AclOperation] | None = None


def describe_classic(
    group: describe_groups.DescribedGroup, node: int | None
) -> GroupDescription | ClientError:
    """To brokers before Kafka 4.0 a group that is not there is "Dead": an error here, as in later ones."""
    if group.error_code:
        return broker_error(group.error_code, group.error_message or None)
    if group.group_state == "Dead":
        return broker_error(ErrorCode.group_id_not_found, f"Group {group.group_id} not found.")
    return GroupDescription(
        group.group_id,
        "classic",
        group.group_state,
        group.protocol_type,
        group.protocol_data,
        tuple(
            MemberDescription(
                each.member_id,
                each.group_instance_id,
                each.client_id,
                each.client_host,
                _consumer_assignment(group.protocol_type, each.member_assignment),
                each.member_metadata,
                each.member_assignment,
            )
            for each in group.members
        ),
        node,
        authorized_operations=operations(group.authorized_operations),
    )


def describe_consumer(
    group: consumer_group_describe.DescribedGroup, node: int | None
) -> GroupDescription | ClientError:
    if group.error_code:
        return broker_error(group.error_code, group.error_message or None)
    return GroupDescription(
        group.group_id,
        "consumer",
        group.group_state,
        "consumer",
        group.assignor_name,
        tuple(
            MemberDescription(
                each.member_id,
                each.instance_id,
                each.client_id,
                each.client_host,
                _partitions(each.assignment.topic_partitions),
                rack_id=each.rack_id,
                member_epoch=each.member_epoch,
                subscription=tuple(each.subscribed_topic_names),
                subscribed_regex=each.subscribed_topic_regex or None,
                target=_partitions(each.target_assignment.topic_partitions),
                is_classic=each.member_type == 0,
            )
            for each in group.members
        ),
        node,
        group.group_epoch,
        group.assignment_epoch,
        operations(group.authorized_operations),
    )


def describe_share(
    group: share_group_describe.DescribedGroup, node: int | None
) -> ShareGroupDescription | ClientError:
    if group.error_code:
        return broker_error(group.error_code, group.error_message or None)
    return ShareGroupDescription(
        group.group_id,
        group.group_state,
        group.assignor_name,
        tuple(
            ShareMember(
                each.member_id,
                each.client_id,
                each.client_host,
                each.rack_id,
                each.member_epoch,
                tuple(each.subscribed_topic_names),
                _partitions(each.assignment.topic_partitions),
            )
            for each in group.members
        ),
        node,
        group.group_epoch,
        group.assignment_epoch,
        operations(group.authorized_operations),
    )


def describe_streams(
    group: streams_group_describe.DescribedGroup, node: int | None
) -> StreamsGroupDescription | ClientError:
    if group.error_code:
        return broker_error(group.error_code, group.error_message or None)
    topology = group.topology
    parts = None if topology is None else topology.subtopologies
    return StreamsGroupDescription(
        group.group_id,
        group.group_state,
        group.assignor_name,
        tuple(_streams_member(each) for each in group.members),
        node,
        group.group_epoch,
        group.assignment_epoch,
        None if topology is None else topology.epoch,
        None
        if parts is None
        else tuple(
            Subtopology(
                each.subtopology_id,
                tuple(each.source_topics),
                tuple(each.repartition_sink_topics),
                tuple(topic.name for topic in each.repartition_source_topics),
                tuple(topic.name for topic in each.state_changelog_topics),
            )
            for each in parts
        ),
        operations(group.authorized_operations),
    )


def _streams_member(member: streams_group_describe.Member) -> StreamsMember:
    now, target, endpoint = member.assignment, member.target_assignment, member.user_endpoint
    return StreamsMember(
        member.member_id,
        member.member_epoch,
        member.instance_id,
        member.client_id,
        member.client_host,
        member.rack_id,
        member.process_id,
        member.topology_epoch,
        None if endpoint is None else (endpoint.host, endpoint.port),
        tuple((tag.key, tag.value) for tag in member.client_tags),
        _tasks(now.active_tasks),
        _tasks(now.standby_tasks),
        _tasks(now.warmup_tasks),
        _tasks(target.active_tasks),
        _tasks(target.standby_tasks),
        _tasks(target.warmup_tasks),
        tuple((Task(each.subtopology_id, each.partition), each.offset) for each in member.task_offsets),
        tuple((Task(each.subtopology_id, each.partition), each.offset) for each in member.task_end_offsets),
        member.is_classic,
    )


def _tasks(ids: Sequence[streams_group_describe.TaskIds]) -> tuple[Task, ...]:
    return tuple(Task(each.subtopology_id, partition) for each in ids for partition in each.partitions)


class _TopicPartitions(Protocol):
    @property
    def topic_name(self) -> str: ...
    @property
    def partitions(self) -> Sequence[int]: ...


def _partitions(topics: Iterable[_TopicPartitions]) -> tuple[TopicPartition, ...]:
    return tuple(
        TopicPartition(each.topic_name, partition) for each in topics for partition in each.partitions
    )


def _consumer_assignment(protocol_type: str, data: bytes) -> tuple[TopicPartition, ...]:
    """What a classic consumer was assigned; nothing where its bytes are another protocol's."""
    if protocol_type != "consumer":
        return ()
    try:
        return tuple(decode_assignment(data))
    except DecodeError:
        return ()
