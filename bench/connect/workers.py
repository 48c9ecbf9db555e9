"""Workers of both, and a database that they write to."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.brokers import ended, environment, free_port
from bench.kafka.install import Kafka, install

TIMEOUT_S = 600
_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
_STRING = "org.apache.kafka.connect.storage.StringConverter"
KAFKA_VERSION = "4.3.1"
"""The last that has its file connectors on Maven Central"""


def wait_for(is_there: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not is_there():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that has said that it is ready, after `start_s`."""

    name: str
    pid: int
    port: int
    start_s: float

    def call(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None
        finally:
            connection.close()

    def create(self, name: str, config: Mapping[str, str]) -> None:
        status, answer = self.call("PUT", f"/connectors/{name}/config", config)
        if status not in (200, 201):
            raise RuntimeError(f"{self.name}: {answer}")

    def delete(self, name: str) -> None:
        self.call("DELETE", f"/connectors/{name}")

    def failure(self, name: str) -> object:
        """What a task failed with, None while none has."""
        status, answer = self.call("GET", f"/connectors/{name}/status")
        tasks = answer["tasks"] if status == 200 and isinstance(answer, dict) else []
        return next((each["trace"] for each in tasks if each["state"] == "FAILED"), None)


def _settings(bootstrap: str, group: str) -> dict[str, str]:
    return {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        **{f"{each}.storage.topic": f"{group}-{each}" for each in ("config", "offset", "status")},
        **{f"{each}.storage.replication.factor": "1" for each in ("config", "offset", "status")},
        "key.converter": _STRING,
        "value.converter": _STRING,
    }


def jars(*, databases: bool) -> Kafka:
    """Of Kafka's Connect, with Debezium's sink for `databases`. Raises KafkaUnavailableError."""
    name = "debezium" if databases else "pom"
    return install(KAFKA_VERSION, pom=Path(__file__).with_name(f"{name}.xml"), name=f"connect-{name}")


@contextlib.contextmanager
def worker(name: str, bootstrap: str, source: Path, kafka: Kafka | None) -> Iterator[Worker]:
    """`ottla`, of the code in `source`, or what the jars of `kafka` have; ended in the end."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(bootstrap, name)
        file = Path(folder, "worker.properties")
        if kafka is not None:
            settings |= {"listeners": f"http://127.0.0.1:{port}", "plugin.discovery": "only_scan"}
            # As bin/connect-distributed.sh has it.
            heap = ("-Xms256M", "-Xmx2G")
            command = kafka.command("org.apache.kafka.connect.cli.ConnectDistributed", str(file), heap=heap)
        else:
            command = [sys.executable, "-m", "ottla", "connect", "distributed", str(file),
                       "--listen", f"127.0.0.1:{port}"]  # fmt: skip
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        began = time.monotonic()
        log = Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment(PYTHONPATH=str(source))
            )
        made = Worker(name, process.pid, port, 0.0)

        def answers() -> bool:
            if process.poll() is not None:
                raise RuntimeError(log.read_text()[-3000:])
            with contextlib.suppress(OSError, ValueError):
                return made.call("GET", "/connectors")[0] == 200
            return False

        with ended(process):
            wait_for(answers, f"{name} does not answer")
            yield Worker(name, process.pid, port, time.monotonic() - began)


@contextlib.contextmanager
def postgresql() -> Iterator[int]:
    """The port of a server; RuntimeError where none is installed."""
    if not _POSTGRES:
        raise RuntimeError("PostgreSQL is not installed")
    user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="ottla-bench-") as folder:
        if user:
            shutil.chown(folder, "postgres")
        data, port = Path(folder, "data"), free_port()
        initdb = [_POSTGRES[0] / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **user)
        command = [_POSTGRES[0] / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"]
        with subprocess.Popen(command, stdout=-3, stderr=-3, cwd=folder, **user) as server:
            try:
                wait_for(lambda: query(port, "SELECT 1") == 1, "PostgreSQL does not answer")
                yield port
            finally:
                server.send_signal(3)  # at once


def query(port: int, text: str) -> int | None:
    """One number; None where the database cannot say."""
    import psycopg

    with (
        contextlib.suppress(psycopg.Error),
        psycopg.connect(
            host="127.0.0.1", port=port, user="postgres", dbname="postgres", autocommit=True
        ) as connection,
    ):
        cursor = connection.execute(text)
        row = cursor.fetchone() if cursor.description else None
        return None if row is None else int(row[0])
    return None
