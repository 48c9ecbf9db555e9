"""Waits grow, vary, and stay below their bound."""

from __future__ import annotations

from ottla.client.core.backoff import Backoff


def test_delays_double_and_are_bounded() -> None:
    backoff = Backoff(100, 1000)
    assert [backoff.delay_ms(failures, 0.5) for failures in (1, 2, 3, 4, 5, 10_000)] == [
        100,
        200,
        400,
        800,
        1000,
        1000,
    ]


def test_chance_varies_them_by_a_fifth_within_the_bound() -> None:
    backoff = Backoff(100, 1000)
    assert backoff.delay_ms(1, 0.0) == 80
    assert 119 < backoff.delay_ms(1, 0.999) < 120
    assert backoff.delay_ms(9, 0.999) == 1000


def test_a_bound_below_the_first_delay_gives_way() -> None:
    assert Backoff(100, 10).delay_ms(3, 0.5) == 100
