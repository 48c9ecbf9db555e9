"""Runs workloads on brokers that stay up for the whole run, round after round: A B A B."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from confluent_kafka import KafkaException

from bench.kafka.install import Kafka
from bench.kafka.tools import ToolError
from bench.results import FLOOR, Results
from bench.wire import RefusedError
from bench.workloads import WARMING
from bench.workloads.model import Context, Measure, Row, Start, Workload

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
_FIXED_SHARE = 0.4
"""The part of a workload's time that does not grow with its load."""


@dataclass(frozen=True, slots=True)
class Form:
    """How much of everything."""

    name: str
    scale: float
    """Load in relation to the full form's."""
    rounds: int
    warm_s: float

    def round_s(self, workload: Workload) -> float:
        """About how long a round of a workload takes."""
        return workload.seconds * (_FIXED_SHARE + (1 - _FIXED_SHARE) * self.scale)

    def estimate_s(self, workloads: list[Workload]) -> float:
        """About how long all rounds of all workloads take on 2 cores, with both brokers and the floor."""
        return sum(map(self.round_s, workloads)) * self.rounds + 2 * self.warm_s


QUICK = Form("short (--quick)", 0.2, 3, 8)
DEFAULT = Form("default", 0.5, 3, 30)
FULL = Form("full (--full)", 1.0, 5, 30)


class Progress:
    """Says how far a run is, and how long the rest takes by what it took so far."""

    def __init__(self, form: Form, workloads: list[Workload]) -> None:
        self._form, self._workloads = form, workloads
        self._began = time.monotonic()
        self._expected_s = 0.0
        self._measuring_since = self._began
        minutes = form.estimate_s(workloads) / 60
        _say(f"{len(workloads)} workloads, {form.rounds} rounds, {form.name}: about {minutes:.0f} minutes")

    @property
    def minutes(self) -> float:
        """Since the run began."""
        return (time.monotonic() - self._began) / 60

    def warmed(self) -> None:
        """From here on workloads are measured."""
        self._measuring_since = time.monotonic()

    def next(self, place: int) -> None:
        """The workload at that place begins."""
        rest_s = sum(map(self._form.round_s, self._workloads[place:])) * self._form.rounds
        took_s = time.monotonic() - self._measuring_since
        if self._expected_s:
            rest_s *= took_s / self._expected_s
        done = f"{self.minutes:5.1f} min, {rest_s / 60:4.1f} to go"
        _say(f"[{done}] {place + 1}/{len(self._workloads)} {self._workloads[place].name}")
        self._expected_s += self._form.round_s(self._workloads[place]) * self._form.rounds


def run(
    results: Results,
    starts: dict[str, Start],
    workloads: list[Workload],
    form: Form,
    release: Kafka | None,
    json: Path | None,
) -> None:
    """Measure into `results`; only one broker is under load at a time."""
    progress = Progress(form, workloads)
    with contextlib.ExitStack() as stack:
        contexts = []
        for start in starts.values():
            context = Context(stack.enter_context(start()), start, form.scale, release)
            stack.callback(context.close)
            _warm_up(context, form.warm_s)
            contexts.append(context)
        progress.warmed()
        for place, workload in enumerate(workloads):
            progress.next(place)
            measured = functools.partial(measure, results, workload, contexts, form.rounds)
            _attempt(results, workload.name, measured)
            results.about["took"] = f"{progress.minutes:.0f} minutes"
            if json is not None:
                results.save(json)
    _say(f"took {progress.minutes:.1f} minutes")


def _warm_up(context: Context, seconds: float) -> None:
    """Small load of every kind, not measured: a JVM that has just started uses several times the CPU."""
    _say(f"warming {context.broker.name} for {seconds:g} s")
    warming = context.for_warming()
    deadline = time.monotonic() + seconds
    for workload in itertools.cycle(WARMING):
        with workload.prepare(warming) as measure:
            measure()
        if time.monotonic() > deadline:
            return


def measure(results: Results, workload: Workload, contexts: list[Context], rounds: int) -> None:
    """All rounds of a workload; a broker that could not be prepared is left out."""
    with contextlib.ExitStack() as stack:
        ready: list[tuple[Context, Measure]] = []
        for context in contexts:
            if workload.alone and context.broker.name == "kafka":
                continue
            what = f"{workload.name} on {context.broker.name}"
            prepared = functools.partial(stack.enter_context, workload.prepare(context))
            measure = _attempt(results, f"{what}, preparation", prepared)
            if measure is not None:
                ready.append((context, measure))
        for number in range(rounds):
            _round(results, workload, ready, number)


def _round(results: Results, workload: Workload, ready: list[tuple[Context, Measure]], number: int) -> None:
    """A round in which one of them failed is not kept, as ratios are of the same round."""
    rows: dict[str, Row] = {}
    for context, measure in ready:
        name = context.broker.name
        row = _attempt(results, f"{workload.name} on {name}", measure)
        if row is None:
            if context.broker.process.poll() is not None:
                raise SystemExit(f"{name} ended by itself during {workload.name}")
            return
        rows[name] = row
    if workload.floor is not None:
        floor = _attempt(results, "the floor", functools.partial(workload.floor, number))
        if floor is not None:
            rows[FLOOR] = floor
    for name, row in rows.items():
        results.add(workload.name, workload.subject, workload.client, name, row)


def _attempt(results: Results, what: str, measure: Callable[[], _T]) -> _T | None:
    """The measurement; a failure becomes a line of the report, and the run goes on."""
    os.sync()  # what the last measurement left in the page cache is not written during this one
    try:
        return measure()
    except _FAILURES as error:
        failure = f"{what}: {error}"
        _say(f"          {failure}")
        if failure not in results.failures:
            results.failures.append(failure)
        return None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
