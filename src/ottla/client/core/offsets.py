"""Committed offsets: what is asked of the group's coordinator, and what its answers mean.

Commits of one group go out one after the other. What is asked for while one is under way goes out with the
next, and an older offset that must be tried again never replaces a newer one that was asked for meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from ottla.client.core.groups.classic import Outcome
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.positions import Position
from ottla.client.errors import code_of
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from ottla.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)

LAST_COMMIT_WITHOUT_TOPIC_IDS: Final = 9
LAST_FETCH_WITHOUT_TOPIC_IDS: Final = 9
_FIRST_FETCH_OF_GROUPS: Final = 8

IdOf = Callable[[str], UUID | None]


class CommittedOffset(NamedTuple):
    """What a commit keeps of a partition: the next offset to read, the leader epoch of the record before it
    (-1: not known), and a text of the application's own.
    """

    offset: int
    epoch: int = -1
    metadata: str = ""


class Identity(NamedTuple):
    """As whom one commits. Who assigns himself has no generation (-1) and no member id."""

    group_id: str
    generation: int = -1
    member_id: str = ""
    instance_id: str | None = None
    is_consumer_group: bool = False
    """A member of a KIP-848 group, whose `generation` is its epoch."""


_OUTCOMES: Final[Mapping[int, Outcome]] = {
    ErrorCode.none: Outcome.done,
    ErrorCode.coordinator_load_in_progress: Outcome.later,
    ErrorCode.unknown_topic_or_partition: Outcome.later,
    ErrorCode.unknown_topic_id: Outcome.later,
    ErrorCode.unstable_offset_commit: Outcome.later,
    ErrorCode.request_timed_out: Outcome.elsewhere,
    ErrorCode.coordinator_not_available: Outcome.elsewhere,
    ErrorCode.not_coordinator: Outcome.elsewhere,
    ErrorCode.stale_member_epoch: Outcome.again,
}


@dataclass(slots=True)
class Answered:
    """What an answer of the coordinator means, by partition. `outcome` is that of those to be tried again."""

    again: list[TopicPartition] = field(default_factory=list)
    refused: dict[TopicPartition, ErrorCode] = field(default_factory=dict)
    outcome: Outcome = Outcome.done

    def note(self, partition: TopicPartition, code: int) -> None:
        outcome = _OUTCOMES.get(code, Outcome.fatal)
        if outcome is Outcome.fatal:
            self.refused[partition] = code_of(code)
        elif outcome is not Outcome.done:
            self.again.append(partition)
            if self.outcome is not Outcome.elsewhere:
                self.outcome = outcome


def commit_request(
    identity: Identity, offsets: Mapping[TopicPartition, CommittedOffset], id_of: IdOf
) -> tuple[OffsetCommitRequest, bool]:
    """The request, and whether all of its topics have ids: without them it is written up to version 9."""
    topics: dict[str, list[OffsetCommitRequestPartition]] = {}
    for (topic, partition), committed in offsets.items():
        topics.setdefault(topic, []).append(
            OffsetCommitRequestPartition(
                partition_index=partition,
                committed_offset=committed.offset,
                committed_leader_epoch=committed.epoch,
                committed_metadata=committed.metadata,
            )
        )
    ids = {topic: id_of(topic) for topic in topics}
    request = OffsetCommitRequest(
        group_id=identity.group_id,
        generation_id_or_member_epoch=identity.generation,
        member_id=identity.member_id,
        group_instance_id=identity.instance_id,
        topics=[
            OffsetCommitRequestTopic(name=topic, topic_id=ids[topic], partitions=partitions)
            for topic, partitions in topics.items()
        ],
    )
    return request, all(ids.values())


def commit_answered(request: OffsetCommitRequest, response: OffsetCommitResponse) -> Answered:
    """What became of each partition; one that the answer leaves out is to be tried again."""
    names = {each.topic_id: each.name for each in request.topics if each.topic_id is not None}
    codes: dict[TopicPartition, int] = {}
    for topic in response.topics:
        name = names.get(topic.topic_id, topic.name) if topic.topic_id is not None else topic.name
        for part in topic.partitions:
            codes[TopicPartition(name, part.partition_index)] = part.error_code
    answered = Answered()
    for asked in request.topics:
        for each in asked.partitions:
            partition = TopicPartition(asked.name, each.partition_index)
            answered.note(partition, codes.get(partition, ErrorCode.request_timed_out))
    return answered


@dataclass(slots=True)
class CommitQueue:
    """The offsets that wait to be committed; the newest asked for of each partition."""

    _waiting: dict[TopicPartition, CommittedOffset] = field(default_factory=dict)
    _under_way: dict[TopicPartition, CommittedOffset] = field(default_factory=dict)

    def add(self, offsets: Mapping[TopicPartition, CommittedOffset]) -> None:
        self._waiting.update(offsets)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def begin(self) -> dict[TopicPartition, CommittedOffset]:
        """What goes out now."""
        self._under_way, self._waiting = self._waiting, {}
        return self._under_way

    def ended(self, again: Iterable[TopicPartition]) -> None:
        """`again` are put back, unless something newer was asked for of them."""
        for partition in again:
            if partition in self._under_way:
                self._waiting.setdefault(partition, self._under_way[partition])
        self._under_way = {}

    def drop(self, partitions: Collection[TopicPartition]) -> None:
        """These are no longer ours to commit."""
        for partition in partitions:
            self._waiting.pop(partition, None)


def fetch_request(
    identity: Identity,
    partitions: Iterable[TopicPartition],
    id_of: IdOf,
    *,
    require_stable: bool,
) -> tuple[OffsetFetchRequest, bool]:
    """What is committed of these; `require_stable` waits for transactions that commit offsets (KIP-447). The
    second result is as that of `commit_request`.
    """
    topics: dict[str, list[int]] = {}
    for topic, partition in partitions:
        topics.setdefault(topic, []).append(partition)
    ids = {topic: id_of(topic) for topic in topics}
    group = OffsetFetchRequestGroup(
        group_id=identity.group_id,
        member_id=identity.member_id if identity.is_consumer_group else None,
        member_epoch=identity.generation if identity.is_consumer_group else -1,
        topics=[
            OffsetFetchRequestTopics(name=topic, topic_id=ids[topic], partition_indexes=indexes)
            for topic, indexes in topics.items()
        ],
    )
    request = OffsetFetchRequest(
        group_id=identity.group_id,
        topics=[
            OffsetFetchRequestTopic(name=topic, partition_indexes=indexes)
            for topic, indexes in topics.items()
        ],
        groups=[group],
        require_stable=require_stable,
    )
    return request, all(ids.values())


class FetchedOffsets(NamedTuple):
    """`code` is of the whole group. A partition of which nothing is committed is None."""

    code: ErrorCode
    outcome: Outcome
    offsets: Mapping[TopicPartition, CommittedOffset | None]
    answered: Answered


def fetch_answered(request: OffsetFetchRequest, response: OffsetFetchResponse) -> FetchedOffsets:
    names = {
        each.topic_id: each.name
        for group in request.groups
        for each in group.topics or ()
        if each.topic_id is not None
    }
    answered = Answered()
    offsets: dict[TopicPartition, CommittedOffset | None] = {}

    def take_in(partition: TopicPartition, code: int, offset: int, epoch: int, metadata: str | None) -> None:
        answered.note(partition, code)
        if not code:
            committed = CommittedOffset(offset, epoch, metadata or "")
            offsets[partition] = committed if offset >= 0 else None

    code = response.error_code
    for group in response.groups:
        code = code or group.error_code
        for topic in group.topics:
            name = names.get(topic.topic_id, topic.name) if topic.topic_id is not None else topic.name
            for part in topic.partitions:
                take_in(
                    TopicPartition(name, part.partition_index),
                    part.error_code,
                    part.committed_offset,
                    part.committed_leader_epoch,
                    part.metadata,
                )
    for old in response.topics:
        for old_part in old.partitions:
            take_in(
                TopicPartition(old.name, old_part.partition_index),
                old_part.error_code,
                old_part.committed_offset,
                old_part.committed_leader_epoch,
                old_part.metadata,
            )
    return FetchedOffsets(code_of(code), _OUTCOMES.get(code, Outcome.fatal), offsets, answered)


def positions_of(
    offsets: Mapping[TopicPartition, CommittedOffset | None],
) -> dict[TopicPartition, Position | None]:
    return {
        partition: None if committed is None else Position(committed.offset, committed.epoch)
        for partition, committed in offsets.items()
    }
