"""How far groups are behind, in records and in seconds.

Seconds are counted from the moment at which the end of the partition passed the committed offset, whatever
the records' own timestamps say. A partition's end is remembered at each look; what is older than the first
look is known from the timestamp of the record, where the log is here.
"""

from __future__ import annotations

from typing import Final

_POINTS_MAX: Final = 256


class EndHistory:
    """Where the end of one partition was, and when."""

    __slots__ = ("_points",)

    def __init__(self) -> None:
        self._points: list[tuple[int, int]] = []  # ms of a clock that nobody sets, and offset: both grow

    def note(self, end_offset: int, now_ms: int) -> None:
        """It is there now."""
        points = self._points
        while points and points[-1][1] > end_offset:
            points.pop()  # it was cut back
        if points and points[-1][1] == end_offset and len(points) > 1 and points[-2][1] == end_offset:
            points[-1] = now_ms, end_offset
            return
        points.append((now_ms, end_offset))
        if len(points) > _POINTS_MAX:
            # Every other one will do for what is long ago.
            half = _POINTS_MAX // 2
            self._points = [*points[:half:2], *points[half:]]

    def note_earlier(self, offset: int, at_ms: int) -> None:
        """The record at `offset` came at that time, before all that is known."""
        if not self._points or (at_ms <= self._points[0][0] and offset <= self._points[0][1]):
            self._points.insert(0, (at_ms, offset))

    def knows(self, offset: int) -> bool:
        """Whether it is known when the end passed `offset`."""
        return bool(self._points) and self._points[0][1] <= offset

    def passed_ms(self, offset: int) -> int | None:
        """When a record came at `offset`: between two looks by proportion, before all of them the time of the
        first one; None as long as there is none.
        """
        before: tuple[int, int] | None = None
        for at_ms, end_offset in self._points:
            if end_offset > offset:
                if before is None:
                    return at_ms
                before_ms, before_end = before
                share = (offset - before_end) / (end_offset - before_end)
                return round(before_ms + share * (at_ms - before_ms))
            before = at_ms, end_offset
        return None
