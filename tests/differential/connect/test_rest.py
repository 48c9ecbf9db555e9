"""The same REST calls to Kafka's Connect and to ours: the same codes and bodies, but for names and texts.

And a connector's state made by one is taken up by the other.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from bench.kafka.install import KafkaUnavailableError, install
from tests.platform.connect.worker_process import Api, WorkerProcess, wait_until

from ottla import client
from ottla.testing import InProcessBroker, run_broker
from ottla.testing.cluster import free_ports

pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="needs Java 17 or newer"),
    pytest.mark.timeout(400),
]

VERSION = "4.3.1"
"""The last that has its file connectors on Maven Central"""
STRING = "org.apache.kafka.connect.storage.StringConverter"
HEAP = ("-Xmx256M", "-XX:TieredStopAtLevel=1")
SOURCE = "org.apache.kafka.connect.file.FileStreamSourceConnector"
SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"


def settings(group: str) -> dict[str, str]:
    return {
        "group.id": group,
        **{f"{each}.storage.topic": f"{group}-{each}" for each in ("config", "offset", "status")},
        **{f"{each}.storage.replication.factor": "1" for each in ("config", "offset", "status")},
        "offset.storage.partitions": "2",
        "status.storage.partitions": "2",
        "key.converter": STRING,
        "value.converter": STRING,
        "offset.flush.interval.ms": "500",
        "session.timeout.ms": "6000",
        "heartbeat.interval.ms": "500",
    }


class JavaWorker:
    """Kafka's ConnectDistributed."""

    def __init__(self, bootstrap: str, folder: Path, group: str) -> None:
        try:
            kafka = install(VERSION, pom=Path(__file__).parent / "rest.pom.xml", name="connect-rest")
        except KafkaUnavailableError as reason:
            pytest.skip(str(reason))
        [self.port] = free_ports(1)
        given = {
            **settings(group),
            "bootstrap.servers": bootstrap,
            "listeners": f"http://127.0.0.1:{self.port}",
            "plugin.discovery": "only_scan",
        }
        file = folder / f"{group}-java.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
        self.log = folder / f"{group}-java.log"
        command = kafka.command("org.apache.kafka.connect.cli.ConnectDistributed", str(file), heap=HEAP)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.api = Api(f"http://127.0.0.1:{self.port}")

    def ready(self) -> Api:
        def answers() -> bool:
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            try:
                return self.api.call("GET", "/health").status == 200
            except (OSError, ValueError):  # it does not listen, or has only its beginnings
                return False

        deadline = time.monotonic() + 120
        while not answers():
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.2)
        return self.api

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="module")
def broker() -> Iterator[InProcessBroker]:
    with run_broker({"group.initial.rebalance.delay.ms": 0}) as running:
        yield running


def ours(broker: InProcessBroker, folder: Path, group: str) -> WorkerProcess:
    given = {name.replace(".", "_"): value for name, value in settings(group).items()}
    return WorkerProcess("distributed", broker.bootstrap_servers, folder, **given)


@pytest.fixture(scope="module")
def workers(broker: InProcessBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Api]]:
    """Kafka's, and ours."""
    folder = tmp_path_factory.mktemp("workers")
    java, own = JavaWorker(broker.bootstrap_servers, folder, "java"), ours(broker, folder, "ours")
    try:
        own.ready()
        yield java.ready(), own.api
    finally:
        own.close()
        java.close()


HIDDEN = {"documentation", "version", "commit", "worker_id", "kafka_cluster_id", "last_modified"}
"""What differs, or is another's text"""


def shown(value: Any, group: str) -> Any:
    """Without what may differ."""
    if isinstance(value, dict):
        return {name: shown(each, group) for name, each in value.items() if name not in HIDDEN}
    if isinstance(value, list):
        return [shown(each, group) for each in value]
    if isinstance(value, str):
        return re.sub(r"4\.4\.0|4\.3\.1|0\.1\.0", "VERSION", value)
    return value


def both(workers: tuple[Api, Api], method: str, path: str, body: object = None) -> tuple[Any, Any]:
    java, own = (each.call(method, path, body) for each in workers)
    return (java.status, shown(java.json, "java")), (own.status, shown(own.json, "ours"))


def same(workers: tuple[Api, Api], method: str, path: str, body: object = None) -> Any:
    java, own = both(workers, method, path, body)
    assert own == java, (method, path, body)
    return own[1]


