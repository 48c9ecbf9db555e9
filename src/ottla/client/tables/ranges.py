"""Where a read begins and ends, as people say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from ottla.client.errors import ConfigurationError


class Where(NamedTuple):
    """A bound, understood: exactly one of its kinds is given."""

    offset: int | None = None
    from_end: int | None = None
    """So many records before the end."""
    offsets: Mapping[int, int] | None = None
    timestamp_ms: int | None = None
    is_beginning: bool = False


Bound = int | str | datetime | timedelta | Mapping[int, int] | Where | None
"""Where in a topic:

- an offset, the same in each partition; a negative one counts from the end: `start=-100` are the last 100
- offsets by partition, `{0: 17, 1: 4}`; others are read from their beginning, or to their end
- "beginning" or "earliest", "end" or "latest"
- a time: a datetime (a naive one is local), an ISO 8601 text ("2026-11-26T20:00", "2026-11-26"), or a
  timedelta or a text such as "-1h", "-90m", "-7d" before now; for the first record of that time or later
- None: the beginning for a start, the end as it is now for an end

Or one of these that is understood already (`Where`).
"""

_AGO: Final = re.compile(r"([+-])\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)", re.ASCII)
_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


BEGINNING: Final = Where(is_beginning=True)
END: Final = Where(from_end=0)


def where(bound: Bound, now_ms: int, default: Where) -> Where:
    """ConfigurationError for what is no bound."""
    match bound:
        case None:
            return default
        case Where():
            return bound
        case bool():
            raise ConfigurationError(f"{bound} is no place in a topic")
        case int():
            return Where(offset=bound) if bound >= 0 else Where(from_end=-bound)
        case datetime():
            return Where(timestamp_ms=_ms(bound))
        case timedelta():
            return Where(timestamp_ms=max(0, now_ms + bound // timedelta(milliseconds=1)))
        case str():
            return _of_text(bound.strip(), now_ms)
        case Mapping():
            return Where(offsets=_of_partitions(bound))
    raise ConfigurationError(
        f"{bound!r} is no place in a topic: give an offset, a time, or offsets by partition"
    )


def _of_partitions(offsets: Mapping[int, int]) -> dict[int, int]:
    for partition, offset in offsets.items():
        if not isinstance(partition, int) or not isinstance(offset, int) or partition < 0 or offset < 0:
            raise ConfigurationError(f"{{{partition!r}: {offset!r}}} is no partition and its offset")
    return dict(offsets)


def _of_text(text: str, now_ms: int) -> Where:
    if text.lower() in {"beginning", "earliest"}:
        return BEGINNING
    if text.lower() in {"end", "latest"}:
        return END
    if text.lower() == "now":
        return Where(timestamp_ms=now_ms)
    ago = _AGO.fullmatch(text)
    if ago is not None:
        away_ms = int(float(ago[2]) * _UNITS_MS[ago[3]])
        return Where(timestamp_ms=max(0, now_ms + (away_ms if ago[1] == "+" else -away_ms)))
    try:
        return Where(timestamp_ms=_ms(datetime.fromisoformat(text)))
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is no place in a topic: give beginning, end, or a time (2026-11-26T20:00, or -1h)"
        ) from None


def _ms(time: datetime) -> int:
    at = time.astimezone(UTC)
    return max(0, (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
