"""Windows of time as Kafka Streams has them: which ones hold a timestamp, and for how long.

Durations are milliseconds (int), a `timedelta`, or text: "500ms", "10s", "1m", "1h30m", "1d". Times are
milliseconds since the epoch. Wrong values raise `ValueError`, as Java raises IllegalArgumentException.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

Duration = int | timedelta | str

MAX_LONG = 2**63 - 1
_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PARTS = re.compile(r"(\d+)(ms|s|m|h|d)")
_WHOLE = re.compile(r"-?(?:\d+(?:ms|s|m|h|d))+")


def milliseconds(duration: Duration, name: str = "duration") -> int:
    """What a duration is in milliseconds; `name` is said where it is none."""
    if isinstance(duration, timedelta):
        result = duration // timedelta(milliseconds=1)
    elif isinstance(duration, str):
        text = duration.replace(" ", "")
        if not _WHOLE.fullmatch(text):
            raise ValueError(f'{name}: {duration!r} is no duration; "500ms", "10s", "1m", "1h30m", "1d" are')
        total = sum(int(number) * _UNITS[unit] for number, unit in _PARTS.findall(text))
        result = -total if text.startswith("-") else total
    elif isinstance(duration, int) and not isinstance(duration, bool):
        result = duration
    else:
        raise ValueError(f"{name}: a duration is text, a timedelta or milliseconds, not {duration!r}")
    if not -MAX_LONG <= result <= MAX_LONG:
        raise ValueError(f"{name}: {duration!r} does not fit into 64 bits of milliseconds")
    return result


def instant(time: int | datetime, name: str = "time") -> int:
    """A point in time as milliseconds since the epoch: what it is already, or an aware datetime."""
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise ValueError(f"{name}: {time!r} has no time zone; give an aware datetime, or milliseconds")
        return (time - _EPOCH) // timedelta(milliseconds=1)
    return time


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def window_end(start_ms: int, size_ms: int) -> int:
    """Where a window of that size ends; where a long would overflow, at its maximum, as Java cuts it."""
    return min(start_ms + size_ms, MAX_LONG)


@dataclass(frozen=True, slots=True)
class TimeWindows:
    """Windows of fixed size from the epoch on: tumbling, or, advancing by less than their size, hopping."""

    size_ms: int
    advance_ms: int
    grace_ms: int

    def __post_init__(self) -> None:
        if self.size_ms <= 0:
            raise ValueError("Window size (sizeMs) must be larger than zero.")
        if not 0 < self.advance_ms <= self.size_ms:
            raise ValueError(
                "Window advancement interval should be more than zero and less than window duration which is "
                f"{self.size_ms} ms, but given advancement interval is: {self.advance_ms} ms"
            )
        _check_grace(self.grace_ms)

    @classmethod
    def of(cls, size: Duration, advance: Duration | None = None, grace: Duration = 0) -> TimeWindows:
        size_ms = milliseconds(size, "size")
        advance_ms = size_ms if advance is None else milliseconds(advance, "advance")
        return cls(size_ms, advance_ms, milliseconds(grace, "grace"))

    def starts_for(self, timestamp: int) -> range:
        """The starts of all windows that hold `timestamp`, ascending; none starts before the epoch."""
        advance = self.advance_ms
        first = max(0, timestamp - self.size_ms + advance) // advance * advance
        return range(first, timestamp + 1, advance)


@dataclass(frozen=True, slots=True)
class SlidingWindows:
    """Windows that records at most `difference_ms` apart share; both ends belong to them."""

    difference_ms: int
    grace_ms: int

    def __post_init__(self) -> None:
        if self.difference_ms < 0:
            raise ValueError("Window time difference must not be negative.")
        _check_grace(self.grace_ms, "Window grace period")

    @classmethod
    def of(cls, difference: Duration, grace: Duration = 0) -> SlidingWindows:
        return cls(milliseconds(difference, "difference"), milliseconds(grace, "grace"))


@dataclass(frozen=True, slots=True)
class SessionWindows:
    """Sessions of activity that end where nothing came for longer than `gap_ms`."""

    gap_ms: int
    grace_ms: int

    def __post_init__(self) -> None:
        if self.gap_ms < 0:
            raise ValueError("Gap time cannot be negative.")
        if self.grace_ms < 0:
            raise ValueError("Grace period cannot be negative.")

    @classmethod
    def of(cls, gap: Duration, grace: Duration = 0) -> SessionWindows:
        return cls(milliseconds(gap, "gap"), milliseconds(grace, "grace"))


@dataclass(frozen=True, slots=True)
class JoinWindows:
    """Which records of the other stream a record meets: from `before_ms` before it to `after_ms` after it."""

    before_ms: int
    after_ms: int
    grace_ms: int

    def __post_init__(self) -> None:
        if self.before_ms + self.after_ms < 0:
            raise ValueError("Window interval (ie, beforeMs+afterMs) must not be negative.")
        _check_grace(self.grace_ms)

    @classmethod
    def of(
        cls,
        difference: Duration,
        grace: Duration = 0,
        before: Duration | None = None,
        after: Duration | None = None,
    ) -> JoinWindows:
        difference_ms = milliseconds(difference, "difference")
        before_ms = difference_ms if before is None else milliseconds(before, "before")
        after_ms = difference_ms if after is None else milliseconds(after, "after")
        return cls(before_ms, after_ms, milliseconds(grace, "grace"))

    @property
    def size_ms(self) -> int:
        return self.before_ms + self.after_ms


@dataclass(frozen=True, slots=True)
class UnlimitedWindows:
    """One window from `start_ms` on, without an end."""

    start_ms: int = 0

    def __post_init__(self) -> None:
        if self.start_ms < 0:
            raise ValueError("Window start time (startMs) cannot be negative.")

    @classmethod
    def of(cls, start: int | datetime = 0) -> UnlimitedWindows:
        return cls(instant(start, "start"))

    @property
    def size_ms(self) -> int:
        return MAX_LONG

    @property
    def grace_ms(self) -> int:
        return 0

    def starts_for(self, timestamp: int) -> range:
        return range(self.start_ms, self.start_ms + 1 if timestamp >= self.start_ms else self.start_ms)


def _check_grace(grace_ms: int, what: str = "Grace period") -> None:
    if grace_ms < 0:
        raise ValueError(f"{what} must not be negative.")
