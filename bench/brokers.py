"""The brokers that are measured, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench import processes, wire

_BYTECODE_ELSEWHERE = {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}


@dataclass(slots=True)
class Running:
    """A broker process that accepts connections."""

    name: str
    address: str
    process: subprocess.Popen[Any]
    start_s: float
    """From the command to its readiness."""
    listeners: Mapping[str, str] = field(default_factory=dict)
    """Addresses of those beside the plain one, by their names"""

    def resident_mb(self) -> float:
        """Resident memory in MB of the process and its descendants."""
        return processes.resident_mb(self.process.pid)

    def cpu_s(self) -> float:
        """CPU seconds used so far, user and system, by the process and its descendants."""
        return processes.cpu_s(self.process.pid)

    def crash(self) -> None:
        """SIGKILL it, and wait until it is gone."""
        self.process.kill()
        self.process.wait(30)


@contextlib.contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Terminates the process at the end, and kills it where it does not go within a minute."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(plain: str, more: Mapping[str, str], protocols: Mapping[str, str]) -> tuple[str, ...]:
    """Settings of a broker that listens at `plain`, and at `more` (addresses by listener)."""
    if not protocols:
        return ()
    addresses = {"PLAINTEXT": plain, **more}
    known = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **protocols}
    return (
        "listeners=" + ",".join(f"{name}://{address}" for name, address in addresses.items()),
        "listener.security.protocol.map=" + ",".join(f"{name}:{each}" for name, each in known.items()),
    )


def environment(**added: str) -> dict[str, str]:
    """For a broker's process: with compiled modules kept, as an installed package has them."""
    return {**{name: value for name, value in os.environ.items() if name not in _BYTECODE_ELSEWHERE}, **added}


@contextlib.contextmanager
def ottla(
    *,
    data: str | None = None,
    settings: tuple[str, ...] = (),
    source: Path | None = None,
    python: str = sys.executable,
    name: str = "ottla",
    listeners: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Running]:
    """`ottla serve` with its default settings, beside those given. It has a plain listener, and `listeners`,
    which are given with their protocols.

    `source` is the folder that `ottla` is imported from, where it is not the one that is installed for the
    interpreter `python`.
    """
    folder = data or tempfile.mkdtemp(prefix="ottla-bench-")
    addresses = {each: f"127.0.0.1:{free_port()}" for each in listeners}
    command = [python, "-m", "ottla", "serve", "--data", folder]
    if not listeners:
        command += ["--listen", "127.0.0.1:0"]
    for setting in (*listening("127.0.0.1:0", addresses, listeners), *settings):
        command += ["--set", setting]
    added = {"PYTHONPATH": str(source)} if source else {}
    began = time.perf_counter()
    try:
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(**added)
            ) as process,
            ended(process),
        ):
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"ready.*?(\d+\.\d+\.\d+\.\d+:\d+)", line)
            if found is None:
                process.wait(30)
                errors.seek(0)
                raise RuntimeError(f"ottla did not start: {line}{errors.read()[-2000:]}")
            wire.wait_ready(found[1], process, timeout_s=60)
            yield Running(name, found[1], process, time.perf_counter() - began, addresses)
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def prototype(*, partitions: int = 3) -> Iterator[Running]:
    """The floor: the least code that lets librdkafka produce and fetch (`prototype_broker.py`)."""
    folder = tempfile.mkdtemp(prefix="ottla-floor-")
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("prototype_broker.py")), str(port)],
        env=environment(DATA=folder, NP=str(partitions)),
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                raise RuntimeError("the prototype did not start")
            time.sleep(0.01)
        yield Running("prototype", f"127.0.0.1:{port}", process, time.perf_counter() - began)
    finally:
        process.kill()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
