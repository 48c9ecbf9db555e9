"""Rounds pair both brokers, a failure costs a line, and what is left of the time is said."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Iterator

import pytest
from bench import run
from bench.brokers import Running
from bench.results import FLOOR, Results
from bench.workloads.model import Context, Measure, Row, Workload, each_round


@pytest.fixture
def contexts() -> Iterator[list[Context]]:
    with contextlib.ExitStack() as stack:
        found = []
        for name in ("ottla", "kafka"):
            command = [sys.executable, "-c", "input()"]
            process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE))
            stack.callback(process.kill)
            found.append(Context(Running(name, "h:1", process, 0.1), contextlib.nullcontext, 1.0, None))
        yield found


def _workload(run_once: object, **given: object) -> Workload:
    assert callable(run_once)
    found = Workload("work", "produce", "a client", each_round(run_once), seconds=10)
    return dataclasses.replace(found, **given)


def _measured(workload: Workload, contexts: list[Context], rounds: int = 3) -> Results:
    results = Results(("ottla", "kafka"))
    run.measure(results, workload, contexts, rounds)
    return results


def test_brokers_and_floor_take_turns(contexts: list[Context]) -> None:
    order: list[str] = []

    def once(context: Context) -> Row:
        order.append(context.broker.name)
        return {"MB/s": float(len(order))}

    results = _measured(_workload(once, floor=lambda number: {"MB/s": 100.0 + number}), contexts)
    assert order == ["ottla", "kafka"] * 3
    assert results.rows[0].samples == {
        "ottla": [1.0, 3.0, 5.0],
        "kafka": [2.0, 4.0, 6.0],
        FLOOR: [100.0, 101.0, 102.0],
    }


def test_round_in_which_one_failed_is_left_out_of_both(contexts: list[Context]) -> None:
    turns = {"ottla": 0, "kafka": 0}

    def once(context: Context) -> Row:
        turns[context.broker.name] += 1
        if (context.broker.name, turns["kafka"]) == ("kafka", 2):
            raise RuntimeError("records were not delivered")
        return {"MB/s": float(turns[context.broker.name])}

    results = _measured(_workload(once), contexts)
    assert results.rows[0].samples == {"ottla": [1.0, 3.0], "kafka": [1.0, 3.0]}
    assert results.failures == ["work on kafka: records were not delivered"]


def test_broker_that_cannot_be_prepared_is_left_out(contexts: list[Context]) -> None:
    @contextlib.contextmanager
    def prepare(context: Context) -> Iterator[Measure]:
        if context.broker.name == "kafka":
            raise RuntimeError("no room")
        yield lambda: {"restart s": 1.0}

    results = _measured(_workload(print, prepare=prepare), contexts)
    assert results.rows[0].samples == {"ottla": [1.0] * 3}
    assert results.failures == ["work on kafka, preparation: no room"]


def test_work_of_ottla_alone_leaves_kafka_out(contexts: list[Context]) -> None:
    results = _measured(_workload(lambda _: {"MB/s": 1.0}, alone=True), contexts)
    assert results.rows[0].samples == {"ottla": [1.0] * 3}


def test_broker_that_ends_by_itself_ends_the_run(contexts: list[Context]) -> None:
    def once(context: Context) -> Row:
        context.broker.crash()
        raise RuntimeError("connection lost")

    with pytest.raises(SystemExit, match="ottla ended by itself during work"):
        _measured(_workload(once), contexts)


def test_estimate_grows_with_rounds_load_and_workloads() -> None:
    work = _workload(print)
    form = run.Form("form", 1.0, 5, 30)
    assert form.estimate_s([work]) == 5 * 10 + 60
    assert form.estimate_s([work, work]) == 2 * 5 * 10 + 60
    less = dataclasses.replace(form, scale=0.5)
    assert 60 < less.estimate_s([work]) < form.estimate_s([work])


def test_progress_learns_from_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1000.0]
    monkeypatch.setattr(run.time, "monotonic", lambda: now[0])
    workloads = [_workload(print, name=name, seconds=12.0) for name in ("first", "second", "third")]
    progress = run.Progress(run.Form("form", 1.0, 5, 30), workloads)
    now[0] += 60
    progress.warmed()
    progress.next(0)
    now[0] += 120  # twice what was expected of the first
    progress.next(1)
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "3 workloads, 5 rounds, form: about 4 minutes",
        "[  1.0 min,  3.0 to go] 1/3 first",
        "[  3.0 min,  4.0 to go] 2/3 second",
    ]
