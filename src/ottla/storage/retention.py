"""Which segments a log may let go of: behind the log start offset, by `retention.bytes`, and by
`retention.ms`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ottla.storage.local_log import LocalLog
    from ottla.storage.segment import Segment

__all__ = ["expired_segments"]


def expired_segments(log: LocalLog, high_watermark: int, now_ms: int) -> list[Segment]:
    """The oldest segments that may go, in order; maybe all of them, but never an empty active one.

    Nothing at or above the high watermark goes. Only `cleanup.policy=delete` has limits of size and time;
    what lies behind the log start offset goes under every policy. Raises OSError.
    """
    segments = list(log.segments)
    ends = [segment.base_offset for segment in segments[1:]] + [log.log_end_offset]
    removable = 0
    for segment, end_offset in zip(segments, ends, strict=True):
        if end_offset > high_watermark or (segment is segments[-1] and segment.size == 0):
            break
        removable += 1

    def extend(count: int, is_expired: Callable[[int], bool]) -> int:
        while count < removable and is_expired(count):
            count += 1
        return count

    # The active segment stays whatever the log start offset is: it holds the log's end.
    count = extend(0, lambda number: number + 1 < len(segments) and ends[number] <= log.log_start_offset)
    config = log.config
    if not config.delete:
        return segments[:count]
    if config.retention_bytes >= 0:
        excess = sum(segment.size for segment in segments[count:]) - config.retention_bytes

        def is_excess(number: int) -> bool:
            nonlocal excess
            excess -= segments[number].size
            return excess >= 0

        count = extend(count, is_excess)
    if config.retention_ms >= 0:
        count = extend(
            count, lambda number: now_ms - segments[number].largest_timestamp() > config.retention_ms
        )
    return segments[:count]
