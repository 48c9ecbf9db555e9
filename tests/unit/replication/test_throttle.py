from hypothesis import given
from hypothesis import strategies as st

from ottla.replication.throttle import Rate, Window

WINDOW = Window(11, 1000)


def test_a_burst_is_made_good_for_by_time():
    rate = Rate()
    assert rate.per_second(0, WINDOW) == 0
    rate.record(3000, 0, WINDOW)
    assert rate.per_second(1, WINDOW) == 3000  # a sample at least
    assert rate.per_second(3000, WINDOW) == 1000
    rate.record(1000, 3500, WINDOW)
    assert rate.per_second(4000, WINDOW) == 1000


def test_what_is_long_ago_does_not_count():
    rate = Rate()
    rate.record(5000, 0, WINDOW)
    rate.record(100, 5000, WINDOW)
    assert rate.per_second(10_999, WINDOW) == 5100 * 1000 / 10_999
    assert rate.per_second(11_000, WINDOW) == 100 * 1000 / 6000
    assert rate.per_second(16_000, WINDOW) == 0


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 500)), max_size=200), st.integers(100, 2000))
def test_who_stops_while_it_is_exceeded_keeps_to_the_limit(steps, limit):
    """As long as each piece is small, no window has more than the limit and a piece."""
    rate, now_ms, came = Rate(), 0, []
    for pause_ms, size in steps:
        now_ms += pause_ms
        if rate.per_second(now_ms, WINDOW) <= limit:
            rate.record(size, now_ms, WINDOW)
            came.append((now_ms, size))
    for begin_ms, _ in came:
        within = sum(size for at_ms, size in came if begin_ms <= at_ms < begin_ms + 10_000)
        assert within <= limit * 11 + 500 * 2
