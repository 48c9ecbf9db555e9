"""`python -m tests.simulation`: many seeds, or one again."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from tests.simulation import coordinated, exactly_once, replicated
from tests.simulation.campaign import Campaign, Line
from tests.simulation.scenario import three_brokers
from tests.simulation.shrink import shrink

_SHOWN = 10


def main() -> int:
    """Run what the command line asks for; 1 when something forbidden happened."""
    options = _options()
    campaign = _campaign(options)
    if options.seed is not None:
        only = options.only and [part.strip() for part in options.only.split(",")]
        if options.shrink:
            only = shrink(options.seed, campaign.scenario)
            options.only = ", ".join(only)
        line = campaign.run_one(options.seed, print if options.trace else None, only)
        _report(line, options)
        return int(bool(line.violations))
    failed: list[int] = []
    totals: Counter[str] = Counter()
    counted = tried = 0
    lines = campaign.run(options.start, options.jobs, options.state)
    while counted < options.seeds:
        line = next(lines)
        _report(line, options)
        totals.update(line.stats)
        tried += 1
        counted += line.does_count
        if line.violations:
            failed.append(line.seed)
    lines.close()
    for what, often in sorted(totals.items()):
        print(f"{often:8} {what}")
    if campaign.counts is not None:
        print(f"{counted} of {tried} seeds count: in them happened what had to happen")
    print(f"{tried - len(failed)} of {tried} seeds are fine{f'; not {failed}' if failed else ''}")
    return int(bool(failed))


def _campaign(options: argparse.Namespace) -> Campaign:
    if options.transactions and options.cluster:
        return Campaign(coordinated.coordinated, coordinated.counts, options.save)
    if options.transactions:
        return Campaign(exactly_once.exactly_once, exactly_once.counts, options.save)
    if options.cluster:
        return Campaign(replicated.replicated, replicated.counts, options.save)
    return Campaign(partial(three_brokers, flush=not options.no_flush), None, options.save)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--only", help="with these parts of its scenario, as --shrink names them")
    parser.add_argument("--shrink", action="store_true", help="leave out what it fails without")
    parser.add_argument("--trace", action="store_true", help="show each event of it")
    parser.add_argument(
        "--no-flush", action="store_true", help="with ottla.acks.all.flush=false: losses are found"
    )
    parser.add_argument(
        "--transactions",
        action="store_true",
        help="the scenario of transactions; only seeds with aborts, fencings and restarts count "
        "(with --cluster: and elections of coordinators)",
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="the scenario of clusters; only seeds with elections, changes of ISRs and of the controller, "
        "truncations and unknown outcomes count",
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="processes (default: as many as CPUs)"
    )
    parser.add_argument("--state", type=Path, help="a file of what is done: a run that was stopped goes on")
    parser.add_argument("--save", type=Path, help="a folder for the histories in which something is wrong")
    return parser.parse_args()


def _report(line: Line, options: argparse.Namespace) -> None:
    length = f"{line.events} events in {line.seconds:.1f} s"
    print(
        f"seed {line.seed}: {line.digest}, {length}{'' if line.does_count else ', does not count'}",
        flush=True,
    )
    for violation in line.violations[:_SHOWN]:
        print(f"  {violation}")
    if len(line.violations) > _SHOWN:
        print(f"  and {len(line.violations) - _SHOWN} more")
    if line.violations:
        flags = {
            " --no-flush": options.no_flush,
            " --transactions": options.transactions,
            " --cluster": options.cluster,
        }
        given = "".join(flag for flag, is_given in flags.items() if is_given)
        given += f' --only "{options.only}"' if options.only else ""
        print(f"  again: python -m tests.simulation{given} --seed {line.seed} --trace")


if __name__ == "__main__":
    sys.exit(main())
