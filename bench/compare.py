"""`python -m bench compare` and `python -m bench diff`: two brokers, workload by workload, A B A B."""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from confluent_kafka import KafkaException

from bench import brokers, machine, plot, report
from bench.kafka.broker import kafka
from bench.kafka.install import Kafka, KafkaUnavailableError, install, pinned_version
from bench.kafka.tools import ToolError
from bench.results import FLOOR, Results
from bench.wire import RefusedError
from bench.workloads import WARMING, chosen
from bench.workloads.model import Context, Start, Workload

_T = TypeVar("_T")
_FAILURES = (
    RuntimeError,
    ValueError,
    struct.error,
    OSError,
    RefusedError,
    ToolError,
    KafkaException,
    subprocess.TimeoutExpired,
)


@dataclass(frozen=True, slots=True)
class Form:
    """How much of everything."""

    name: str
    scale: float
    rounds: int
    warm_s: float


QUICK = Form("short (--quick)", 0.3, 3, 8)
DEFAULT = Form("default", 1.0, 3, 30)
FULL = Form("full (--full)", 1.5, 5, 60)


def arguments(command: str) -> argparse.ArgumentParser:
    """What both commands take, and what only one does."""
    parser = argparse.ArgumentParser(prog=f"python -m bench {command}", description=__doc__)
    if command == "diff":
        parser.add_argument("revision", help="commit to compare the working tree against")
    else:
        parser.add_argument(
            "--kafka", metavar="VERSION", help=f"release to fetch (default: {pinned_version()})"
        )
        parser.add_argument(
            "--full", action="store_true", help="more load, five rounds, 10 GB to recover; under an hour"
        )
        parser.add_argument("--markdown", type=Path, metavar="FILE", help="write docs/performance.md")
    parser.add_argument("workloads", nargs="*", help="subjects, or parts of names (default: all; see --list)")
    parser.add_argument("--quick", action="store_true", help="the short form, under three minutes")
    parser.add_argument("--rounds", type=int, help="rounds of which medians are shown")
    parser.add_argument("--scale", type=float, help="load in relation to the default form's")
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
        if command == "diff":
            starts = stack.enter_context(_two_versions(options.revision))
        else:
            starts = {"ottla": brokers.ottla}
            if release is not None:
                starts["kafka"] = functools.partial(kafka, release)
        about = machine.about(release, shown, f"{form.name}: load x {form.scale:g}, {form.rounds} rounds")
        results = Results(tuple(starts), about)
        _run(results, starts, workloads, form, release, options.json)
    print(report.table(results))
    drawn = options.svg is not None and bool(plot.bars(results))
    if drawn:
        plot.save(results, options.svg)
    if getattr(options, "markdown", None):
        beside = os.path.relpath(options.svg, options.markdown.parent) if drawn else None
        options.markdown.write_text(report.markdown(results, beside))
    return 1 if results.failures else 0


def _release(version: str | None) -> Kafka | None:
    try:
        return install(version)
    except KafkaUnavailableError as reason:
        print(f"Apache Kafka is left out, and its own clients with it: {reason}", file=sys.stderr)
        return None


@contextlib.contextmanager
def _two_versions(revision: str) -> Iterator[dict[str, Start]]:
    """The revision in a work tree of its own, and the source as it is."""
    git = ("git", "-C", str(machine.ROOT))
    with tempfile.TemporaryDirectory(prefix="ottla-bench-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "worktree", "add", "--detach", "--quiet", str(tree), revision], check=True)
        try:
            yield {
                "now": functools.partial(brokers.ottla, source=machine.ROOT / "src", name="now"),
                revision: functools.partial(brokers.ottla, source=tree / "src", name=revision),
            }
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(tree)], check=True)


def _run(
    results: Results,
    starts: dict[str, Start],
    workloads: list[Workload],
    form: Form,
    release: Kafka | None,
    json: Path | None,
) -> None:
    """All brokers stay up for the whole run, so that each is warm; only one is under load at a time."""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        contexts = []
        for start in starts.values():
            context = Context(stack.enter_context(start()), start, form.scale, release)
            stack.callback(context.close)
            _warm_up(context, form.warm_s)
            contexts.append(context)
        for place, workload in enumerate(workloads, 1):
            print(
                f"[{time.monotonic() - began:5.0f} s] {place}/{len(workloads)} {workload.name}",
                file=sys.stderr,
                flush=True,
            )
            for _ in range(min(form.rounds, workload.max_rounds)):
                _round(results, workload, contexts, form.scale)
            if json is not None:
                results.save(json)
    results.about["took"] = f"{(time.monotonic() - began) / 60:.0f} minutes"
    if json is not None:
        results.save(json)


def _warm_up(context: Context, seconds: float) -> None:
    """Small load of every kind, not measured: a JVM that has just started uses several times the CPU."""
    print(f"warming {context.broker.name} for {seconds:g} s", file=sys.stderr, flush=True)
    warming = context.for_warming()
    deadline = time.monotonic() + seconds
    for workload in itertools.cycle(WARMING):
        workload.run(warming)
        if time.monotonic() > deadline:
            return


def _round(results: Results, workload: Workload, contexts: list[Context], scale: float) -> None:
    for context in contexts:
        name = context.broker.name
        row = _measured(results, f"{workload.name} on {name}", functools.partial(workload.run, context))
        if row is not None:
            results.add(workload.name, workload.subject, workload.client, name, row)
        elif context.broker.process.poll() is not None:
            raise SystemExit(f"{name} ended by itself during {workload.name}")
    if workload.floor is not None:
        rate = _measured(results, f"{workload.name}, floor", functools.partial(workload.floor, scale))
        if rate is not None:
            row = {"MB/s": rate}
            results.add(workload.name, workload.subject, workload.client, FLOOR, row)


def _measured(results: Results, what: str, measure: Callable[[], _T]) -> _T | None:
    """The measurement; a failure becomes a line of the report, and the run goes on."""
    os.sync()  # what the last measurement left in the page cache is not written during this one
    try:
        return measure()
    except _FAILURES as error:
        failure = f"{what}: {error}"
        print(f"          {failure}", file=sys.stderr, flush=True)
        if failure not in results.failures:
            results.failures.append(failure)
        return None
