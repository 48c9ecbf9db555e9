"""The commits of a consumer, and what it had committed: requests to the group's coordinator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple
from uuid import UUID

from ottla.client.consumer.errors import CommitFailedError, DeadLetterError
from ottla.client.core.groups.classic import Outcome
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.offsets import (
    LAST_COMMIT_WITHOUT_TOPIC_IDS,
    LAST_FETCH_WITHOUT_TOPIC_IDS,
    CommitQueue,
    CommittedOffset,
    Identity,
    commit_answered,
    commit_request,
    fetch_answered,
    fetch_request,
    positions_of,
)
from ottla.client.core.positions import Position
from ottla.client.errors import ClientError, broker_error
from ottla.client.net.cluster import Cluster
from ottla.client.net.coordinators import CoordinatorKind
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.offset_commit import OffsetCommitResponse
from ottla.protocol.messages.offset_fetch import OffsetFetchResponse

_GONE_ON: Final = frozenset(
    {
        ErrorCode.illegal_generation,
        ErrorCode.unknown_member_id,
        ErrorCode.fenced_instance_id,
        ErrorCode.fenced_member_epoch,
        ErrorCode.rebalance_in_progress,
    }
)


Offsets = Mapping[TopicPartition, CommittedOffset | int]
"""As applications may give them."""


def as_committed(offsets: Offsets) -> dict[TopicPartition, CommittedOffset]:
    return {
        TopicPartition(*each): CommittedOffset(offset) if isinstance(offset, int) else offset
        for each, offset in offsets.items()
    }


class _Waiting(NamedTuple):
    partitions: Mapping[TopicPartition, CommittedOffset]
    done: asyncio.Future[None]


class Commits:
    """Of one consumer, one request at a time. `identity` is None while its member is out of the group. Before
    each request `letters` is waited for: dead letters of what it covers, which fail it if they get lost.
    """

    def __init__(
        self,
        cluster: Cluster,
        group_id: str,
        identity: Callable[[], Identity | None],
        *,
        require_stable: bool,
        letters: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._cluster = cluster
        self._group_id = group_id
        self._identity = identity
        self._require_stable = require_stable
        self._letters = letters
        self._queue = CommitQueue()
        self._waiting: list[_Waiting] = []
        self._asking: list[_Waiting] = []
        """Those whose commits are under way"""
        self._task: asyncio.Task[None] | None = None

    def commit(self, offsets: Mapping[TopicPartition, CommittedOffset]) -> asyncio.Future[None]:
        """Done when these, or newer ones of their partitions, are committed; in the order of calls. It is
        tried again for as long as somebody waits.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not offsets:
            done.set_result(None)
            return done
        self._queue.add(offsets)
        self._waiting.append(_Waiting(offsets, done))
        if self._task is None:
            self._task = asyncio.create_task(self._send_all(), name="ottla-consumer-commits")
        return done

    def give_up(self, partitions: Collection[TopicPartition]) -> None:
        """These are no longer ours: what was not committed of them so far must not be any more, as others may
        have committed more.
        """
        self._queue.drop(partitions)
        for each in (*self._asking, *self._waiting):
            gone = next((part for part in partitions if part in each.partitions), None)
            if gone is not None:
                what = f"{gone.topic}-{gone.partition}"
                _fail(each.done, CommitFailedError(f"{what} was given up before it was committed", {}))

    async def close(self) -> None:
        """What still waits is given up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # Commits.

    async def _send_all(self) -> None:
        try:
            while self._queue:
                if await self._send_some():
                    await asyncio.sleep(self._cluster.settings.retry_backoff_ms / 1000)
        finally:
            self._task = None
            for each in (*self._asking, *self._waiting):
                _fail(each.done, ClientError("the consumer was closed before it was committed"))
            self._asking, self._waiting = [], []

    async def _send_some(self) -> bool:
        """One request; whether something has to be tried again."""
        lost = await self._lost_letter()
        self._asking, self._waiting = self._waiting, []
        offsets = self._queue.begin()
        refused: Mapping[TopicPartition, ErrorCode] = {}
        try:
            if lost is not None:
                raise lost
            again, refused = await self._ask(offsets)
        except ClientError as error:
            if not error.retriable:
                self._queue.ended(())
                for each in self._asking:
                    _fail(each.done, error)
                self._asking = []
                return False
            again = list(offsets)
        alive = [each for each in self._asking if not each.done.done()]
        self._asking = []
        again = [part for part in again if any(part in each.partitions for each in alive)]
        self._queue.ended(again)
        for each in alive:
            bad = {part: code for part, code in refused.items() if part in each.partitions}
            if bad:
                _fail(each.done, _commit_error(self._group_id, bad))
            elif any(part in each.partitions for part in again):
                self._waiting.append(each)
            else:
                each.done.set_result(None)
        return bool(again)

    async def _lost_letter(self) -> DeadLetterError | None:
        try:
            await all_delivered(self._letters)
        except DeadLetterError as error:
            return error
        return None

    async def _ask(
        self, offsets: Mapping[TopicPartition, CommittedOffset]
    ) -> tuple[list[TopicPartition], Mapping[TopicPartition, ErrorCode]]:
        identity = self._identity()
        if identity is None:
            raise CommitFailedError(f"this consumer is no member of group {self._group_id} now", {})
        request, has_ids = commit_request(identity, offsets, self._id_of)
        last = None if has_ids else LAST_COMMIT_WITHOUT_TOPIC_IDS
        try:
            node = await self._coordinator()
            response = await self._cluster.send(request, OffsetCommitResponse, node=node, max_version=last)
        except ClientError:
            self._forget_coordinator()
            raise
        answered = commit_answered(request, response)
        if answered.outcome is Outcome.elsewhere:
            self._forget_coordinator()
        return answered.again, answered.refused

    # What was committed.

    async def fetch(
        self, partitions: Iterable[TopicPartition], *, timeout_ms: int | None = None
    ) -> dict[TopicPartition, CommittedOffset | None]:
        """None where nothing is committed; what cannot be had in time, or at all, is an error."""
        left = dict.fromkeys(partitions)
        found: dict[TopicPartition, CommittedOffset | None] = {}

        async def attempt() -> None:
            found.update(await self._fetch_some(left))
            for each in found:
                left.pop(each, None)
            if left:
                what = f"committed offsets of group {self._group_id}"
                raise broker_error(ErrorCode.unstable_offset_commit, what=what)

        if left:
            await self._cluster.retrying(attempt, timeout_ms=timeout_ms)
        return found

    async def positions(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Position | None]:
        """As `fetch`, for who reads on from there."""
        return positions_of(await self.fetch(partitions))

    async def _fetch_some(
        self, partitions: Iterable[TopicPartition]
    ) -> Mapping[TopicPartition, CommittedOffset | None]:
        identity = self._identity() or Identity(self._group_id)
        request, has_ids = fetch_request(
            identity, partitions, self._id_of, require_stable=self._require_stable
        )
        last = None if has_ids else LAST_FETCH_WITHOUT_TOPIC_IDS
        try:
            node = await self._coordinator()
            response = await self._cluster.send(request, OffsetFetchResponse, node=node, max_version=last)
        except ClientError:
            self._forget_coordinator()
            raise
        fetched = fetch_answered(request, response)
        if Outcome.elsewhere in (fetched.outcome, fetched.answered.outcome):
            self._forget_coordinator()
        if fetched.code:
            raise broker_error(fetched.code, what=f"committed offsets of group {self._group_id}")
        for partition, code in fetched.answered.refused.items():
            raise broker_error(code, what=f"committed offset of {partition.topic}-{partition.partition}")
        return fetched.offsets

    def _id_of(self, topic: str) -> UUID | None:
        view = self._cluster.metadata.topics.get(topic)
        return None if view is None else view.topic_id

    async def _coordinator(self) -> int:
        return await self._cluster.coordinator(CoordinatorKind.GROUP, self._group_id)

    def _forget_coordinator(self) -> None:
        self._cluster.forget_coordinator(CoordinatorKind.GROUP, self._group_id)


async def all_delivered(letters: Callable[[], Awaitable[None]] | None) -> None:
    """DeadLetterError where a dead letter is lost."""
    try:
        if letters is not None:
            await letters()
    except Exception as error:
        raise DeadLetterError(f"not committed, as a dead letter was not delivered: {error}") from error


def _fail(future: asyncio.Future[None], error: ClientError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # nobody may be waiting


def _commit_error(group_id: str, codes: Mapping[TopicPartition, ErrorCode]) -> ClientError:
    code = next(iter(codes.values()))
    if code in _GONE_ON:
        return CommitFailedError(f"group {group_id} has gone on without this member: {code.name}", codes)
    partition = next(iter(codes))
    return broker_error(code, what=f"commit of {partition.topic}-{partition.partition} in group {group_id}")
