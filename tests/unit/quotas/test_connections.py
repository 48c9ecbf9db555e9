"""How often connections may come."""

from __future__ import annotations

import pytest

from ottla.quotas import connections
from ottla.quotas.connections import NO_BOUND, ConnectionRates, Turn
from ottla.quotas.rates import Window

WINDOW = Window(11, 1000)


def test_without_bounds_nobody_waits() -> None:
    rates = ConnectionRates(WINDOW)
    assert {rates.came("A", "::1", 0, NO_BOUND, {}) for _ in range(1000)} == {Turn(0)}


def test_more_than_the_broker_takes_come_in_turn() -> None:
    rates = ConnectionRates(WINDOW)
    turns = [rates.came("A", "::1", 0, 10, {}).wait_ms for _ in range(140)]
    assert turns[:100] == [0] * 100  # ten seconds' worth
    assert turns == sorted(turns)
    assert turns[139] >= 3500  # the rest at ten a second
    assert rates.came("A", "::1", 60_000, 10, {}) == Turn(0)


def test_an_address_that_comes_too_often_is_refused_after_a_while() -> None:
    rates = ConnectionRates(WINDOW)
    bounds = {"192.0.2.1": 1.0, None: 2.0}
    turns = [rates.came("A", "192.0.2.1", 0, NO_BOUND, bounds) for _ in range(12)]
    assert turns == [Turn(0)] * 10 + [Turn(1000, is_refused=True)] * 2
    others = [rates.came("A", "192.0.2.2", 0, NO_BOUND, bounds).is_refused for _ in range(21)]
    assert others == [False] * 20 + [True]
    # What was refused does not count.
    assert rates.came("A", "192.0.2.1", 11_000, NO_BOUND, bounds) == Turn(0)


def test_addresses_without_number_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_ADDRESSES_MAX", 10)
    rates = ConnectionRates(WINDOW)
    for number in range(100):
        rates.came("A", f"192.0.2.{number}", number, NO_BOUND, {None: 1.0})
        assert len(rates._addresses) <= 10
    assert "192.0.2.99" in rates._addresses


def test_a_listener_has_its_own_turns() -> None:
    rates = ConnectionRates(WINDOW)
    slow = [rates.came("A", "::1", 0, NO_BOUND, {}, 10).wait_ms for _ in range(140)]
    assert slow[99] == 0 < slow[-1]
    assert {rates.came("B", "::1", 0, NO_BOUND, {}, 1000) for _ in range(140)} == {Turn(0)}
    assert rates.came("B", "::1", 0, 1, {}, 1000).wait_ms == 0, "the broker's rate counts from now on"
