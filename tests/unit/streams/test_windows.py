"""Windows: which ones a time falls into, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.streams.windows import (
    MAX_LONG,
    JoinWindows,
    SessionWindows,
    SlidingWindows,
    TimeWindows,
    UnlimitedWindows,
    instant,
    milliseconds,
    window_end,
)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (0, 0),
        (1500, 1500),
        ("500ms", 500),
        ("10s", 10_000),
        ("1m", 60_000),
        ("1h30m", 5_400_000),
        ("2d 1s", 172_801_000),
        ("-5s", -5_000),
        (timedelta(seconds=1, microseconds=999), 1_000),
    ],
)
def test_durations_are_milliseconds(duration: int | str | timedelta, expected: int) -> None:
    assert milliseconds(duration) == expected


@pytest.mark.parametrize(
    "duration", ["", "10", "s", "1.5s", "1m-1s", "1y", True, None, 1.5, 2**63, "9999999999999999d"]
)
def test_what_is_no_duration_is_said_with_its_name(duration: object) -> None:
    with pytest.raises(ValueError, match="grace"):
        milliseconds(duration, "grace")  # type: ignore[arg-type]


def test_instants_are_aware() -> None:
    assert instant(datetime(1970, 1, 1, 0, 0, 1, 500, tzinfo=UTC)) == 1_000
    assert instant(17) == 17
    with pytest.raises(ValueError, match="time zone"):
        instant(datetime(2020, 1, 1))


def test_tumbling_windows() -> None:
    windows = TimeWindows.of("10ms")
    assert list(windows.starts_for(0)) == [0]
    assert list(windows.starts_for(9)) == [0]
    assert list(windows.starts_for(10)) == [10]


def test_hopping_windows_begin_at_the_epoch() -> None:
    windows = TimeWindows.of("12ms", advance="5ms")
    assert list(windows.starts_for(21)) == [10, 15, 20]
    assert list(windows.starts_for(3)) == [0]
    assert list(windows.starts_for(11)) == [0, 5, 10]
    assert list(windows.starts_for(12)) == [5, 10]


@given(size=st.integers(1, 300), data=st.data(), timestamp=st.integers(0, 10_000))
def test_the_windows_of_a_time_are_all_that_hold_it(size: int, data: st.DataObject, timestamp: int) -> None:
    advance = data.draw(st.integers(1, size))
    starts = TimeWindows.of(size, advance).starts_for(timestamp)
    assert list(starts) == [s for s in range(0, timestamp + 1, advance) if s <= timestamp < s + size]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: TimeWindows.of(0), "larger than zero"),
        (lambda: TimeWindows.of(-1), "larger than zero"),
        (lambda: TimeWindows.of(10, advance=11), "less than window duration which is 10 ms"),
        (lambda: TimeWindows.of(10, advance=0), "more than zero"),
        (lambda: TimeWindows.of(10, grace=-1), "Grace period must not be negative"),
        (lambda: SlidingWindows.of(-1), "time difference must not be negative"),
        (lambda: SlidingWindows.of(1, grace=-1), "grace period must not be negative"),
        (lambda: SessionWindows.of(-1), "Gap time cannot be negative"),
        (lambda: SessionWindows.of(1, grace=-1), "Grace period cannot be negative"),
        (lambda: JoinWindows.of(1, before=-3), "must not be negative"),
        (lambda: JoinWindows.of(1, grace=-1), "Grace period must not be negative"),
        (lambda: UnlimitedWindows.of(-1), "cannot be negative"),
    ],
)
def test_wrong_windows_are_refused(make: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()  # type: ignore[operator]


def test_join_windows_may_lie_on_one_side() -> None:
    windows = JoinWindows.of("1s", before="-100ms", after="2s")
    assert (windows.before_ms, windows.after_ms, windows.size_ms) == (-100, 2_000, 1_900)


def test_the_unlimited_window_has_a_start() -> None:
    windows = UnlimitedWindows.of(10)
    assert list(windows.starts_for(9)) == []
    assert list(windows.starts_for(2**60)) == [10]
    assert windows.size_ms == MAX_LONG


def test_ends_are_cut_where_a_long_ends() -> None:
    assert window_end(5, 10) == 15
    assert window_end(MAX_LONG - 1, 10) == MAX_LONG
