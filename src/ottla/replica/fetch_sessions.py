"""Incremental fetch sessions (KIP-227): a consumer names only what changed, and is told only what changed.

A fetch costs what changed as well, however many partitions the session has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.replication.isr import UNKNOWN_OFFSET, FetchClock

if TYPE_CHECKING:
    from ottla.replica.delayed import Source
    from ottla.replica.partition import Waiter

INITIAL_EPOCH: Final = 0
FINAL_EPOCH: Final = -1
NO_SESSION: Final = 0
_MAX_EPOCH: Final = 2**31 - 1

FetchKey: TypeAlias = tuple[str | UUID, int]
"""Topic name (versions below 13) or topic id, and partition index."""


class FetchedPartition:
    """What a fetch asks of one partition, and what its session last told about it.

    In a session it waits for the partition: whatever happens there puts it among what the session's next
    fetch looks at.
    """

    __slots__ = (
        "_session",
        "current_leader_epoch",
        "fetch_offset",
        "key",
        "last_fetched_epoch",
        "log_start_offset",
        "max_bytes",
        "partition",
        "sent_high_watermark",
        "sent_log_start_offset",
    )

    def __init__(
        self,
        key: FetchKey,
        fetch_offset: int,
        max_bytes: int,
        current_leader_epoch: int,
        last_fetched_epoch: int,
    ) -> None:
        self.key = key
        self.fetch_offset = fetch_offset
        self.max_bytes = max_bytes
        self.current_leader_epoch = current_leader_epoch
        self.last_fetched_epoch = last_fetched_epoch
        self.log_start_offset = UNKNOWN_OFFSET
        """Of a follower's own log"""
        self.sent_high_watermark = -1
        self.sent_log_start_offset = -1
        self.partition: Source | None = None
        """The partition that it waits for."""
        self._session: FetchSession | None = None

    def ask(
        self, fetch_offset: int, max_bytes: int, current_leader_epoch: int, last_fetched_epoch: int
    ) -> None:
        """Take over what a request says."""
        self.fetch_offset = fetch_offset
        self.max_bytes = max_bytes
        self.current_leader_epoch = current_leader_epoch
        self.last_fetched_epoch = last_fetched_epoch

    def follow(self, partition: Source | None, session: FetchSession) -> None:
        """Wait for `partition`, and no longer for the one before."""
        if partition is not self.partition:
            if self.partition is not None:
                self.partition.remove_waiter(self)
            self.partition, self._session = partition, session
            if partition is not None:
                partition.add_waiter(self)

    def appended(self, size: int) -> None:
        """Called by the partition."""
        if self._session is not None:
            self._session.changed(self.key, size)

    def touched(self) -> None:
        """Called by the partition."""
        if self._session is not None:
            self._session.look_at(self.key)


