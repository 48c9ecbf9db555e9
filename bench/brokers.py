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

_PAGE = resource.getpagesize()
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Running:
    """A broker process that accepts connections."""

    name: str
    address: str
    process: subprocess.Popen[str]
    start_s: float
    """From the command to its readiness."""

    def resident_mb(self) -> float:
        """Resident memory in MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * _PAGE / 1e6

    def cpu_s(self) -> float:
        """CPU seconds used so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def ottla(*, data: str | None = None, settings: tuple[str, ...] = ()) -> Iterator[Running]:
    """`ottla serve` with its default settings, beside those given."""
    folder = data or tempfile.mkdtemp(prefix="ottla-bench-")
    command = [sys.executable, "-m", "ottla", "serve", "--data", folder, "--listen", "127.0.0.1:0"]
    for setting in settings:
        command += ["--set", setting]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"ready.*?(\d+\.\d+\.\d+\.\d+:\d+)", line)
        if found is None:
            raise RuntimeError(f"ottla did not start: {line!r}")
        yield Running("ottla", found[1], process, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(30)
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
