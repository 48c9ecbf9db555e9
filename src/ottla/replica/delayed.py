"""Operations that wait: a fetch for data, a produce for replicas and the disk.

The partitions wake them, or a deadline does; they never poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.replica.group_commit import Failures, GroupCommit
from ottla.replica.partition import Partition, Waiter


class Source(Protocol):
    """What a fetch waits for: a partition, or all those of a session."""

    def add_waiter(self, waiter: Waiter) -> None: ...

    def remove_waiter(self, waiter: Waiter) -> None: ...


class DelayedFetch:
    """Waits until `missing_bytes` have been appended to its partitions together, then completes once.

    Appends of one turn of the loop are answered together: completion is queued behind them. `complete` may
    say that what was appended is not to be read yet, by None: then every append is worth a look, for a small
    marker may free much of it. It is asked a last time (True) when the time is over.
    """

    __slots__ = ("_complete", "_deadline", "_missing_bytes", "_partitions", "_queued", "future")

    def __init__(
        self,
        partitions: Sequence[Source],
        missing_bytes: int,
        max_wait_ms: int,
        complete: Callable[[bool], Any | None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._partitions = partitions
        self._missing_bytes = missing_bytes
        self._complete = complete
        self._queued = False
        self.future: asyncio.Future[Any] = loop.create_future()
        self._deadline = loop.call_later(max_wait_ms / 1000, self._look, True)
        for partition in partitions:
            partition.add_waiter(self)
        self.future.add_done_callback(self._forget)

    def appended(self, size: int) -> None:
        """Called by a partition for each append, and with size 0 when it was moved or deleted."""
        self._missing_bytes -= size
        if not self._queued and (self._missing_bytes <= 0 or size == 0):
            self._queued = True
            asyncio.get_running_loop().call_soon(self._look, False)

    def touched(self) -> None:
        """Called by a partition; not what is waited for."""

    def _look(self, is_last: bool) -> None:
        if self.future.done():
            return
        try:
            answer = self._complete(is_last)
            if answer is None:
                self._queued, self._missing_bytes = False, 0
            else:
                self.future.set_result(answer)
        except Exception as error:  # noqa: BLE001 - it reaches the connection through the future
            self.future.set_exception(error)

    def _forget(self, _future: asyncio.Future[Any]) -> None:
        self._deadline.cancel()
        for partition in self._partitions:
            partition.remove_waiter(self)


class Deletion(NamedTuple):
    """Of records of a partition that are not gone everywhere yet."""

    number: int
    """Which one it is in its request"""
    partition: Partition
    offset: int
    """All below is to go"""


class DelayedDeletion:
    """Waits until what was deleted is gone on all replicas that are alive (KIP-107).

    `complete` gets the failures by number: REQUEST_TIMED_OUT, and NOT_LEADER_OR_FOLLOWER where the partition
    is led no more.
    """

    __slots__ = ("_complete", "_deadline", "_deletions", "_failures", "future")

    def __init__(
        self,
        deletions: Sequence[Deletion],
        timeout_ms: int,
        complete: Callable[[Mapping[int, KafkaError]], Any],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._deletions = deletions
        self._complete = complete
        self._failures: dict[int, KafkaError] = {}
        self.future: asyncio.Future[Any] = loop.create_future()
        self._deadline = loop.call_later(max(timeout_ms, 0) / 1000, self._too_late)
        self.appended(0)

    def appended(self, size: int) -> None:  # noqa: ARG002 - a waiter
        """Called by a partition: a follower has said where its log starts, or it is led no more."""
        if self.future.done():
            return
        left = []
        for each in self._deletions:
            if each.partition.is_closed:
                self._failures[each.number] = KafkaError(ErrorCode.not_leader_or_follower)
            elif each.partition.low_watermark < each.offset:
                each.partition.await_starts(self)
                left.append(each)
        self._deletions = left
        if not left:
            self._finish()

    def touched(self) -> None:
        """Called by a partition; not what is waited for."""

    def _too_late(self) -> None:
        for each in self._deletions:
            self._failures[each.number] = KafkaError(ErrorCode.request_timed_out)
        self._finish()

    def _finish(self) -> None:
        self._deadline.cancel()
        if not self.future.done():
            self.future.set_result(self._complete(self._failures))


class Unfinished(NamedTuple):
    """What was appended to one partition, and what must come true before it is acknowledged."""

    number: int
    """Which one it is in its request"""
    partition: Partition
    end_offset: int
    """Behind the last record"""
    must_be_replicated: bool
    must_be_durable: bool


class DelayedProduce:
    """The second stage of a produce (KIP-98's acks): completes once all that was appended is replicated and
    on the disk, as far as that is asked for.

    `complete` gets the failures by number: REQUEST_TIMED_OUT for what was not replicated in time,
    NOT_ENOUGH_REPLICAS_AFTER_APPEND where it was, but by then on fewer than `min.insync.replicas`,
    NOT_LEADER_OR_FOLLOWER where the partition went away, and what the disk said.
    """

    __slots__ = ("_complete", "_deadline", "_failures", "_syncing", "_unreplicated", "future")

    def __init__(
        self,
        unfinished: Sequence[Unfinished],
        timeout_ms: int,
        group_commit: GroupCommit,
        complete: Callable[[Mapping[int, KafkaError]], Any],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._complete = complete
        self._failures: dict[int, KafkaError] = {}
        self.future: asyncio.Future[Any] = loop.create_future()
        self._syncing: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unreplicated = [each for each in unfinished if each.must_be_replicated]
        unsynced = [each for each in unfinished if each.must_be_durable]
        if unsynced:
            logs = [each.partition.log for each in unsynced]
            self._syncing = group_commit.when_durable(logs, lambda failed: self._synced(unsynced, failed))
        if self._unreplicated:
            self._deadline = loop.call_later(max(0, timeout_ms) / 1000, self._too_late)
            for each in self._unreplicated:
                each.partition.add_waiter(self)
        self.future.add_done_callback(self._forget)

    def appended(self, size: int) -> None:
        """Called by a partition when its high watermark moves, and with size 0 when it went away."""
        waiting = []
        for each in self._unreplicated:
            if size == 0 and each.partition.is_closed:
                self._failures[each.number] = KafkaError(ErrorCode.not_leader_or_follower)
            elif each.partition.high_watermark < each.end_offset:
                waiting.append(each)
                continue
            elif not each.partition.has_enough_in_sync:
                self._failures[each.number] = KafkaError(ErrorCode.not_enough_replicas_after_append)
            each.partition.remove_waiter(self)
        self._unreplicated = waiting
        self._finish()

    def touched(self) -> None:
        """Called by a partition; not what is waited for."""

    def _too_late(self) -> None:
        for each in self._unreplicated:
            self._failures[each.number] = KafkaError(ErrorCode.request_timed_out)
            each.partition.remove_waiter(self)
        self._unreplicated = []
        self._finish()

    def _synced(self, unsynced: Sequence[Unfinished], failed: Failures) -> None:
        self._syncing = None
        for each in unsynced:
            error = failed.get(each.partition.log)
            if error is not None:
                self._failures[each.number] = error
        self._finish()

    def _finish(self) -> None:
        if self._unreplicated or self._syncing is not None or self.future.done():
            return
        try:
            self.future.set_result(self._complete(self._failures))
        except Exception as error:  # noqa: BLE001 - it reaches the connection through the future
            self.future.set_exception(error)

    def _forget(self, _future: asyncio.Future[Any]) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        for each in self._unreplicated:
            each.partition.remove_waiter(self)
        self._unreplicated = []
