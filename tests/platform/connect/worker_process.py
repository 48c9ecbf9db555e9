"""`ottla connect` as a process, and plain HTTP to talk to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

READY_S = 30
WAIT_S = 90
Config = Mapping[str, str]


class Answer(NamedTuple):
    status: int
    json: Any


class Api:
    """One worker's; a connection for each request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = urlsplit(url).netloc

    def call(self, method: str, path: str, body: object = None) -> Answer:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = {} if data is None else {"Content-Type": "application/json"}
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            content = response.read()
            return Answer(response.status, json.loads(content) if content else None)
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.status == 200, answer
        return answer.json

    def create(self, name: str, **config: str) -> Any:
        settings = {key.replace("_", "."): value for key, value in config.items()}
        answer = self.call("POST", "/connectors", {"name": name, "config": settings})
        assert answer.status == 201, answer
        return answer.json

    def states(self, name: str) -> list[str]:
        """Of the connector, then of its tasks; nothing while it has no status."""
        answer = self.call("GET", f"/connectors/{name}/status")
        if answer.status != 200:
            return []
        return [each["state"] for each in (answer.json["connector"], *answer.json["tasks"])]

    def wait_for(self, name: str, *states: str) -> None:
        wait_until(
            lambda: self.states(name) == list(states),
            lambda: (name, self.call("GET", f"/connectors/{name}/status")),
        )


def wait_until(
    is_so: Callable[[], bool],
    tell: Callable[[], object] = lambda: "it did not come",
    within_s: float = WAIT_S,
) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, tell()
        time.sleep(0.05)


class WorkerProcess:
    """Started when it is made; `api` once it is ready."""

    def __init__(
        self,
        kind: str,
        bootstrap: str,
        folder: Path,
        *connectors: Path,
        listen: str = "127.0.0.1:0",
        **settings: str,
    ) -> None:
        name = os.urandom(4).hex()
        self.log = folder / f"worker-{name}.log"
        self.folder = folder
        properties = {
            "bootstrap.servers": bootstrap,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "offset.flush.interval.ms": "500",
            "offset.storage.file.filename": str(folder / "connect.offsets"),
            "session.timeout.ms": "6000",
            "heartbeat.interval.ms": "500",
            **{key.replace("_", "."): value for key, value in settings.items()},
        }
        file = folder / f"worker-{name}.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        command: Sequence[str] = [
            sys.executable,
            "-m",
            "ottla",
            "connect",
            kind,
            str(file),
            "--listen",
            listen,
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *map(str, connectors)], stdout=subprocess.PIPE, stderr=log, text=True
            )

    def ready(self) -> Api:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(READY_S), self.log.read_text()
        line = self.process.stdout.readline()
        found = re.search(r"ready on (\S+)", line)
        assert found, line + self.log.read_text()
        self.api = Api(found[1])
        return self.api

    def children(self) -> list[int]:
        """The fork server, and what it has started."""
        found = [self.process.pid]
        for parent in found:
            for task in Path(f"/proc/{parent}/task").glob("*/children"):
                found += [int(each) for each in task.read_text().split()]
        return found[1:]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        assert self.process.stdout is not None
        self.process.stdout.close()
