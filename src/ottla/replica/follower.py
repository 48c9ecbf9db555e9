"""A copy of a partition that another broker leads."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ottla.records.batch import iter_headers
from ottla.replica.replica import Replica
from ottla.replication.truncation import EpochEnd, truncation_offset

if TYPE_CHECKING:
    from ottla.metadata.model import PartitionState
    from ottla.records.batch import Buffer

log = logging.getLogger(__name__)


class Follower(Replica):
    """Takes what its leader has, as it is there, and is cut back to what both have after another was elected.

    The methods raise LogStorageError.
    """

    __slots__ = ()

    def take_state(self, state: PartitionState) -> None:
        """Who leads now, in which epoch."""
        self.state = state
        self.leader_epoch = state.leader_epoch

    @property
    def last_epoch(self) -> int:
        """The leader epoch of the last record, -1 without one: the leader says whether it has that, too."""
        epoch = self.log.leader_epochs.latest_epoch
        return -1 if epoch is None else epoch

    def append(self, records: Buffer, high_watermark: int, log_start_offset: int, now_ms: int) -> None:
        """What the leader gave for the log's end, with what it said of its own log.

        Raises KafkaError(corrupt_message) as well; batches before the failing one stay.
        """
        own, before = self.log, self.log.log_end_offset
        if len(records):
            self._begin_inside_batch(records, now_ms)
            own.append_as_follower(records, self.leader_epoch, now_ms)
        # What was committed stays so, also where the leader does not know it yet.
        committed = min(high_watermark, own.log_end_offset)
        if own.advance_high_watermark(committed):
            self.wake(max(own.log_end_offset - before, 1))
        if log_start_offset > own.log_start_offset:
            own.delete_records(min(log_start_offset, own.high_watermark))
            self.touch()

    def _begin_inside_batch(self, records: Buffer, now_ms: int) -> None:
        """Where the leader's log starts inside a batch, that comes whole, as the first of an empty log."""
        own = self.log
        if own.log_end_offset != own.log_start_offset:
            return
        first = next((header for _, header in iter_headers(memoryview(records))), None)
        if first is not None and first.base_offset < own.log_end_offset <= first.last_offset:
            own.truncate_fully_and_start_at(first.base_offset, now_ms)

    def end_in_common(self, diverging: EpochEnd) -> int:
        """Where to cut, as the leader's log says something else than ours behind `diverging`."""
        own = self.log
        ours = EpochEnd(*own.end_offset_for_epoch(diverging.epoch))
        return truncation_offset(diverging, ours, own.log_end_offset)

    def truncate(self, offset: int, now_ms: int) -> bool:
        """As `Log.truncate_to`."""
        own = self.log
        if offset < own.high_watermark:
            log.warning(
                "%s is cut to offset %d, below its high watermark %d: a replica was elected that had not all",
                self,
                offset,
                own.high_watermark,
            )
        elif offset < own.log_end_offset:
            log.info("%s is cut from offset %d to %d", self, own.log_end_offset, offset)
        return own.truncate_to(offset, now_ms)

    def restart_at(self, offset: int, now_ms: int) -> None:
        """Drop everything, as the leader's log starts behind all that is here."""
        log.warning("%s ends at %d, its leader's begins at %d", self, self.log.log_end_offset, offset)
        self.log.truncate_fully_and_start_at(offset, now_ms)
