"""A standalone worker: files in and out, offsets that outlive it, tasks that fail alone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.platform.connect.worker_process import Api, WorkerProcess, wait_until

from ottla import client
from ottla.cli.connect import connect
from ottla.client.sync.client import Client
from ottla.http.basic import hash_password
from ottla.testing import InProcessBroker


@pytest.fixture(scope="module")
def worker(broker: InProcessBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    process = WorkerProcess("standalone", broker.bootstrap_servers, tmp_path_factory.mktemp("worker"))
    process.ready()
    yield process
    process.close()


@pytest.fixture
def api(worker: WorkerProcess) -> Api:
    return worker.api


def _values(connected: Client, topic: str) -> list[bytes | None]:
    """Of a topic, which may not be there yet."""
    if topic not in [each.name for each in connected.admin.topics.list()]:
        return []
    values: list[bytes | None] = connected.read(topic).column("value").to_pylist()
    return values


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_file_to_topic_to_file(api: Api, tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    wanted = [f"line {number} ä" for number in range(5_000)]
    source.write_text("".join(f"{line}\n" for line in wanted))
    made = api.create("copy-in", connector_class="FileStreamSource", file=str(source), topic="copied")
    assert made["type"] == "source"
    assert made["tasks"] == [{"connector": "copy-in", "task": 0}]
    api.create("copy-out", connector_class="FileStreamSinkConnector", file=str(target), topics="copied")
    wait_until(lambda: lines(target) == wanted, lambda: len(lines(target)))
    assert api.states("copy-in") == api.states("copy-out") == ["RUNNING", "RUNNING"]
    assert api.get("/connectors/copy-in/topics") == {"copy-in": {"topics": ["copied"]}}
    offset = {"partition": {"filename": str(source)}, "offset": {"position": source.stat().st_size}}
    wait_until(lambda: api.get("/connectors/copy-in/offsets") == {"offsets": [offset]})
    partition = {"kafka_topic": "copied", "kafka_partition": 0}
    committed = {"offsets": [{"partition": partition, "offset": {"kafka_offset": 5_000}}]}
    wait_until(lambda: api.get("/connectors/copy-out/offsets") == committed)
    for name in ("copy-in", "copy-out"):
        assert api.call("DELETE", f"/connectors/{name}").status == 204
    assert api.get("/connectors") == []


def test_paused_stopped_resumed_and_offsets_altered(
    api: Api, tmp_path: Path, broker: InProcessBroker
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one\ntwo\n")
    api.create("states", connector_class="FileStreamSource", file=str(source), topic="states")
    api.wait_for("states", "RUNNING", "RUNNING")
    with client.connect(broker.bootstrap_servers) as connected:
        wait_until(lambda: _values(connected, "states") == [b"one", b"two"])
    assert api.call("PUT", "/connectors/states/pause").status == 202
    api.wait_for("states", "PAUSED", "PAUSED")
    assert api.call("PATCH", "/connectors/states/offsets", {"offsets": []}).status == 400
    assert api.call("PUT", "/connectors/states/stop").status == 204
    api.wait_for("states", "STOPPED")
    change = {"partition": {"filename": str(source)}, "offset": {"position": 4}}
    answer = api.call("PATCH", "/connectors/states/offsets", {"offsets": [change]})
    assert answer == (200, {"message": "The offsets for this connector have been altered successfully"})
    assert api.call("PUT", "/connectors/states/resume").status == 202
    api.wait_for("states", "RUNNING", "RUNNING")

    with client.connect(broker.bootstrap_servers) as connected:
        wait_until(lambda: _values(connected, "states") == [b"one", b"two", b"two"])
    api.call("DELETE", "/connectors/states")


def test_killed_task_is_failed_alone_and_restarted(worker: WorkerProcess, tmp_path: Path) -> None:
    api = worker.api
    before = set(worker.children())
    for name in ("victim", "other"):
        (tmp_path / name).write_text("")
        api.create(name, connector_class="FileStreamSource", file=str(tmp_path / name), topic=name)
    api.wait_for("victim", "RUNNING", "RUNNING")
    wait_until(lambda: bool(_with(worker, before, tmp_path / "victim")))
    (task,) = _with(worker, before, tmp_path / "victim")
    os.kill(task, signal.SIGKILL)
    api.wait_for("victim", "RUNNING", "FAILED")
    trace = api.get("/connectors/victim/tasks/0/status")["trace"]
    assert "killed by signal 9" in trace
    api.wait_for("other", "RUNNING", "RUNNING")
    answer = api.call("POST", "/connectors/victim/restart?includeTasks=true&onlyFailed=true")
    assert answer.status == 202
    assert [each["state"] for each in answer.json["tasks"]] == ["RESTARTING"]
    api.wait_for("victim", "RUNNING", "RUNNING")
    for name in ("victim", "other"):
        api.call("DELETE", f"/connectors/{name}")


def _with(worker: WorkerProcess, before: set[int], path: Path) -> list[int]:
    """New processes that have a file open."""
    new = [each for each in worker.children() if each not in before]
    return [
        each
        for each in new
        if any(os.path.realpath(fd) == str(path) for fd in Path(f"/proc/{each}/fd").iterdir())
    ]


def test_record_that_fails_goes_where_the_policy_says(
    api: Api, tmp_path: Path, broker: InProcessBroker
) -> None:
    with client.connect(broker.bootstrap_servers) as connected:
        with connected.producer() as producer:
            for value in (b'{"a":1}', b"{broken", b'{"a":2}'):
                producer.send("policy", value, key=b"k")
        json_ = {"value_converter": "JsonConverter", "value_converter_schemas_enable": "false"}
        strict = {"connector_class": "FileStreamSink", "topics": "policy", **json_}
        api.create("strict", **strict, file=str(tmp_path / "strict"))
        api.wait_for("strict", "RUNNING", "FAILED")
        assert "Tolerance exceeded" in api.get("/connectors/strict/status")["tasks"][0]["trace"]
        letters = {
            "errors_tolerance": "all",
            "errors_deadletterqueue_topic_replication_factor": "1",
            "errors_deadletterqueue_topic_name": "letters",
            "errors_deadletterqueue_context_headers_enable": "true",
        }
        api.create("lenient", **strict, **letters, file=str(tmp_path / "lenient"))
        wait_until(lambda: lines(tmp_path / "lenient") == ["{a=1}", "{a=2}"])
        wait_until(lambda: len(_values(connected, "letters")) == 1)
        (letter,) = connected.read("letters").to_pylist()
    assert (letter["key"], letter["value"]) == (b"k", b"{broken")
    headers = {each["name"].decode(): each["value"] for each in letter["headers"]}
    assert headers["__connect.errors.topic"] == b"policy"
    assert headers["__connect.errors.offset"] == b"1"
    assert headers["__connect.errors.stage"] == b"VALUE_CONVERTER"
    assert (
        headers["__connect.errors.exception.class.name"] == b"org.apache.kafka.connect.errors.DataException"
    )
    for name in ("strict", "lenient"):
        api.call("DELETE", f"/connectors/{name}")


def test_transforms_and_predicates(api: Api, tmp_path: Path, broker: InProcessBroker) -> None:
    (tmp_path / "in.txt").write_text("x\n")
    transforms = {
        "transforms": "wrap,route",
        "transforms.wrap.type": "org.apache.kafka.connect.transforms.HoistField$Value",
        "transforms.wrap.field": "line",
        "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.route.regex": "(.*)",
        "transforms.route.replacement": "routed-$1",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
    }
    api.create(
        "smt", connector_class="FileStreamSource", file=str(tmp_path / "in.txt"), topic="t", **transforms
    )
    with client.connect(broker.bootstrap_servers) as connected:
        wait_until(lambda: _values(connected, "routed-t") == [b'{"line":"x"}'])
    api.call("DELETE", "/connectors/smt")


def test_connectors_of_files_and_offsets_outlive_the_worker(
    start: object, tmp_path: Path, broker: InProcessBroker
) -> None:
    assert callable(start)
    source = tmp_path / "in.txt"
    source.write_text("one\n")
    config = {"connector.class": "FileStreamSource", "file": str(source), "topic": "restarted"}
    as_json, as_properties = tmp_path / "c.json", tmp_path / "c.properties"
    as_json.write_text(json.dumps({"name": "again", "config": config}))
    as_properties.write_text("name=again\n" + "".join(f"{name}={value}\n" for name, value in config.items()))
    with client.connect(broker.bootstrap_servers) as connected:
        wanted = [b"one"]
        for file, added in ((as_json, "two"), (as_properties, "three")):
            worker: WorkerProcess = start("standalone", file)
            worker.ready()
            with source.open("a") as appended:
                appended.write(f"{added}\n")
            wanted.append(added.encode())
            wait_until(lambda: _values(connected, "restarted") == wanted)
            assert worker.stop() == 0


def test_killed_worker_leaves_no_process(start: object, tmp_path: Path) -> None:
    assert callable(start)
    worker: WorkerProcess = start("standalone")
    api = worker.ready()
    (tmp_path / "in.txt").write_text("")
    api.create("left", connector_class="FileStreamSource", file=str(tmp_path / "in.txt"), topic="left")
    api.wait_for("left", "RUNNING", "RUNNING")
    children = worker.children()
    assert len(children) >= 3
    worker.kill()
    wait_until(lambda: not any(_is_alive(each) for each in children), lambda: children)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_wrong_configurations_name_the_key(api: Api) -> None:
    answer = api.call("POST", "/connectors", {"name": "w", "config": {"connector.class": "FileStreamSource"}})
    assert answer.status == 400
    assert 'Missing required configuration "topic" which has no default value.' in answer.json["message"]
    answer = api.call("PUT", "/connectors/w/config", {"connector.class": "NoSuchConnector"})
    assert answer.status == 400
    assert "NoSuchConnector" in answer.json["message"]
    config = {"connector.class": "FileStreamSource", "topic": "t", "tasks.max": "none", "name": "w"}
    answer = api.call("PUT", "/connector-plugins/FileStreamSource/config/validate", config)
    assert answer.status == 200
    wrong = {
        each["value"]["name"]: each["value"]["errors"]
        for each in answer.json["configs"]
        if each["value"]["errors"]
    }
    assert list(wrong) == ["tasks.max"]
    assert answer.json["error_count"] >= 1


def test_users_sign_in(start: Callable[..., WorkerProcess], tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"alice:{hash_password('p:w', b'salt' * 4)}\n")
    api = start("standalone", authentication_users_file=str(users)).ready()
    for method, path in (("GET", "/"), ("GET", "/connectors"), ("POST", "/connectors/x/tasks")):
        refused = api.call(method, path)
        assert (refused.status, refused.json["error_code"]) == (401, 401)
    scheme, _, host = api.url.partition("://")
    for who, message in (("alice:p%3Aw@", ""), ("alice:wrong@", "cannot access"), ("", "cannot access")):
        told = CliRunner().invoke(connect, ["list", "--url", f"{scheme}://{who}{host}"])
        assert (told.exit_code == 0) is (message == "")
        assert message in told.output
