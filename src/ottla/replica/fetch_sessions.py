"""Incremental fetch sessions (KIP-227): a consumer names only what changed, and is told only what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

from ottla.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from ottla.replica.partition import Partition

INITIAL_EPOCH: Final = 0
FINAL_EPOCH: Final = -1
NO_SESSION: Final = 0
_MAX_EPOCH: Final = 2**31 - 1

FetchKey: TypeAlias = tuple[str | UUID, int]
"""Topic name (versions below 13) or topic id, and partition index."""


class FetchedPartition:
    """What a fetch asks of one partition, and what its session last told about it."""

    __slots__ = (
        "current_leader_epoch",
        "fetch_offset",
        "last_fetched_epoch",
        "max_bytes",
        "partition",
        "sent_high_watermark",
        "sent_log_start_offset",
    )

    def __init__(
        self, fetch_offset: int, max_bytes: int, current_leader_epoch: int, last_fetched_epoch: int
    ) -> None:
        self.ask(fetch_offset, max_bytes, current_leader_epoch, last_fetched_epoch)
        self.sent_high_watermark = -1
        self.sent_log_start_offset = -1
        self.partition: Partition | None = None
        """The partition as last resolved; the fetch checks that it is still served."""

    def ask(
        self, fetch_offset: int, max_bytes: int, current_leader_epoch: int, last_fetched_epoch: int
    ) -> None:
        """Take over what a request says."""
        self.fetch_offset = fetch_offset
        self.max_bytes = max_bytes
        self.current_leader_epoch = current_leader_epoch
        self.last_fetched_epoch = last_fetched_epoch


class FetchSession:
    """The partitions of one consumer's fetches, in the order they are served."""

    __slots__ = ("epoch", "last_used_ms", "partitions", "session_id", "uses_topic_ids")

    def __init__(
        self, session_id: int, partitions: dict[FetchKey, FetchedPartition], uses_topic_ids: bool
    ) -> None:
        self.session_id = session_id
        self.partitions = partitions
        self.uses_topic_ids = uses_topic_ids
        self.epoch = 1
        self.last_used_ms = 0

    def move_to_end(self, keys: Iterable[FetchKey]) -> None:
        """Partitions that just gave data come last next time, so that none starves."""
        for key in keys:
            entry = self.partitions.pop(key, None)
            if entry is not None:
                self.partitions[key] = entry


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
        self, partitions: dict[FetchKey, FetchedPartition], now_ms: int, *, uses_topic_ids: bool
    ) -> FetchSession | None:
        """A new session, or None when there is no room: the client then fetches without one."""
        if len(self._sessions) >= self._slots and not self._evict(now_ms):
            return None
        session_id = self._new_session_id()
        while session_id in self._sessions or session_id == NO_SESSION:
            session_id = self._new_session_id()
        session = FetchSession(session_id, partitions, uses_topic_ids)
        session.last_used_ms = now_ms
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
        self._sessions.pop(session_id, None)

    def _evict(self, now_ms: int) -> bool:
        oldest = next(self._oldest(), None)
        if oldest is None or now_ms - oldest.last_used_ms < self._evictable_after_ms:
            return False
        del self._sessions[oldest.session_id]
        return True

    def _oldest(self) -> Iterator[FetchSession]:
        return iter(self._sessions.values())
