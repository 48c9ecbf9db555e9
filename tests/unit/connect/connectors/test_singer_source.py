"""Taps as sources: with a tap that does what the test says, in a process of its own."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
from pathlib import Path

import pytest
from tests.unit.connect.connectors.fake_programs import READ, TAP, install

from ottla.connect.connectors.others import programs
from ottla.connect.connectors.others.environments import FOLDER
from ottla.connect.connectors.others.singer_source import SingerSourceConnector, SingerSourceTask
from ottla.connect.data.schema import Struct
from ottla.connect.errors import ConfigError, ConnectError, DataError
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Offset
from ottla.connect.testing import SourceKit


@pytest.fixture(autouse=True)
def _fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "environments"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    install(tmp_path / "environments", "tap-fake", "tap", TAP)


def config(does: str, **more: str) -> dict[str, str]:
    settings = {key.replace("__", "."): value for key, value in more.items()}
    told = json.dumps({"does": does, "until": 5})
    return {"tap.name": "tap-fake", "topic.prefix": "t.", "tap.config": told, "streams": "people", **settings}


class Task:
    """One task, polled until it has said something, as a worker does."""

    def __init__(self, given: dict[str, str], known: Offset | None = None) -> None:
        connector = SingerSourceConnector()
        connector.start(given)
        self.it = SingerSourceTask()
        self.it.context = self  # type: ignore[assignment]
        self.known = known
        self.it.start(connector.task_configs(1)[0])

    def offset(self, partition: Offset) -> Offset | None:
        return self.known

    def records(self, count: int) -> list[SourceRecord]:
        found: list[SourceRecord] = []
        deadline = time.monotonic() + 60
        while len(found) < count:
            assert time.monotonic() < deadline, found
            found += self.it.poll() or ()
        return found


def test_a_tap_is_read_and_goes_on_behind_its_state() -> None:
    task = Task(config(READ))
    records = task.records(5)
    task.it.stop()
    assert [r.source_offset for r in records] == [
        {"state": "{}"},
        {"state": '{"bookmarks":{"people":2}}'},
        {"state": '{"bookmarks":{"people":2}}'},
        {"state": '{"bookmarks":{"people":4}}'},
        {"state": '{"bookmarks":{"people":4}}'},
    ]
    first = records[0]
    assert (first.topic, first.timestamp) == ("t.people", 1767225600000)
    assert [tuple(header)[::2] for header in first.headers] == [("singer.version", 7)]
    assert isinstance(first.value, Struct)
    assert isinstance(first.key, Struct)
    assert (first.value["id"], first.value["name"], first.key["id"]) == (1, "n1", 1)
    again = Task(config(READ), records[-1].source_offset)
    last = again.records(1)
    again.it.stop()
    assert isinstance(last[0].value, Struct)
    assert [last[0].value["id"], len(last)] == [5, 1]


def test_it_is_run_again_after_a_while_in_the_same_task() -> None:
    task = Task(config(READ, poll__interval__ms="0"))
    ids = [r.value["id"] for r in task.records(7) if isinstance(r.value, Struct)]
    task.it.stop()
    assert ids[:7] == [1, 2, 3, 4, 5, 5, 5]  # what is behind the last state comes again


def test_what_is_wanted_is_selected_in_the_catalog() -> None:
    says = """
told = [[each["stream"], each["selected"], each["metadata"]] for each in catalog["streams"]]
sys.stderr.write(json.dumps(told) + chr(10))
sys.exit(3)
"""
    given = config(says, streams="p*", streams__exclude="places,people.name")
    given["tap.metadata"] = '{"people": {"replication-method": "FULL_TABLE"}}'
    task = Task(given)
    with pytest.raises(ConnectError, match="ended with exit code 3") as caught:
        task.records(1)
    task.it.stop()
    told = json.loads(str(caught.value).splitlines()[-1])
    assert [each[:2] for each in told] == [["people", True], ["places", False]]
    assert told[0][2] == [
        {"breadcrumb": [], "metadata": {"selected": True, "replication-method": "FULL_TABLE"}},
        {"breadcrumb": ["properties", "name"], "metadata": {"inclusion": "available", "selected": False}},
    ]
    with pytest.raises(ConfigError, match="there is no stream animals; there are: people, places"):
        Task(config(READ, streams="animals"))


def test_a_tap_that_fails_fails_the_task_with_its_last_words() -> None:
    task = Task(config(READ + "\nsys.stderr.write('the password is not right' + chr(10))\nsys.exit(1)"))
    assert len(task.records(5)) == 5  # what it gave before is not lost
    with pytest.raises(ConnectError, match="(?s)tap-fake ended with exit code 1.*the password is not right"):
        task.records(1)
    task.it.stop()


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ('print("not json", flush=True)', "no message of Singer's"),
        ('say(type="RECORD", stream="people", record={})', "a record of people without its schema"),
        (
            """