class FetchSession:
    """The partitions of one reader's fetches, and which of them may have something to tell.

    A fetch looks at those alone, in the order in which they came to be so.
    """

    __slots__ = (
        "_pending",
        "_waiters",
        "clock",
        "epoch",
        "is_followers",
        "isolation_level",
        "last_used_ms",
        "partitions",
        "session_id",
        "uses_topic_ids",
    )

    def __init__(
        self, session_id: int, partitions: dict[FetchKey, FetchedPartition], uses_topic_ids: bool
    ) -> None:
        self.session_id = session_id
        self.partitions = partitions
        self.uses_topic_ids = uses_topic_ids
        self.epoch = 1
        self.isolation_level = 0
        self.last_used_ms = 0
        self.is_followers = False
        self.clock = FetchClock()
        """When a follower, if it is one's session, last fetched"""
        self._pending: dict[FetchKey, None] = dict.fromkeys(partitions)
        self._waiters: dict[Waiter, None] = {}

    @property
    def pending(self) -> list[FetchedPartition]:
        """What may have something to tell."""
        return [self.partitions[key] for key in self._pending]

    def read_at(self, isolation_level: int) -> None:
        """Look at everything again when the next fetch reads up to another offset than the last."""
        if isolation_level != self.isolation_level:
            self.isolation_level = isolation_level
            self._pending = dict.fromkeys(self.partitions)

    def look_at(self, key: FetchKey) -> None:
        """The next fetch is to look at a partition."""
        self._pending[key] = None

    def changed(self, key: FetchKey, size: int) -> None:
        """As `look_at`, and a fetch that waits is to know of it."""
        self._pending[key] = None
        for waiter in tuple(self._waiters):
            waiter.appended(size)

    def answer(self) -> None:
        """Have a fetch that waits answered with what there is."""
        for waiter in tuple(self._waiters):
            waiter.appended(0)

    def settle(self, key: FetchKey) -> None:
        """All was told of a partition: it is not looked at until it changes, or is asked for anew."""
        self._pending.pop(key, None)

    def gave_data(self, key: FetchKey) -> None:
        """It comes last next time, so that none starves."""
        if key in self._pending:
            del self._pending[key]
            self._pending[key] = None

    def forget(self, key: FetchKey) -> None:
        """The consumer wants no more of a partition."""
        known = self.partitions.pop(key, None)
        if known is not None:
            known.follow(None, self)
            self._pending.pop(key, None)

    def close(self) -> None:
        """Wait for nothing any more."""
        for each in self.partitions.values():
            each.follow(None, self)

    def add_waiter(self, waiter: Waiter) -> None:
        """Have `waiter` told of what happens to any of the partitions, until it is removed."""
        self._waiters[waiter] = None

    def remove_waiter(self, waiter: Waiter) -> None:
        """Stop telling `waiter`."""
        self._waiters.pop(waiter, None)


class FetchSessions:
    """The sessions of one broker, bounded in number (`max.incremental.fetch.session.cache.slots`)."""

    def __init__(self, slots: int, evictable_after_ms: int, new_session_id: Callable[[], int]) -> None:
        self._slots = slots
        self._evictable_after_ms = evictable_after_ms
        self._new_session_id = new_session_id
        self._sessions: dict[int, FetchSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def create(
        self,
        partitions: dict[FetchKey, FetchedPartition],
        now_ms: int,
        *,
        uses_topic_ids: bool,
        is_follower: bool = False,
    ) -> FetchSession | None:
        """A new session, or None when there is no room: the reader then fetches without one. A follower takes
        a consumer's.
        """
        if len(self._sessions) >= self._slots and not self._evict(now_ms, for_follower=is_follower):
            return None
        session_id = self._new_session_id()
        while session_id in self._sessions or session_id == NO_SESSION:
            session_id = self._new_session_id()
        session = FetchSession(session_id, partitions, uses_topic_ids)
        session.last_used_ms = now_ms
        session.is_followers = is_follower
        self._sessions[session_id] = session
        return session

    def resume(self, session_id: int, epoch: int, now_ms: int, *, uses_topic_ids: bool) -> FetchSession:
        """The session that an incremental request goes on with.

        Raises KafkaError: fetch_session_id_not_found, invalid_fetch_session_epoch,
        fetch_session_topic_id_error.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise KafkaError(ErrorCode.fetch_session_id_not_found)
        if session.epoch != epoch:
            raise KafkaError(ErrorCode.invalid_fetch_session_epoch)
        if session.uses_topic_ids != uses_topic_ids:
            raise KafkaError(ErrorCode.fetch_session_topic_id_error)
        session.epoch = 1 if epoch == _MAX_EPOCH else epoch + 1
        session.last_used_ms = now_ms
        # Most recently used last: eviction looks at the front.
        del self._sessions[session_id]
        self._sessions[session_id] = session
        return session

    def close(self, session_id: int) -> None:
        """Forget a session."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session.close()

    def answer_followers(self) -> None:
        """Answer the followers that wait: they have something else to fetch here now."""
        for session in self._sessions.values():
            if session.is_followers:
                session.answer()

    def _evict(self, now_ms: int, *, for_follower: bool) -> bool:
        oldest = next(self._oldest(), None)
        if oldest is not None and now_ms - oldest.last_used_ms < self._evictable_after_ms:
            oldest = next((each for each in self._oldest() if not each.is_followers and for_follower), None)
        if oldest is None:
            return False
        self.close(oldest.session_id)
        return True

    def _oldest(self) -> Iterator[FetchSession]:
        return iter(self._sessions.values())
