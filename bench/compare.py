"""`python -m bench compare` and `python -m bench diff`: two brokers, workload by workload, A B A B."""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from pathlib import Path

from bench import brokers, machine, page, report, source
from bench.kafka.broker import kafka
from bench.kafka.install import Kafka, KafkaUnavailableError, install, pinned_version
from bench.results import Results
from bench.run import DEFAULT, FULL, QUICK, Form, run
from bench.workloads import chosen
from bench.workloads.model import Start


def arguments(command: str) -> argparse.ArgumentParser:
    """What both commands take, and what only one does."""
    parser = argparse.ArgumentParser(prog=f"python -m bench {command}", description=__doc__)
    if command == "diff":
        parser.add_argument(
            "other",
            help="commit, or a Python with an Ottla, to compare the working tree with",
        )
    else:
        parser.add_argument(
            "--kafka", metavar="VERSION", help=f"release to fetch (default: {pinned_version()})"
        )
        parser.add_argument(
            "--full", action="store_true", help="all load, five rounds, 10 GB to recover; under an hour"
        )
        parser.add_argument("--markdown", type=Path, metavar="FILE", help="write docs/performance.md")
    parser.add_argument("workloads", nargs="*", help="subjects, or parts of names (default: all; see --list)")
    parser.add_argument(
        "--python",
        metavar="FILE",
        help="measure the Ottla of this Python, not the working tree",
    )
    parser.add_argument("--quick", action="store_true", help="the short form, under three minutes")
    parser.add_argument("--rounds", type=int, help="rounds of which medians are shown")
    parser.add_argument("--scale", type=float, help="load in relation to the full form's")
    parser.add_argument("--list", action="store_true", help="print the workloads and end")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples; kept up to date")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the ratios (needs matplotlib)")
    return parser


def main(command: str, given: list[str]) -> int:
    """Run `compare` or `diff`."""
    parser = arguments(command)
    options = parser.parse_args(given)
    quick = options.quick or command == "diff"
    try:
        workloads = chosen(options.workloads, quick=quick)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        print("\n".join(f"{each.subject:10} {each.name} ({each.client})" for each in workloads))
        return 0
    form = QUICK if quick else FULL if options.full else DEFAULT
    form = Form(form.name, options.scale or form.scale, options.rounds or form.rounds, form.warm_s)
    release = _release(getattr(options, "kafka", None))
    if release is None:
        workloads = [each for each in workloads if not each.java]
    shown = "python -m bench " + " ".join([command, *given])
    with contextlib.ExitStack() as stack:
        name = "now" if command == "diff" else "ottla"
        starts = {name: ottla_of(stack, name, options.python)}
        if command == "diff":
            starts[options.other] = ottla_of(stack, options.other, options.other)
        elif release is not None:
            starts["kafka"] = functools.partial(kafka, release)
        shown_form = f"{form.name}: load x {form.scale:g}, {form.rounds} rounds"
        about = machine.about(release, shown, shown_form, options.python)
        results = Results(tuple(starts), about)
        run(results, starts, workloads, form, release, options.json)
    print(report.table(results))
    page.write(results, getattr(options, "markdown", None), options.svg)
    return 1 if results.failures else 0


def _release(version: str | None) -> Kafka | None:
    try:
        return install(version)
    except KafkaUnavailableError as reason:
        print(f"Apache Kafka is left out, and its own clients with it: {reason}", file=sys.stderr)
        return None


def ottla_of(stack: contextlib.ExitStack, name: str, other: str | None) -> Start:
    """The Ottla of a Python or of a commit; without either the working tree's."""
    if other is not None and Path(other).is_file():
        return functools.partial(brokers.ottla, python=other, name=name)
    found = stack.enter_context(source.snapshot() if other is None else source.revision(other))
    return functools.partial(brokers.ottla, source=found, name=name)
