"""`ottla streams` against a broker: an application run, described, looked at and reset."""

import signal
import subprocess
import textwrap

import pytest

from .conftest import command

PROGRAM = """\
    from ottla.streams import Store, StreamsBuilder, Text, Long

    builder = StreamsBuilder(default_key=Text(), default_value=Text())
    words = builder.stream("{topic}", name="lines").flat_map_values(str.split).group_by(lambda _, word: word)
    words.count(Store("counts", caching=False)).to_stream().to("{out}", value=Long())
"""


@pytest.fixture
def program(tmp_path, make_topic):
    topic, out = make_topic(partitions=2), make_topic()
    path = tmp_path / "words.py"
    path.write_text(textwrap.dedent(PROGRAM.format(topic=topic, out=out)))
    return path, topic, out


class Running:
    """`ottla streams run`, from the line that says so until it is told to end."""

    def __init__(self, bootstrap, *arguments):
        called = command(bootstrap, "streams", "run", *arguments)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(**called, stdout=pipe, stderr=pipe, text=True)
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


def test_an_application_is_run_looked_at_and_reset(
    broker, cli, answer, program, tmp_path, new_name, eventually
):
    path, topic, out = program
    name, state = new_name("app"), tmp_path / "state"
    settings = ("--set", f"state.dir={state}", "--set", "commit.interval.ms=50")
    cli("produce", topic, stdin=b"a b\nb\n")
    running = Running(broker.bootstrap, f"{path}:builder", "--application-id", name, *settings)
    try:
        assert running.line == f"{name} is running: 4 active and 0 standby tasks\n"
        eventually(lambda: len(cli("consume", out, "--exit-at-end").stdout.splitlines()) == 3)
        assert {"application": name, "state": "stable", "members": 1, "kind": "ottla"} in answer(
            "streams", "groups"
        )
        (described,) = answer("streams", "groups", name)
        assert [task["task"] for task in described["tasks"]] == ["0_0", "0_1", "1_0", "1_1"]
        assert all(task["role"] == "active" for task in described["tasks"])
        eventually(lambda: answer("streams", "groups", name)[0]["lag"] == 0)
        reset = ("streams", "reset", "--application-id", name, "--input-topics", topic)
        refused = cli(*reset, "--state-dir", str(state), code=1)
        assert b"has active members" in refused.stderr
        assert b"stop all instances first" in refused.stderr
    finally:
        ended = running.end()
    assert ended == (0, "stopping\nstopped\n")
    assert {"application": name, "state": "empty", "members": 0, "kind": None} in answer("streams", "groups")
    looked = answer(*reset, "--state-dir", str(state), "--dry-run")
    assert looked == answer(*reset, "--state-dir", str(state), "--dry-run")
    internal = [f"{name}-counts-changelog", f"{name}-counts-repartition"]
    assert looked["internal_topics"] == internal
    assert looked["state"] == f"{state}/{name}"
    assert sorted(row["committed"] or 0 for row in looked["offsets"]) != [0, 0]
    assert [row["new_offset"] for row in looked["offsets"]] == [0, 0]
    assert answer(*reset, "--state-dir", str(state)) == looked
    assert not (state / name).exists()
    assert not {row["topic"] for row in answer("topic", "list")} & set(internal)
    # It does all again, as if for the first time.
    again = Running(broker.bootstrap, f"{path}:builder", "--application-id", name, *settings)
    eventually(lambda: len(cli("consume", out, "--exit-at-end").stdout.splitlines()) == 6)
    assert again.end(signal.SIGTERM) == (0, "stopping\nstopped\n")


def test_a_topology_is_described(cli, program):
    path, _, out = program
    text = cli("streams", "describe", f"{path}:builder").stdout.decode()
    assert text.startswith("Topologies:\n   Sub-topology: 0\n    Source: lines ")
    assert f"(topic: {out})" in text
    assert cli("streams", "describe", f"{path}:builder", "--mermaid").stdout.startswith(b"flowchart")


def test_what_is_wrong_with_an_application_is_said(cli, program, tmp_path, new_name):
    path, topic, _ = program
    run = ("streams", "run", f"{path}:builder", "--application-id", new_name("app"))
    state = ("--set", f"state.dir={tmp_path}")
    misspelt = cli(*run, *state, "--set", "num.stream.treads=2", code=1).stderr
    assert b"num.stream.threads" in misspelt
    cli("topic", "delete", topic)
    assert f"there are no topics {topic}".encode() in cli(*run, *state, code=1).stderr
    unknown = cli("streams", "groups", new_name("none"), code=1).stderr
    assert b"there is no such application" in unknown
