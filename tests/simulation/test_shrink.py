"""A failing seed is shrunk to what it takes to fail."""

from __future__ import annotations

import asyncio

import pytest
from tests.simulation.shrink import shrink
from tests.simulation.world import World


async def scenario(world: World) -> None:
    """Of its parts three together do harm, and others something else."""
    present = [number for number in range(30) if world.has(f"part {number}")]
    await asyncio.sleep(0.1)
    if {3, 17, 18} <= set(present):
        world.history.forbid(f"offset {len(present)} is lost")
    if 20 not in present:
        world.history.forbid(f"the leader has {len(present)} parts")


def test_what_is_left_is_the_least_that_fails_in_the_same_way() -> None:
    assert shrink(1, scenario) == ["part 3", "part 17", "part 18"]


def test_it_ends_with_what_was_found_so_far() -> None:
    left = shrink(1, scenario, most_runs=3)
    assert {"part 3", "part 17", "part 18"} < set(left)
    assert len(left) < 30


async def nothing(_world: World) -> None: ...


def test_there_must_be_something_wrong() -> None:
    with pytest.raises(ValueError, match="nothing is wrong"):
        shrink(1, nothing)
