"""Times by Java's patterns."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.connect.errors import ConfigError, DataError
from ottla.connect.transforms.dates import DateFormat

MOMENT = dt.datetime(2024, 2, 29, 15, 4, 5, 67000, tzinfo=dt.UTC)


@given(st.datetimes(timezones=st.just(dt.UTC), min_value=dt.datetime(1000, 1, 1)))
@pytest.mark.parametrize(
    "pattern", ["yyyy-MM-dd'T'HH:mm:ss.SSSX", "yyyyMMddHHmmssSSS", "MMM d, yyyy hh:mm:ss.SSS a Z"]
)
def test_what_is_written_is_read_again(pattern: str, moment: dt.datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    one = DateFormat(pattern)
    assert one.parse(one.format(moment)) == moment


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy/MM/dd", "2024/02/29"),
        ("yy-M-d", "24-2-29"),
        ("EEE EEEE MMM MMMM", "Thu Thursday Feb February"),
        ("h K k H a", "3 3 15 15 PM"),
        ("'at' HH''mm", "at 15'04"),
        ("DDD u z Z X", "060 4 UTC +0000 Z"),
    ],
)
def test_moments_are_written(pattern: str, text: str) -> None:
    assert DateFormat(pattern).format(MOMENT) == text
    assert DateFormat(pattern).format(MOMENT.astimezone(dt.timezone(dt.timedelta(hours=5)))) == text


@pytest.mark.parametrize(
    ("pattern", "text", "moment"),
    [
        ("yyyy-MM-dd", "2024-02-30", dt.datetime(2024, 3, 1)),
        ("yyyy-MM-dd", "2024-13-01 and more", dt.datetime(2025, 1, 1)),
        ("HH:mm Z", "12:30 +0200", dt.datetime(1970, 1, 1, 10, 30)),
        ("HH:mm X", "12:30 -05", dt.datetime(1970, 1, 1, 17, 30)),
        ("dd MMM yyyy", "1 march 2020", dt.datetime(2020, 3, 1)),
        ("yy", "99", dt.datetime(1999, 1, 1)),
        ("yyyy DDD", "2024 366", dt.datetime(2024, 12, 31)),
        ("hh a", "12 am", dt.datetime(1970, 1, 1, 0)),
    ],
)
def test_texts_are_read(pattern: str, text: str, moment: dt.datetime) -> None:
    assert DateFormat(pattern).parse(text) == moment.replace(tzinfo=dt.UTC)


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(DataError, match=r"value \(soon\) does not match pattern \(yyyy\)"):
        DateFormat("yyyy").parse("soon")
    with pytest.raises(DataError, match="does not match"):
        DateFormat("yyyy").parse("999999999")
    with pytest.raises(ConfigError, match="Illegal pattern character 'j'"):
        DateFormat("jj")
    with pytest.raises(ConfigError, match="Unterminated quote"):
        DateFormat("'at")
    with pytest.raises(ConfigError, match="at most 200 characters"):
        DateFormat("y" * 1000)
