"""What the numbers were made on and with."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path

import confluent_kafka

from bench.kafka.install import Kafka
from bench.source import ROOT

_PIECE_BYTES = 1 << 20


def about(release: Kafka | None, command: str, form: str, python: str | None = None) -> dict[str, str]:
    """Machine, versions, command and date, in the order they are shown; `python` as in `bench.brokers`."""
    found = {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": f"`{command}`",
        "form": form,
        "machine": f"{_cpu()}, {_memory_gb()} GB of memory",
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}, {_file_system(tempfile.gettempdir())}",
        "ottla": _installed(python) if python else f"commit {commit()} on Python {platform.python_version()}",
        "librdkafka": f"{confluent_kafka.libversion()[0]} (confluent-kafka {confluent_kafka.__version__})",
    }
    if release is not None:
        found["kafka"] = f"{release.version} on {_java()}, heap 1 GB as in kafka-server-start.sh"
    return found


def touch_free_memory(size_bytes: int) -> None:
    """Write a file of that size, and remove it.

    What is written next is then put where a virtual machine's host has memory behind it. Where it takes free
    pages back (free page reporting), each costs whoever uses it first several times the copying into it.
    """
    piece = memoryview(bytes(_PIECE_BYTES))
    with tempfile.TemporaryFile(buffering=0) as file:
        for position in range(0, size_bytes, _PIECE_BYTES):
            file.write(piece[: size_bytes - position])


def _installed(python: str) -> str:
    """Of another Python: its version, and that of the Ottla that it imports."""
    asked = (
        "import importlib.metadata as metadata, platform;"
        "print(metadata.version('ottla'), 'on Python', platform.python_version())"
    )
    return f"installed {_output(python, '-c', asked) or 'for a Python that lacks it'}"


def commit() -> str:
    """The commit of the checkout, and whether the source differs from it."""
    revision = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD") or "unknown"
    changed = _output("git", "-C", str(ROOT), "status", "--porcelain", "--", "src")
    return f"{revision} with changes" if changed else revision


def _cpu() -> str:
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        if found:
            return found[1]
    return platform.machine()


def _memory_gb() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)


def _file_system(path: str) -> str:
    lines = _output("df", "--output=fstype", path).splitlines()
    return f"data on {lines[-1]}" if lines else "data on an unknown file system"


def _java() -> str:
    done = subprocess.run(["java", "-version"], check=False, capture_output=True, text=True)
    found = re.search(r"\(build ([^)]+)\)", done.stderr)
    return f"OpenJDK {found[1]}" if found else "an unknown Java"


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
