"""Entries of the catalogue that are run whole: installed, by a real worker, records in and records out.

The short form has one tap, one target, one source and one destination.
"""

from __future__ import annotations

import http.server
import json
import sqlite3
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.platform.connect.worker_process import Api, WorkerProcess, wait_until

from ottla import client
from ottla.client.sync.client import Client
from ottla.connect.connectors.others.catalogue import State, entry_of
from ottla.connect.connectors.others.environments import Environments
from ottla.connect.errors import ConnectError
from ottla.testing import InProcessBroker

JSON = "org.apache.kafka.connect.json.JsonConverter"
PEOPLE = [{"id": number, "name": f"n{number}"} for number in range(5)]
WAIT_S = 240
"""Programs that import much take long on a machine that is busy"""
SHORT = ("tap-jsonl", "target-jsonl", "dlt-sql-database", "dlt-to-sqlalchemy")


pytestmark = pytest.mark.xdist_group("others")  # one worker of Connect, one folder of environments


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    return Environments(tmp_path_factory.mktemp("environments"))


@pytest.fixture(scope="module")
def api(
    broker: InProcessBroker, tmp_path_factory: pytest.TempPathFactory, environments: Environments
) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("worker")
    process = WorkerProcess(
        "standalone", broker.bootstrap_servers, folder, key_converter=JSON, value_converter=JSON,
        **{"ottla.connect.environments.dir": str(environments.root), "offset.flush.interval.ms": "2000",
           "task.shutdown.graceful.timeout.ms": "60000"},
    )  # fmt: skip
    yield process.ready()
    process.close()


@pytest.fixture
def installed(request: pytest.FixtureRequest, environments: Environments) -> Any:
    """Installs what the test names, so that the worker finds it; skips where there is no registry of
    packages.
    """
    name = request.node.callspec.params["name"]
    if name not in SHORT and not request.config.getoption("--full"):
        pytest.skip("the long form has it: --full")
    entry = entry_of(name)
    assert entry is not None
    assert entry.state is State.CORE
    try:
        return environments.install(entry)
    except ConnectError as error:
        pytest.skip(f"{name} cannot be had here: {error}")


@pytest.fixture
def connected(broker: InProcessBroker) -> Iterator[Client]:
    with client.connect(broker.bootstrap_servers) as it:
        yield it


def payloads(connected: Client, topic: str) -> list[dict[str, Any]]:
    """Of a topic, which may not be there yet."""
    if topic not in [each.name for each in connected.admin.topics.list()]:
        return []
    return [json.loads(each)["payload"] for each in connected.read(topic).column("value").to_pylist()]


def run(api: Api, name: str, kind: str, settings: dict[str, str]) -> None:
    config = {"connector.class": f"ottla.connect.{kind}Connector", **settings}
    answer = api.call("POST", "/connectors", {"name": name, "config": config})
    assert answer.status == 201, answer


def state_of(api: Api, name: str) -> object:
    """What is committed; None while nothing is."""
    offsets = api.get(f"/connectors/{name}/offsets")["offsets"]
    assert all(each["partition"] == {"program": name} for each in offsets)
    return json.loads(offsets[0]["offset"]["state"]) if offsets else None


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(PEOPLE if urllib.parse.urlsplit(self.path).path == "/people" else []).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def site() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def source_config(name: str, folder: Path, site: str) -> tuple[str, dict[str, object], dict[str, str]]:
    """The stream, and what the program and the connector are told; rows are those of PEOPLE."""
    rows = "".join(json.dumps(each) + "\n" for each in PEOPLE)
    (folder / "people.jsonl").write_text(rows)
    (folder / "csv").mkdir()
    (folder / "csv" / "people.csv").write_text(
        "id,name\n" + "".join(f"{p['id']},{p['name']}\n" for p in PEOPLE)
    )
    with sqlite3.connect(folder / "people.db") as database:
        database.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
        database.executemany("INSERT INTO people VALUES (:id, :name)", PEOPLE)
    jsonl: dict[str, object] = {"path": f"{folder}/*.jsonl", "stream_name": "people", "primary_keys": ["id"]}
    told: dict[str, tuple[str, dict[str, object], dict[str, str]]] = {
        "tap-jsonl": ("people", jsonl, {}),
        "tap-csv-folder": (
            "people",
            {"path": str(folder / "csv"), "read_mode": "merge", "stream_name": "people"},
            {"tap.catalog": "none"},
        ),
        "tap-dimdate": ("calendar", {"start_date": "2026-01-01", "end_date": "2026-01-05"}, {}),
        "dlt-sql-database": (
            "people",
            {"credentials": f"sqlite:///{folder}/people.db"},
            {"streams": "people", "source.hints": '{"people": {"incremental": "id"}}'},
        ),
        "dlt-files": (
            "read_jsonl",
            {"bucket_url": folder.as_uri(), "file_glob": "*.jsonl"},
            {"streams": "read_jsonl"},
        ),
        "dlt-rest-api": (
            "people",
            {"config": {"client": {"base_url": site}, "resources": ["people"]}},
            {},
        ),
    }
    return told[name]


