"""Where a read begins and ends, as people say it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ottla.client.errors import ConfigurationError
from ottla.client.tables.ranges import BEGINNING, END, Bound, Where, where

NOW_MS = 1_764_187_200_000  # 2025-11-26T20:00:00Z


@pytest.mark.parametrize(
    ("bound", "meant"),
    [
        (None, END),
        ("beginning", BEGINNING),
        ("Earliest", BEGINNING),
        ("end", END),
        (" latest ", END),
        (0, Where(offset=0)),
        (17, Where(offset=17)),
        (-100, Where(from_end=100)),
        ({0: 3, 2: 0}, Where(offsets={0: 3, 2: 0})),
        ("now", Where(timestamp_ms=NOW_MS)),
        ("-1h", Where(timestamp_ms=NOW_MS - 3_600_000)),
        ("-90m", Where(timestamp_ms=NOW_MS - 5_400_000)),
        ("- 1.5 s", Where(timestamp_ms=NOW_MS - 1500)),
        ("+250ms", Where(timestamp_ms=NOW_MS + 250)),
        ("-1w", Where(timestamp_ms=NOW_MS - 604_800_000)),
        (timedelta(days=-1), Where(timestamp_ms=NOW_MS - 86_400_000)),
        (timedelta(days=-1_000_000), Where(timestamp_ms=0)),
        (datetime(2025, 11, 26, 20, tzinfo=UTC), Where(timestamp_ms=NOW_MS)),
        ("2025-11-26T20:00:00Z", Where(timestamp_ms=NOW_MS)),
        ("2025-11-26T21:00:00.001+01:00", Where(timestamp_ms=NOW_MS + 1)),
        (datetime(1950, 1, 1, tzinfo=UTC), Where(timestamp_ms=0)),
    ],
)
def test_places(bound: Bound, meant: Where) -> None:
    assert where(bound, NOW_MS, END) == meant


def test_naive_times_are_local() -> None:
    naive = datetime(2025, 11, 26, 20)
    meant = Where(timestamp_ms=int(naive.astimezone().timestamp() * 1000))
    assert where(naive, NOW_MS, END) == where("2025-11-26T20:00", NOW_MS, END) == meant


@pytest.mark.parametrize("bound", ["", "yesterday", "1h", "-1 parsec", True, {0: -1}, {"0": 1}, 1.5, b"end"])
def test_no_places(bound: Bound) -> None:
    with pytest.raises(ConfigurationError, match="no pl|no partition"):
        where(bound, NOW_MS, END)