def settle(workers: tuple[Api, Api], name: str, *states: str) -> None:
    for each in workers:
        each.wait_for(name, *states)


def test_life_of_a_source(workers: tuple[Api, Api], tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_text("one\ntwo\n")
    config = {"connector.class": "FileStreamSource", "file": str(file), "topic": "source", "tasks.max": "1"}
    same(workers, "POST", "/connectors", {"name": "s", "config": config})
    settle(workers, "s", "RUNNING", "RUNNING")
    same(workers, "POST", "/connectors", {"name": "s", "config": config})  # 409
    for path in ("", "/config", "/status", "/tasks", "/tasks/0/status"):
        same(workers, "GET", f"/connectors/s{path}")
    same(workers, "GET", "/connectors?expand=status&expand=info")
    same(workers, "PUT", "/connectors/s/config", {**config, "batch.size": "10"})
    settle(workers, "s", "RUNNING", "RUNNING")
    same(workers, "PATCH", "/connectors/s/config", {"batch.size": "11"})
    settle(workers, "s", "RUNNING", "RUNNING")
    same(workers, "GET", "/connectors/s/config")
    wanted = {"offsets": [{"partition": {"filename": str(file)}, "offset": {"position": 8}}]}
    for each in workers:
        wait_until(lambda: each.get("/connectors/s/offsets") == wanted)  # noqa: B023 - called at once
    same(workers, "GET", "/connectors/s/topics")
    same(workers, "PUT", "/connectors/s/topics/reset")
    same(workers, "PATCH", "/connectors/s/offsets", wanted)  # it is not stopped
    same(workers, "DELETE", "/connectors/s/offsets")
    for verb, states in (
        ("pause", ("PAUSED", "PAUSED")),
        ("resume", ("RUNNING", "RUNNING")),
        ("stop", ("STOPPED",)),
    ):
        same(workers, "PUT", f"/connectors/s/{verb}")
        settle(workers, "s", *states)
    same(workers, "GET", "/connectors/s/status")
    same(workers, "GET", "/connectors/s/tasks")
    for offset in ({"position": 4}, {"position": "x"}, {"position": -1}, {}, None):
        change = {"partition": {"filename": str(file)}, "offset": offset}
        same(workers, "PATCH", "/connectors/s/offsets", {"offsets": [change]})
    same(workers, "PATCH", "/connectors/s/offsets", {"offsets": []})
    same(workers, "PATCH", "/connectors/s/offsets", {})
    same(workers, "DELETE", "/connectors/s/offsets")
    same(workers, "GET", "/connectors/s/offsets")
    same(workers, "PUT", "/connectors/s/resume")
    settle(workers, "s", "RUNNING", "RUNNING")
    same(workers, "POST", "/connectors/s/restart")
    settle(workers, "s", "RUNNING", "RUNNING")
    same(workers, "POST", "/connectors/s/restart?includeTasks=true")
    settle(workers, "s", "RUNNING", "RUNNING")
    same(workers, "POST", "/connectors/s/restart?onlyFailed=true")
    same(workers, "POST", "/connectors/s/tasks/0/restart")
    settle(workers, "s", "RUNNING", "RUNNING")
    same(workers, "DELETE", "/connectors/s")
    for each in workers:
        wait_until(lambda: each.call("GET", "/connectors/s/status").status == 404)  # noqa: B023
    same(workers, "GET", "/connectors/s/status")
    same(workers, "GET", "/connectors")


def test_life_of_a_sink(workers: tuple[Api, Api], tmp_path: Path, broker: InProcessBroker) -> None:
    with client.connect(broker.bootstrap_servers) as connected, connected.producer() as producer:
        for number in range(3):
            producer.send("sink", str(number).encode())
    for number, each in enumerate(workers):
        config = {
            "connector.class": SINK,
            "file": str(tmp_path / f"{number}"),
            "topics": "sink",
            "tasks.max": "1",
        }
        config["consumer.override.group.id"] = f"sink-{number}"
        answer = each.call("POST", "/connectors", {"name": "k", "config": config, "initial_state": "paused"})
        assert answer.status == 201
    settle(workers, "k", "PAUSED")
    same(workers, "PUT", "/connectors/k/resume")
    settle(workers, "k", "RUNNING", "RUNNING")
    same(workers, "GET", "/connectors/k/status")
    partition = {"kafka_topic": "sink", "kafka_partition": 0}
    wanted = {"offsets": [{"partition": partition, "offset": {"kafka_offset": 3}}]}
    for each in workers:
        wait_until(lambda: each.get("/connectors/k/offsets") == wanted)  # noqa: B023
    same(workers, "PUT", "/connectors/k/stop")
    settle(workers, "k", "STOPPED")
    for changed in (
        {"partition": partition, "offset": {"kafka_offset": 1}},
        {"partition": {"kafka_topic": "sink"}, "offset": {"kafka_offset": 1}},
        {"partition": {"kafka_topic": "sink", "kafka_partition": "x"}, "offset": {"kafka_offset": 1}},
        {"partition": partition, "offset": {"kafka_offset": "x"}},
        {"partition": partition, "offset": {}},
        {"partition": None, "offset": None},
    ):
        same(workers, "PATCH", "/connectors/k/offsets", {"offsets": [changed]})
    same(workers, "GET", "/connectors/k/offsets")
    same(workers, "DELETE", "/connectors/k/offsets")
    same(workers, "GET", "/connectors/k/offsets")
    same(workers, "DELETE", "/connectors/k")


CONFIGS: Sequence[dict[str, Any]] = (
    {},
    {"connector.class": "FileStreamSource"},
    {"connector.class": SOURCE, "topic": "t", "name": "n"},
    {"connector.class": SOURCE, "topic": "", "name": "n", "tasks.max": "0", "batch.size": "x"},
    {
        "connector.class": SOURCE,
        "topic": "t",
        "name": "a\tb",
        "errors.tolerance": "some",
        "header.converter": "No",
    },
    {"connector.class": SOURCE, "topic": "t", "name": "n", "exactly.once.support": "required"},
    {"connector.class": SOURCE, "topic": "t", "name": "n", "transaction.boundary": "connector"},
    {"connector.class": SINK, "name": "n"},
    {"connector.class": SINK, "name": "n", "topics": "a", "topics.regex": "b"},
    {"connector.class": SINK, "name": "n", "topics": "a", "errors.deadletterqueue.topic.name": "a"},
    {"connector.class": SINK, "name": "n", "topics": "a", "file": None},
    {
        "connector.class": SOURCE,
        "topic": "t",
        "name": "n",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter.schemas.enable": "maybe",
        "value.converter": STRING,
    },
)


def comparable(answer: tuple[int, Any]) -> tuple[int, Any]:
    """Settings by name; classes that there are, and those that are recommended, are each one's own."""
    status, body = answer
    if not isinstance(body, dict) or "configs" not in body:
        text = re.sub(r"available connectors are: .*", "", str(body))
        return status, re.sub(r"Connector config \{.*\} contains", "Connector config contains", text)
    configs = {}
    for each in body["configs"]:
        value = dict(each["value"] or {})
        value.pop("recommended_values", None)
        definition = dict(each["definition"] or {})
        configs[value.get("name") or definition["name"]] = (definition, value)
    return status, {"name": body["name"], "errors": body["error_count"], "configs": configs}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda each: "-".join(map(str, each.values()))[:60])
