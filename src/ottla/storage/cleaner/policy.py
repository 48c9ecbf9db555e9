"""When a compacted log is to be cleaned, how far, and in which portions: pure functions over its facts.

A log's clean head [start, first dirty offset) holds each key once; its dirty tail has not been looked at.
Cleaning is due when the tail's share reaches `min.cleanable.dirty.ratio`, or when a record in it is older
than `max.compaction.lag.ms` (KIP-354). It never touches the active segment, what is not yet stable (open
transactions, records above the high watermark), or segments younger than `min.compaction.lag.ms` (KIP-58).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ottla.config.topic import TopicConfig
    from ottla.storage.log import Log
    from ottla.storage.producer_state import LastRecord

__all__ = [
    "CleaningFacts",
    "CleaningPlan",
    "SegmentFacts",
    "cleaning_facts",
    "filthiest",
    "group_segments",
    "plan_cleaning",
]

_MAX_OFFSET_RANGE = 2**31 - 1  # an index counts offsets from the segment's base in 32 bits


class SegmentFacts(NamedTuple):
    """A closed segment. Timestamps in milliseconds, -1 where no batch has one; sizes in bytes."""

    base_offset: int
    size: int
    modified_ms: int
    first_timestamp: int
    largest_timestamp: int


class CleaningFacts(NamedTuple):
    """A log at one moment, as the thread that owns it sees it. `segments` are the closed ones, ascending;
    `generation` is that of the local log, which a truncation ends.
    """

    directory: str
    generation: int
    segments: tuple[SegmentFacts, ...]
    active_base_offset: int
    log_start_offset: int
    log_end_offset: int
    high_watermark: int
    last_stable_offset: int
    last_records: Mapping[int, LastRecord]
    config: TopicConfig

    def end_of(self, segment: SegmentFacts) -> int:
        """Where the segment behind it begins."""
        later = (each.base_offset for each in self.segments if each.base_offset > segment.base_offset)
        return next(later, self.active_base_offset)


class CleaningPlan(NamedTuple):
    """What a cleaning of this log would cover: keys from [first_dirty_offset, end_offset) decide.

    `is_checkpoint_reset` says that the checkpointed offset lay outside of the log and is to be written anew
    even when nothing is cleaned. `is_due` tells whether to clean now.
    """

    facts: CleaningFacts
    first_dirty_offset: int
    end_offset: int
    clean_bytes: int
    cleanable_bytes: int
    is_overdue: bool
    is_checkpoint_reset: bool

    @property
    def dirty_ratio(self) -> float:
        total = self.clean_bytes + self.cleanable_bytes
        return self.cleanable_bytes / total if total else 0.0

    @property
    def is_due(self) -> bool:
        if not self.cleanable_bytes:
            return False
        return self.is_overdue or self.dirty_ratio > self.facts.config.min_cleanable_dirty_ratio


def cleaning_facts(log: Log) -> CleaningFacts:
    """What compaction needs to know of a log. Raises OSError, and LogStorageError."""
    local = log.local
    active = local.active
    return CleaningFacts(
        directory=local.directory,
        generation=local.generation,
        segments=tuple(
            SegmentFacts(
                segment.base_offset,
                segment.size,
                segment.modified_ms(),
                segment.first_timestamp(),
                segment.max_timestamp,
            )
            for segment in local.segments
            if segment is not active
        ),
        active_base_offset=active.base_offset,
        log_start_offset=log.log_start_offset,
        log_end_offset=local.log_end_offset,
        high_watermark=log.high_watermark,
        last_stable_offset=log.last_stable_offset,
        last_records=log.producer_state.last_records(),
        config=local.config,
    )


def plan_cleaning(facts: CleaningFacts, last_clean_offset: int | None, now_ms: int) -> CleaningPlan:
    """Measure a log; `last_clean_offset` is its entry in the cleaner's checkpoint."""
    first_dirty = facts.log_start_offset if last_clean_offset is None else last_clean_offset
    # Records may have been deleted past the checkpoint, or a damaged tail cut off before it: start over then.
    is_reset = not facts.log_start_offset <= first_dirty <= facts.log_end_offset
    if is_reset:
        first_dirty = facts.log_start_offset
    dirty = _overlapping(facts.segments, first_dirty, facts.active_base_offset)
    uncleanable = min(facts.last_stable_offset, facts.high_watermark, facts.active_base_offset)
    min_lag_ms = facts.config.min_compaction_lag_ms
    if min_lag_ms > 0:
        young = (s.base_offset for s in dirty if _age_stamp(s) > now_ms - min_lag_ms)
        uncleanable = min(uncleanable, next(young, uncleanable))
    end_offset = _segment_start(facts, max(first_dirty, uncleanable))
    cleanable = _overlapping(facts.segments, min(first_dirty, end_offset), end_offset)
    return CleaningPlan(
        facts,
        first_dirty_offset=first_dirty,
        end_offset=end_offset,
        clean_bytes=sum(s.size for s in facts.segments if s.base_offset < min(first_dirty, end_offset)),
        cleanable_bytes=sum(s.size for s in cleanable),
        is_overdue=_is_overdue(dirty, now_ms - facts.config.max_compaction_lag_ms),
        is_checkpoint_reset=is_reset,
    )


def filthiest(plans: Iterable[CleaningPlan]) -> CleaningPlan | None:
    """The plan that is due and has the largest dirty share; None when nothing is due."""
    return max((plan for plan in plans if plan.is_due), key=lambda plan: plan.dirty_ratio, default=None)


def group_segments(
    segments: Sequence[SegmentFacts], segment_bytes: int, end_offset: int
) -> list[list[SegmentFacts]]:
    """Neighbouring segments that fit into one of `segment_bytes`, so that cleaning does not leave crumbs.

    A group's offsets, which end before `end_offset`, stay within what one segment's indexes can address.
    """
    groups: list[list[SegmentFacts]] = []
    size = 0
    for position, segment in enumerate(segments):
        is_last = position + 1 == len(segments)
        next_offset = end_offset if is_last else segments[position + 1].base_offset
        fits = (
            bool(groups)
            and size + segment.size <= segment_bytes
            and (not segment.size or next_offset - 1 - groups[-1][0].base_offset <= _MAX_OFFSET_RANGE)
        )
        if fits:
            groups[-1].append(segment)
            size += segment.size
        else:
            groups.append([segment])
            size = segment.size
    return groups


def _overlapping(segments: Sequence[SegmentFacts], start: int, end: int) -> list[SegmentFacts]:
    """The segments with offsets in [start, end), the one that `start` falls into included."""
    if start >= end:
        return []
    first = max((s.base_offset for s in segments if s.base_offset <= start), default=start)
    return [s for s in segments if first <= s.base_offset < end]


def _segment_start(facts: CleaningFacts, offset: int) -> int:
    """Base offset of the segment that `offset` lies in: segments are cleaned as a whole."""
    bases = (*(s.base_offset for s in facts.segments), facts.active_base_offset)
    return max((base for base in bases if base <= offset), default=bases[0])


def _age_stamp(segment: SegmentFacts) -> int:
    return segment.largest_timestamp if segment.largest_timestamp >= 0 else segment.modified_ms


def _is_overdue(dirty: Sequence[SegmentFacts], clean_until_ms: int) -> bool:
    return any(0 < segment.first_timestamp < clean_until_ms for segment in dirty)
