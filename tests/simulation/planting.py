"""How bugs are planted, and looked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import pytest
from tests.simulation.world import Scenario, simulate

Plant: TypeAlias = Callable[[pytest.MonkeyPatch], None]


class Planted(NamedTuple):
    """A bug, a seed that finds it, and what is found then: something with one of these words in it."""

    plant: Plant
    seed: int
    names: Sequence[str]

    @property
    def name(self) -> str:
        return self.plant.__name__

    def found(self, seed: int, scenario: Scenario) -> list[str]:
        """What a seed finds of it."""
        with pytest.MonkeyPatch.context() as patch:
            self.plant(patch)
            violations = simulate(seed, scenario).violations
        return [each for each in violations if any(name in each for name in self.names)]

    def is_found(self, scenario: Scenario, others: int) -> bool:
        """By its seed or, once the broker has changed, by one of the first `others`."""
        return any(self.found(seed, scenario) for seed in (self.seed, *range(others)))