def test_validation(workers: tuple[Api, Api], config: dict[str, Any]) -> None:
    plugin = "FileStreamSink" if config.get("connector.class") == SINK else "FileStreamSource"
    java, own = both(workers, "PUT", f"/connector-plugins/{plugin}/config/validate", config)
    java, own = comparable(java), comparable(own)
    if isinstance(java[1], dict):
        assert own[1]["configs"].keys() == java[1]["configs"].keys()
        for name, wanted in java[1]["configs"].items():
            assert own[1]["configs"][name] == wanted, name
    assert own == java
    java, own = both(workers, "PUT", "/connectors/n/config", {**config, "name": "n"})
    assert own[0] == java[0]
    for each in workers:
        each.call("DELETE", "/connectors/n")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/connectors/none", None),
        ("GET", "/connectors/none/config", None),
        ("GET", "/connectors/none/status", None),
        ("GET", "/connectors/none/tasks", None),
        ("GET", "/connectors/none/tasks/0/status", None),
        ("GET", "/connectors/none/offsets", None),
        ("GET", "/connectors/none/topics", None),
        ("PUT", "/connectors/none/pause", None),
        ("PUT", "/connectors/none/resume", None),
        ("PUT", "/connectors/none/stop", None),
        ("POST", "/connectors/none/restart", None),
        ("POST", "/connectors/none/restart?includeTasks=true", None),
        ("POST", "/connectors/none/tasks/0/restart", None),
        ("DELETE", "/connectors/none", None),
        ("DELETE", "/connectors/none/offsets", None),
        ("PATCH", "/connectors/none/config", {"a": "b"}),
        ("PUT", "/connectors/a/config", {"name": "b", "connector.class": SOURCE}),
        ("PUT", "/connector-plugins/FileStreamSink/config/validate", {"connector.class": SOURCE}),
        ("GET", "/connector-plugins/none/config", None),
        ("GET", "/none", None),
        ("DELETE", "/connectors", None),
        ("GET", "/health", None),
        ("GET", "/", None),
        ("GET", "/admin/loggers/none", None),
        ("PUT", "/admin/loggers/x.y", {}),
        ("PUT", "/admin/loggers/x.y", {"level": "LOUD"}),
        ("PUT", "/admin/loggers/x.y?scope=cluster", {"level": "DEBUG"}),
        ("POST", "/connectors/none/tasks", []),
    ],
    ids=lambda each: str(each)[:60],
)
def test_refusals(workers: tuple[Api, Api], method: str, path: str, body: object) -> None:
    same(workers, method, path, body)


