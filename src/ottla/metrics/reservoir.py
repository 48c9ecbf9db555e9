"""Quantiles of what was measured last."""

from __future__ import annotations

from typing import Final

from ottla.metrics.families import Distribution

_QUANTILES: Final = (0.5, 0.75, 0.95, 0.98, 0.99, 0.999)
"""Those that Kafka's histograms have"""


class Reservoir:
    """Keeps the last values, at most `size`; the number and the sum are of all."""

    __slots__ = ("_next", "_size", "_values", "times", "total")

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._values: list[float] = []
        self._next = 0
        self.times = 0
        self.total = 0.0

    def add(self, value: float) -> None:
        """One more."""
        self.times += 1
        self.total += value
        if len(self._values) < self._size:
            self._values.append(value)
        else:
            self._values[self._next] = value
            self._next = (self._next + 1) % self._size

    def distribution(self) -> Distribution:
        """Of what is kept; the quantiles of nothing are 0, as Kafka's are."""
        values = sorted(self._values)
        last = len(values) - 1
        quantiles = {each: values[round(each * last)] if values else 0.0 for each in _QUANTILES}
        return Distribution(self.times, self.total, quantiles)
