"""`python -m tests.simulation`: many seeds, or one again."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from functools import partial

from tests.simulation.scenario import three_brokers
from tests.simulation.world import Outcome, simulate

_SHOWN = 10


def main() -> int:
    """Run what the command line asks for; 1 when something forbidden happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="show each event")
    parser.add_argument(
        "--no-flush", action="store_true", help="with ottla.acks.all.flush=false: losses are found"
    )
    options = parser.parse_args()
    seeds = range(options.start, options.start + options.seeds)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    scenario = partial(three_brokers, flush=not options.no_flush)
    failed: list[int] = []
    totals: Counter[str] = Counter()
    for seed in seeds:
        began = time.perf_counter()
        outcome = simulate(seed, scenario, print if options.trace else None)
        totals.update(outcome.stats)
        _report(outcome, time.perf_counter() - began, again="--no-flush" if options.no_flush else "")
        if outcome.violations:
            failed.append(seed)
    for what, often in sorted(totals.items()):
        print(f"{often:8} {what}")
    print(f"{len(seeds) - len(failed)} of {len(seeds)} seeds are fine{f'; not {failed}' if failed else ''}")
    return 1 if failed else 0


def _report(outcome: Outcome, took_s: float, again: str) -> None:
    length = f"{outcome.events} events in {outcome.seconds:.1f} s"
    print(f"seed {outcome.seed}: {outcome.digest}, {length}, took {took_s:.2f} s", flush=True)
    for violation in outcome.violations[:_SHOWN]:
        print(f"  {violation}")
    if len(outcome.violations) > _SHOWN:
        print(f"  and {len(outcome.violations) - _SHOWN} more")
    if outcome.violations:
        print(f"  again: python -m tests.simulation --seed {outcome.seed} --trace {again}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
