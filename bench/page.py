"""docs/performance.md: every row as it is, and for those short of a goal the cause."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path

from bench import plot
from bench.notes import Cause, Notes, filled_in
from bench.report import cells, columns, goal, number, shown
from bench.results import CLIENT_LIMIT, FLOOR, FLOOR_GOAL, OF_THE_FLOOR, Measured, Results

_HEAD = """\
# Performance

Written by `python -m bench compare --full --markdown docs/performance.md`; run it on your own machine before
you believe it. How the numbers are made and read: [benchmarks.md](benchmarks.md).
"""


def main(given: list[str]) -> int:
    """`python -m bench page`: what `compare` wrote as JSON, with the notes as they are now."""
    parser = argparse.ArgumentParser(prog="python -m bench page", description=main.__doc__)
    parser.add_argument("json", type=Path, help="written by `compare --json`")
    parser.add_argument("--markdown", type=Path, metavar="FILE", required=True)
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the ratios (needs matplotlib)")
    options = parser.parse_args(given)
    write(Results.load(options.json), options.markdown, options.svg)
    return 0


def write(results: Results, to: Path | None, svg: Path | None) -> None:
    """Draw the picture and write the page, which shows it, each where a path is given."""
    drawn = svg is not None and bool(plot.bars(results))
    if svg is not None and drawn:
        plot.save(results, svg)
    if to is not None:
        beside = os.path.relpath(svg, to.parent) if svg is not None and drawn else None
        to.write_text(markdown(results, beside))


def markdown(results: Results, plot: str | None = None, notes: Notes | None = None) -> str:
    """The whole page; `plot` is the file name of a picture beside it."""
    notes = notes or Notes.load()
    parts = [_HEAD, "\n".join(f"- {name}: {value}" for name, value in results.about.items()), ""]
    if plot is not None:
        parts += [f"![Ratios of Ottla to Apache Kafka]({plot})", ""]
    parts += [_legend(results), ""]
    for subject, rows in results.by_subject():
        parts += _section(results, notes, subject, shown(rows))
    if results.failures:
        parts += ["## What could not be measured", "", *(f"- {each}" for each in results.failures), ""]
    return "\n".join(parts)


def _legend(results: Results) -> str:
    return (
        "Medians over rounds; ratio and spread are of the brokers in the same round. *Cores* are those kept"
        f" busy of {results.about.get('cores', 'all')}: by the clients (in brackets by the busiest of their"
        f" threads) + by the broker, {' / '.join(results.brokers)}. *At most* is the ratio that a broker"
        " which takes no CPU at all would reach with these clients. Goals for MB/s: the ratio,"
        f" and {FLOOR_GOAL} of the floor unless the client's busiest thread has its core ({CLIENT_LIMIT} or"
        " more)."
    )


def _section(results: Results, notes: Notes, subject: str, rows: list[Measured]) -> list[str]:
    brokers = tuple(each for each in results.brokers if any(each in row.samples for row in rows))
    clients = ", ".join(dict.fromkeys(row.client for row in rows))
    heads = columns(brokers)
    parts = [f"## {subject.capitalize()}", "", f"Clients: {clients}.", ""]
    parts += [f"| {' | '.join(heads)} |", "| --- | --- |" + " ---: |" * (len(heads) - 2)]
    parts += [f"| {' | '.join(cells(row, results, brokers))} |" for row in rows]
    parts.append("")
    if subject in notes.subjects:
        parts += [_with_numbers(notes.subjects[subject], results).strip(), ""]
    short = [each for row in rows for each in shortfalls(row, results)]
    if short:
        parts += ["Short of a goal:", "", *_explained(short, notes, results), ""]
    return parts


def shortfalls(row: Measured, results: Results) -> list[tuple[Measured, str]]:
    """The goals that a row misses, its ratio to Kafka and its share of the floor: a row, and the number."""
    found = []
    if goal(row, results.brokers).endswith("NO") and (ratio := row.ratio(*results.brokers)):
        found.append((row, f"{row.metric} {ratio.median:.2f}"))
    share = row.ratio(results.brokers[0], FLOOR) if row.metric == "MB/s" else None
    thread = results.median(row.workload, "client thread", results.brokers[0]) or 0.0
    if share is not None and share.median < FLOOR_GOAL and thread < CLIENT_LIMIT:
        found.append((dataclasses.replace(row, metric=OF_THE_FLOOR), f"{share.median:.2f} of the floor"))
    return found


def _explained(short: list[tuple[Measured, str]], notes: Notes, results: Results) -> list[str]:
    """A line for each cause, and one for what has none yet."""
    by_cause: dict[Cause | None, dict[str, list[str]]] = {}
    for row, missed in short:
        by_cause.setdefault(notes.cause_of(row), {}).setdefault(row.workload, []).append(missed)
    lines = []
    for cause, workloads in by_cause.items():
        rows = "; ".join(f"*{name}* ({', '.join(missed)})" for name, missed in workloads.items())
        lines.append(f"- {rows}: {_with_numbers(cause.text, results) if cause else 'not explained yet.'}")
    return lines


def _with_numbers(text: str, results: Results) -> str:
    return filled_in(text, lambda *asked: number(results.median(*asked)))
