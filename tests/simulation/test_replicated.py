"""Some seeds of the scenario of clusters."""

from __future__ import annotations

import os

import pytest
from tests.simulation.planted_cluster import FOUND
from tests.simulation.planting import Planted
from tests.simulation.replicated import counts, replicated
from tests.simulation.world import simulate

SEEDS_TOGETHER = 8


@pytest.mark.parametrize("first", range(0, 24, SEEDS_TOGETHER))
def test_nothing_forbidden_happens(first: int) -> None:
    counted = 0
    for seed in range(first, first + SEEDS_TOGETHER):
        outcome = simulate(seed, replicated)
        assert not outcome.violations, f"again: python -m tests.simulation --cluster --seed {seed} --trace"
        counted += counts(outcome)
    assert counted >= SEEDS_TOGETHER / 2


def test_a_seed_is_the_same_again() -> None:
    first, second = simulate(1, replicated), simulate(1, replicated)
    assert (first.digest, first.events) == (second.digest, second.events)


def test_another_seed_is_another_run() -> None:
    assert simulate(1, replicated).digest != simulate(2, replicated).digest


@pytest.mark.skipif("OTTLA_TEST_COMPILED" in os.environ, reason="what is compiled can't be patched")
@pytest.mark.parametrize("planted", FOUND, ids=[planted.name for planted in FOUND])
def test_a_planted_bug_is_found(planted: Planted) -> None:
    assert planted.is_found(replicated, others=60)
