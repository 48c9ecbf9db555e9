"""docs/performance.md has every row as it is, and says why one falls short."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import page
from bench.notes import Cause, Notes, filled_in, numbers_in
from bench.results import FLOOR, METRICS, OF_THE_FLOOR, Measured, Results
from bench.workloads import WORKLOADS

NOTES = Notes(
    {"cores": "A node takes {one node | MB/s} MB/s."},
    (
        Cause(("produce 1 KB*",), ("MB/s", OF_THE_FLOOR), "the client, at {produce 1 KB | MB/s} MB/s."),
        Cause(("*",), ("ready s",), "an interpreter has to start."),
    ),
)


@pytest.fixture
def results() -> Results:
    found = Results(("ottla", "kafka"), {"date": "2030-01-01", "machine": "fast", "cores": "2"})
    for _ in range(5):
        _add(found, "produce 1 KB", "produce", ottla=330.0, kafka=300.0, floor=660.0)
        _add(found, "produce 10 KB", "produce", ottla=600.0, kafka=300.0, floor=700.0)
        for broker, value in (("ottla", 0.3), ("kafka", 2.0)):
            found.add("start", "footprint", "by hand", broker, {"ready s": value})
        found.add("one node", "cores", "raw", "ottla", {"MB/s": 400.0})
    return found


def _add(
    results: Results, name: str, subject: str, *, floor: float, thread: float = 0.5, **rates: float
) -> None:
    for broker, rate in rates.items():
        cores = {"client cores": 1.0, "client thread": thread, "broker cores": 0.75}
        results.add(name, subject, "librdkafka", broker, {"MB/s": rate, **cores})
    results.add(name, subject, "librdkafka", FLOOR, {"MB/s": floor})


def test_page_names_the_machine_every_row_and_failures(results: Results) -> None:
    results.failures.append("restart on kafka: it did not")
    text = page.markdown(results, "performance.svg", NOTES)
    assert "- machine: fast\n" in text
    assert "busy of 2:" in text
    assert "![Ratios of Ottla to Apache Kafka](performance.svg)" in text
    assert (
        "| produce 10 KB | MB/s | 600 | 300 | 2.00 | 2.00-2.00 | ≥ 1.5 yes | 4.00 | 0.86 "
        "| 1.00 (0.50) + 0.75 / 1.00 (0.50) + 0.75 |" in text
    )
    assert "- restart on kafka: it did not" in text


def test_subject_of_ottla_alone_has_no_columns_for_kafka(results: Results) -> None:
    text = page.markdown(results, None, NOTES)
    assert "| workload | metric | ottla | range | of the floor | cores |" in text
    assert "| one node | MB/s | 400 | 400-400 |  |  |" in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert [len({line.count("|") for line in table.splitlines()}) for table in tables] == [1] * len(tables)


def test_missed_goals_have_their_cause_and_only_those(results: Results) -> None:
    text = page.markdown(results, None, NOTES)
    assert "- *produce 1 KB* (MB/s 1.10, 0.50 of the floor): the client, at 330 MB/s.\n" in text
    assert "- *start* (ready s 0.15): an interpreter has to start.\n" in text
    assert "*produce 10 KB*" not in text


def test_missed_goal_without_a_cause_is_not_hidden(results: Results) -> None:
    text = page.markdown(results, None, Notes({}, ()))
    assert "- *produce 1 KB* (MB/s 1.10, 0.50 of the floor): not explained yet.\n" in text


def test_share_of_the_floor_is_no_shortfall_where_the_client_has_its_core() -> None:
    found = Results(("ottla", "kafka"))
    _add(found, "produce", "produce", ottla=300.0, kafka=100.0, floor=900.0, thread=0.97)
    assert page.shortfalls(found.rows[0], found) == []
    _add(found, "consume", "consume", ottla=300.0, kafka=100.0, floor=900.0, thread=0.9)
    rate = next(row for row in found.rows if row.workload == "consume")
    assert [missed for _, missed in page.shortfalls(rate, found)] == ["0.33 of the floor"]


def test_subject_has_its_note_with_numbers(results: Results) -> None:
    assert "A node takes 400 MB/s.\n" in page.markdown(results, None, NOTES)


def test_page_is_written_again_from_json(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "results.json")
    assert page.main([str(tmp_path / "results.json"), "--markdown", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == page.markdown(results)


def test_number_that_was_not_measured_is_a_dash() -> None:
    assert (
        filled_in("{a | b} of {c, d | e | kafka}", lambda *asked: "-".join(asked))
        == "a-b-ottla of c, d-e-kafka"
    )
    alone = Results(("ottla",))
    alone.add("two nodes", "cores", "raw", "ottla", {"MB/s": 1.0})
    assert "A node takes - MB/s." in page.markdown(alone, None, NOTES)


def test_notes_of_this_repository_name_what_there_is() -> None:
    notes = Notes.load()
    names = {each.name for each in WORKLOADS}
    for text in (*notes.subjects.values(), *(each.text for each in notes.causes)):
        for workload, metric, broker in numbers_in(text):
            assert workload in names
            assert metric in METRICS
            assert broker in {"ottla", "kafka"}
    assert notes.subjects.keys() <= {each.subject for each in WORKLOADS}
    for cause in notes.causes:
        assert set(cause.metrics) <= {*METRICS, OF_THE_FLOOR}
        for pattern in cause.workloads:
            assert any(_explains(cause, pattern, name) for name in names), f"{pattern} matches no workload"


def _explains(cause: Cause, pattern: str, name: str) -> bool:
    return Cause((pattern,), cause.metrics, "").explains(Measured(name, "", "", cause.metrics[0]))
