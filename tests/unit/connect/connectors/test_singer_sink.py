"""Targets as sinks: with a target that does what the test says, in a process of its own."""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.unit.connect.connectors.fake_programs import AT_ONCE, AT_THE_END, TARGET, install

from ottla.connect.connectors.others.environments import FOLDER
from ottla.connect.connectors.others.singer_sink import SingerSinkConnector, SingerSinkTask
from ottla.connect.data.logical import DATE, TIMESTAMP, decimal_schema
from ottla.connect.data.schema import Struct
from ottla.connect.data.schemas import BYTES, INT64, OPTIONAL_STRING, array_of, map_of, struct_of
from ottla.connect.errors import ConfigError, ConnectError
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import TopicPartition
from ottla.connect.testing import SinkKit

WHERE = TopicPartition("people", 0)


@pytest.fixture(autouse=True)
def _fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "environments"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    install(tmp_path / "environments", "target-fake", "target", TARGET)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "out"


def config(file: Path, does: str, **more: str) -> dict[str, str]:
    told = json.dumps({"does": does, "file": str(file)})
    return {"target.name": "target-fake", "target.config": told, **more}


def messages(file: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in file.read_text().splitlines()]
    return [each for each in found if each["type"] == kind]


def person(offset: int, number: int, name: str | None, **more: object) -> SinkRecord:
    return SinkRecord("people", 0, offset, key={"id": number}, value={"name": name, **more})


def process_of(kit: SinkKit) -> int:
    task = kit._task
    assert isinstance(task, SingerSinkTask)
    assert task._program is not None
    return task._program.pid


def test_records_without_schemas_are_described_by_what_was_seen(file: Path) -> None:
    with SinkKit(SingerSinkConnector, config(file, AT_THE_END)) as kit:
        kit.put("people", [person(0, 1, "a"), person(1, 2, None), person(2, 3, "c", age=7)])
        kit.put("people", [person(3, 4, "d", age=7.5)])
        kit.commit()
        assert kit.committed == {WHERE: 4}
    described = messages(file, "SCHEMA")
    properties = [each["schema"]["properties"] for each in described]
    assert properties[0] == {"id": {"type": ["null", "integer"]}, "name": {"type": ["null", "string"]}}
    assert [each["age"]["type"] for each in properties[1:]] == [["null", "integer"], ["null", "number"]]
    assert {each["stream"] for each in described} == {"people"}
    assert [each["key_properties"] for each in described] == [["id"]] * 3
    assert [each["record"] for each in messages(file, "RECORD")] == [
        {"id": 1, "name": "a"},
        {"id": 2, "name": None},
        {"id": 3, "name": "c", "age": 7},
        {"id": 4, "name": "d", "age": 7.5},
    ]


def test_records_with_schemas(file: Path) -> None:
    key = struct_of({"id": INT64})
    value = struct_of(
        {
            "name": OPTIONAL_STRING,
            "paid": decimal_schema(2),
            "at": TIMESTAMP,
            "on": DATE,
            "raw": BYTES,
            "tags": array_of(OPTIONAL_STRING),
            "counts": map_of(OPTIONAL_STRING, INT64),
            "inner": struct_of({"n": INT64}, optional=True),
        }
    )
    inner = value.by_name["inner"].schema
    record = SinkRecord(
        "people", 0, 0, key_schema=key, key=Struct(key, {"id": 1}), value_schema=value,
        value=Struct(value, {
            "name": "a", "paid": Decimal("12345678901234567.89"),
            "at": dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC),
            "on": dt.date(2026, 1, 2), "raw": b"\xff", "tags": ["x", None], "counts": {"k": 1},
            "inner": Struct(inner, {"n": 2}),
        }),
    )  # fmt: skip
    with SinkKit(SingerSinkConnector, config(file, AT_ONCE)) as kit:
        kit.put("people", [record, record])
    (described,) = messages(file, "SCHEMA")
    assert described["schema"]["properties"] == {
        "name": {"type": ["null", "string"]},
        "paid": {"type": "number", "x-scale": 2},
        "at": {"type": "string", "format": "date-time"},
        "on": {"type": "string", "format": "date"},
        "raw": {"type": "string", "contentEncoding": "base64"},
        "tags": {"type": "array", "items": {"type": ["null", "string"]}},
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        "inner": {"type": ["null", "object"], "properties": {"n": {"type": "integer"}}},
        "id": {"type": "integer"},
    }
    lines = [line for line in file.read_text().splitlines() if '"RECORD"' in line]
    assert len(lines) == 2
    assert '"paid":12345678901234567.89' in lines[0]  # no digit is lost
    assert json.loads(lines[0])["record"] | {"paid": 0} == {
        "id": 1, "name": "a", "paid": 0, "at": "2026-01-02T03:00:00Z", "on": "2026-01-02", "raw": "/w==",
        "tags": ["x", None], "counts": {"k": 1}, "inner": {"n": 2},
    }  # fmt: skip


def test_what_a_target_says_back_is_committed_while_it_goes_on(file: Path) -> None:
    with SinkKit(SingerSinkConnector, config(file, AT_ONCE)) as kit:
        kit.put("people", [person(0, 1, "a")])
        first = process_of(kit)
        task = kit._task
        assert isinstance(task, SingerSinkTask)
        assert task._program is not None
        while not task.is_kept:
            kit.put("people", [])
        kit.commit()
        assert kit.committed == {WHERE: 1}
        assert process_of(kit) == first
        kit.put("people", [person(1, 2, "b")])
        assert process_of(kit) == first
    assert kit.committed == {WHERE: 2}


