"""Results as a table of text."""

from __future__ import annotations

from bench.results import CORES, FLOOR, METRICS, Measured, Results


def number(value: float | None) -> str:
    """Three digits that matter, or a dash."""
    if value is None:
        return "-"
    if value and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}"


def cells(row: Measured, results: Results, brokers: tuple[str, ...]) -> list[str]:
    """Workload, metric, a median for each broker, ratio, spread, goal, at most, share of the floor, cores.

    Of one broker: its median and range, share of the floor, cores.
    """
    metric = METRICS[row.metric]
    found = [row.workload, row.metric, *(number(row.median(broker)) for broker in brokers)]
    if len(brokers) > 1:
        ratio = row.ratio(brokers[0], brokers[1]) if metric.higher_is_better is not None else None
        found += [f"{ratio.median:.2f}", f"{ratio.low:.2f}-{ratio.high:.2f}"] if ratio else ["", ""]
        most = at_most(row, results)
        found += [goal(row, brokers), f"{most:.2f}" if most else ""]
    else:
        samples = row.samples.get(brokers[0], [])
        found.append(f"{number(min(samples))}-{number(max(samples))}" if samples else "")
    share = row.ratio(brokers[0], FLOOR)
    return [*found, f"{share.median:.2f}" if share else "", _cores(row, results, brokers)]


def goal(row: Measured, brokers: tuple[str, ...]) -> str:
    """The goal and whether it is reached; empty where there is none."""
    metric = METRICS[row.metric]
    if metric.goal is None or brokers != ("ottla", "kafka"):
        return ""
    ratio = row.ratio(*brokers)
    if ratio is None:
        return ""
    sign = "≥" if metric.higher_is_better else "≤"
    return f"{sign} {metric.goal} {'yes' if ratio.reaches(metric) else 'NO'}"


def at_most(row: Measured, results: Results) -> float | None:
    """The ratio that a broker would reach which takes no CPU at all, with these clients."""
    ratio = row.ratio(*results.brokers) if len(results.brokers) == 2 else None
    cores = results.about.get("cores")
    clients, thread, _ = (results.median(row.workload, metric, results.brokers[0]) for metric in CORES)
    if not (ratio and METRICS[row.metric].higher_is_better and cores and clients and thread):
        return None
    return ratio.median * min(int(cores) / clients, 1 / thread)


def _cores(row: Measured, results: Results, brokers: tuple[str, ...]) -> str:
    """Beside rates: clients (busiest thread) + broker."""
    each = []
    for broker in brokers if METRICS[row.metric].higher_is_better else ():
        clients, thread, own = (results.median(row.workload, metric, broker) for metric in CORES)
        if clients is not None and thread is not None and own is not None:
            each.append(f"{clients:.2f} ({thread:.2f}) + {own:.2f}")
    return " / ".join(each)


def columns(brokers: tuple[str, ...]) -> list[str]:
    """The heads of `cells`."""
    spread = ["ratio", "spread", "goal", "at most"] if len(brokers) > 1 else ["range"]
    return ["workload", "metric", *brokers, *spread, "of the floor", "cores"]


def shown(rows: list[Measured]) -> list[Measured]:
    """All but those that are a column of others."""
    return [row for row in rows if row.metric not in CORES]


def table(results: Results) -> str:
    """Plain text with aligned columns."""
    lines = [columns(results.brokers)]
    lines += [cells(row, results, results.brokers) for row in shown(results.rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*text, *(f"FAILED {failure}" for failure in results.failures)])
