"""Some seeds of the scenario of clusters with transactions."""

from __future__ import annotations

import os

import pytest
from tests.simulation.coordinated import coordinated, counts
from tests.simulation.planted import last_stable_offset_one_too_far, offsets_are_committed_at_abort
from tests.simulation.planting import Planted
from tests.simulation.world import simulate

SEEDS = 4


def test_nothing_forbidden_happens() -> None:
    counted = 0
    for seed in range(SEEDS):
        outcome = simulate(seed, coordinated)
        again = f"again: python -m tests.simulation --cluster --transactions --seed {seed} --trace"
        assert not outcome.violations, again
        counted += counts(outcome)
    assert counted >= SEEDS / 2


@pytest.mark.skipif("OTTLA_TEST_COMPILED" in os.environ, reason="what is compiled can't be patched")
@pytest.mark.parametrize(
    "planted",
    [
        Planted(last_stable_offset_one_too_far, 0, ["precommitted read"]),
        Planted(offsets_are_committed_at_abort, 0, ["unfounded offset"]),
    ],
    ids=lambda planted: planted.name,
)
def test_a_planted_bug_is_found(planted: Planted) -> None:
    """The other scenario of transactions finds more, and in less time: here all is judged as there."""
    assert planted.is_found(coordinated, others=10)