def test_plugins(workers: tuple[Api, Api]) -> None:
    java, own = (each.get("/connector-plugins?connectorsOnly=false") for each in workers)
    kafkas = {(each["class"], each["type"]) for each in java if "mirror" not in each["class"]}
    assert kafkas - {(each["class"], each["type"]) for each in own} == set()
    connectors = {each["class"] for each in workers[1].get("/connector-plugins")}
    jdbc = {f"io.confluent.connect.jdbc.Jdbc{each}Connector" for each in ("Sink", "Source")}
    assert connectors >= {*jdbc, SINK, SOURCE}
    assert connectors == {each["class"] for each in own if each["type"] in ("sink", "source")}


def test_state_moves_both_ways(broker: InProcessBroker, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A source made by Kafka's worker goes on in ours, paused ones stay so, and the reverse."""
    if not pytestconfig.getoption("--full"):
        pytest.skip("starts Kafka's worker twice more: with --full")
    file = tmp_path / "in.txt"
    config = {"connector.class": SOURCE, "file": str(file), "topic": "moved"}
    written: list[bytes] = []

    def add(line: str) -> None:
        with file.open("a") as appended:
            appended.write(f"{line}\n")
        written.append(line.encode())

    def are_there(connected: Any) -> bool:
        return connected.read("moved").column("value").to_pylist() == written

    add("by java")
    java = JavaWorker(broker.bootstrap_servers, tmp_path, "moving")
    with client.connect(broker.bootstrap_servers) as connected:
        api = java.ready()
        assert api.call("PUT", "/connectors/mover/config", config).status == 201
        api.wait_for("mover", "RUNNING", "RUNNING")
        paused = {**config, "file": str(tmp_path / "none")}
        assert (
            api.call("POST", "/connectors", {"name": "p", "config": paused, "initial_state": "PAUSED"}).status
            == 201
        )
        wait_until(lambda: are_there(connected))
        wait_until(lambda: api.get("/connectors/mover/offsets")["offsets"] != [])
        java.close()
        add("by ottla")
        own = ours(broker, tmp_path, "moving")
        api = own.ready()
        api.wait_for("mover", "RUNNING", "RUNNING")
        api.wait_for("p", "PAUSED")
        wait_until(lambda: are_there(connected))
        position = {
            "offsets": [{"partition": {"filename": str(file)}, "offset": {"position": file.stat().st_size}}]
        }
        wait_until(lambda: api.get("/connectors/mover/offsets") == position)
        assert api.call("PUT", "/connectors/p/stop").status == 204
        api.wait_for("p", "STOPPED")
        own.close()
        add("by java again")
        java = JavaWorker(broker.bootstrap_servers, tmp_path, "moving")
        try:
            api = java.ready()
            api.wait_for("mover", "RUNNING", "RUNNING")
            api.wait_for("p", "STOPPED")
            wait_until(lambda: are_there(connected))
        finally:
            java.close()
