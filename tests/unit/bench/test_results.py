"""Ratios pair the rounds, goals know their direction, and results survive their file."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.results import METRICS, Measured, Metric, Ratio, Results, percentile
from hypothesis import given
from hypothesis import strategies as st


def _row(metric: str = "MB/s", **samples: list[float]) -> Measured:
    return Measured("produce", "produce", "librdkafka", metric, samples)


def test_ratio_is_of_the_same_round() -> None:
    # Both slow down by half from round to round: each round says 2, the medians of unpaired values need not.
    row = _row(ottla=[400.0, 200.0, 100.0], kafka=[200.0, 100.0, 50.0])
    assert row.ratio("ottla", "kafka") == Ratio(2.0, 2.0, 2.0)


def test_ratio_has_its_spread() -> None:
    row = _row(ottla=[100.0, 300.0, 200.0], kafka=[100.0, 100.0, 100.0])
    assert row.ratio("ottla", "kafka") == Ratio(2.0, 1.0, 3.0)


def test_no_ratio_without_both_or_with_zero() -> None:
    assert _row(ottla=[1.0]).ratio("ottla", "kafka") is None
    assert _row(ottla=[1.0], kafka=[0.0]).ratio("ottla", "kafka") is None
    assert _row(ottla=[1.0]).median("kafka") is None


@pytest.mark.parametrize(
    ("ratio", "metric", "reached"),
    [
        (1.5, Metric(True, 1.5), True),
        (1.49, Metric(True, 1.5), False),
        (0.7, Metric(False, 0.7), True),
        (0.71, Metric(False, 0.7), False),
        (9.0, Metric(False), None),
    ],
)
def test_goal_has_a_direction(ratio: float, metric: Metric, reached: bool | None) -> None:
    assert Ratio(ratio, ratio, ratio).reaches(metric) is reached


def test_rounds_are_collected_for_each_metric_and_broker(tmp_path: Path) -> None:
    results = Results(("ottla", "kafka"), {"date": "today"})
    for value in (1.0, 3.0, 2.0):
        results.add("a", "produce", "client", "ottla", {"MB/s": value, "CPU s/GB": value * 10})
    results.add("a", "produce", "client", "kafka", {"MB/s": 5.0})
    results.add("b", "latency", "client", "kafka", {"p99 ms": 1.0})
    assert [(row.workload, row.metric) for row in results.rows] == [
        ("a", "MB/s"),
        ("a", "CPU s/GB"),
        ("b", "p99 ms"),
    ]
    assert results.rows[0].samples == {"ottla": [1.0, 3.0, 2.0], "kafka": [5.0]}
    assert results.rows[1].median("ottla") == 20.0
    assert [subject for subject, _ in results.by_subject()] == ["produce", "latency"]
    file = tmp_path / "results.json"
    results.save(file)
    assert Results.load(file) == results


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (90, 9), (99, 10), (99.9, 10), (1, 1)])
def test_percentile_is_nearest_rank(percent: float, value: float) -> None:
    assert percentile(range(1, 11), percent) == value


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_percentile_is_a_value_with_enough_at_or_below(values: list[float], percent: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, percent)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= len(ordered) * percent / 100 * (1 - 1e-9)


def test_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_goals_are_those_of_the_design() -> None:
    assert METRICS["MB/s"] == Metric(True, 1.5)
    assert METRICS["CPU s/GB"] == Metric(False, 0.7)
    assert METRICS["p99.9 ms"] == Metric(False, 0.5)
    assert METRICS["ready s"] == Metric(False, 0.1)
