"""A broker in a process of its own that tests may kill, and read the traces of."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0

TEST_SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "2",
    # Clients of a deleted topic would make it again.
    "auto.create.topics.enable": "false",
}


class BrokerProcess:
    """`ottla serve` on one data folder; it keeps its port over restarts. Output goes to files beside it."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, data: Path | None = None
    ) -> None:
        self.folder = folder
        self.data = data or folder / "data"
        self.settings = {**TEST_SETTINGS, **(settings or {})}
        self.port = 0
        self.starts = 0
        self.wrapper: tuple[str, ...] = ()
        """A command to run the broker under."""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def spawn(self) -> None:
        """Start the process and return at once."""
        command = [*self.wrapper, sys.executable, "-m", "ottla", "serve"]
        if "log.dirs" not in self.settings:
            command += ["--data", str(self.data)]
        if "listeners" not in self.settings:
            command += ["--listen", self.bootstrap]
        for name, value in self.settings.items():
            command += ["--set", f"{name}={value}"]
        self.starts += 1
        with self._trace("stdout").open("wb") as stdout, self._trace("stderr").open("wb") as stderr:
            self.process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=clean_environment())

    def is_ready_or_over(self) -> bool:
        """Wait until the broker is ready, or has ended, which is False."""
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (found := re.search(r"ready.*?127\.0\.0\.1:(\d+)", self._trace("stdout").read_text())):
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, f"the broker does not get ready: {self.stderr[-3000:]}"
            time.sleep(0.005)
        self.port = int(found[1])
        return True

    def wait_until_ready(self) -> None:
        """Raises AssertionError with the broker's last words when it ends instead."""
        assert self.is_ready_or_over(), f"the broker ended: {self.stderr[-3000:]}"

    def start(self) -> None:
        self.spawn()
        self.wait_until_ready()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask the broker to stop; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT_S)

    def restart(self) -> None:
        assert self.stop() == 0, self.stderr
        self.start()

    def kill_and_start(self) -> None:
        self.kill()
        self.start()

    @property
    def stderr(self) -> str:
        """What the current process, or the last one, has logged."""
        return self._trace("stderr").read_text()

    def all_stderr(self) -> str:
        """What all processes of this broker have logged."""
        paths = sorted(self.folder.glob("*.stderr"), key=lambda path: int(path.stem))
        return "".join(path.read_text() for path in paths)

    def read_bytes(self) -> int:
        """Bytes that the process has read so far, from files and sockets alike."""
        return int(re.search(r"rchar: (\d+)", Path(f"/proc/{self.pid}/io").read_text())[1])  # type: ignore[index]

    def partition(self, topic: str, index: int = 0) -> Path:
        return self.data / f"{topic}-{index}"

    def _trace(self, name: str) -> Path:
        return self.folder / f"{self.starts}.{name}"


def clean_environment() -> dict[str, str]:
    """The environment without OTTLA_* variables: those are settings of the broker."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OTTLA_")}
