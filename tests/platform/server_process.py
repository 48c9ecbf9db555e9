"""A server of the platform as a process, and plain HTTP to talk to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

READY_S = 60


class Answer(NamedTuple):
    status: int
    json: Any

    @property
    def code(self) -> int:
        return int(self.json["error_code"])


class Api:
    """One instance's; a connection for each request."""

    content_type = "application/json"

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = urlsplit(url).netloc

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] = {},
        timeout: float = 60,
    ) -> Answer:
        connection = http.client.HTTPConnection(self._address, timeout=timeout)
        try:
            data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            given = {"Content-Type": self.content_type} if data is not None else {}
            connection.request(method, path, data, {**given, **headers})
            response = connection.getresponse()
            content = response.read()
            return Answer(response.status, json.loads(content) if content else None)
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, headers=headers)


A = TypeVar("A", bound=Api)


class OttlaProcess(Generic[A]):
    """`ottla ARGUMENTS`, started when it is made; `api` once it is ready."""

    api_type: type[A]
    api: A
    logs_tracebacks = False
    """Of others' code that it runs; its own are faults"""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log = log
        command = [sys.executable, "-m", "ottla", *arguments]
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)

    def ready(self) -> A:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(READY_S), self.log.read_text()
        line = self.process.stdout.readline()
        found = re.search(r"ready on (\S+)", line)
        assert found, line + self.log.read_text()
        self.api = self.api_type(found[1])
        return self.api

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert self.logs_tracebacks or "Traceback" not in self.log.read_text(), self.log.read_text()


class ServerProcess(OttlaProcess[A]):
    """`ottla NAME serve`."""

    name: str

    def __init__(self, bootstrap: str, folder: Path, *options: str, port: int = 0, **settings: str) -> None:
        assignments = [
            part
            for name, value in settings.items()
            for part in ("--set", f"{name.replace('_', '.')}={value}")
        ]
        command = [self.name, "serve", "-b", bootstrap, "--listen", f"127.0.0.1:{port}"]
        super().__init__(folder / f"{self.name}-{os.urandom(4).hex()}.log", *command, *options, *assignments)
