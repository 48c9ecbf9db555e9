"""Messages of syslog, read as RFC 5424 or RFC 3164 has them; pure."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final, NamedTuple

__all__ = ["Message", "parsed"]

_PRIORITY: Final = re.compile(r"<([0-9]{1,3})>")
_NEW: Final = re.compile(
    r"([0-9]{1,3}) (\S{1,64}) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) ?(.*)", re.DOTALL
)
_OLD: Final = re.compile(
    r"([A-Z][a-z]{2}) ([ 0-9][0-9]) ([0-9]{2}:[0-9]{2}:[0-9]{2}) (\S{1,255}) (.*)", re.DOTALL
)
_TAG: Final = re.compile(r"([^\s\[\]:]{1,64})(?:\[([^\]]{1,128})\])?: ?(.*)", re.DOTALL)
_ELEMENT: Final = re.compile(r'\[([^\s=\]"]{1,32})((?: [^\s=\]"]{1,32}="(?:[^"\\\]]|\\.)*")*)\]', re.DOTALL)
_PARAMETER: Final = re.compile(r' ([^\s=\]"]{1,32})="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DEFAULT: Final = 13  # user.notice, as RFC 3164 says of those without a priority


class Message(NamedTuple):
    """A message, with None for what it does not say."""

    type: str
    """RFC5424, RFC3164, or UNKNOWN: all of it is the message"""
    facility: int
    level: int
    date: dt.datetime | None
    host: str | None
    app_name: str | None
    process_id: str | None
    message_id: str | None
    structured_data: dict[str, dict[str, str]]
    message: str


def parsed(text: str, now: dt.datetime) -> Message:
    """`now` gives messages of RFC 3164 their year; their time is taken for UTC."""
    priority = _PRIORITY.match(text)
    number = int(priority[1]) if priority is not None and int(priority[1]) <= 191 else None
    rest = text if number is None or priority is None else text[priority.end() :]
    facility, level = divmod(_DEFAULT if number is None else number, 8)
    if number is not None:
        new = _NEW.fullmatch(rest)
        made = None if new is None else _new(new, facility, level)
        if made is not None:
            return made
        old = _OLD.fullmatch(rest)
        if old is not None:
            return _old(old, facility, level, now)
        if tag := _TAG.fullmatch(rest):
            return Message("RFC3164", facility, level, None, None, tag[1], tag[2], None, {}, tag[3])
    return Message("UNKNOWN", facility, level, None, None, None, None, None, {}, rest)


def _new(match: re.Match[str], facility: int, level: int) -> Message | None:
    version, stamp, host, app, process, id_, rest = match.groups()
    if version == "0":
        return None
    data, message = _structured(rest)
    if data is None:
        return None
    date: dt.datetime | None = None
    if stamp != "-":
        try:
            date = dt.datetime.fromisoformat(stamp)
        except ValueError:
            return None
        date = date.replace(tzinfo=dt.UTC) if date.tzinfo is None else date.astimezone(dt.UTC)
    return Message(
        "RFC5424", facility, level, date, _said(host), _said(app), _said(process), _said(id_), data, message
    )


def _said(text: str) -> str | None:
    return None if text == "-" else text


def _structured(rest: str) -> tuple[dict[str, dict[str, str]] | None, str]:
    """The structured data, and the message behind it; None where it is none."""
    if rest == "-" or rest.startswith("- "):
        return {}, rest[2:].removeprefix("\ufeff")
    data: dict[str, dict[str, str]] = {}
    place = 0
    while element := _ELEMENT.match(rest, place):
        parameters = _PARAMETER.findall(element[2])
        data[element[1]] = {name: re.sub(r"\\([\"\\\]])", r"\1", value) for name, value in parameters}
        place = element.end()
    if not data or (place < len(rest) and rest[place] != " "):
        return None, rest
    return data, rest[place + 1 :].removeprefix("\ufeff")


def _old(match: re.Match[str], facility: int, level: int, now: dt.datetime) -> Message:
    month, day, time, host, rest = match.groups()
    tag = _TAG.fullmatch(rest)
    app, process, message = (None, None, rest) if tag is None else (tag[1], tag[2], tag[3])
    date = _date(month, int(day), time, now)
    return Message("RFC3164", facility, level, date, host, app, process, None, {}, message)


def _date(month: str, day: int, time: str, now: dt.datetime) -> dt.datetime | None:
    """Of this year, or of the last one for what would be more than a day ahead."""
    if month not in _MONTHS:
        return None
    for year in (now.year, now.year - 1):
        try:
            date = dt.datetime.fromisoformat(f"{year}-{_MONTHS.index(month) + 1:02}-{day:02}T{time}+00:00")
        except ValueError:
            continue
        if date <= now + dt.timedelta(days=1):
            return date
    return None
