"""docs/streams-performance.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.notes import Notes
from bench.report import number
from bench.results import Results

if TYPE_CHECKING:
    from bench.streams.run import Row

NOTES = Path(__file__).with_name("notes.toml")

_HEAD = """\
# Streams beside others

Written by `python -m bench streams --markdown docs/streams-performance.md`; run it on your own machine
before you believe it. Each system does the same work in a process of its own, one after the other and round
after round, on topics of four partitions, with one thread, JSON values, stores on disk, changelogs, at least
once, a commit each second. A fifth of the records goes before anything is counted; what is held back of
updates at the end is told before the count ends. Other work may run on the machine meanwhile: so CPU time
counts, user and system, of all threads of the process, and not how long it takes.

The *cache* is what holds updates of a key back so that some become one (`statestore.cache.max.bytes`): on,
10 MB; off, each record gives an update. Quix has none and tells every update in both.

Faust (faust-streaming 0.15.3 with aiokafka 0.14) is left out: it can be installed, joins its group and is
told its partitions, but its agents got no record within a minute; the cause was not found
(`--systems ottla,faust` tries it).
"""


def markdown(results: Results, rows: Mapping[str, Row], notes: Notes | None = None) -> str:
    notes = notes or Notes.load(NOTES)
    lines = [_HEAD, "\n".join(f"- {name}: {value}" for name, value in results.about.items()), ""]
    lines += ["In thousands of records for each second of CPU; medians, and how far rounds lie apart.", ""]
    lines += [f"| | {' | '.join(results.brokers)} | of the others', spread | goal |"]
    lines += ["| --- |" + " ---: |" * len(results.brokers) + " --- | --- |"]
    short: list[str] = []
    for _, measured in results.by_subject():
        for each in measured:
            row = rows.get(each.workload)
            if each.metric != "records/CPU s" or row is None:
                continue
            cells = [row.name]
            for system in results.brokers:
                median = each.median(system)
                cells.append(number(None if median is None else median / 1000))
            ratios, goals = [], []
            for system, goal in row.goals:
                ratio = each.ratio("ottla", system)
                if ratio is None:
                    continue
                ratios.append(f"{ratio.median:.2f} of {system} ({ratio.low:.2f}-{ratio.high:.2f})")
                is_reached = ratio.median >= goal
                goals.append(f"≥ {goal:g} of {system}: {'yes' if is_reached else 'NO'}")
                if not is_reached:
                    cause = notes.cause_of(each)
                    short.append(f"- *{row.name}*, {system}: {cause.text if cause else 'not explained yet.'}")
            lines.append(f"| {' | '.join([*cells, '; '.join(ratios), '; '.join(goals)])} |")
    lines += ["", *(["Short of a goal:", "", *short, ""] if short else [])]
    if results.failures:
        lines += ["## What could not be measured", "", *(f"- {each}" for each in results.failures), ""]
    return "\n".join(lines)
