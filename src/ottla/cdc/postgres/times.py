"""Dates, times and intervals as PostgreSQL writes them (`DateStyle` ISO, `IntervalStyle` postgres, in UTC),
by the proleptic Gregorian calendar: as numbers, and as ISO 8601 has them. ValueError for what is none.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Final, NamedTuple

__all__ = [
    "Interval",
    "date_days",
    "date_iso",
    "interval_of",
    "time_iso",
    "time_micros",
    "timestamp_iso",
    "timestamp_micros",
    "zoned_time_iso",
    "zoned_timestamp_iso",
]

_DAY: Final = 86_400_000_000
_DATE: Final = re.compile(rb"([0-9]{4,7})-([0-9]{2})-([0-9]{2})")
_TIME: Final = re.compile(rb"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?")
_ZONE: Final = re.compile(rb"([+-])([0-9]{2})(?::([0-9]{2}))?(?::([0-9]{2}))?")
_EPOCH_ORDINAL: Final = dt.date(1970, 1, 1).toordinal()

# What JDBC's driver makes of the infinities, and so Debezium.
_INFINITE_DAYS: Final = {b"infinity": -2147472692, b"-infinity": -2147472691}
_INFINITE_MICROS: Final = {b"infinity": 9223372036825200000, b"-infinity": -9223372036832400000}
_INFINITE_DATES: Final = {b"infinity": "-5877611-06-21Z", b"-infinity": "-5877611-06-22Z"}
_INFINITE_TIMESTAMPS: Final = {
    b"infinity": "+294247-01-10T04:00:25.2Z",
    b"-infinity": "-290308-12-21T19:59:27.6Z",
}


def _days(year: int, month: int, day: int) -> int:
    """Since 1970-01-01, for any year; that of 1 BC is 0."""
    if 1 <= year <= 9999:
        return dt.date(year, month, day).toordinal() - _EPOCH_ORDINAL
    cycles = (year - 2000) // 400  # the calendar repeats itself after 146,097 days
    return dt.date(year - 400 * cycles, month, day).toordinal() - _EPOCH_ORDINAL + 146_097 * cycles


def _ymd(text: bytes) -> tuple[int, int, int]:
    plain = text.removesuffix(b" BC")
    found = _DATE.fullmatch(plain)
    if found is None:
        raise ValueError(f"{text!r} is no date")
    year = int(found[1])
    return (year if plain is text or len(plain) == len(text) else 1 - year), int(found[2]), int(found[3])


def date_days(text: bytes) -> int:
    """Since 1970-01-01."""
    if text in _INFINITE_DAYS:
        return _INFINITE_DAYS[text]
    return _days(*_ymd(text))


def time_micros(text: bytes) -> int:
    """Since midnight; 24:00:00 is the end of the day."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    seconds = (int(found[1]) * 60 + int(found[2])) * 60 + int(found[3])
    fraction = found[4]
    return seconds * 1_000_000 + (0 if fraction is None else int(fraction.ljust(6, b"0")))


def _split(text: bytes) -> tuple[bytes, bytes]:
    """The date, with its era, and the time."""
    plain = text.removesuffix(b" BC")
    date, _, time = plain.partition(b" ")
    return (date if len(plain) == len(text) else date + b" BC"), time


def timestamp_micros(text: bytes) -> int:
    """Since 1970 in UTC."""
    if text in _INFINITE_MICROS:
        return _INFINITE_MICROS[text]
    date, time = _split(text)
    return date_days(date) * _DAY + time_micros(time)


def _iso_date(text: bytes) -> str:
    year, month, day = _ymd(text)
    if 0 <= year <= 9999:
        return f"{year:04}-{month:02}-{day:02}"
    return f"{year:+05}-{month:02}-{day:02}"


def date_iso(text: bytes) -> str:
    return _INFINITE_DATES.get(text) or f"{_iso_date(text)}Z"


def _iso_time(micros: int) -> str:
    seconds, fraction = divmod(micros % _DAY, 1_000_000)
    whole = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{whole}.{fraction:06}".rstrip("0") if fraction else whole


def time_iso(text: bytes) -> str:
    return f"{_iso_time(time_micros(text))}Z"


def timestamp_iso(text: bytes) -> str:
    if text in _INFINITE_TIMESTAMPS:
        return _INFINITE_TIMESTAMPS[text]
    date, time = _split(text)
    return f"{_iso_date(date)}T{_iso_time(time_micros(time))}Z"


def zoned_time_iso(text: bytes) -> str:
    """In UTC."""
    at = max(text.rfind(b"+"), text.rfind(b"-"))
    zone = _ZONE.fullmatch(text, at) if at > 0 else None
    if zone is None:
        raise ValueError(f"{text!r} has no time zone")
    seconds = (int(zone[2]) * 60 + int(zone[3] or 0)) * 60 + int(zone[4] or 0)
    offset = seconds * (1_000_000 if zone[1] == b"+" else -1_000_000)
    return f"{_iso_time(time_micros(text[:at]) - offset)}Z"


def zoned_timestamp_iso(text: bytes, digits: int) -> str:
    """Of a session in UTC, with so many digits of the second's fraction."""
    if text in _INFINITE_MICROS:
        return text.decode()
    date, time = _split(text)
    if not time.endswith(b"+00"):
        raise ValueError(f"{text!r} is not in UTC")
    seconds, _, fraction = time[:-3].partition(b".")
    if not digits:
        return f"{_iso_date(date)}T{seconds.decode()}Z"
    return f"{_iso_date(date)}T{seconds.decode()}.{fraction.decode().ljust(digits, '0')[:digits]}Z"


_INTERVAL: Final = re.compile(
    rb"(?:([+-]?[0-9]{1,9}) years?)? ?(?:([+-]?[0-9]{1,9}) mons?)? ?(?:([+-]?[0-9]{1,10}) days?)? ?"
    rb"(?:([+-]?)([0-9]{1,10}):([0-9]{2}):([0-9]{2}(?:\.[0-9]{1,6})?))?"
)
_MONTH: Final = 2_629_800_000_000
"""A twelfth of 365.25 days, in microseconds"""


class Interval(NamedTuple):
    """The parts have signs of their own."""

    years: int
    months: int
    days: int
    hours: int
    minutes: int
    seconds: Decimal

    def micros(self) -> int:
        """With months of 30.4375 days."""
        seconds = int((self.hours * 60 + self.minutes) * 60_000_000 + self.seconds * 1_000_000)
        return (self.years * 12 + self.months) * _MONTH + self.days * _DAY + seconds

    def iso(self) -> str:
        seconds = f"{self.seconds:f}"
        if "." in seconds:
            seconds = seconds.rstrip("0").rstrip(".")
        return f"P{self.years}Y{self.months}M{self.days}DT{self.hours}H{self.minutes}M{seconds}S"


def interval_of(text: bytes) -> Interval:
    found = _INTERVAL.fullmatch(text)
    if found is None or not text:
        raise ValueError(f"{text!r} is no interval")
    years, months, days = (int(each or 0) for each in found.group(1, 2, 3))
    sign = -1 if found[4] == b"-" else 1
    hours, minutes = sign * int(found[5] or 0), sign * int(found[6] or 0)
    return Interval(years, months, days, hours, minutes, sign * Decimal((found[7] or b"0").decode()))
