"""A partition that this broker leads: what it appends, how far its followers are, and what is committed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ottla.metadata.model import PartitionState
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import ATTRIBUTES, TRANSACTIONAL_MASK, parse_header
from ottla.records.validation import ValidationOptions, validate
from ottla.replica.replica import READ_COMMITTED, Replica, Waiter
from ottla.replication.high_watermark import committed_offset
from ottla.replication.isr import UNKNOWN_EPOCH, FollowerProgress, InSync, may_join, out_of_sync
from ottla.replication.read_replica import preferred_read_replica

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from ottla.config.topic import TopicConfig
    from ottla.records.batch import Buffer
    from ottla.records.markers import EndMarker
    from ottla.replica.traffic import TopicTraffic
    from ottla.replication.isr import FetchClock
    from ottla.storage.local.reader import LogRead
    from ottla.storage.log import Log
    from ottla.storage.verification import Verification

__all__ = ["READ_COMMITTED", "Cluster", "IsrProposal", "LogEnd", "Partition", "Waiter"]

log = logging.getLogger(__name__)


class Cluster(Protocol):
    """What a leader knows of its followers beside their fetches, and whom it asks to change the ISR."""

    @property
    def node_id(self) -> int:
        """Of this broker"""

    @property
    def lag_max_ms(self) -> int:
        """`replica.lag.time.max.ms`"""

    def monotonic_ms(self) -> int:
        """What followers' progress is measured by: it never goes back, nor jumps."""

    def broker_epoch(self, node_id: int) -> int:
        """Of the broker's registration, -1 without one."""

    def may_join(self, node_id: int, broker_epoch: int) -> bool:
        """Whether a broker that fetches with this epoch is registered with it, and does not stop."""

    def propose(self, proposal: IsrProposal) -> None:
        """Have the ISR changed, or `Partition.withdraw` called when it will not be."""

    def await_fetch(self, node_id: int, partition: Partition) -> None:
        """A follower that is in sync has yet to fetch the partition in its leader's term."""

    def fetched(self, node_id: int, partition: Partition) -> None:
        """Now it has; or it is waited for no more."""

    def watch(self, partition: Partition) -> None:
        """Have `Partition.check_lag` called from time to time, until it says False."""


class LogEnd:
    """The end of a leader's log, whatever is committed of it: what the fetches of followers wait for."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: dict[Waiter, None] = {}

    def add_waiter(self, waiter: Waiter) -> None:
        """Have `waiter` told of appends, and of changes that nobody waits for, until it is removed."""
        self._waiters[waiter] = None

    def remove_waiter(self, waiter: Waiter) -> None:
        """Stop telling `waiter`."""
        self._waiters.pop(waiter, None)

    def appended(self, size: int) -> None:
        """`size` bytes were, or the partition is led no more (0)."""
        if self._waiters:
            for waiter in tuple(self._waiters):
                waiter.appended(size)

    def touched(self) -> None:
        """Followers are to know of something at their next fetch: the high watermark, the log's start."""
        if self._waiters:
            for waiter in tuple(self._waiters):
                waiter.touched()