say(type="SCHEMA", stream="people", schema={"properties": {"id": {"type": "integer"}}})
say(type="RECORD", stream="people", record={"id": "many"})
""",
            "a record of people is not what its schema says: id: 'many' is no integer",
        ),
        ('say(type="BATCH", stream="people")', "writes files instead of records"),
        ('sys.stdout.write("x" * 70000)', "line of more than"),
        ("time.sleep(60)", "did nothing for 1 s and was killed"),
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL"),
    ],
)
def test_a_tap_that_does_what_it_should_not(says: str, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_MAX_LINE", 60000)
    monkeypatch.setattr(programs, "_READ", 4096)
    task = Task(config(says, timeout__ms="1000" if "sleep" in says else "60000"))
    with pytest.raises((ConnectError, DataError), match=error):
        task.records(1)
    task.it.stop()


def test_it_ends_with_the_task_and_leaves_no_file(tmp_path: Path) -> None:
    task = Task(config('say(type="STATE", value={})\ntime.sleep(600)'))
    task.it.poll()
    program = task.it._program
    assert program is not None
    folder = task.it.folder.path
    files = list(folder.iterdir())
    assert {file.name for file in files} == {"config.json", "catalog.json"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    command = Path(f"/proc/{program.pid}/cmdline").read_bytes()
    assert b"until" not in command
    assert b"config.json" in command
    task.it.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(program.pid, 0)
    assert not folder.exists()


def test_it_does_not_outlive_a_task_that_is_killed(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            killed = Task(config('open(config["mark"], "w").write(str(os.getpid()))\ntime.sleep(600)',
                                 tap__config__mark=str(tmp_path / "mark")))  # fmt: skip
            while True:
                killed.it.poll()
        finally:
            os._exit(1)
    deadline = time.monotonic() + 60
    mark = tmp_path / "mark"
    while not mark.exists() or not mark.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    while Path(f"/proc/{mark.read_text()}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert list(tmp_path.glob(f"ottla-connect-{child}-*"))
    programs.PrivateFolder().close()
    assert not list(tmp_path.glob(f"ottla-connect-{child}-*"))


def test_it_sees_no_variables_but_those_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "x")
    says = "sys.stderr.write(' '.join(sorted(os.environ)))\nsys.exit(1)"
    task = Task(config(says, tap__env__REGION="x"))
    with pytest.raises(ConnectError) as caught:
        task.records(1)
    task.it.stop()
    told = str(caught.value).splitlines()[-1].split()
    assert "REGION" in told
    assert "SECRET_OF_THE_WORKER" not in told


def test_a_wrong_configuration_names_key_value_and_what_would_be_right() -> None:
    wrong = {**config(READ), "tap.name": "tap-nobody", "tap.config": "[1]", "tap.metadata": "{"}
    errors = [error for each in SingerSourceConnector().validate(wrong) for error in each.errors]
    assert any("tap-nobody for configuration tap.name: there is no tap tap-nobody" in each for each in errors)
    assert any("[hidden] for configuration tap.config: It must be a JSON object" in each for each in errors)
    assert any("tap.metadata" in each for each in errors)
    with pytest.raises(ConnectError, match="no name of an environment"):
        SourceKit(SingerSourceConnector, {**config(READ), "tap.name": "../etc"}).run()


def test_offsets_that_are_no_state_are_refused() -> None:
    connector = SingerSourceConnector()
    assert connector.alter_offsets({}, [({"program": "x"}, {"state": "{}"}), ({"program": "x"}, None)])
    with pytest.raises(ConnectError, match="JSON object"):
        connector.alter_offsets({}, [({"program": "x"}, {"state": "[]"})])
