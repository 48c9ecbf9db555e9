"""What is told of many measurements, of which few are kept."""

from __future__ import annotations

from ottla.metrics.reservoir import Reservoir


def test_of_nothing_all_quantiles_are_zero() -> None:
    distribution = Reservoir().distribution()
    assert (distribution.times, distribution.total) == (0, 0)
    assert set(distribution.quantiles.values()) == {0.0}


def test_quantiles_are_of_what_is_kept_and_the_sum_of_all() -> None:
    reservoir = Reservoir(size=101)
    for value in (10_000.0, *map(float, range(101))):
        reservoir.add(value)
    distribution = reservoir.distribution()
    assert (distribution.times, distribution.total) == (102, 10_000 + 5050)
    assert distribution.quantiles[0.5] == 50
    assert distribution.quantiles[0.99] == 99
    for value in range(1000, 1101):
        reservoir.add(float(value))
    assert reservoir.distribution().quantiles[0.5] == 1050