class Partition(Replica):
    """What it appends is committed at once where there is no other replica; otherwise the high watermark
    moves when the replicas that are in sync have it.
    """

    __slots__ = (
        "_cluster",
        "_epoch_start_offset",
        "_followers",
        "_has_enough_in_sync",
        "_in_sync",
        "_is_alone",
        "_is_watched",
        "_options",
        "_start_waiters",
        "_sync_soon",
        "_uncommitted_bytes",
        "_unseen",
        "log_end",
    )

    def __init__(
        self,
        topic: str,
        topic_id: UUID,
        index: int,
        log: Log,
        state: PartitionState,
        options: ValidationOptions,
        sync_soon: Callable[[Log], None],
        cluster: Cluster,
        traffic: TopicTraffic,
    ) -> None:
        super().__init__(topic, topic_id, index, log, state, traffic)
        self._options = options
        self._sync_soon = sync_soon
        self._cluster = cluster
        self._uncommitted_bytes = 0
        self._followers: dict[int, FollowerProgress] = {}
        self._in_sync = InSync(state.isr)
        self.log_end = LogEnd()
        self._start_waiters: dict[Waiter, None] | None = None
        self._unseen: dict[int, None] = {}  # followers in sync that have not fetched in this term
        self._is_watched = False
        self._begin_term(state)
        self._take_replicas(state)

    def take_state(self, state: PartitionState) -> None:
        """Lead on in the state that the cluster has decided on: its epoch, and who is in sync."""
        self.state = state
        self._in_sync.settle(state.isr)
        if state.leader_epoch != self.leader_epoch:
            self._begin_term(state)
        self._take_replicas(state)

    def _begin_term(self, state: PartitionState) -> None:
        self.leader_epoch = state.leader_epoch
        self._epoch_start_offset = self.log.log_end_offset
        self.log.begin_leader_epoch(state.leader_epoch)
        now_ms = self._cluster.monotonic_ms()
        for node_id in state.isr:
            if node_id != self._cluster.node_id:
                self._unseen[node_id] = None
                self._cluster.await_fetch(node_id, self)
        for follower in self._followers.values():
            follower.begin_term(
                now_ms, self._epoch_start_offset, is_in_sync=follower.node_id in self._in_sync.current
            )

    def _take_replicas(self, state: PartitionState) -> None:
        node_id, known = self._cluster.node_id, self._followers
        self._followers = {each: known.get(each) or self._new_follower(each) for each in state.replicas}
        self._followers.pop(node_id, None)
        self._is_alone = not self._followers
        for node_id in tuple(self._unseen):
            if node_id not in self._in_sync.current:
                self._see(node_id)
        self._count_in_sync()
        if self._is_alone:
            self.advance_high_watermark(self.log.log_end_offset)
        else:
            now_ms = self._cluster.monotonic_ms()
            self.consider_joining(now_ms)
            self._advance(now_ms)
            self._watch()

    def _new_follower(self, node_id: int) -> FollowerProgress:
        follower = FollowerProgress(node_id)
        follower.begin_term(
            self._cluster.monotonic_ms(), self.log.log_end_offset, is_in_sync=node_id in self._in_sync.current
        )
        return follower

    @property
    def _min_in_sync(self) -> int:
        # As in Kafka, no more are asked for than there are replicas.
        return min(self.config.min_insync_replicas, len(self.state.replicas))

    def _count_in_sync(self) -> None:
        self._has_enough_in_sync = len(self._in_sync.current) >= self._min_in_sync

    def reconfigure(self, config: TopicConfig, options: ValidationOptions) -> None:
        super().reconfigure(config, options)
        self._options = options
        self._count_in_sync()
        if not self._is_alone:
            self._advance(self._cluster.monotonic_ms())

    def append(
        self,
        records: Buffer,
        now_ms: int,
        *,
        acks: int,
        allow_zstd: bool = True,
        verification: Verification | None = None,
    ) -> tuple[int, int, bool]:
        """Check a client's batch and append it. `verification` is None for a client without a transactional
        id, whose batches can't be of a transaction.

        Returns its base offset; the time of the append in ms, -1 unless the topic stamps records with it (as
        in Kafka a repeated batch has its timestamp there); and whether `flush.messages` asks for it to be on
        the disk before it is answered.
        Raises KafkaError (RecordValidationError where it can be said which records are at fault) with what
        Kafka answers; nothing is written then.
        """
        if acks == -1 and not self._has_enough_in_sync:
            raise self._too_few_in_sync()
        header, body, append_time_ms = validate(records, self._options, now_ms, allow_zstd=allow_zstd)
        if header.attributes & TRANSACTIONAL_MASK and verification is None:
            raise KafkaError(ErrorCode.transactional_id_authorization_failed)
        log = self.log
        base_offset, repeated = log.append(header, body, self.leader_epoch, now_ms, verification=verification)
        local = log.local
        end_offset = local.log_end_offset
        self.traffic.bytes_in += header.size
        self.traffic.messages_in += header.record_count
        if repeated is not None:
            append_time_ms = repeated.timestamp
        elif self._is_alone:
            log.advance_high_watermark(end_offset)
            if self._waiters is not None:
                self.wake(header.size)
        else:
            self._appended(header.size)
        must_be_durable = False
        if end_offset >= local.flush_due_offset:
            self._sync_soon(log)
            must_be_durable = local.unflushed_records >= self.config.flush_messages
        return base_offset, append_time_ms, must_be_durable

    def _too_few_in_sync(self) -> KafkaError:
        return KafkaError(
            ErrorCode.not_enough_replicas,
            f"The size of the current ISR ({len(self.state.isr)}) is insufficient to satisfy "
            f"min.insync.replicas={self.config.min_insync_replicas} for partition {self}",
        )

    def begin_verification(
        self, producer_id: int, producer_epoch: int, sequence: int, now_ms: int, *, adds_partition: bool
    ) -> Verification | None:
        """Before the transaction coordinator is asked about a batch (see `ProducerState`); None where the
        transaction is open here already. Raises KafkaError: invalid_producer_epoch, kafka_storage_error.
        """
        return self.log.producer_state.begin_verification(
            producer_id, producer_epoch, sequence, now_ms, adds_partition=adds_partition
        )

    def append_marker(self, marker: EndMarker, now_ms: int) -> int:
        """End a producer's transaction here, as `acks=all`; returns the marker's offset.

        Raises KafkaError: invalid_producer_epoch and transaction_coordinator_fenced for a marker that is out
        of date, not_enough_replicas, kafka_storage_error.
        """
        return self.append_own(marker.encode(now_ms), now_ms, transaction_version=marker.transaction_version)

    def append_own(self, batch: bytes, now_ms: int, *, transaction_version: int = 0) -> int:
        """Append a batch of the broker's own making (an internal topic's, a marker), as `acks=all`; returns
        its base offset. Raises KafkaError: not_enough_replicas, kafka_storage_error.

        A transactional one must have been verified in the same turn (`ProducerState.check_verified`).
        """
        if not self._has_enough_in_sync:
            raise self._too_few_in_sync()
        header = parse_header(batch)
        body = memoryview(batch)[ATTRIBUTES:]
        log = self.log
        base_offset, _ = log.append(
            header,
            body,
            self.leader_epoch,
            now_ms,
            from_client=False,
            transaction_version=transaction_version,
        )
        if self._is_alone:
            self._uncommitted_bytes += header.size
            self.advance_high_watermark(log.log_end_offset)
        else:
            self._appended(header.size)
        if log.log_end_offset >= log.local.flush_due_offset:
            self._sync_soon(log)
        return base_offset

    # -- what is committed

    def advance_high_watermark(self, offset: int) -> None:
        """Take note that everything below `offset` is on all replicas that are in sync, and wake who waits.

        Raises ValueError for an offset past the log's end.
        """
        if self.log.advance_high_watermark(offset):
            # All that is not committed counts as soon as some is: it only says that a look may be worth it.
            size, self._uncommitted_bytes = self._uncommitted_bytes, 0
            self.wake(max(size, 1))
            self.log_end.touched()

    def _appended(self, size: int) -> None:
        """Something is to be replicated now."""
        self._uncommitted_bytes += size
        self.log_end.appended(size)
        if len(self._in_sync.maximal) <= 1:
            self._advance(self._cluster.monotonic_ms())
        self._watch()

    def _advance(self, now_ms: int) -> None:
        cluster = self._cluster
        offset = committed_offset(
            self.log.log_end_offset,
            self._followers.values(),
            self._in_sync,
            self._min_in_sync,
            now_ms,
            cluster.lag_max_ms,
            lambda follower: cluster.may_join(follower.node_id, follower.broker_epoch),
        )
        if offset is not None:
            self.advance_high_watermark(offset)

    @property
    def has_enough_in_sync(self) -> bool:
        """Whether what is on all in-sync replicas is on as many as `min.insync.replicas` asks for."""
        return len(self._in_sync.maximal) >= self._min_in_sync

    @property
    def is_catching_up(self) -> bool:
        """Whether it may not know yet what was committed before it was elected (KIP-207)."""
        return self.log.high_watermark < self._epoch_start_offset

    # -- followers

    def follower(self, node_id: int, broker_epoch: int, *, is_fenced: bool) -> FollowerProgress:
        """One of the partition's replicas, which fetches with this epoch of its registration, -1 for none.

        Raises KafkaError: unknown_leader_epoch for a broker that is not known to be one (yet), or
        not_leader_or_follower where its request has no leader epoch (`is_fenced`) and for one that was
        registered anew since.
        """
        follower = self._followers.get(node_id)
        if follower is None:
            raise KafkaError(
                ErrorCode.unknown_leader_epoch if is_fenced else ErrorCode.not_leader_or_follower
            )
        if UNKNOWN_EPOCH != broker_epoch < self._cluster.broker_epoch(node_id):
            raise KafkaError(ErrorCode.not_leader_or_follower)
        return follower

    def fetched(
        self,
        follower: FollowerProgress,
        offset: int,
        log_start_offset: int,
        broker_epoch: int,
        now_ms: int,
        clock: FetchClock | None,
    ) -> None:
        """A follower, whose log is as this one below `offset`, asks for what comes there."""
        if self._unseen:
            self._see(follower.node_id)
        before, log_end_offset = follower.end_offset, self.log.log_end_offset
        follower.fetched(offset, log_start_offset, broker_epoch, now_ms, log_end_offset, clock)
        if self._start_waiters is not None:
            self._tell_of_starts()
        if follower.node_id not in self._in_sync.current:
            self.consider_joining(now_ms, follower)
        if offset != before:
            self._advance(now_ms)

    def _see(self, node_id: int) -> None:
        if node_id in self._unseen:
            del self._unseen[node_id]
            self._cluster.fetched(node_id, self)

    def consider_joining(self, now_ms: int, fetching: FollowerProgress | None = None) -> None:
        """Propose an ISR with the followers that belong into it: the one that is `fetching`, and those that
        have caught up already, but could not join then.
        """
        isr, cluster = self._in_sync, self._cluster
        end_offset, high_watermark = self.log.log_end_offset, self.log.high_watermark
        joining = {
            each.node_id: each.broker_epoch
            for each in self._followers.values()
            if may_join(each, isr, high_watermark, self._epoch_start_offset)
            and (each is fetching or each.is_caught_up(end_offset, now_ms, cluster.lag_max_ms))
            and cluster.may_join(each.node_id, each.broker_epoch)
        }
        if joining:
            self._propose((*isr.current, *joining), joining)

    def read_to_end(self, offset: int, max_bytes: int, *, min_one: bool) -> LogRead:
        """As `read`, whatever is committed: for followers."""
        log = self.log
        return log.read(offset, max_bytes, log.log_end_offset, min_one=min_one)

    def preferred_read_replica(
        self, rack: str, fetch_offset: int, rack_of: Callable[[int], str | None]
    ) -> int | None:
        """Where a consumer in this rack had better read; None for here."""
        own_rack = rack_of(self._cluster.node_id)
        return preferred_read_replica(
            rack, own_rack, self._followers.values(), self._in_sync, fetch_offset, rack_of
        )

    def check_lag(self, now_ms: int) -> bool:
        """Propose an ISR without those who lag for too long; False when nobody is behind any more."""
        if self.is_closed:
            return False
        end_offset, lag_max_ms = self.log.log_end_offset, self._cluster.lag_max_ms
        isr, followers = self._in_sync, self._followers.values()
        if lagging := out_of_sync(followers, isr, end_offset, now_ms, lag_max_ms):
            self._propose(tuple(each for each in isr.current if each not in lagging), {})
        else:
            self.consider_joining(now_ms)
        self._advance(now_ms)
        self._is_watched = any(
            each.end_offset < end_offset
            and (each.node_id in isr.maximal or each.is_caught_up(end_offset, now_ms, lag_max_ms))
            for each in followers
        )
        return self._is_watched

    def _watch(self) -> None:
        if not self._is_watched:
            self._is_watched = True
            self._cluster.watch(self)

    def _propose(self, isr: tuple[int, ...], joining: Mapping[int, int]) -> None:
        log.info("the ISR of %s is to be %s instead of %s", self, isr, self._in_sync.current)
        self._in_sync.propose(isr)
        self._cluster.propose(IsrProposal(self, self.state, isr, joining))

    def withdraw(self, proposal: IsrProposal) -> None:
        """The ISR was not changed so, and will not be."""
        if self.state is proposal.state and not self.is_closed:
            self._in_sync.withdraw()
            self._advance(self._cluster.monotonic_ms())
            self._watch()  # and then once more, should it still be so

    # -- where the replicas start

    @property
    def low_watermark(self) -> int:
        """Below it nothing is left on any replica that is alive (KIP-107); -1 where one has not said yet."""
        own = self.log.log_start_offset
        alive = (each for each in self._followers.values() if self._cluster.broker_epoch(each.node_id) >= 0)
        return min((own, *(each.log_start_offset for each in alive)))

    def await_starts(self, waiter: Waiter) -> None:
        """Have `waiter` told once of the next fetch of a follower, which says where its log starts; or that
        the partition is led no more.
        """
        if self._start_waiters is None:
            self._start_waiters = {}
        self._start_waiters[waiter] = None

    def _tell_of_starts(self) -> None:
        waiters, self._start_waiters = self._start_waiters, None
        for waiter in waiters or ():
            waiter.appended(0)

    def give_up(self) -> None:
        super().give_up()
        self._tell_of_starts()
        for node_id in tuple(self._unseen):
            self._see(node_id)
        self.log_end.appended(0)

    def touch(self) -> None:
        super().touch()
        self.log_end.touched()


# Behind the class that it names: compiled, a named tuple is made from classes that are there.
class IsrProposal(NamedTuple):
    """Another ISR than that of `state`, which its leader leads in."""

    partition: Partition
    state: PartitionState
    isr: tuple[int, ...]
    joining: Mapping[int, int]
    """The broker epochs of those who join, as their fetches had them"""
