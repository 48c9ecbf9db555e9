"""The table says what was measured, and no more."""

from __future__ import annotations

import pytest
from bench import plot, report
from bench.results import FLOOR, Results


@pytest.fixture
def results() -> Results:
    found = Results(("ottla", "kafka"), {"date": "2030-01-01", "cores": "2"})
    rates = {"ottla": (300.0, 330.0, 360.0), "kafka": (200.0, 110.0, 180.0), FLOOR: (600.0, 600.0, 600.0)}
    for broker, values in rates.items():
        for value in values:
            found.add("produce 1 KB", "produce", "librdkafka", broker, {"MB/s": value})
    cores = {"client cores": 1.25, "client thread": 0.9, "broker cores": 0.5}
    found.add("produce 1 KB", "produce", "librdkafka", "ottla", cores)
    found.add("start", "footprint", "by hand", "ottla", {"ready s": 0.3})
    found.add("start", "footprint", "by hand", "kafka", {"ready s": 2.0})
    return found


def test_row_has_medians_ratio_spread_goal_and_floor(results: Results) -> None:
    assert report.cells(results.rows[0], results, results.brokers) == [
        "produce 1 KB", "MB/s", "330", "180", "2.00", "1.50-3.00", "≥ 1.5 yes", "2.22", "0.55",
        "1.25 (0.90) + 0.50",
    ]  # fmt: skip


def test_at_most_is_what_the_clients_leave(results: Results) -> None:
    assert report.at_most(results.rows[0], results) == pytest.approx(2.0 / 0.9)
    results.about["cores"] = "1"
    assert report.at_most(results.rows[0], results) == pytest.approx(2.0 * 1 / 1.25)
    start = next(each for each in results.rows if each.metric == "ready s")
    assert report.at_most(start, results) is None


def test_cores_are_a_column_of_rates_and_no_rows(results: Results) -> None:
    assert [row.metric for row in report.shown(results.rows)] == ["MB/s", "ready s"]
    results.add("produce 1 KB", "produce", "librdkafka", "ottla", {"CPU s/GB": 3.0})
    assert report.cells(results.rows[-1], results, results.brokers)[-1] == ""


def test_row_that_only_explains_has_no_ratio(results: Results) -> None:
    for broker in results.brokers:
        results.add("restart", "footprint", "raw", broker, {"log GB": 10.0})
    assert report.cells(results.rows[-1], results, results.brokers)[2:] == ["10", "10", *[""] * 6]


def test_missed_goal_is_said(results: Results) -> None:
    row = next(each for each in results.rows if each.metric == "ready s")
    assert report.cells(row, results, results.brokers)[6] == "≤ 0.1 NO"


def test_ottla_alone_has_its_range_and_the_floor(results: Results) -> None:
    found = report.cells(results.rows[0], results, ("ottla",))
    assert found == ["produce 1 KB", "MB/s", "330", "300-360", "0.55", "1.25 (0.90) + 0.50"]
    assert len(found) == len(report.columns(("ottla",)))


def test_two_versions_of_ottla_have_no_goal() -> None:
    found = Results(("now", "HEAD"))
    for broker, value in (("now", 2.0), ("HEAD", 1.0)):
        found.add("produce", "produce", "librdkafka", broker, {"MB/s": value})
    assert report.cells(found.rows[0], found, found.brokers)[4:7] == ["2.00", "2.00-2.00", ""]


def test_table_is_aligned_and_names_failures(results: Results) -> None:
    results.failures.append("restart on kafka: it did not")
    *lines, failure = report.table(results).splitlines()
    assert failure == "FAILED restart on kafka: it did not"
    places = [line.index(metric) for line, metric in zip(lines, ["metric", "MB/s", "ready"], strict=True)]
    assert places == [places[0]] * 3


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (0.0, "0"), (0.01234, "0.0123"), (99.94, "99.9"), (12345.6, "12,346")]
)
def test_number(value: float | None, shown: str) -> None:
    assert report.number(value) == shown


def test_bars_know_who_wins(results: Results) -> None:
    bars = plot.bars(results)
    assert [(label, wins) for label, *_, wins in bars] == [
        ("produce 1 KB: MB/s", True),
        ("start: ready s", True),
    ]
    assert bars[0][1:5] == (2.0, 1.5, 3.0, 1.5)


def test_ottla_alone_has_no_bars() -> None:
    alone = Results(("ottla",))
    alone.add("produce", "produce", "librdkafka", "ottla", {"MB/s": 1.0})
    assert plot.bars(alone) == []
