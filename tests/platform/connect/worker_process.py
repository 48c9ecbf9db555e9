"""`ottla connect` as a process, and plain HTTP to talk to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.platform import server_process
from tests.platform.server_process import OttlaProcess

WAIT_S = 90
Config = Mapping[str, str]


class Api(server_process.Api):
    """One worker's; a connection for each request."""

    def get(self, path: str, **headers: str) -> Any:
        """What there is there, and nothing else."""
        answer = super().get(path, **headers)
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


class WorkerProcess(OttlaProcess[Api]):
    api_type = Api
    logs_tracebacks = True

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
        log = folder / f"worker-{name}.log"
        super().__init__(log, "connect", kind, str(file), "--listen", listen, *map(str, connectors))

    def children(self) -> list[int]:
        """The fork server, and what it has started."""
        found = [self.process.pid]
        for parent in found:
            for task in Path(f"/proc/{parent}/task").glob("*/children"):
                found += [int(each) for each in task.read_text().split()]
        return found[1:]
