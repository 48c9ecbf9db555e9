"""What was measured, and the numbers made of it: medians, and ratios of the same round with their spread."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FLOOR = "floor"
FLOOR_GOAL = 0.6
"""The share of the floor's rate that is aimed at, unless the client is at its limit."""
OF_THE_FLOOR = "of the floor"
CLIENT_LIMIT = 0.95
"""The share of a core from which on the busiest thread of a client is what limits a row."""
CORES = ("client cores", "client thread", "broker cores")
"""Metrics that are shown as a column of others."""


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is to be read."""

    higher_is_better: bool | None
    """`None` for what only explains other rows."""
    goal: float | None = None
    """The ratio Ottla / Kafka that is aimed at."""


METRICS = {
    "MB/s": Metric(True, 1.5),
    "CPU s/GB": Metric(False, 0.7),
    "client cores": Metric(None),
    "client thread": Metric(None),
    "broker cores": Metric(None),
    "requests/s": Metric(True, 1.5),
    "CPU us/request": Metric(False, 0.7),
    "transactions/s": Metric(True, 1.0),
    "CPU us/transaction": Metric(False, 0.5),
    "p50 ms": Metric(False),
    "p99 ms": Metric(False, 0.5),
    "p99.9 ms": Metric(False, 0.5),
    "max ms": Metric(False),
    "average ms": Metric(False),
    "p99 ms, whole": Metric(None),
    "p99.9 ms, whole": Metric(None),
    "rebalance s": Metric(False, 0.5),
    "rebalance after a death s": Metric(False, 0.5),
    "CPU ms/group": Metric(False, 0.7),
    "ready s": Metric(False, 0.1),
    "idle MB": Metric(False, 0.1),
    "idle CPU %": Metric(False),
    "create s": Metric(False, 0.5),
    "full MB": Metric(False),
    "restart s": Metric(False, 0.3),
    "log GB": Metric(None),
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """First broker / second broker: the median over rounds, and the rounds furthest from it."""

    median: float
    low: float
    high: float

    def reaches(self, metric: Metric) -> bool | None:
        """Whether the goal is reached; `None` where there is none."""
        if metric.goal is None:
            return None
        return self.median >= metric.goal if metric.higher_is_better else self.median <= metric.goal


@dataclass(slots=True)
class Measured:
    """One metric of one workload: a value for each broker and round."""

    workload: str
    subject: str
    client: str
    metric: str
    samples: dict[str, list[float]] = field(default_factory=dict)

    def median(self, broker: str) -> float | None:
        """The middle value, where the broker was measured."""
        values = self.samples.get(broker)
        return statistics.median(values) if values else None

    def ratio(self, first: str, second: str) -> Ratio | None:
        """Of the rounds in which both were measured and the second is not zero."""
        pairs = zip(self.samples.get(first, ()), self.samples.get(second, ()), strict=False)
        ratios = sorted(above / below for above, below in pairs if below)
        return Ratio(statistics.median(ratios), ratios[0], ratios[-1]) if ratios else None


@dataclass(slots=True)
class Results:
    """Everything of one run."""

    brokers: tuple[str, ...]
    about: dict[str, str] = field(default_factory=dict)
    """Machine, versions, command, date."""
    rows: list[Measured] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, subject: str, client: str, broker: str, row: dict[str, float]) -> None:
        """Keep one round of one workload on one broker."""
        for metric, value in row.items():
            self._measured(name, subject, client, metric).samples.setdefault(broker, []).append(value)

    def median(self, workload: str, metric: str, broker: str) -> float | None:
        """The middle value, where it was measured."""
        for each in self.rows:
            if (each.workload, each.metric) == (workload, metric):
                return each.median(broker)
        return None

    def _measured(self, name: str, subject: str, client: str, metric: str) -> Measured:
        for each in self.rows:
            if (each.workload, each.metric) == (name, metric):
                return each
        self.rows.append(Measured(name, subject, client, metric))
        return self.rows[-1]

    def by_subject(self) -> Iterator[tuple[str, list[Measured]]]:
        """Rows of each subject, in the order they were measured."""
        subjects = dict.fromkeys(each.subject for each in self.rows)
        for subject in subjects:
            yield subject, [each for each in self.rows if each.subject == subject]

    def save(self, path: Path) -> None:
        """Write JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote."""
        found: dict[str, Any] = json.loads(path.read_text())
        rows = [Measured(**each) for each in found.pop("rows")]
        return cls(**{**found, "brokers": tuple(found["brokers"]), "rows": rows})


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of values in ascending order."""
    if not ordered:
        raise ValueError("no values")
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[min(len(ordered), int(rank)) - 1]
