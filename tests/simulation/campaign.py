"""Many seeds, in several processes, in a run that may be stopped and go on."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Collection, Generator
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

from tests.simulation.world import Outcome, Scenario, simulate


class Line(NamedTuple):
    """What is kept of a seed."""

    seed: int
    digest: str
    events: int
    seconds: float
    does_count: bool
    """In it happened what had to happen."""
    stats: dict[str, int]
    violations: list[str]


class Campaign(NamedTuple):
    """Seeds of a scenario."""

    scenario: Scenario
    """One that can be pickled."""
    counts: Callable[[Outcome], bool] | None
    """Whether in a seed happened what had to happen; without it all count. One that can be pickled"""
    save: Path | None
    """A folder for the operations of seeds in which something is wrong."""

    def run_one(
        self, seed: int, show: Callable[[str], None] | None = None, only: Collection[str] | None = None
    ) -> Line:
        outcome = simulate(seed, self.scenario, show, only)
        if outcome.violations and self.save is not None:
            self.save.mkdir(parents=True, exist_ok=True)
            outcome.operations.save(self.save / f"{seed}.jsonl")
        return Line(
            seed,
            outcome.digest,
            outcome.events,
            outcome.seconds,
            self.counts is None or self.counts(outcome),
            dict(outcome.stats),
            outcome.violations,
        )

    def run(self, start: int, jobs: int, state: Path | None) -> Generator[Line, None, None]:
        """Seeds from `start` on, without end, those first that were done before (in the file `state`)."""
        done = {line.seed: line for line in _read(state)}
        yield from done.values()
        seeds = (seed for seed in count(start) if seed not in done)
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            while True:
                # In rounds, as `imap` takes all that it is given at once.
                for line in pool.imap(self.run_one, list(islice(seeds, 8 * jobs))):
                    if state is not None:
                        with state.open("a") as file:
                            file.write(json.dumps(line._asdict()) + "\n")
                    yield line


def _read(state: Path | None) -> list[Line]:
    if state is None or not state.exists():
        return []
    return [Line(**json.loads(line)) for line in state.read_text().splitlines()]
