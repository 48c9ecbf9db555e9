"""Reading a log: from an offset, by timestamp, and the aborted transactions that a reader must skip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ottla.storage.errors import LogStorageError

if TYPE_CHECKING:
    from ottla.storage.fs import Records
    from ottla.storage.local.segment import Segment
    from ottla.storage.local.segments import SegmentList
    from ottla.storage.local.txn_index import AbortedTxn

__all__ = ["LogRead", "LogReader", "TimestampedOffset"]

_MAX_HINTS: Final = 32
_new_tuple: Final = tuple.__new__


class LogRead(NamedTuple):
    """Records of the log as they lie in the file, from the batch that contains the offset asked for.

    `segment_base_offset` and `position` say where; both are -1 when there was nothing to read.
    """

    records: Records
    segment_base_offset: int
    position: int

    def to_bytes(self) -> bytes:
        """The records in memory. Raises LogStorageError."""
        try:
            return bytes(self.records)
        except OSError as error:
            raise LogStorageError.wrap(
                f"cannot read at {self.position} of segment {self.segment_base_offset}", error
            ) from error


class TimestampedOffset(NamedTuple):
    """A record found by its timestamp (milliseconds); `leader_epoch` is its batch's."""

    timestamp: int
    offset: int
    leader_epoch: int


NOTHING: Final = LogRead(b"", -1, -1)


class LogReader:
    """Reads through the indexes, and remembers the few places from which consumers at the log's end read
    next.
    """

    __slots__ = ("_hints", "_segments")

    def __init__(self, segments: SegmentList) -> None:
        self._segments = segments
        # Offset -> (segment, position) of the batch that begins there, or will.
        self._hints: dict[int, tuple[Segment, int]] | None = None

    def forget_positions(self) -> None:
        """Segments were cut or replaced."""
        self._hints = None

    def _remember(self, offset: int, segment: Segment, position: int) -> None:
        hints = self._hints
        if hints is None or len(hints) >= _MAX_HINTS:
            hints = self._hints = {}
        hints[offset] = (segment, position)

    def read_at_end(self, end_offset: int) -> LogRead:
        """Nothing yet, but the next read from `end_offset` will not have to search."""
        active = self._segments.active
        self._remember(end_offset, active, active.size)
        return NOTHING

    def read(
        self, offset: int, max_bytes: int, max_offset: int, end_offset: int, *, min_one: bool
    ) -> LogRead:
        """Read [offset, max_offset), with offset < max_offset <= end_offset (see `Log.read`).

        Raises OSError.
        """
        segments = self._segments
        last, last_end = self._limit(max_offset, end_offset)
        hint = self._hints.get(offset) if self._hints is not None else None
        position: int | None = None
        if hint is not None:
            segment, position = hint
            number = segments.floor(segment.base_offset)
        else:
            number = segments.floor(offset)
        for segment in segments.from_number(number):
            if segment.base_offset > last.base_offset:
                break
            end = last_end if segment is last else segment.size
            found = segment.read(offset, max_bytes, end, min_one=min_one, position=position)
            if found is not None:
                position, records = found
                if hint is None:
                    # For the next group that reads the same: an index and a search cost more than the read.
                    self._remember(offset, segment, position)
                if segment is last and position + len(records) == end:
                    self._remember(max_offset, segment, end)
                return _new_tuple(LogRead, (records, segment.base_offset, position))
            position = None
        return NOTHING

    def _limit(self, max_offset: int, end_offset: int) -> tuple[Segment, int]:
        """The segment and position at which `max_offset` begins."""
        segments = self._segments
        if max_offset == end_offset:
            active = segments.active
            return active, active.size
        hint = self._hints.get(max_offset) if self._hints is not None else None
        if hint is None:
            segment = segments[segments.floor(max_offset)]
            position = segment.position_of(max_offset)
            hint = (segment, segment.size if position is None else position)
            self._remember(max_offset, *hint)
        return hint

    def aborted_transactions(self, offset: int, read: LogRead, end_offset: int) -> list[AbortedTxn]:
        """The aborted transactions that overlap with what `read` returned for `offset`. Raises OSError."""
        if read.position < 0:
            return []
        segments = self._segments
        number = segments.floor(read.segment_base_offset)
        upper_bound = segments[number].offset_after(read.position + len(read.records))
        if upper_bound is None:
            upper_bound = segments[number + 1].base_offset if number + 1 < len(segments) else end_offset
        found: list[AbortedTxn] = []
        for segment in segments.from_number(number):
            transactions, is_complete = segment.txn_index.collect(offset, upper_bound)
            found += transactions
            if is_complete:
                break
        return found

    def offset_for_timestamp(self, timestamp: int, start_offset: int) -> TimestampedOffset | None:
        """The first record at or after `start_offset` that is not older than `timestamp`. Raises OSError."""
        for segment in self._segments:
            if segment.largest_timestamp() >= timestamp:
                found = segment.find_timestamp(timestamp, start_offset)
                if found is not None:
                    return TimestampedOffset(*found)
        return None

    def max_timestamp_offset(self) -> TimestampedOffset | None:
        """The first record with the largest timestamp of all (KIP-734); None without records.

        Raises OSError.
        """
        newest = max(self._segments, key=lambda segment: segment.max_timestamp)
        found = newest.find_max_timestamp()
        return None if found is None else TimestampedOffset(*found)
