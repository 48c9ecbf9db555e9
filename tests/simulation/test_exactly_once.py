"""Some seeds of the scenario of transactions, and that planted bugs are found in it."""

from __future__ import annotations

import os

import pytest
from tests.simulation.exactly_once import counts, exactly_once
from tests.simulation.planted import FOUND
from tests.simulation.planting import Planted
from tests.simulation.world import simulate

SEEDS_TOGETHER = 8
SEEDS_IN_SHORT = 40


@pytest.mark.parametrize("first", range(0, 80, SEEDS_TOGETHER))
def test_nothing_forbidden_happens(first: int, pytestconfig: pytest.Config) -> None:
    if first >= SEEDS_IN_SHORT and not pytestconfig.getoption("--full"):
        pytest.skip("as many seeds again: with --full")
    counted = 0
    for seed in range(first, first + SEEDS_TOGETHER):
        outcome = simulate(seed, exactly_once)
        assert not outcome.violations, again(seed)
        counted += counts(outcome)
    assert counted >= SEEDS_TOGETHER / 2


def again(seed: int) -> str:
    return f"again: python -m tests.simulation --transactions --seed {seed} --trace"


def test_a_seed_is_the_same_again() -> None:
    first = simulate(3, exactly_once)
    second = simulate(3, exactly_once)
    assert (first.digest, first.events) == (second.digest, second.events)
    assert first.operations.operations == second.operations.operations


@pytest.mark.skipif("OTTLA_TEST_COMPILED" in os.environ, reason="what is compiled can't be patched")
@pytest.mark.parametrize("planted", FOUND, ids=[planted.name for planted in FOUND])
def test_a_planted_bug_is_found(planted: Planted) -> None:
    assert planted.is_found(exactly_once, others=60)
