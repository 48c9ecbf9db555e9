"""The ratios as a picture."""

from __future__ import annotations

import math
from pathlib import Path

from bench.results import METRICS, Results

_BETTER, _WORSE, _GOAL = "#2a7f62", "#c8553d", "#222222"


def bars(results: Results) -> list[tuple[str, float, float, float, float | None, bool]]:
    """Of rows with a goal: label, ratio, its low and high, goal, and whether the first broker wins."""
    found: list[tuple[str, float, float, float, float | None, bool]] = []
    if len(results.brokers) < 2:
        return found
    for row in results.rows:
        metric, ratio = METRICS[row.metric], row.ratio(*results.brokers[:2])
        if metric.goal is None or ratio is None or ratio.low <= 0:
            continue
        wins = (ratio.median > 1) == metric.higher_is_better
        label = f"{row.workload}: {row.metric}"
        found.append((label, ratio.median, ratio.low, ratio.high, metric.goal, wins))
    return found


def save(results: Results, path: Path) -> None:
    """Write an SVG: one bar a row from 1 on a logarithmic axis, a tick at its goal, a line for its spread.

    Raises `ModuleNotFoundError` where matplotlib is not installed (dependency group `bench`).
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "ottla"  # the same results give the same file
    rows = bars(results)
    figure = Figure(figsize=(9, 1.2 + 0.22 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for place, (_, middle, low, high, goal, wins) in enumerate(rows):
        axes.barh(place, math.log2(middle), color=_BETTER if wins else _WORSE, height=0.7)
        axes.plot([math.log2(low), math.log2(high)], [place, place], color=_GOAL, linewidth=1)
        if goal is not None:
            axes.plot([math.log2(goal)] * 2, [place - 0.4, place + 0.4], color=_GOAL, linewidth=2)
    axes.set_yticks(range(len(rows)), [label for label, *_ in rows], fontsize=7)
    axes.invert_yaxis()
    low, high = (math.floor(axes.get_xlim()[0]), math.ceil(axes.get_xlim()[1]))
    axes.set_xticks(range(low, high + 1), [f"{2.0**power:g}" for power in range(low, high + 1)])
    axes.axvline(0, color=_GOAL, linewidth=0.8)
    first, second = results.brokers[:2]
    axes.set_xlabel(f"{first} / {second}; green: {first} is better; thick tick: goal; thin line: all rounds")
    figure.savefig(path, format="svg", metadata={"Date": None})
