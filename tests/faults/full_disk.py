"""Disks that run full for a broker, and have room again."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path
from typing import Protocol

from .broker_process import BrokerProcess

LITTLE_BYTES = 100_000
DISK_BYTES = 16 << 20


class FullDisk(Protocol):
    """How much a broker may write."""

    def fill(self, broker: BrokerProcess) -> None:
        """Leave room for about LITTLE_BYTES more."""

    def make_room(self, broker: BrokerProcess) -> None:
        """Let the broker write again."""


class SmallFilesOnly:
    """RLIMIT_FSIZE: files grow no further, and the write that crosses the limit is cut short (EFBIG)."""

    def fill(self, broker: BrokerProcess) -> None:
        resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (LITTLE_BYTES, resource.RLIM_INFINITY))

    def make_room(self, broker: BrokerProcess) -> None:
        if broker.process is None or broker.process.poll() is not None:
            return  # the next process has no limit
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, unlimited)


class SmallDisk:
    """A file system in memory of its own, with a file that takes its space (ENOSPC)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def mount(self) -> str | None:
        """Why it cannot be mounted, or None."""
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(self.folder)]
        mounted = subprocess.run(command, check=False, capture_output=True, text=True)
        return mounted.stderr.strip() if mounted.returncode else None

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self, broker: BrokerProcess) -> None:
        with self._ballast.open("wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:
                ballast.truncate(ballast.tell() - LITTLE_BYTES)

    def make_room(self, broker: BrokerProcess) -> None:
        self._ballast.unlink(missing_ok=True)
