"""Offsets of groups: what consumers and streams have committed, and where share groups start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ottla.client.admin.calls import Calls, Node, group_coordinator, known, outcome
from ottla.client.admin.results import Results
from ottla.client.core.metadata import TopicPartition, by_topic
from ottla.client.errors import ClientError, broker_error
from ottla.client.face import Face, awaited
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from ottla.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
)
from ottla.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
)

__all__ = ["BlockingGroupOffsets", "CommittedOffset", "GroupOffsets", "ShareOffset"]

_LAST_WITH_NAMES: Final = 9
"""Versions of OffsetFetch and OffsetCommit from 10 on take topics by their ids alone."""


class CommittedOffset(NamedTuple):
    """The offset of the next record to read, and what the committer noted with it."""

    offset: int
    metadata: str = ""
    leader_epoch: int | None = None


class ShareOffset(NamedTuple):
    """Where a share group starts in a partition; `lag` is None where the broker does not say."""

    start_offset: int
    leader_epoch: int | None
    lag: int | None


class GroupOffsets:
    """Admin calls about the offsets of groups. What changes them wants the group to have no members."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def list(
        self,
        groups: Mapping[str, Iterable[TopicPartition] | None] | Iterable[str],
        *,
        require_stable: bool = False,
    ) -> Results[str, Results[TopicPartition, CommittedOffset | None]]:
        """What groups have committed: everything, or for the partitions that are given (None: nothing there).

        With `require_stable` what transactions have pending is waited for (KIP-447).
        """
        wanted = _wanted(groups)

        async def ask_one(
            node: Node, group: str
        ) -> Results[TopicPartition, CommittedOffset | None] | ClientError:
            partitions = wanted[group]
            request = _fetch_request(group, None if partitions is None else list(partitions), require_stable)
            try:
                response = await self._calls.send(
                    request,
                    OffsetFetchResponse,
                    node,
                    min_version=7 if require_stable else 2,
                    max_version=_LAST_WITH_NAMES,
                )
            except ClientError as error:
                return error
            return _fetched(response, group)

        async def ask(
            node: Node, names: Sequence[str]
        ) -> Mapping[str, Results[TopicPartition, CommittedOffset | None] | ClientError]:
            found = await asyncio.gather(*(ask_one(node, name) for name in names))
            return dict(zip(names, found, strict=True))

        unstable = {ErrorCode.unstable_offset_commit}
        return await self._calls.each(wanted, group_coordinator(), ask, also_retried=unstable)

    async def alter(
        self, group: str, offsets: Mapping[TopicPartition, CommittedOffset | int]
    ) -> Results[TopicPartition, None]:
        """Commit offsets for a group that has no members."""
        wanted = {
            partition: CommittedOffset(offset) if isinstance(offset, int) else offset
            for partition, offset in offsets.items()
        }

        async def ask(
            node: Node, keys: Sequence[TopicPartition]
        ) -> Mapping[TopicPartition, ClientError | None]:
            request = OffsetCommitRequest(
                group_id=group,
                topics=[
                    OffsetCommitRequestTopic(
                        name=topic, partitions=[_committed(key, wanted[key]) for key in each]
                    )
                    for topic, each in by_topic(keys).items()
                ],
            )
            response = await self._calls.send(
                request, OffsetCommitResponse, node, max_version=_LAST_WITH_NAMES
            )
            return {
                TopicPartition(topic.name, each.partition_index): outcome(each.error_code, None)
                for topic in response.topics
                for each in topic.partitions
            }

        return await self._calls.each(wanted, group_coordinator(group), ask)

    async def delete(self, group: str, partitions: Iterable[TopicPartition]) -> Results[TopicPartition, None]:
        """Forget offsets of topics that the group does not subscribe to now."""

        async def ask(
            node: Node, keys: Sequence[TopicPartition]
        ) -> Mapping[TopicPartition, ClientError | None]:
            request = OffsetDeleteRequest(
                group_id=group,
                topics=[
                    OffsetDeleteRequestTopic(
                        name=topic,
                        partitions=[
                            OffsetDeleteRequestPartition(partition_index=key.partition) for key in each
                        ],
                    )
                    for topic, each in by_topic(keys).items()
                ],
            )
            response = await self._calls.send(request, OffsetDeleteResponse, node)
            if response.error_code:
                raise broker_error(response.error_code, what=f"group {group}")
            return {
                TopicPartition(topic.name, each.partition_index): outcome(each.error_code, None)
                for topic in response.topics
                for each in topic.partitions
            }

        return await self._calls.each(partitions, group_coordinator(group), ask)

    async def list_share(
        self, groups: Mapping[str, Iterable[TopicPartition] | None] | Iterable[str]
    ) -> Results[str, Results[TopicPartition, ShareOffset | None]]:
        """Where share groups start: in all partitions, or in those that are given (None: nowhere yet)."""
        from ottla.protocol.messages import describe_share_group_offsets as messages

        wanted = _wanted(groups)

        def asked(name: str) -> messages.DescribeShareGroupOffsetsRequestGroup:
            partitions = wanted[name]
            topics = None
            if partitions is not None:
                topics = [
                    messages.DescribeShareGroupOffsetsRequestTopic(
                        topic_name=topic, partitions=[key.partition for key in each]
                    )
                    for topic, each in by_topic(partitions).items()
                ]
            return messages.DescribeShareGroupOffsetsRequestGroup(group_id=name, topics=topics)

        async def ask(
            node: Node, names: Sequence[str]
        ) -> Mapping[str, Results[TopicPartition, ShareOffset | None] | ClientError]:
            request = messages.DescribeShareGroupOffsetsRequest(groups=[asked(name) for name in names])
            response = await self._calls.send(request, messages.DescribeShareGroupOffsetsResponse, node)
            return {
                group.group_id: outcome(
                    group.error_code,
                    Results(
                        {
                            TopicPartition(topic.topic_name, each.partition_index): outcome(
                                each.error_code,
                                None
                                if each.start_offset < 0
                                else ShareOffset(
                                    each.start_offset,
                                    known(each.leader_epoch),
                                    known(each.lag),
                                ),
                                each.error_message,
                            )
                            for topic in group.topics
                            for each in topic.partitions
                        }
                    ),
                    group.error_message,
                )
                for group in response.groups
            }

        return await self._calls.each(wanted, group_coordinator(), ask)

    async def alter_share(
        self, group: str, start_offsets: Mapping[TopicPartition, int]
    ) -> Results[TopicPartition, None]:
        """Have a share group start elsewhere."""
        from ottla.protocol.messages import alter_share_group_offsets as messages

        async def ask(
            node: Node, keys: Sequence[TopicPartition]
        ) -> Mapping[TopicPartition, ClientError | None]:
            request = messages.AlterShareGroupOffsetsRequest(
                group_id=group,
                topics=[
                    messages.AlterShareGroupOffsetsRequestTopic(
                        topic_name=topic,
                        partitions=[
                            messages.AlterShareGroupOffsetsRequestPartition(
                                partition_index=key.partition, start_offset=start_offsets[key]
                            )
                            for key in each
                        ],
                    )
                    for topic, each in by_topic(keys).items()
                ],
            )
            response = await self._calls.send(request, messages.AlterShareGroupOffsetsResponse, node)
            if response.error_code:
                raise broker_error(response.error_code, response.error_message, f"group {group}")
            return {
                TopicPartition(topic.topic_name, each.partition_index): outcome(
                    each.error_code, None, each.error_message
                )
                for topic in response.responses
                for each in topic.partitions
            }

        return await self._calls.each(start_offsets, group_coordinator(group), ask)

    async def delete_share(self, group: str, topics: Iterable[str]) -> Results[str, None]:
        """Have a share group forget topics."""
        from ottla.protocol.messages import delete_share_group_offsets as messages

        async def ask(node: Node, keys: Sequence[str]) -> Mapping[str, ClientError | None]:
            request = messages.DeleteShareGroupOffsetsRequest(
                group_id=group,
                topics=[messages.DeleteShareGroupOffsetsRequestTopic(topic_name=name) for name in keys],
            )
            response = await self._calls.send(request, messages.DeleteShareGroupOffsetsResponse, node)
            if response.error_code:
                raise broker_error(response.error_code, response.error_message, f"group {group}")
            return {
                each.topic_name: outcome(each.error_code, None, each.error_message)
                for each in response.responses
            }

        return await self._calls.each(topics, group_coordinator(group), ask)


