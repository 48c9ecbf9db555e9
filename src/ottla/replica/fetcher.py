"""One follower fetcher: a connection to one leader, in whose session a fetch costs what has changed.

A fetch says how far our log is, and of which leader epoch its last record is. The leader gives what comes
next, or up to where the logs agree: then ours is cut there (KIP-595), never at the high watermark.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias, TypeVar
from uuid import UUID

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.fetch import (
    EpochEndOffset,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ForgottenTopic,
    PartitionData,
    ReplicaState,
)
from ottla.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from ottla.protocol.structs import Struct
from ottla.replica.fetch_sessions import INITIAL_EPOCH, NO_SESSION
from ottla.replication.truncation import EpochEnd
from ottla.storage.errors import LogStorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ottla.config.replica import ReplicaConfig
    from ottla.replica.follower import Follower
    from ottla.replica.throttles import ReplicationThrottle
    from ottla.storage.log import Log

log = logging.getLogger(__name__)

_MAX_SESSION_EPOCH: Final = 2**31 - 1
_FIRST_BACKOFF_S: Final = 0.02
_LATEST: Final = -1
_EARLIEST: Final = -2
_HELD_BACK_S: Final = 0.25
"""A quarter of a throttle's sample"""
_SESSION_IS_GONE: Final = frozenset(
    {
        ErrorCode.fetch_session_id_not_found,
        ErrorCode.invalid_fetch_session_epoch,
        ErrorCode.fetch_session_topic_id_error,
    }
)

S = TypeVar("S", bound=Struct)
Key: TypeAlias = tuple[UUID, int]


class Leader(Protocol):
    """A connection to a leader."""

    async def send(self, request: Struct, response_class: type[S], timeout_s: float) -> S:
        """Raises OSError where no answer comes."""

    def close(self) -> None: ...


class Surroundings(Protocol):
    """What fetchers of all leaders have in common."""

    @property
    def node_id(self) -> int:
        """Of this broker"""

    @property
    def config(self) -> ReplicaConfig: ...

    def own_epoch(self) -> int:
        """Of our registration, -1 without one."""

    def now_ms(self) -> int: ...

    async def make_durable(self, logs: Sequence[Log]) -> None:
        """Return when all that is in them is on the disk, where what is acknowledged has to be."""

    async def checkpoint(self) -> None:
        """Write down how far the logs are on the disk. Raises OSError."""

    @property
    def throttle(self) -> ReplicationThrottle:
        """Of what is fetched"""


class _Followed:
    """One partition of a fetcher."""

    __slots__ = ("asked", "follower", "refusals", "resumes")

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.asked: tuple[int, int] | None = None
        """Offset and leader epoch that the leader was last asked with; None before"""
        self.refusals = 0
        """How often it was refused since it was last given something"""
        self.resumes: asyncio.TimerHandle | None = None
        """Set while it is not asked for, after an error"""


class _Cut(NamedTuple):
    """What is to be cut off a log, once no checkpoint says that it is on the disk."""

    followed: _Followed
    offset: int
    """The lowest that goes"""
    perform: Callable[[], object]
    """Raises LogStorageError"""