SOURCES = ("tap-jsonl", "tap-csv-folder", "tap-dimdate", "dlt-sql-database", "dlt-files", "dlt-rest-api")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SOURCES)
def test_source(api: Api, name: str, installed: object, connected: Client, tmp_path: Path, site: str) -> None:
    stream, told, more = source_config(name, tmp_path, site)
    kind = "tap" if name.startswith("tap-") else "source"
    settings = {
        f"{kind}.name": name,
        f"{kind}.config": json.dumps(told),
        "topic.prefix": f"{name}.",
        "poll.interval.ms": "600000",
        **more,
    }
    run(api, name, "SingerSource" if kind == "tap" else "DltSource", settings)
    topic = f"{name}.{stream}"
    wait_until(
        lambda: len(payloads(connected, topic)) >= 5,
        lambda: api.call("GET", f"/connectors/{name}/status"),
        WAIT_S,
    )
    found = payloads(connected, topic)
    if name == "tap-dimdate":
        assert [each["date_key"] for each in found] == [20260101 + day for day in range(5)]
    else:
        assert [(int(each["id"]), each["name"]) for each in found] == [
            tuple(each.values()) for each in PEOPLE
        ]
    wait_until(lambda: state_of(api, name) not in (None, {}), within_s=WAIT_S)
    assert api.call("DELETE", f"/connectors/{name}").status == 204


def sink_config(name: str, folder: Path) -> dict[str, object]:
    told: dict[str, dict[str, object]] = {
        "target-jsonl": {"destination_path": str(folder)},
        "meltanolabs-target-csv": {"output_path": str(folder)},
        "dlt-to-sqlalchemy": {"credentials": f"sqlite:///{folder}/out.db"},
        "dlt-to-duckdb": {"credentials": f"{folder}/out.duckdb"},
        "dlt-to-filesystem": {"bucket_url": str(folder)},
    }
    return told[name]


def rows_in(name: str, folder: Path, environments: Environments) -> list[tuple[int, str]]:
    """What is in the target, by id; nothing where it is not there yet."""
    if name == "target-jsonl":
        lines = [line for each in sorted(folder.glob("*.jsonl")) for line in each.read_text().splitlines()]
        found = [json.loads(line) for line in lines]
        return sorted((each["id"], each["name"]) for each in found)
    if name == "meltanolabs-target-csv":
        rows = [line.split(",") for each in folder.glob("*.csv") for line in each.read_text().splitlines()]
        place = {column: index for index, column in enumerate(rows[0])} if rows else {}
        return sorted((int(row[place["id"]]), row[place["name"]]) for row in rows if row[0] != rows[0][0])
    if name == "dlt-to-filesystem":
        import gzip

        texts = [gzip.decompress(each.read_bytes()).decode() for each in folder.glob("lake/*-in/*.gz")]
        texts += [
            gzip.decompress(each.read_bytes()).decode()
            for each in folder.glob("lake/dlt_to_filesystem_in/*.gz")
        ]
        found = [json.loads(line) for text in texts for line in text.splitlines()]
        return sorted((each["id"], each["name"]) for each in found)
    if name == "dlt-to-duckdb":
        program = """
import duckdb, json, sys
there = duckdb.connect(sys.argv[1], read_only=True)
found = there.sql("SELECT id, name FROM lake.dlt_to_duckdb_in ORDER BY id")
print(json.dumps(found.fetchall()))
"""
        python = environments.root / name / "bin" / "python"
        done = subprocess.run(
            [python, "-c", program, folder / "out.duckdb"], capture_output=True, check=False
        )
        return [tuple(each) for each in json.loads(done.stdout)] if done.returncode == 0 else []
    database = sqlite3.connect(folder / "out__lake.db")
    try:
        return database.execute("SELECT id, name FROM dlt_to_sqlalchemy_in ORDER BY id").fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        database.close()


SINKS = ("target-jsonl", "meltanolabs-target-csv", "dlt-to-sqlalchemy", "dlt-to-duckdb", "dlt-to-filesystem")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SINKS)
def test_sink(
    api: Api, name: str, installed: object, connected: Client, tmp_path: Path, environments: Environments
) -> None:
    topic = f"{name}-in"
    key = {
        "type": "struct",
        "optional": False,
        "fields": [{"field": "id", "type": "int64", "optional": False}],
    }
    value = {**key, "fields": [*key["fields"], {"field": "name", "type": "string", "optional": True}]}  # type: ignore[misc]
    with connected.producer() as producer:
        for each in [*PEOPLE, {"id": 9, "name": "last"}]:
            payload = {"schema": key, "payload": {"id": each["id"]}}
            body = json.dumps({"schema": value, "payload": each}).encode()
            producer.send(topic, body, key=json.dumps(payload).encode()).result()
    kind = "target" if "target" in name else "destination"
    settings = {
        f"{kind}.name": name,
        f"{kind}.config": json.dumps(sink_config(name, tmp_path)),
        "topics": topic,
    }
    if kind == "destination":
        settings["dataset"] = "lake"
    run(api, name, "SingerSink" if kind == "target" else "DltSink", settings)
    committed = {
        "offsets": [
            {"partition": {"kafka_topic": topic, "kafka_partition": 0}, "offset": {"kafka_offset": 6}}
        ]
    }
    wait_until(
        lambda: api.get(f"/connectors/{name}/offsets") == committed,
        lambda: [api.call("GET", f"/connectors/{name}/{each}") for each in ("offsets", "status")],
        WAIT_S,
    )
    wanted = [*(tuple(each.values()) for each in PEOPLE), (9, "last")]
    assert rows_in(name, tmp_path, environments) == wanted
    assert api.call("DELETE", f"/connectors/{name}").status == 204