class BlockingGroupOffsets(Face[GroupOffsets]):
    """`GroupOffsets` for callers that wait."""

    list = awaited(GroupOffsets.list)
    alter = awaited(GroupOffsets.alter)
    delete = awaited(GroupOffsets.delete)
    list_share = awaited(GroupOffsets.list_share)
    alter_share = awaited(GroupOffsets.alter_share)
    delete_share = awaited(GroupOffsets.delete_share)


def _wanted(
    groups: Mapping[str, Iterable[TopicPartition] | None] | Iterable[str],
) -> dict[str, Iterable[TopicPartition] | None]:
    return dict(groups) if isinstance(groups, Mapping) else dict.fromkeys(groups)


def _fetch_request(
    group: str, partitions: Sequence[TopicPartition] | None, require_stable: bool
) -> OffsetFetchRequest:
    """For one group; the versions before 8 have its fields in the request itself."""
    topics = old = None
    if partitions is not None:
        indexes = {topic: [key.partition for key in each] for topic, each in by_topic(partitions).items()}
        topics = [
            OffsetFetchRequestTopics(name=topic, partition_indexes=each) for topic, each in indexes.items()
        ]
        old = [OffsetFetchRequestTopic(name=topic, partition_indexes=each) for topic, each in indexes.items()]
    return OffsetFetchRequest(
        group_id=group,
        topics=old,
        groups=[OffsetFetchRequestGroup(group_id=group, topics=topics)],
        require_stable=require_stable,
    )


def _fetched(
    response: OffsetFetchResponse, group: str
) -> Results[TopicPartition, CommittedOffset | None] | ClientError:
    found = response.groups[0] if response.groups else response
    if found.error_code:
        return broker_error(found.error_code, what=f"group {group}")
    outcomes = {
        TopicPartition(topic.name, each.partition_index): _offset(each)
        for topic in found.topics
        for each in topic.partitions
    }
    for result in outcomes.values():
        if isinstance(result, ClientError) and result.code == ErrorCode.unstable_offset_commit:
            return result
    return Results(outcomes)


def _offset(
    partition: OffsetFetchResponsePartition | OffsetFetchResponsePartitions,
) -> CommittedOffset | ClientError | None:
    if partition.error_code:
        return broker_error(partition.error_code)
    if partition.committed_offset < 0:
        return None
    return CommittedOffset(
        partition.committed_offset, partition.metadata or "", known(partition.committed_leader_epoch)
    )


def _committed(partition: TopicPartition, offset: CommittedOffset) -> OffsetCommitRequestPartition:
    return OffsetCommitRequestPartition(
        partition_index=partition.partition,
        committed_offset=offset.offset,
        committed_leader_epoch=-1 if offset.leader_epoch is None else offset.leader_epoch,
        committed_metadata=offset.metadata,
    )
