"""Times, arrays and what else PostgreSQL writes as text."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.cdc.postgres import literals, times


@given(st.dates())
def test_dates(date: dt.date) -> None:
    days = (date - dt.date(1970, 1, 1)).days
    assert times.date_days(date.isoformat().encode()) == days


@pytest.mark.parametrize(
    ("text", "days"),
    [
        (b"0001-12-31 BC", -719163),
        (b"4714-11-24 BC", -2440588),
        (b"10000-01-01", 2932897),
        (b"5874897-12-31", 2145042905),
    ],
)
def test_dates_beyond_four_digits(text: bytes, days: int) -> None:
    """As PostgreSQL counts them."""
    assert times.date_days(text) == days


@given(st.datetimes(), st.integers(0, 6))
def test_timestamps(moment: dt.datetime, digits: int) -> None:
    text = str(moment).encode()
    micros = (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    assert times.timestamp_micros(text) == micros
    assert times.timestamp_iso(text).rstrip("Z") == moment.isoformat().rstrip(
        "0" if moment.microsecond else ""
    )
    zoned = times.zoned_timestamp_iso(text + b"+00", digits)
    assert zoned.startswith(moment.isoformat()[:19])
    assert len(zoned) == 20 + (digits + 1 if digits else 0)


@pytest.mark.parametrize(
    "text", [b"", b"x", b"2020-13-01", b"2020-02-30", b"2020-1-1", b"20-01-01", b"2020-01-01x"]
)
def test_no_dates(text: bytes) -> None:
    with pytest.raises(ValueError):
        times.date_days(text)


@pytest.mark.parametrize(
    ("text", "micros", "iso"),
    [
        (b"1 year 2 mons 3 days 04:05:06.5", 37091106500000, "P1Y2M3DT4H5M6.5S"),
        (b"-1 mons +2 days -00:00:00.000001", -2457000000001, "P0Y-1M2DT0H0M-0.000001S"),
        (b"00:00:00", 0, "P0Y0M0DT0H0M0S"),
        (b"100000:00:00", 360000000000000, "P0Y0M0DT100000H0M0S"),
    ],
)
def test_intervals(text: bytes, micros: int, iso: str) -> None:
    assert times.interval_of(text).micros() == micros
    assert times.interval_of(text).iso() == iso


def _quoted(element: bytes | None) -> bytes:
    if element is None:
        return b"NULL"
    return b'"' + element.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


@given(st.lists(st.none() | st.binary(max_size=6)))
def test_arrays(elements: list[bytes | None]) -> None:
    text = b"{" + b",".join(map(_quoted, elements)) + b"}"
    assert literals.array_elements(text) == elements
    assert literals.array_elements(b"[0:3]=" + text) == elements


@given(st.binary(max_size=12))
def test_what_is_no_array_raises_nothing_else(text: bytes) -> None:
    for made in (b"{" + text + b"}", text):
        try:
            literals.array_elements(made)
        except ValueError:
            pass


@given(st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5)))
def test_hstore(given_map: dict[str, str | None]) -> None:
    pairs = [_quoted(key.encode()) + b"=>" + _quoted(None if value is None else value.encode())
             for key, value in given_map.items()]  # fmt: skip
    assert literals.hstore_of(b", ".join(pairs)) == given_map


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("$1,234.50", "1234.50"),
        ("-$0.05", "-0.05"),
        ("1.234,50 €", "1234.50"),
        ("¥1,234", "1234"),
        ("($5.00)", "-5.00"),
        ("kr 12", "12"),
    ],
)
def test_money(text: str, amount: str) -> None:
    assert literals.money_of(text.encode()) == Decimal(amount)


def test_bits() -> None:
    assert literals.bits_of(b"100000001") == b"\x01\x01"
    assert literals.bits_of(b"000") == b""
