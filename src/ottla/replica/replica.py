"""A copy of a partition that is here, whoever leads it: its log, what may be read of it, and who waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ottla.metadata.topic_names import INTERNAL_TOPICS
from ottla.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from uuid import UUID

    from ottla.config.topic import TopicConfig
    from ottla.metadata.model import PartitionState
    from ottla.records.validation import ValidationOptions
    from ottla.replica.traffic import TopicTraffic
    from ottla.storage.local.reader import LogRead
    from ottla.storage.log import Log

READ_COMMITTED: Final = 1


class Waiter(Protocol):
    """Something that new data in a partition may complete."""

    def appended(self, size: int) -> None:
        """`size` bytes became readable, or 0 when the partition was moved or deleted."""

    def touched(self) -> None:
        """Something of the partition changed that nobody waits for, such as its log start offset."""


class Replica:
    """A partition's log in the role that this broker has for it: `Partition` leads, `Follower` follows.

    With the role the object changes, and the log stays; who waited for the former one is turned away, and
    finds the new one.
    """

    __slots__ = (
        "_waiters",
        "config",
        "index",
        "is_closed",
        "is_internal",
        "leader_epoch",
        "log",
        "state",
        "topic",
        "topic_id",
        "traffic",
    )

    def __init__(
        self,
        topic: str,
        topic_id: UUID,
        index: int,
        log: Log,
        state: PartitionState,
        traffic: TopicTraffic,
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = index
        self.is_internal = topic in INTERNAL_TOPICS
        self.log = log
        self.state = state
        self.leader_epoch = state.leader_epoch
        self.is_closed = False
        """It was deleted, or moved away, or has another role."""
        self.config: TopicConfig = log.local.config
        self.traffic = traffic
        self._waiters: dict[Waiter, None] | None = None

    def __str__(self) -> str:
        return f"{self.topic}-{self.index}"

    @property
    def high_watermark(self) -> int:
        """Offset below which records are committed."""
        return self.log.high_watermark

    @property
    def last_stable_offset(self) -> int:
        """Offset below which every transaction is decided (KIP-98)."""
        return self.log.last_stable_offset

    @property
    def log_dir(self) -> str:
        """The data folder that the log lies in."""
        return self.log.local.directory.rpartition("/")[0]

    def give_up(self) -> None:
        """Turn away who waits: another object stands for the log from now on."""
        self.is_closed = True
        self.wake(0)

    def close(self) -> None:
        """Turn away who waits, as the partition is no longer here."""
        self.log.close(flush=False)
        self.give_up()

    def reconfigure(self, config: TopicConfig, _options: ValidationOptions) -> None:
        """Apply a changed topic configuration at once."""
        self.config = config
        self.log.local.reconfigure(config)

    # -- reading

    def check_leader_epoch(self, current_leader_epoch: int) -> None:
        """Fence a client whose metadata is older or newer than ours (KIP-320); -1 does not ask."""
        if current_leader_epoch in {-1, self.leader_epoch}:
            return
        if current_leader_epoch < self.leader_epoch:
            raise KafkaError(ErrorCode.fenced_leader_epoch)
        raise KafkaError(ErrorCode.unknown_leader_epoch)

    def read(self, offset: int, max_bytes: int, isolation_level: int, *, min_one: bool) -> LogRead:
        """Record batches from `offset` on, as they lie in the file.

        At most `max_bytes`, but the first batch whole when `min_one`; never past the high watermark (or the
        last stable offset).  Raises KafkaError: offset_out_of_range, kafka_storage_error.
        """
        log = self.log
        upper = log.last_stable_offset if isolation_level == READ_COMMITTED else log.high_watermark
        return log.read(offset, max_bytes, upper, min_one=min_one)

    def aborted_transactions(self, offset: int, read: LogRead) -> list[tuple[int, int]]:
        """Producer id and first offset of what a reader of committed records must skip in `read`."""
        if not len(read.records):
            return []
        return [(txn.producer_id, txn.first_offset) for txn in self.log.aborted_transactions(offset, read)]

    def diverging_epoch(self, last_fetched_epoch: int, fetch_offset: int) -> tuple[int, int] | None:
        """(epoch, end offset) up to which a reader agrees with this log, when it does not agree (KIP-595).

        Raises KafkaError(offset_out_of_range) for an epoch that this log knows nothing of.
        """
        epoch, end_offset = self.end_of_epoch(last_fetched_epoch)
        if end_offset < 0:
            raise KafkaError(ErrorCode.offset_out_of_range)
        if epoch < last_fetched_epoch or end_offset < fetch_offset:
            return epoch, end_offset
        return None

    def end_of_epoch(self, leader_epoch: int) -> tuple[int, int]:
        """The largest epoch not above `leader_epoch` and where it ends; (-1, -1) when unknown (KIP-320)."""
        if leader_epoch == self.leader_epoch:
            return leader_epoch, self.log.log_end_offset
        return self.log.end_offset_for_epoch(leader_epoch)

    def epoch_of(self, offset: int) -> int:
        """The leader epoch that wrote `offset`, or -1."""
        epoch = self.log.leader_epochs.epoch_for(offset)
        return -1 if epoch is None else epoch

    # -- waiting

    def wake(self, size: int) -> None:
        """Tell those who wait that something is new."""
        if self._waiters:
            for waiter in tuple(self._waiters):
                waiter.appended(size)

    def touch(self) -> None:
        """Tell those who follow the partition that something else of it is new."""
        if self._waiters:
            for waiter in tuple(self._waiters):
                waiter.touched()

    def add_waiter(self, waiter: Waiter) -> None:
        """Have `waiter` told of what becomes readable, until it is removed."""
        if self._waiters is None:
            self._waiters = {}
        self._waiters[waiter] = None

    def remove_waiter(self, waiter: Waiter) -> None:
        """Stop telling `waiter`."""
        if self._waiters is not None:
            self._waiters.pop(waiter, None)
            if not self._waiters:
                self._waiters = None
