"""Times written and read by a pattern in the letters of Java's SimpleDateFormat, in English and UTC."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ottla.connect.errors import ConfigError, DataError

__all__ = ["DateFormat"]

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NUMBERS: Final[Mapping[str, str]] = {
    "y": "year", "d": "day", "D": "day_of_year", "H": "hour", "k": "hour_24", "h": "hour_12", "K": "hour_11",
    "m": "minute", "s": "second", "S": "millisecond", "u": "weekday", "M": "month",
}  # fmt: skip
_TEXTS: Final = "aEzZX"
_ZONE_OFFSET: Final = r"[+-][0-9]{2}:?[0-9]{2}"
_PIECE: Final = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+", re.DOTALL)
_MAX_LENGTH: Final = 200


class _Piece(NamedTuple):
    """A run of one letter, or text as it is where `letter` is empty."""

    letter: str
    text: str


class DateFormat:
    """One pattern."""

    def __init__(self, pattern: str) -> None:
        """Raises ConfigError for a pattern that has letters which mean nothing, or nothing here."""
        if len(pattern) > _MAX_LENGTH:
            raise ConfigError(f"a date's format has at most {_MAX_LENGTH} characters")
        self.pattern: Final = pattern
        self._pieces: Final = _pieces(pattern)
        self._regex: Final = re.compile("".join(self._expected()), re.IGNORECASE)

    def format(self, moment: dt.datetime) -> str:
        """A moment with a time zone as the pattern writes it, in UTC."""
        moment = moment.astimezone(dt.UTC)
        return "".join(piece.text if not piece.letter else _written(piece, moment) for piece in self._pieces)

    def parse(self, text: str) -> dt.datetime:
        """The moment that a text begins with; what is left open is as on 1970-01-01. Raises DataError."""
        found = self._regex.match(text)
        if found is not None:
            try:
                return self._moment(found)
            except (ValueError, OverflowError):
                pass
        raise DataError(f"Could not parse timestamp: value ({text}) does not match pattern ({self.pattern})")

    def _expected(self) -> list[str]:
        parts: list[str] = []
        for index, piece in enumerate(self._pieces):
            if not piece.letter:
                parts.append(re.escape(piece.text))
                continue
            following = self._pieces[index + 1].letter if index + 1 < len(self._pieces) else ""
            # Digits that follow one another directly are told apart by the pattern's widths.
            width = len(piece.text) if following and following in _NUMBERS else None
            parts.append(f"(?P<p{index}>{_expected(piece, width)})")
        return parts

    def _moment(self, found: re.Match[str]) -> dt.datetime:
        read: dict[str, int] = {}
        zone = dt.timedelta()
        for index, piece in enumerate(self._pieces):
            if not piece.letter:
                continue
            text = found[f"p{index}"]
            if piece.letter in "zZX":
                zone = _zone(text)
            elif piece.letter == "a":
                read["afternoon"] = int(text.lower() == "pm")
            elif piece.letter == "M" and len(piece.text) > 2:
                read["month"] = [name[:3].lower() for name in _MONTHS].index(text[:3].lower()) + 1
            elif piece.letter == "y" and len(piece.text) == 2 and len(text) == 2:
                read["year"] = _two_digit_year(int(text))
            elif piece.letter in _NUMBERS:
                read[_NUMBERS[piece.letter]] = int(text)
        return _moment(read) - zone


def _pieces(pattern: str) -> Sequence[_Piece]:
    pieces: list[_Piece] = []
    at = 0
    while at < len(pattern):
        found = _PIECE.match(pattern, at)
        if found is None:
            raise ConfigError(f"Unterminated quote in the date's format {pattern!r}")
        letter = found[2] or ""
        if letter and letter not in _NUMBERS and letter not in _TEXTS:
            raise ConfigError(f"Illegal pattern character '{letter}' in the date's format {pattern!r}")
        text = found[0]
        if found[1] is not None:
            text = found[1].replace("''", "'") if found[1] else "'"
        pieces.append(_Piece(letter, text))
        at = found.end()
    return pieces


def _expected(piece: _Piece, width: int | None) -> str:
    letter, length = piece.letter, len(piece.text)
    if letter == "M" and length > 2:
        return "|".join(sorted({*_MONTHS, *(name[:3] for name in _MONTHS)}, key=len, reverse=True))
    if letter == "E":
        return "|".join(sorted({*_DAYS, *(name[:3] for name in _DAYS)}, key=len, reverse=True))
    if letter == "a":
        return "AM|PM"
    if letter in "zZ":
        return f"(?:GMT|UTC)?{_ZONE_OFFSET}|GMT|UTC|Z"
    if letter == "X":
        return r"Z|[+-][0-9]{2}(?::?[0-9]{2})?"
    return f"[0-9]{{{width}}}" if width is not None else "[0-9]{1,9}"


def _written(piece: _Piece, moment: dt.datetime) -> str:
    letter, length = piece.letter, len(piece.text)
    if letter == "y":
        return f"{moment.year % 100:02}" if length == 2 else str(moment.year).zfill(length)
    if letter == "M" and length > 2:
        return _MONTHS[moment.month - 1] if length > 3 else _MONTHS[moment.month - 1][:3]
    if letter == "E":
        return _DAYS[moment.weekday()] if length > 3 else _DAYS[moment.weekday()][:3]
    if letter == "a":
        return "PM" if moment.hour >= 12 else "AM"
    if letter == "z":
        return "Coordinated Universal Time" if length > 3 else "UTC"
    if letter in "ZX":
        return "+0000" if letter == "Z" else "Z"
    numbers = {
        "M": moment.month, "d": moment.day, "D": moment.timetuple().tm_yday, "H": moment.hour,
        "k": moment.hour or 24, "h": moment.hour % 12 or 12, "K": moment.hour % 12, "m": moment.minute,
        "s": moment.second, "S": moment.microsecond // 1000, "u": moment.isoweekday(),
    }  # fmt: skip
    return str(numbers[letter]).zfill(length)


def _zone(text: str) -> dt.timedelta:
    digits = text.upper().removeprefix("GMT").removeprefix("UTC").replace(":", "")
    if digits in ("", "Z"):
        return dt.timedelta()
    hours, minutes = int(digits[1:3]), int(digits[3:5] or 0)
    offset = dt.timedelta(hours=hours, minutes=minutes)
    return -offset if digits[0] == "-" else offset


def _two_digit_year(year: int) -> int:
    """Java takes the century in which the year is at most 20 years ahead; here the turn is fixed, at 2050."""
    return year + (2000 if year < 50 else 1900)


def _moment(read: Mapping[str, int]) -> dt.datetime:
    """Numbers beyond their unit run over into the next, as they do in Java."""
    hour = read.get("hour", read.get("hour_24", 0) % 24)
    if "hour_12" in read or "hour_11" in read:
        hour = read.get("hour_12", read.get("hour_11", 0)) % 12 + 12 * read.get("afternoon", 0)
    years, month = divmod(read.get("month", 1) - 1, 12)
    start = dt.datetime(read.get("year", 1970) + years, month + 1, 1, tzinfo=dt.UTC)
    days = read.get("day", 1) - 1
    if "day_of_year" in read:
        start, days = start.replace(month=1), read["day_of_year"] - 1
    return start + dt.timedelta(
        days=days,
        hours=hour,
        minutes=read.get("minute", 0),
        seconds=read.get("second", 0),
        milliseconds=read.get("millisecond", 0),
    )
