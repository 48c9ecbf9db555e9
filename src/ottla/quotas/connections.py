"""How often connections may come: to the broker, and from each address (KIP-402, KIP-612)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ottla.quotas.rates import SampledRate, Window, with_room

NO_BOUND: Final = 2**31 - 1
"""Kafka's default"""
_ADDRESSES_MAX: Final = 10_000
"""Whose rates are remembered at a time"""


class Turn(NamedTuple):
    """What becomes of a new connection."""

    wait_ms: int
    """Before anything is read from it; what is refused stays so long, lest its client come again at once"""
    is_refused: bool = False


class ConnectionRates:
    """The rates of one broker, as it measures them."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._broker = SampledRate()
        self._listeners: dict[str, SampledRate] = {}
        self._turn_ms: dict[str, int] = {}
        """By listener: connections that have to wait are taken one after another, as by one acceptor"""
        self._addresses: dict[str, SampledRate] = {}

    def came(
        self,
        listener: str,
        address: str,
        now_ms: int,
        broker_bound: float,
        bounds: Mapping[str | None, float],
        listener_bound: float = NO_BOUND,
    ) -> Turn:
        """A connection came. Bounds are connections a second: of the broker, by address, where None is the
        default, and of the listener.
        """
        wait_ms = 0
        rates = [(self._broker, broker_bound)] if broker_bound < NO_BOUND else []
        if listener_bound < NO_BOUND:
            rates.append((self._listeners.setdefault(listener, SampledRate()), listener_bound))
        if rates:
            turn_ms = max(now_ms, self._turn_ms.get(listener, now_ms))
            for taken, _ in rates:
                taken.record(1, turn_ms, self._window)
            held_ms = max(taken.wait_ms(limit, turn_ms, self._window) for taken, limit in rates)
            held_ms = min(held_ms, self._window.sample_ms)
            self._turn_ms[listener] = turn_ms + held_ms
            wait_ms = turn_ms + held_ms - now_ms
        bound = bounds.get(address, bounds.get(None)) if bounds else None
        if bound is None:
            return Turn(wait_ms)
        rate = self._addresses.get(address)
        if rate is None:
            rate = self._add(address, now_ms)
        rate.record(1, now_ms, self._window)
        refused_ms = min(rate.wait_ms(bound, now_ms, self._window), self._window.sample_ms)
        if not refused_ms:
            return Turn(wait_ms)
        rate.record(-1, now_ms, self._window)
        for taken, _ in rates:
            taken.record(-1, now_ms, self._window)
        return Turn(refused_ms, is_refused=True)

    def _add(self, address: str, now_ms: int) -> SampledRate:
        if len(self._addresses) >= _ADDRESSES_MAX:
            window = self._window
            self._addresses = with_room(
                self._addresses, _ADDRESSES_MAX, lambda rate: rate.is_over(now_ms, window)
            )
        rate = self._addresses[address] = SampledRate()
        return rate
