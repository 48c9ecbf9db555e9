"""A failing seed with as little in it as it takes: parts are left out while it still fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tests.simulation.world import Scenario, simulate

_MOST_RUNS = 500


def shrink(seed: int, scenario: Scenario, most_runs: int = _MOST_RUNS) -> list[str]:
    """The parts that are left; raises ValueError for a seed in which nothing is wrong.

    Of the same kind as what is wrong in it, that is: other bugs are left to other seeds.
    """
    whole = simulate(seed, scenario)
    if not whole.violations:
        raise ValueError(f"nothing is wrong in seed {seed}")
    kind = _kind(whole.violations[0])
    runs = 0

    def fails(parts: Sequence[str]) -> bool:
        nonlocal runs
        runs += 1
        violations = simulate(seed, scenario, only=frozenset(parts)).violations
        return any(_kind(each) == kind for each in violations)

    return _least(list(whole.parts), fails, lambda: runs < most_runs)


def _least(
    parts: list[str], fails: Callable[[Sequence[str]], bool], may_go_on: Callable[[], bool]
) -> list[str]:
    """Leave out large pieces first, then smaller ones, until none can be left out alone."""
    size = len(parts) // 2
    while size and may_go_on():
        is_smaller = False
        # What comes last is mostly what came too late to matter.
        for end in range(len(parts), 0, -size):
            fewer = parts[: max(end - size, 0)] + parts[end:]
            if may_go_on() and fails(fewer):
                parts, is_smaller = fewer, True
        if not is_smaller:
            size //= 2
    return parts


def _kind(violation: str) -> str:
    """What was found, without where, when and in which value."""
    return " ".join(re.sub(r"\S*\d\S*|'[^']*'", "", violation).split()[:4])