def test_a_target_that_keeps_all_until_its_end_is_ended_and_started_anew(file: Path) -> None:
    with SinkKit(SingerSinkConnector, config(file, AT_THE_END)) as kit:
        kit.put("people", [person(0, 1, "a")])
        first = process_of(kit)
        kit.commit()
        assert kit.committed == {WHERE: 1}
        kit.put("people", [person(1, 2, "b")])
        assert process_of(kit) != first
    assert len(messages(file, "SCHEMA")) == 2  # each process is told
    assert [each["record"]["id"] for each in messages(file, "RECORD")] == [1, 2]


def test_a_target_that_fails_keeps_what_it_said_is_kept(file: Path) -> None:
    does = """
for number, line in enumerate(sys.stdin):
    if '"STATE"' in line and number < 4:
        say(json.loads(line)["value"])
sys.stderr.write("the disk is full" + chr(10))
sys.exit(5)
"""
    kit = SinkKit(SingerSinkConnector, config(file, does))
    kit.__enter__()
    kit.put("people", [person(0, 1, "a")])
    kit.put("people", [person(1, 2, "b")])
    kit.commit()
    assert kit.committed == {WHERE: 1}
    with pytest.raises(
        ConnectError, match="(?s)target-fake ended with exit code 5.*the disk is full"
    ) as caught:
        kit.put("people", [])
    kit.__exit__(caught.type, caught.value, None)


def test_a_target_that_ends_by_itself_has_kept_nothing(file: Path) -> None:
    kit = SinkKit(SingerSinkConnector, config(file, "sys.stdin.readline()\nsys.exit(0)"))
    kit.__enter__()
    kit.put("people", [person(0, 1, "a")])
    os.waitid(os.P_PID, process_of(kit), os.WEXITED | os.WNOWAIT)
    kit.commit()
    assert kit.committed == {}
    with pytest.raises(ConnectError, match="has ended before its input") as caught:
        kit.put("people", [person(1, 2, "b")])
    kit.__exit__(caught.type, caught.value, None)


@pytest.mark.parametrize(
    ("does", "error"),
    [
        ("sys.exit(0)", "has ended before its input"),
        ("sys.stderr.write('no such host')\nsys.exit(1)", "(?s)exit code 1.*no such host"),
        ("time.sleep(60)", "did nothing for 1 s and was killed"),
        ("for line in sys.stdin:\n    print('hello', flush=True)", "wrote what is no state: hello"),
    ],
)
def test_a_target_that_does_what_it_should_not(file: Path, does: str, error: str) -> None:
    timeout = {"timeout.ms": "1000" if "killed" in error else "60000"}
    kit = SinkKit(SingerSinkConnector, config(file, does, **timeout))

    def fill() -> None:
        with kit:
            while True:
                kit.put("people", [person(0, 1, "x" * 100_000)])  # more than a pipe takes

    with pytest.raises(ConnectError, match=error):
        fill()


def test_variables_are_passed_on_but_for_those_that_load_code(file: Path) -> None:
    does = 'keep(os.environ["TOKEN"])' + AT_ONCE
    with SinkKit(SingerSinkConnector, config(file, does, **{"target.env.TOKEN": "t\n"})) as kit:
        kit.put("people", [person(0, 1, "a")])
    assert file.read_text().startswith("t\n")
    for name in ("LD_PRELOAD", "PYTHONPATH", "PATH"):
        kit = SinkKit(SingerSinkConnector, config(file, AT_ONCE, **{f"target.env.{name}": "/tmp/x"}))
        with pytest.raises(ConfigError, match=rf"target.env.{name}: .*other code"), kit:
            kit.put("people", [person(0, 1, "a")])


def test_deletes(file: Path) -> None:
    gone = SinkRecord("people", 0, 1, key={"id": 1}, timestamp=1767225600000)
    with SinkKit(SingerSinkConnector, config(file, AT_ONCE, **{"delete.enabled": "true"})) as kit:
        kit.put("people", [person(0, 1, "a"), gone])
    assert messages(file, "RECORD")[-1]["record"] == {"id": 1, "_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    assert "_sdc_deleted_at" in messages(file, "SCHEMA")[0]["schema"]["properties"]
    with SinkKit(SingerSinkConnector, config(file, AT_ONCE)) as kit:
        kit.put("people", [gone, SinkRecord("people", 0, 2, value={"id": 9})])
    assert [str(error) for _, error in kit.errant] == [
        "a record of people has no value, and delete.enabled is not set"
    ]
    with SinkKit(SingerSinkConnector, config(file, AT_ONCE, **{"key.properties": "id"})) as kit:
        kit.put("people", [SinkRecord("people", 0, 3, key=7, value={"name": "x"}), person(4, 1, "a")])
        kit.put("people", [SinkRecord("people", 0, 5, value={"name": "nobody"})])
    assert messages(file, "RECORD")[-2]["record"] == {"id": 7, "name": "x"}
    assert [str(error) for _, error in kit.errant] == ["a record of people lacks its key: id"]
