"""Which windows the rows of a chunk lie in."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.windows import MAX_LONG, TimeWindows, UnlimitedWindows

__all__ = ["in_windows"]

_MOST: Final = 64
"""Windows that a record may lie in: more are taken one by one, before there are too many rows."""


def in_windows(
    windows: TimeWindows | UnlimitedWindows, times: pa.Array, stream_time: int
) -> tuple[pa.Array | None, pa.Array, int, int]:
    """Each row with each window that it lies in and that has not closed by the greatest time up to the row,
    at first `stream_time`: the row (None: each row once) and the window's start, in the order of both; how
    many have closed; and the stream time after the rows. Raises NotColumnar."""
    bounds = pc.min_max(times).as_py()
    low, high = bounds["min"], bounds["max"]
    size, grace = windows.size_ms, windows.grace_ms
    if low < 0 or high > MAX_LONG // 2 or (size > MAX_LONG // 2 and isinstance(windows, TimeWindows)):
        raise NotColumnar("times that are at the edge of time")
    after = max(stream_time, high)
    if isinstance(windows, UnlimitedWindows):
        rows = pc.indices_nonzero(pc.greater_equal(times, windows.start_ms)).cast(pa.int64())
        return rows, pa.repeat(pa.scalar(windows.start_ms, pa.int64()), len(rows)), 0, after
    rows, starts = _starts(windows, times)
    observed = pc.cumulative_max(times, start=pa.scalar(stream_time, pa.int64()))
    close = pc.subtract(observed, grace)
    is_open = pc.greater(pc.add(starts, size), close if rows is None else close.take(rows))
    late = len(starts) - (pc.sum(is_open).as_py() or 0)
    if late:
        open_rows = pc.indices_nonzero(is_open).cast(pa.int64())
        rows = open_rows if rows is None else rows.take(open_rows)
        starts = starts.filter(is_open)
    return rows, starts, late, after


def _starts(windows: TimeWindows, times: pa.Array) -> tuple[pa.Array | None, pa.Array]:
    size, advance = windows.size_ms, windows.advance_ms
    last = pc.multiply(pc.divide(times, advance), advance)
    if advance == size:
        return None, last
    rows = pa.array(range(len(times)), pa.int64())
    most = -(-size // advance)
    if most > _MOST:
        raise NotColumnar(f"a record lies in {most} windows")
    first = pc.max_element_wise(pc.add(times, advance - size), pa.scalar(0, pa.int64()))
    first = pc.multiply(pc.divide(first, advance), advance)
    several, starts = [], []
    for number in range(most - 1, -1, -1):
        start = pc.subtract(last, number * advance)
        inside = pc.greater_equal(start, first)
        several.append(rows.filter(inside))
        starts.append(start.filter(inside))
    spread = pa.concat_arrays(several)
    order = pc.array_sort_indices(spread)
    return spread.take(order), pa.concat_arrays(starts).take(order)
