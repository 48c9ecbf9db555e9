"""The jobs of all clients do the same work, and the page says what they took for it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from bench.clients import confluent_client, page, run
from bench.clients.events import MADE, event
from bench.clients.task import PARTITIONS, Task
from bench.clients.worker import MODULES
from bench.notes import Notes
from bench.results import Results

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.testing import run_broker

# kafka-python reads its version with what Python 3.11 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

LIBRARIES = [name for name in MODULES if name != "ottla, plain"]


def test_rows_have_names_of_their_own_and_jobs_of_every_client() -> None:
    assert len({row.name for row in run.ROWS}) == len(run.ROWS)
    for row in run.ROWS:
        assert row.reference in row.clients
        for name in row.clients:
            assert row.job in importlib.import_module(f"bench.clients.{MODULES[name]}").JOBS, row.name


@pytest.mark.parametrize("name", LIBRARIES)
def test_jobs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confluent_client, "MOST_S", 0.05)  # there are never so many here
    jobs = importlib.import_module(f"bench.clients.{MODULES[name]}").JOBS
    with run_broker() as broker, client.connect(broker.bootstrap_servers) as connected:

        def done(job: str, topic: str, records: int, warm: int = 0) -> dict[str, int]:
            result = jobs[job](Task(name, job, broker.bootstrap_servers, topic, records, warm, 100))
            assert result.records >= records
            assert result.cpu_s > 0
            return result.answer  # type: ignore[no-any-return]

        def count(topic: str) -> int:
            with connected.consumer(auto_offset_reset="earliest") as reader:
                ends = reader.end_offsets([(topic, each) for each in range(PARTITIONS)])
            return sum(ends.values())

        names = ("events", "written", "columns", "sum-avro", "sum-protobuf")
        connected.admin.topics.create([NewTopic(each, PARTITIONS) for each in names])
        run.fill(broker.bootstrap_servers, "events", 600, MADE["events"])
        sums: dict[str, int] = {}
        for fields in map(event, range(600)):
            if fields["kind"] == "buy":
                start = str(fields["at"] // 60_000 * 60_000)
                sums[start] = sums.get(start, 0) + fields["amount"]
        for job in ("sum", "sum all", "sum inferred"):
            assert done(job, "events", 600, 10) == sums
        for job in {"sum avro", "sum protobuf"} & jobs.keys():
            kind = f"events, {job.removeprefix('sum ')}"
            run.fill(broker.bootstrap_servers, job.replace(" ", "-"), 600, MADE[kind])
            assert done(job, job.replace(" ", "-"), 600, 10) == sums
        done("produce records", "written", 500, 20)
        assert count("written") == 520
        done("produce columns", "columns", 20_000, 1)
        assert count("columns") >= 20_001
        for job in ("consume columns", "consume records", "lag"):
            assert done(job, "columns", 300, 10) == {"bytes": 100}


def made(**rates: float) -> Results:
    results = Results(tuple(MODULES), {"date": "today"})
    name = "consume 1 KB to columns"
    for client_name, rate in rates.items():
        for factor in (0.9, 1.0, 1.2):
            row = {run.RATE: rate * factor, "records/s": 1.0}
            results.add(f"{name}, kafka", "kafka", run.CONFLUENT, client_name.replace("_", "-"), row)
    results.add("lag, kafka", "kafka", run.CONFLUENT, "ottla", {run.GROWN: 7.0})
    return results


ROWS = {row.name: row for row in run.ROWS}


def test_page_has_rates_ratios_goals_and_growth() -> None:
    results = made(ottla=4e6, confluent_kafka=1e6)
    text = page.markdown(results, ROWS)
    line = next(each for each in text.splitlines() if each.startswith("| consume 1 KB"))
    rates = ["4,000", "-", "1,000", "-", "-"]
    cells = ["consume 1 KB to columns", *rates, "confluent-kafka", "4.00", "4.00-4.00", "≥ 4 yes"]
    assert line == f"| {' | '.join(cells)} |"
    assert "| kafka | 7 |" in text
    assert "Short of a goal" not in text
    assert "What could not" not in text


def test_page_gives_the_cause_of_what_falls_short(tmp_path: Path) -> None:
    results = made(ottla=2e6, confluent_kafka=1e6)
    results.failures.append("something broke")
    assert "- *consume 1 KB to columns*: not explained yet." in page.markdown(results, ROWS, Notes({}, ()))
    file = tmp_path / "notes.toml"
    file.write_text(
        '[[causes]]\nworkloads = ["consume 1 KB*"]\nmetrics = ["records/CPU s"]\ntext = "So it is."\n'
    )
    text = page.markdown(results, ROWS, Notes.load(file))
    assert "| ≥ 4 NO |" in text
    assert "- *consume 1 KB to columns*: So it is." in text
    assert "- something broke" in text


def test_causes_are_of_rows_that_there_are() -> None:
    names = [f"{row.name}, {broker}" for row in run.ROWS for broker in ("ottla", "kafka")]
    for cause in Notes.load(page.NOTES).causes:
        results = Results(("ottla",))
        for name in names:
            results.add(name, "", "", "ottla", {run.RATE: 1.0})
        assert any(map(cause.explains, results.rows)), cause