class Fetcher:
    """Fetches from one leader."""

    def __init__(self, surroundings: Surroundings, node_id: int, leader: Leader) -> None:
        self._surroundings = surroundings
        self._node_id = node_id
        self._leader = leader
        self._followed: dict[Key, _Followed] = {}
        self._known: dict[Key, None] = {}  # what the leader's session has
        self._changed: dict[Key, None] = {}
        self._forgotten: dict[Key, None] = {}
        self._session_id = NO_SESSION
        self._session_epoch = INITIAL_EPOCH
        self._own_epoch = -1
        self._is_reached = True
        self._woken = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def followers(self) -> list[Follower]:
        """All that it fetches"""
        return [followed.follower for followed in self._followed.values()]

    @property
    def is_idle(self) -> bool:
        return not self._followed

    def add(self, follower: Follower) -> None:
        """Fetch it, or go on with it in another leader epoch."""
        key = (follower.topic_id, follower.index)
        known = self._followed.get(key)
        if known is None:
            self._followed[key] = _Followed(follower)
        else:
            known.follower = follower
            self._resume(key)
        self._changed[key] = None
        self._woken.set()

    def remove(self, key: Key) -> None:
        """Fetch it no more."""
        followed = self._followed.pop(key, None)
        if followed is not None:
            self._forget(key, followed)

    def poke(self) -> None:
        """Don't wait any longer before the next try."""
        self._woken.set()

    async def stop(self) -> None:
        """End; nothing of it runs afterwards."""
        self.close()
        await asyncio.wait([self._task])

    def close(self) -> None:
        """End it, without waiting."""
        self._task.cancel()
        self._leader.close()
        for key in list(self._followed):
            self.remove(key)

    def _forget(self, key: Key, followed: _Followed) -> None:
        """Have the leader's session know nothing of it."""
        self._changed.pop(key, None)
        if followed.resumes is not None:
            followed.resumes.cancel()
            followed.resumes = None
        if key in self._known:
            del self._known[key]
            self._forgotten[key] = None

    def _delay(self, key: Key, followed: _Followed) -> None:
        """Ask for it again: soon, as a leader may know in a moment that it is, and later each time, up to
        `replica.fetch.backoff.ms`.
        """
        self._forget(key, followed)
        longest_s = self._surroundings.config.replica_fetch_backoff_ms / 1000
        backoff_s = min(_FIRST_BACKOFF_S * 2 ** min(followed.refusals, 10), longest_s)
        followed.refusals += 1
        followed.resumes = asyncio.get_running_loop().call_later(backoff_s, self._resume, key)

    def _resume(self, key: Key) -> None:
        followed = self._followed.get(key)
        if followed is not None:
            if followed.resumes is not None:
                followed.resumes.cancel()
                followed.resumes = None
            self._changed[key] = None
            self._woken.set()

    # -- asking

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            # To a session that has nothing the leader answers at once, with nothing.
            if not (self._known or self._changed or self._forgotten):
                await self._woken.wait()
                continue
            await self._make_durable()
            request = self._request()
            try:
                timeout_s = self._surroundings.config.replica_socket_timeout_ms / 1000
                response = await self._leader.send(request, FetchResponse, timeout_s)
            except OSError as error:
                self._begin_anew()
                await self._pause(str(error))
                continue
            if response.error_code:
                self._begin_anew()
                if response.error_code not in _SESSION_IS_GONE:
                    await self._pause(ErrorCode(response.error_code).name)
                continue
            if not self._is_reached:
                log.info("fetches from broker %d again", self._node_id)
                self._is_reached = True
            self._go_on_in(response.session_id)
            await self._take(response)

    async def _make_durable(self) -> None:
        """What a fetch says that we have counts as kept, so it is on the disk before."""
        if self._surroundings.config.ottla_acks_all_flush:
            done: dict[Key, None] = {}
            while left := [key for key in self._changed if key not in done]:
                done.update(dict.fromkeys(left))
                await self._surroundings.make_durable([self._followed[key].follower.log for key in left])

    async def _pause(self, reason: str) -> None:
        if self._is_reached:
            log.warning("cannot fetch from broker %d, will try again: %s", self._node_id, reason)
            self._is_reached = False
        try:
            async with asyncio.timeout(self._surroundings.config.replica_fetch_backoff_ms / 1000):
                await self._woken.wait()
        except TimeoutError:
            pass

    def _begin_anew(self) -> None:
        """Without what the leader knew of us: everything has to be asked for again, in another session."""
        self._session_epoch = INITIAL_EPOCH
        self._known.clear()
        self._forgotten.clear()
        for key, followed in self._followed.items():
            if followed.resumes is None:
                self._changed[key] = None

    def _go_on_in(self, session_id: int) -> None:
        self._session_id = session_id
        if session_id == NO_SESSION:
            self._begin_anew()  # the leader keeps none for us
        else:
            self._session_epoch = 1 if self._session_epoch == _MAX_SESSION_EPOCH else self._session_epoch + 1

    def _request(self) -> FetchRequest:
        around, config = self._surroundings, self._surroundings.config
        own_epoch = around.own_epoch()
        if own_epoch != self._own_epoch:
            # The leader judges each partition by the epoch that we last asked for it with.
            self._own_epoch = own_epoch
            self._begin_anew()
        self._hold_back()
        asked: dict[UUID, list[FetchPartition]] = {}
        for key in self._changed:
            asked.setdefault(key[0], []).append(self._ask(key, config.replica_fetch_max_bytes))
        self._changed.clear()
        forgotten: dict[UUID, list[int]] = {}
        for topic_id, index in self._forgotten:
            if (topic_id, index) not in self._known:
                forgotten.setdefault(topic_id, []).append(index)
        self._forgotten.clear()
        return FetchRequest(
            replica_id=around.node_id,
            replica_state=ReplicaState(replica_id=around.node_id, replica_epoch=own_epoch),
            max_wait_ms=config.replica_fetch_wait_max_ms,
            min_bytes=config.replica_fetch_min_bytes,
            max_bytes=config.replica_fetch_response_max_bytes,
            session_id=self._session_id,
            session_epoch=self._session_epoch,
            topics=[FetchTopic(topic_id=topic, partitions=each) for topic, each in asked.items()],
            forgotten_topics_data=[
                ForgottenTopic(topic_id=topic, partitions=each) for topic, each in forgotten.items()
            ],
        )

    def _hold_back(self) -> None:
        """Ask later for what is throttled, while too much of that comes."""
        throttle = self._surroundings.throttle
        if not (throttle.is_on and throttle.is_exceeded):
            return
        for key in list(self._changed):
            followed = self._followed[key]
            follower = followed.follower
            if self._surroundings.node_id not in follower.state.isr and throttle.covers(follower):
                self._forget(key, followed)
                followed.resumes = asyncio.get_running_loop().call_later(_HELD_BACK_S, self._resume, key)

    def _ask(self, key: Key, max_bytes: int) -> FetchPartition:
        followed = self._followed[key]
        follower = followed.follower
        offset = follower.log.log_end_offset
        followed.asked = offset, follower.leader_epoch
        self._known[key] = None
        return FetchPartition(
            partition=follower.index,
            current_leader_epoch=follower.leader_epoch,
            fetch_offset=offset,
            last_fetched_epoch=follower.last_epoch,
            log_start_offset=follower.log.log_start_offset,
            partition_max_bytes=max_bytes,
        )

    # -- taking what came

    async def _take(self, response: FetchResponse) -> None:
        cuts: dict[Key, _Cut] = {}
        beyond: list[tuple[Key, _Followed]] = []
        for topic in response.responses:
            if topic.topic_id is None:
                continue
            for data in topic.partitions:
                key = (topic.topic_id, data.partition_index)
                followed = self._followed.get(key)
                if followed is None or not self._is_asked(followed):
                    continue
                if data.error_code == ErrorCode.offset_out_of_range:
                    beyond.append((key, followed))
                elif data.error_code:
                    self._refused(key, followed, data.error_code)
                elif data.diverging_epoch.end_offset >= 0:
                    cuts[key] = self._cut_to(followed, data.diverging_epoch)
                else:
                    self._take_one(key, followed, data)
        if cuts:
            await self._perform(cuts)
        for key, followed in beyond:
            await self._find_place(key, followed)

    @staticmethod
    def _is_asked(followed: _Followed) -> bool:
        """Whether it is as it was when the leader was asked: not cut, led in another epoch, or given up."""
        follower = followed.follower
        return not follower.is_closed and followed.asked == (
            follower.log.log_end_offset,
            follower.leader_epoch,
        )

    def _refused(self, key: Key, followed: _Followed, error_code: int) -> None:
        """The leader does not know yet that it is, or we don't know yet that it is no more."""
        log.debug("broker %d gives nothing of %s: %d", self._node_id, followed.follower, error_code)
        self._delay(key, followed)

    def _cut_to(self, followed: _Followed, diverging: EpochEndOffset) -> _Cut:
        follower, now_ms = followed.follower, self._surroundings.now_ms()
        offset = follower.end_in_common(EpochEnd(diverging.epoch, diverging.end_offset))
        return _Cut(followed, offset, partial(follower.truncate, offset, now_ms))

    async def _perform(self, cuts: Mapping[Key, _Cut]) -> None:
        """Cut, unless those are given up meanwhile, or no checkpoint can be written."""
        try:
            left = dict(cuts)
            while left:
                for cut in left.values():
                    cut.followed.follower.log.local.distrust(cut.offset)
                await self._surroundings.checkpoint()
                # A flush that was under way may have ended meanwhile.
                left = {
                    key: cut
                    for key, cut in left.items()
                    if cut.followed.follower.log.recovery_point > cut.offset
                }
        except OSError as error:
            log.error("cannot write checkpoints: %s", error)
            for key, cut in cuts.items():
                if self._followed.get(key) is cut.followed:
                    self._delay(key, cut.followed)
            return
        for key, cut in cuts.items():
            if self._followed.get(key) is cut.followed and self._is_asked(cut.followed):
                self._cut(key, cut)

    def _cut(self, key: Key, cut: _Cut) -> None:
        try:
            cut.perform()
        except LogStorageError as error:
            log.error("%s cannot be followed: %s", cut.followed.follower, error)
            self._delay(key, cut.followed)
        except Exception:  # the other partitions go on
            log.exception("%s is not followed any more", cut.followed.follower)
            self.remove(key)
        else:
            self._changed[key] = None

    def _take_one(self, key: Key, followed: _Followed, data: PartitionData) -> None:
        follower, now_ms = followed.follower, self._surroundings.now_ms()
        followed.refusals = 0
        try:
            before = follower.log.log_end_offset, follower.log.log_start_offset
            records = data.records or b""
            throttle = self._surroundings.throttle
            if throttle.is_on and throttle.covers(follower):
                throttle.record(len(records))
            follower.append(records, data.high_watermark, data.log_start_offset, now_ms)
            follower.traffic.replication_bytes_in += len(records)
            if before != (follower.log.log_end_offset, follower.log.log_start_offset):
                self._changed[key] = None
        except LogStorageError as error:
            log.error("%s cannot be followed: %s", follower, error)
            self._delay(key, followed)
        except KafkaError as error:
            log.error("what broker %d gives of %s is refused: %s", self._node_id, follower, error)
            self._delay(key, followed)
        except Exception:  # the other partitions go on
            log.exception("%s is not followed any more", follower)
            self.remove(key)

    async def _find_place(self, key: Key, followed: _Followed) -> None:
        """Our log ends outside of the leader's: where does that begin and end?"""
        follower = followed.follower
        try:
            leader_end = await self._offset_of(follower, _LATEST)
            leader_start = await self._offset_of(follower, _EARLIEST)
        except (OSError, KafkaError) as error:
            log.info("broker %d does not say where %s begins: %s", self._node_id, follower, error)
            self._delay(key, followed)
            return
        if self._followed.get(key) is not followed or not self._is_asked(followed):
            return
        now_ms, own_end = self._surroundings.now_ms(), follower.log.log_end_offset
        if leader_end < own_end:
            log.warning("%s ends at %d, its leader's at %d", follower, own_end, leader_end)
            cut = _Cut(followed, leader_end, partial(follower.log.truncate_to, leader_end, now_ms))
        elif leader_start > own_end:
            cut = _Cut(followed, 0, partial(follower.restart_at, leader_start, now_ms))
        else:
            self._delay(key, followed)
            return
        await self._perform({key: cut})

    async def _offset_of(self, follower: Follower, timestamp: int) -> int:
        asked = ListOffsetsPartition(
            partition_index=follower.index,
            current_leader_epoch=follower.leader_epoch,
            timestamp=timestamp,
        )
        request = ListOffsetsRequest(
            replica_id=self._surroundings.node_id,
            topics=[ListOffsetsTopic(name=follower.topic, partitions=[asked])],
        )
        timeout_s = self._surroundings.config.replica_socket_timeout_ms / 1000
        response = await self._leader.send(request, ListOffsetsResponse, timeout_s)
        for topic in response.topics:
            for each in topic.partitions:
                if (topic.name, each.partition_index) == (follower.topic, follower.index):
                    if each.error_code:
                        raise KafkaError(ErrorCode(each.error_code))
                    return each.offset
        raise KafkaError(ErrorCode.unknown_server_error, "it is not in the answer")
