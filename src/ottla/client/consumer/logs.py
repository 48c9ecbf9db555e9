"""What leaders know of their logs: offsets by time, ends, and where epochs ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple

from ottla.client.core.metadata import Leader, Partition, TopicPartition
from ottla.client.core.positions import EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, Position
from ottla.client.errors import BrokerUpgradeError, ClientError, broker_error
from ottla.client.net.cluster import Cluster
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from ottla.protocol.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)

_CONSUMER: Final = -1  # the replica id of who is none
_FIRST_FOR_CONSUMERS: Final = 3  # of OffsetForLeaderEpoch: before it, it took rights over the cluster


class ListedOffset(NamedTuple):
    """An offset, and the timestamp of its record where a time was asked for (else -1)."""

    offset: int
    timestamp: int = -1
    epoch: int = -1


async def list_offsets(
    cluster: Cluster,
    timestamps: Mapping[TopicPartition, int],
    *,
    isolation_level: int = 0,
    timeout_ms: int | None = None,
) -> dict[TopicPartition, ListedOffset]:
    """The first offset at or after each timestamp, or what the negative ones stand for (-1 the end, -2 the
    start, -3 the record of the greatest timestamp); offset -1 where there is none. All or a ClientError.
    """
    left = dict(timestamps)
    found: dict[TopicPartition, ListedOffset] = {}

    async def attempt() -> None:
        unknown = {each.topic for each in left if each.topic not in cluster.metadata.topics}
        if unknown:
            await cluster.refresh(sorted(unknown))
        answers, errors = await list_once(cluster, left, isolation_level=isolation_level)
        found.update(answers)
        for each in answers:
            del left[each]
        fatal = [error for error in errors.values() if not error.retriable]
        for error in [*fatal, *errors.values()]:
            raise error

    if left:
        await cluster.retrying(attempt, timeout_ms=timeout_ms)
    return {each: found[each] for each in timestamps}


async def list_once(
    cluster: Cluster, timestamps: Mapping[TopicPartition, int], *, isolation_level: int = 0
) -> tuple[dict[TopicPartition, ListedOffset], dict[TopicPartition, ClientError]]:
    """As `list_offsets`, without trying again: what was answered, and the errors of the rest."""
    found: dict[TopicPartition, ListedOffset] = {}

    async def ask(node: int, parts: Mapping[TopicPartition, Leader]) -> dict[TopicPartition, ClientError]:
        topics: dict[str, list[ListOffsetsPartition]] = {}
        for each, leader in parts.items():
            topics.setdefault(each.topic, []).append(
                ListOffsetsPartition(
                    partition_index=each.partition,
                    current_leader_epoch=leader.epoch,
                    timestamp=timestamps[each],
                )
            )
        request = ListOffsetsRequest(
            replica_id=_CONSUMER,
            isolation_level=isolation_level,
            topics=[ListOffsetsTopic(name=topic, partitions=asked) for topic, asked in topics.items()],
            timeout_ms=cluster.settings.request_timeout_ms,
        )
        response = await cluster.send(request, ListOffsetsResponse, node=node)
        errors: dict[TopicPartition, ClientError] = {}
        for topic in response.topics:
            for part in topic.partitions:
                partition = TopicPartition(topic.name, part.partition_index)
                if part.error_code:
                    errors[partition] = _error(part.error_code, partition)
                elif partition in parts:
                    found[partition] = ListedOffset(part.offset, part.timestamp, part.leader_epoch)
        return errors

    errors = await _ask_leaders(cluster, timestamps, ask)
    return found, _with_unanswered(timestamps, found, errors)


async def epoch_ends_once(
    cluster: Cluster, positions: Mapping[TopicPartition, Position]
) -> tuple[dict[TopicPartition, Position | None], dict[TopicPartition, ClientError]]:
    """Where the epoch of each position ended, by its leader: None where that cannot be asked."""
    found: dict[TopicPartition, Position | None] = {}

    async def ask(node: int, parts: Mapping[TopicPartition, Leader]) -> dict[TopicPartition, ClientError]:
        topics: dict[str, list[OffsetForLeaderPartition]] = {}
        for each, leader in parts.items():
            topics.setdefault(each.topic, []).append(
                OffsetForLeaderPartition(
                    partition=each.partition,
                    current_leader_epoch=leader.epoch,
                    leader_epoch=positions[each].epoch,
                )
            )
        request = OffsetForLeaderEpochRequest(
            replica_id=_CONSUMER,
            topics=[OffsetForLeaderTopic(topic=topic, partitions=asked) for topic, asked in topics.items()],
        )
        try:
            response = await cluster.send(
                request, OffsetForLeaderEpochResponse, node=node, min_version=_FIRST_FOR_CONSUMERS
            )
        except BrokerUpgradeError:
            found.update(dict.fromkeys(parts))
            return {}
        errors: dict[TopicPartition, ClientError] = {}
        for topic in response.topics:
            for part in topic.partitions:
                partition = TopicPartition(topic.topic, part.partition)
                if part.error_code:
                    errors[partition] = _error(part.error_code, partition)
                elif partition in parts:
                    found[partition] = Position(part.end_offset, part.leader_epoch)
        return errors

    errors = await _ask_leaders(cluster, positions, ask)
    return found, _with_unanswered(positions, found, errors)


_Ask = Callable[[int, Mapping[TopicPartition, Leader]], Awaitable[dict[TopicPartition, ClientError]]]


async def _ask_leaders(
    cluster: Cluster, partitions: Iterable[TopicPartition], ask: _Ask
) -> dict[TopicPartition, ClientError]:
    """Asks all leaders at once. Errors of a node are those of its partitions."""
    errors: dict[TopicPartition, ClientError] = {}
    by_leader: dict[int, dict[TopicPartition, Leader]] = {}
    for each in partitions:
        leader = cluster.metadata.leader_of(*each)
        if leader is not None:
            by_leader.setdefault(leader.node_id, {})[each] = leader
            continue
        code = cluster.metadata.errors.get(each.topic, ErrorCode.leader_not_available)
        errors[each] = _error(code, each)

    async def ask_one(node: int, parts: Mapping[TopicPartition, Leader]) -> None:
        try:
            errors.update(await ask(node, parts))
        except ClientError as error:
            errors.update(dict.fromkeys(parts, error))

    await asyncio.gather(*(ask_one(node, parts) for node, parts in by_leader.items()))
    return errors


def _with_unanswered(
    asked: Iterable[TopicPartition],
    found: Mapping[TopicPartition, object],
    errors: dict[TopicPartition, ClientError],
) -> dict[TopicPartition, ClientError]:
    for each in asked:
        if each not in found and each not in errors:
            errors[each] = _error(ErrorCode.unknown_server_error, each)
    return errors


def _error(code: int, partition: TopicPartition) -> ClientError:
    return broker_error(code, what=f"{partition.topic}-{partition.partition}")


class Lookups:
    """What a consumer may ask of logs, whether it reads them or not."""

    def __init__(self, cluster: Cluster, isolation_level: int) -> None:
        self._cluster = cluster
        self._isolation_level = isolation_level

    async def beginning_offsets(
        self, partitions: Iterable[Partition], *, timeout_s: float | None = None
    ) -> dict[TopicPartition, int]:
        listed = await self._list(dict.fromkeys(partitions, EARLIEST_TIMESTAMP), timeout_s)
        return {each: found.offset for each, found in listed.items()}

    async def end_offsets(
        self, partitions: Iterable[Partition], *, timeout_s: float | None = None
    ) -> dict[TopicPartition, int]:
        """Behind the last record; with `read_committed` the last stable offsets."""
        listed = await self._list(dict.fromkeys(partitions, LATEST_TIMESTAMP), timeout_s)
        return {each: found.offset for each, found in listed.items()}

    async def offsets_for_times(
        self, timestamps: Mapping[Partition, int], *, timeout_s: float | None = None
    ) -> dict[TopicPartition, ListedOffset | None]:
        """The first record at or after each time (milliseconds since the epoch); None where there is none."""
        if any(timestamp < 0 for timestamp in timestamps.values()):
            raise ValueError("times are milliseconds since the epoch, not negative")
        listed = await self._list(timestamps, timeout_s)
        return {each: found if found.offset >= 0 else None for each, found in listed.items()}

    async def _list(
        self, timestamps: Mapping[Partition, int], timeout_s: float | None
    ) -> dict[TopicPartition, ListedOffset]:
        return await list_offsets(
            self._cluster,
            {TopicPartition(*each): timestamp for each, timestamp in timestamps.items()},
            isolation_level=self._isolation_level,
            timeout_ms=None if timeout_s is None else int(timeout_s * 1000),
        )

    async def partitions_for(self, topic: str) -> list[TopicPartition]:
        """All partitions of a topic; its error where it does not exist."""
        view = await self._cluster.topic(topic)
        return [TopicPartition(topic, each) for each in sorted(view.partitions)]
