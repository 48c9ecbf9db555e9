"""The brokers that are measured, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import wire

_PAGE = resource.getpagesize()
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Running:
    """A broker process that accepts connections."""

    name: str
    address: str
    process: subprocess.Popen[Any]
    start_s: float
    """From the command to its readiness."""

    def resident_mb(self) -> float:
        """Resident memory in MB of the process and its descendants."""
        return sum(_statm_resident(pid) for pid in _tree(self.process.pid)) * _PAGE / 1e6

    def cpu_s(self) -> float:
        """CPU seconds used so far, user and system, by the process and its descendants."""
        return sum(_stat_ticks(pid) for pid in _tree(self.process.pid)) / _TICKS

    def crash(self) -> None:
        """SIGKILL it, and wait until it is gone."""
        self.process.kill()
        self.process.wait(30)


def _tree(root: int) -> list[int]:
    found, position = [root], 0
    while position < len(found):
        pid = found[position]
        position += 1
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            found += map(int, children.split())
    return found


def _statm_resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return 0


def _stat_ticks(pid: int) -> int:
    """Own ticks, and those of children that have ended and were waited for."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15]))
    return 0


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


@contextlib.contextmanager
def ottla(
    *,
    data: str | None = None,
    settings: tuple[str, ...] = (),
    source: Path | None = None,
    name: str = "ottla",
) -> Iterator[Running]:
    """`ottla serve` with its default settings, beside those given.

    `source` is the folder that `ottla` is imported from, where it is not the installed one.
    """
    folder = data or tempfile.mkdtemp(prefix="ottla-bench-")
    command = [sys.executable, "-m", "ottla", "serve", "--data", folder, "--listen", "127.0.0.1:0"]
    for setting in settings:
        command += ["--set", setting]
    environment = {**os.environ, "PYTHONPATH": str(source)} if source else None
    began = time.perf_counter()
    try:
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
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
            yield Running(name, found[1], process, time.perf_counter() - began)
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
        env={**os.environ, "DATA": folder, "NP": str(partitions)},
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
