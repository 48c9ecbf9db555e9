"""Some seeds of the scenario; that one seed is one run; and that what is wrong is found."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from tests.simulation.planted import what_a_killed_broker_left_counts_as_committed
from tests.simulation.planting import Planted
from tests.simulation.scenario import three_brokers
from tests.simulation.world import simulate

ROOT = Path(__file__).parent.parent.parent
SEEDS_TOGETHER = 6


@pytest.mark.parametrize("first", range(0, 36, SEEDS_TOGETHER))
def test_nothing_forbidden_happens(first: int) -> None:
    for seed in range(first, first + SEEDS_TOGETHER):
        assert not simulate(seed, three_brokers).violations, again(seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(1_000, 2_000, 100))
def test_nothing_forbidden_happens_in_many_seeds(first: int, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("a thousand seeds take minutes; run with --full")
    for seed in range(first, first + 100):
        assert not simulate(seed, three_brokers).violations, again(seed)


def again(seed: int) -> str:
    return f"again: python -m tests.simulation --seed {seed} --trace"


def test_without_flushing_a_power_loss_takes_what_was_acknowledged() -> None:
    """So the checker can find it, and the disk forgets."""
    found: list[str] = []
    for seed in range(10):
        found += simulate(seed, partial(three_brokers, flush=False)).violations
        if any("lost: b'" in each for each in found) and any("commit lost" in each for each in found):
            return
    pytest.fail(f"of ten seeds: {found}")


KILLED = partial(three_brokers, kills=True)
"""Nothing but SIGKILLs, after most of which the power goes."""


def test_what_a_killed_broker_left_is_on_the_disk_before_it_is_told() -> None:
    for seed in range(6):
        assert not simulate(seed, KILLED).violations, seed


@pytest.mark.skipif("OTTLA_TEST_COMPILED" in os.environ, reason="what is compiled can't be patched")
def test_a_coordinator_that_answers_from_what_the_disk_does_not_have_is_found() -> None:
    planted = Planted(what_a_killed_broker_left_counts_as_committed, 57, ["and then"])
    assert planted.is_found(KILLED, others=80)


def test_a_seed_is_the_same_alone_after_another_and_in_another_process() -> None:
    simulate(8, three_brokers)
    outcome = simulate(9, three_brokers)
    assert outcome.events > 1_000
    command = [sys.executable, "-m", "tests.simulation", "--seed", "9"]
    # Without the variable, as in ordinary runs, each process hashes texts in a way of its own.
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONHASHSEED"}
    alone = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert f"seed 9: {outcome.digest}, {outcome.events} events" in alone.stdout


def test_another_seed_is_another_run() -> None:
    assert simulate(8, three_brokers).digest != simulate(9, three_brokers).digest
