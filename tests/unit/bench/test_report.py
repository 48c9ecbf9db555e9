"""The table and the page say what was measured, and no more."""

from __future__ import annotations

import pytest
from bench import plot, report
from bench.results import FLOOR, Results


@pytest.fixture
def results() -> Results:
    found = Results(("ottla", "kafka"), {"date": "2030-01-01", "machine": "two cores"})
    rates = {"ottla": (300.0, 330.0, 360.0), "kafka": (200.0, 110.0, 180.0), FLOOR: (600.0, 600.0, 600.0)}
    for broker, values in rates.items():
        for value in values:
            found.add("produce 1 KB", "produce", "librdkafka", broker, {"MB/s": value})
    found.add("produce 1 KB", "produce", "librdkafka", "ottla", {"client cores": 1.0})
    found.add("start", "footprint", "by hand", "ottla", {"ready s": 0.3})
    found.add("start", "footprint", "by hand", "kafka", {"ready s": 2.0})
    return found


def test_row_has_medians_ratio_spread_goal_and_floor(results: Results) -> None:
    assert report.cells(results.rows[0], results.brokers) == [
        "produce 1 KB", "MB/s", "330", "180", "2.00", "1.50-3.00", "≥ 1.5 yes", "0.55",
    ]  # fmt: skip


def test_row_that_only_explains_has_no_ratio(results: Results) -> None:
    assert report.cells(results.rows[1], results.brokers)[2:] == ["1", "-", "", "", "", ""]


def test_missed_goal_is_said(results: Results) -> None:
    assert report.cells(results.rows[2], results.brokers)[6] == "≤ 0.1 NO"


def test_ottla_alone_has_only_the_floor(results: Results) -> None:
    assert report.cells(results.rows[0], ("ottla",)) == ["produce 1 KB", "MB/s", "330", "", "", "", "0.55"]


def test_two_versions_of_ottla_have_no_goal() -> None:
    found = Results(("now", "HEAD"))
    for broker, value in (("now", 2.0), ("HEAD", 1.0)):
        found.add("produce", "produce", "librdkafka", broker, {"MB/s": value})
    assert report.cells(found.rows[0], found.brokers)[4:7] == ["2.00", "2.00-2.00", ""]


def test_table_is_aligned_and_names_failures(results: Results) -> None:
    results.failures.append("restart on kafka: it did not")
    *lines, failure = report.table(results).splitlines()
    assert failure == "FAILED restart on kafka: it did not"
    assert [
        line.index("MB/s" if "MB/s" in line else "cli" if "cli" in line else "re") for line in lines[1:4]
    ] == [lines[0].index("metric")] * 3


def test_page_names_the_machine_every_row_and_failures(results: Results) -> None:
    results.failures.append("restart on kafka: it did not")
    page = report.markdown(results, "performance.svg")
    assert "- machine: two cores\n" in page
    assert "![Ratios of Ottla to Apache Kafka](performance.svg)" in page
    assert "| produce 1 KB | MB/s | 330 | 180 | 2.00 | 1.50-3.00 | ≥ 1.5 yes | 0.55 |" in page
    assert "- restart on kafka: it did not" in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith("|")}
    assert widths == {9}


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
