"""dlt's sources and destinations as connectors: with programs of the tests' own in its place."""

from __future__ import annotations

import decimal
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from ottla.connect.connectors.others.dlt_runner import column, floats, plain
from ottla.connect.connectors.others.dlt_sink import DltSinkConnector
from ottla.connect.connectors.others.dlt_source import DltSourceConnector, DltSourceTask
from ottla.connect.connectors.others.environments import FOLDER
from ottla.connect.data.schema import Struct
from ottla.connect.errors import ConnectError
from ottla.connect.records import SinkRecord, SourceRecord
from ottla.connect.sdk import Offset, TopicPartition
from ottla.connect.testing import SinkKit

RUNNER = """\
import json, sys, time
role, config = sys.argv[2], json.load(open(sys.argv[3]))
def say(message):
    print(json.dumps(message), flush=True)
"""
SOURCE = (
    RUNNER
    + """
first = (config["state"] or {"next": 1})["next"]
say({"type": "SCHEMA", "stream": "s", "schema": {"properties": {"told": {}, "n": {"type": "integer"}}},
     "key_properties": []})
say({"type": "RECORD", "stream": "s", "record": {"told": [role, config], "n": first}})
say({"type": "STATE", "value": {"next": first + 1}})
time.sleep(600)
"""
)
DESTINATION = (
    RUNNER
    + """
rows, state = [], None
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "STATE":
        state = message["value"]
    elif message["type"] == "FLUSH":
        with open(config["arguments"]["file"], "a") as file:
            file.write("".join(rows))
        rows = []
        say(state)
        if config["arguments"].get("ends"):
            sys.stderr.write("out of memory")
            sys.exit(9)
    else:
        rows.append(line)
"""
)


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "environments"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for kind, program in (("source", SOURCE), ("destination", DESTINATION)):
        folder = tmp_path / "environments" / kind
        (folder / "bin").mkdir(parents=True)
        python = folder / "bin" / "python"
        python.write_text(f"#!{sys.executable} -S\n{program}")
        python.chmod(0o755)
        mark = {"kind": f"dlt-{kind}", "requirement": "dlt==1", "runs": "package:it"}
        (folder / "ottla.json").write_text(json.dumps(mark))
    return tmp_path


class Task:
    """Polled until it has said something."""

    def __init__(self, given: dict[str, str], known: Offset | None) -> None:
        self.it = DltSourceTask()
        self.it.context = self  # type: ignore[assignment]
        self.known = known
        self.it.start(given)

    def offset(self, partition: Offset) -> Offset | None:
        return self.known

    def record(self) -> SourceRecord:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = self.it.poll()
            if found:
                return found[0]
        raise AssertionError("nothing came")


def test_a_source_is_told_what_is_wanted_and_goes_on_behind_its_state(environments: Path) -> None:
    given = {
        "source.name": "source", "topic.prefix": "t.", "source.config": '{"a": 1}', "source.config.b": "text",
        "source.hints": '{"s": {"incremental": "n"}}', "dlt.sources.x": "y", "streams": "s",
        "streams.exclude": "s.z",
        "poll.interval.ms": "5000",
    }  # fmt: skip
    assert not [each.errors for each in DltSourceConnector().validate(given) if each.errors]
    task = Task(given, None)
    record = task.record()
    task.it.stop()
    assert isinstance(record.value, Struct)
    role, config = json.loads(str(record.value["told"]))
    assert (role, record.topic, record.source_offset) == ("source", "t.s", {"state": '{"next":2}'})
    del config["folder"]
    assert config == {
        "runs": "package:it", "arguments": {"a": 1, "b": "text"}, "settings": {"sources.x": "y"},
        "state": None,
        "hints": {"s": {"incremental": "n"}}, "streams": ["s"], "exclude": ["s.z"], "interval_s": 5.0,
    }  # fmt: skip
    again = Task(given, record.source_offset)
    behind = again.record()
    again.it.stop()
    assert isinstance(behind.value, Struct)
    assert behind.value["n"] == 2


def sink(environments: Path, **more: object) -> dict[str, str]:
    told = {"file": str(environments / "out"), **more}
    return {
        "destination.name": "destination", "destination.config": json.dumps(told), "delete.enabled": "true",
    }  # fmt: skip


def test_a_destination_loads_when_offsets_are_committed_and_goes_on(environments: Path) -> None:
    with SinkKit(DltSinkConnector, sink(environments)) as kit:
        kit.put("people", [SinkRecord("people", 0, 0, key={"id": 1}, value={"name": "a"})])
        kit.commit()
        first = [json.loads(line) for line in (environments / "out").read_text().splitlines()]
        assert kit.committed == {TopicPartition("people", 0): 1}
        kit.put("people", [SinkRecord("people", 0, 1, key={"id": 1})])
    found: list[dict[str, Any]] = [
        json.loads(each) for each in (environments / "out").read_text().splitlines()
    ]
    assert [each["type"] for each in found] == [
        "SCHEMA",
        "RECORD",
        "RECORD",
    ]
    assert first == found[:2]
    assert found[0]["schema"]["properties"] == {
        "id": {"type": ["null", "integer"]},
        "name": {"type": ["null", "string"]},
        "_kafka_offset": {"type": "integer"},
        "_kafka_deleted": {"type": ["null", "boolean"]},
    }
    assert [each["record"] for each in found[1:]] == [
        {"id": 1, "name": "a", "_kafka_offset": 0},
        {"id": 1, "_kafka_deleted": True, "_kafka_offset": 1},
    ]


def test_a_destination_that_fails_says_why(environments: Path) -> None:
    kit = SinkKit(DltSinkConnector, sink(environments, ends=True))
    kit.__enter__()
    kit.put("people", [SinkRecord("people", 0, 0, key={"id": 1}, value={"name": "a"})])
    kit.commit()
    assert kit.committed == {TopicPartition("people", 0): 1}  # that was loaded

    def go_on() -> None:
        while True:
            kit.put("people", [])

    with pytest.raises(ConnectError, match="(?s)destination ended with exit code 9.*out of memory") as caught:
        go_on()
    kit.__exit__(caught.type, caught.value, None)


@pytest.mark.parametrize(
    ("described", "hints"),
    [
        ({"type": ["null", "integer"]}, {"data_type": "bigint"}),
        ({"type": "number"}, {"data_type": "double"}),
        ({"type": "number", "x-scale": 2}, {"data_type": "decimal", "precision": 38, "scale": 2}),
        ({"type": "boolean"}, {"data_type": "bool"}),
        ({"type": "string", "format": "date-time"}, {"data_type": "timestamp"}),
        ({"type": ["null", "string"], "contentEncoding": "base64"}, {"data_type": "binary"}),
        ({"type": ["null", "string", "integer"]}, {}),
        ({"type": "object", "properties": {}}, {}),
        ({}, {}),
    ],
)
def test_hints_of_columns(described: dict[str, object], hints: dict[str, object]) -> None:
    assert column(described) == hints


def test_values_for_dlt_and_of_it() -> None:
    exact = decimal.Decimal("1.5")
    assert floats({"a": [exact, "x"], "b": exact}) == {"a": [1.5, "x"], "b": 1.5}
    assert plain(b"\xff") == "/w=="
    assert plain(exact) == "1.5"
