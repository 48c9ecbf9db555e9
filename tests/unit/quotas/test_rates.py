"""Rates over sampled windows and token buckets, with what Kafka's own classes say of the same."""

from __future__ import annotations

from ottla.quotas.rates import SampledRate, TokenBucket, Window, with_room

KAFKAS = Window(11, 1000)


def test_what_begins_is_measured_over_the_whole_window() -> None:
    """Of ten seconds with nothing in them before."""
    rate = SampledRate()
    rate.record(5000, 100_000, KAFKAS)
    assert rate.wait_ms(500, 100_000, KAFKAS) == 0
    rate.record(5000, 100_000, KAFKAS)
    # 1,000 a second where 500 may be: (1000 - 500) / 500 of the ten seconds.
    assert rate.wait_ms(500, 100_000, KAFKAS) == 10_000


def test_a_burst_counts_until_it_leaves_the_window() -> None:
    rate = SampledRate()
    rate.record(10_000, 0, KAFKAS)
    assert rate.wait_ms(500, 0, KAFKAS) == 10_000
    assert rate.wait_ms(500, 10_999, KAFKAS) > 0
    assert rate.wait_ms(500, 11_000, KAFKAS) == 0


def test_samples_leave_the_window_by_their_last_event() -> None:
    rate = SampledRate()
    rate.record(1000, 0, KAFKAS)
    rate.record(1000, 999, KAFKAS)
    rate.record(1000, 1000, KAFKAS)
    assert not rate.is_over(11_998, KAFKAS)
    assert rate.wait_ms(100, 11_998, KAFKAS) > 0  # 3,000 in twelve seconds
    assert rate.wait_ms(100, 11_999, KAFKAS) == 0  # 1,000 in eleven
    assert rate.is_over(12_000, KAFKAS)


def test_a_steady_rate_is_told_exactly() -> None:
    rate = SampledRate()
    for second in range(60):
        rate.record(1000, second * 1000, KAFKAS)
    now = 59_000
    # Eleven samples, the last of which has only begun.
    assert rate.wait_ms(1100, now, KAFKAS) == 0
    assert rate.wait_ms(1000, now, KAFKAS) == 1000


def test_what_is_taken_back_counts_no_more() -> None:
    rate = SampledRate()
    rate.record(10_000, 0, KAFKAS)
    rate.record(-10_000, 0, KAFKAS)
    assert rate.wait_ms(1, 0, KAFKAS) == 0


def test_a_window_of_one_sample() -> None:
    window = Window(1, 1000)
    rate = SampledRate()
    rate.record(10, 0, window)
    assert rate.wait_ms(1_000_000, 0, window) == 0  # of one millisecond
    assert rate.wait_ms(5000, 0, window) == 1


def test_a_clock_that_goes_back_stops_nothing() -> None:
    rate = SampledRate()
    rate.record(10_000, 50_000, KAFKAS)
    rate.record(1, 10_000, KAFKAS)
    assert rate.wait_ms(1, 10_000, KAFKAS) > 0
    assert rate.wait_ms(1, 100_000, KAFKAS) == 0


def test_a_bucket_is_overdrawn_once_and_paid_for() -> None:
    bucket = TokenBucket(0, 2.0, KAFKAS)  # holds 22
    bucket.take(30, 2.0, 0, KAFKAS)
    assert bucket.wait_ms(2.0, 0, KAFKAS) == 4000
    assert bucket.wait_ms(2.0, 3000, KAFKAS) == 1000
    assert bucket.wait_ms(2.0, 4000, KAFKAS) == 0
    bucket.take(1, 2.0, 1_000_000, KAFKAS)
    bucket.take(21, 2.0, 1_000_000, KAFKAS)
    assert bucket.wait_ms(2.0, 1_000_000, KAFKAS) == 0
    bucket.take(1, 2.0, 1_000_000, KAFKAS)
    assert bucket.wait_ms(2.0, 1_000_000, KAFKAS) == 500


def test_room_is_made_for_many_at_once() -> None:
    """So that it is seldom that all are looked at."""
    kept = {number: number for number in range(100)}
    assert list(with_room(kept, 100, lambda _: False)) == list(range(10, 100))
    assert list(with_room(kept, 100, lambda each: each % 2 == 0)) == list(range(1, 100, 2))
    assert list(with_room(kept, 100, lambda each: each > 94)) == list(range(5, 95))
