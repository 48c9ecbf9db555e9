"""When a partition's end passed an offset."""

from __future__ import annotations

import pytest

from ottla.broker.monitoring.lag import EndHistory


def history(*points: tuple[int, int]) -> EndHistory:
    made = EndHistory()
    for at_ms, end_offset in points:
        made.note(end_offset, at_ms)
    return made


def test_who_has_all_is_not_behind() -> None:
    assert history((1000, 5), (2000, 5)).passed_ms(5) is None
    assert EndHistory().passed_ms(0) is None


@pytest.mark.parametrize(("offset", "expected"), [(0, 1000), (5, 2000), (10, 3000), (19, 3900), (20, None)])
def test_between_two_looks_it_is_by_proportion(offset: int, expected: int | None) -> None:
    assert history((1000, 0), (2000, 5), (3000, 10), (4000, 20)).passed_ms(offset) == expected


def test_nothing_came_while_the_end_stood_still() -> None:
    stalled = history((1000, 100), *((ms, 100) for ms in range(2000, 60_000, 1000)), (61_000, 200))
    assert stalled.passed_ms(150) == 60_000
    assert stalled.passed_ms(100) == 59_000


def test_before_the_first_look_it_is_that_or_what_the_record_says() -> None:
    seen = history((10_000, 50), (20_000, 60))
    assert not seen.knows(30)
    assert seen.passed_ms(30) == 10_000
    seen.note_earlier(30, 4_000)
    assert seen.knows(30)
    assert seen.passed_ms(30) == 4_000
    assert seen.passed_ms(40) == 7_000
    seen.note_earlier(20, 9_000)
    assert seen.passed_ms(30) == 4_000, "a record that is older and has a later timestamp says nothing"


def test_what_was_cut_back_is_forgotten() -> None:
    cut = history((1000, 0), (2000, 100), (3000, 40), (4000, 60))
    assert cut.passed_ms(50) == 3_500


def test_a_long_history_stays_bounded_and_right() -> None:
    long = history(*((ms, ms // 10) for ms in range(0, 1_000_000, 1000)))
    assert len(long._points) <= 256
    for offset in (100, 12_345, 99_000):
        passed = long.passed_ms(offset)
        assert passed is not None
        assert abs(passed - offset * 10) <= 1000
