"""docs/client-performance.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.notes import Notes
from bench.report import number
from bench.results import Measured, Results

if TYPE_CHECKING:
    from bench.clients.run import Row

NOTES = Path(__file__).with_name("notes.toml")

_HEAD = """\
# The client beside others

Written by `python -m bench clients --markdown docs/client-performance.md`; run it on your own machine before
you believe it. Each client works in a process of its own, one after the other and round after round, on four
partitions with batches of 16 KB, after a tenth of the work that is not counted. All read or write the
same, and what they come to is compared. Other work may run on the machine meanwhile: so CPU time counts, not
how long it takes, each ratio is of neighbours in time, and the spread says how much there is to believe.
Settings are each client's own: librdkafka checks no CRC of what it reads (`check.crcs`), the others do.
"""

_RATES = """\
In thousands of records for each second of CPU, user and system, of all threads of the client's
process; medians. The *ratio* is Ottla's to the reference's in the same round, its *spread* the lowest and
the highest.
*Ottla, plain* is without the module in C. Of clients that know no columns "to columns" is their tight loop:
many records at a time, and the value of each (confluent-kafka's `consume`, aiokafka's `getmany`); their
`poll` or iterator is "record by record". Sums are what `json.loads` and a dict give there, and Arrow's
kernels with Ottla.
"""

_GROWTH = """\
MB of resident memory that the process gained while its application took 500 records of 1 KB each 50 ms and
the topic had hundreds of MB more, with each client's default settings.
"""


def markdown(results: Results, rows: Mapping[str, Row], notes: Notes | None = None) -> str:
    notes = notes or Notes.load(NOTES)
    parts = [_HEAD, "\n".join(f"- {name}: {value}" for name, value in results.about.items()), "", _RATES]
    grown: list[Measured] = []
    for broker, measured in results.by_subject():
        rates = [each for each in measured if each.metric == "records/CPU s"]
        grown += [each for each in measured if each.metric == "MB grown"]
        parts += [f"## On {broker.capitalize()}", ""] if rates else []
        parts += _table(results, [(each, rows[_name(each)]) for each in rates], notes) if rates else []
    if grown:
        parts += ["## Memory while a slow consumer lags", "", _GROWTH]
        clients = [each for each in results.brokers if any(each in row.samples for row in grown)]
        parts += [f"| on | {' | '.join(clients)} |", "| --- |" + " ---: |" * len(clients)]
        for each in grown:
            cells = [number(each.median(client)) for client in clients]
            parts.append(f"| {each.subject} | {' | '.join(cells)} |")
        parts.append("")
    if results.failures:
        parts += ["## What could not be measured", "", *(f"- {each}" for each in results.failures), ""]
    return "\n".join(parts)


def _table(results: Results, found: list[tuple[Measured, Row]], notes: Notes) -> list[str]:
    heads = ["", *results.brokers, "reference", "ratio", "spread", "goal"]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1)]
    short: list[str] = []
    for measured, row in found:
        ratio = measured.ratio("ottla", row.reference)
        cells = [row.name]
        for client in results.brokers:
            median = measured.median(client)
            cells.append(number(None if median is None else median / 1000))
        cells += [row.reference, "", "", ""]
        if ratio is not None:
            cells[-2:] = [f"{ratio.low:.2f}-{ratio.high:.2f}", ""]
            cells[-3] = f"{ratio.median:.2f}"
            if row.goal is not None:
                is_reached = ratio.median >= row.goal
                cells[-1] = f"≥ {row.goal:g} {'yes' if is_reached else 'NO'}"
                if not is_reached:
                    cause = notes.cause_of(measured)
                    short.append(f"- *{row.name}*: {cause.text if cause else 'not explained yet.'}")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *(["Short of a goal:", "", *short, ""] if short else [])]


def _name(measured: Measured) -> str:
    """A row's, without its broker's."""
    return measured.workload.rpartition(", ")[0]
