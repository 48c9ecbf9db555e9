"""Results for people: a table on a terminal, and docs/performance.md."""

from __future__ import annotations

from bench.results import FLOOR, METRICS, Measured, Results

_HEAD = """\
# Performance

Written by `python -m bench compare --markdown docs/performance.md`; run it on your own machine before you
believe it. How the numbers are made and read: [benchmarks.md](benchmarks.md).
"""


def number(value: float | None) -> str:
    """Three digits that matter, or a dash."""
    if value is None:
        return "-"
    if value and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}"


def cells(row: Measured, brokers: tuple[str, ...]) -> list[str]:
    """Workload, metric, a median for each broker, ratio, spread, goal, share of the floor."""
    metric = METRICS[row.metric]
    ratio = row.ratio(brokers[0], brokers[1]) if len(brokers) > 1 else None
    goal = ""
    if metric.goal is not None and brokers == ("ottla", "kafka"):
        reached = ratio.reaches(metric) if ratio else None
        sign = "≥" if metric.higher_is_better else "≤"
        goal = f"{sign} {metric.goal}" + {True: " yes", False: " NO", None: ""}[reached]
    share = row.ratio(brokers[0], FLOOR)
    return [
        row.workload,
        row.metric,
        *(number(row.median(broker)) for broker in brokers),
        f"{ratio.median:.2f}" if ratio and metric.higher_is_better is not None else "",
        f"{ratio.low:.2f}-{ratio.high:.2f}" if ratio and metric.higher_is_better is not None else "",
        goal,
        f"{share.median:.2f}" if share else "",
    ]


def _columns(brokers: tuple[str, ...]) -> list[str]:
    return ["workload", "metric", *brokers, "ratio", "spread", "goal", "of the floor"]


def table(results: Results) -> str:
    """Plain text with aligned columns."""
    lines = [_columns(results.brokers)]
    for _, rows in results.by_subject():
        lines += [cells(row, results.brokers) for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*text, *(f"FAILED {failure}" for failure in results.failures)])


def markdown(results: Results, plot: str | None = None) -> str:
    """The whole of docs/performance.md; `plot` is the file name of a picture beside it."""
    parts = [_HEAD, "\n".join(f"- {name}: {value}" for name, value in results.about.items()), ""]
    if plot is not None:
        parts += [f"![Ratios of Ottla to Apache Kafka]({plot})", ""]
    parts += ["Medians over rounds; ratio and spread are of the two brokers in the same round.", ""]
    for subject, rows in results.by_subject():
        clients = ", ".join(dict.fromkeys(row.client for row in rows))
        columns = _columns(results.brokers)
        parts += [f"## {subject.capitalize()}", "", f"Clients: {clients}.", ""]
        parts += [f"| {' | '.join(columns)} |", "| --- | --- |" + " ---: |" * (len(columns) - 2)]
        parts += [f"| {' | '.join(cells(row, results.brokers))} |" for row in rows]
        parts.append("")
    if results.failures:
        parts += ["## What could not be measured", "", *(f"- {each}" for each in results.failures), ""]
    return "\n".join(parts)
