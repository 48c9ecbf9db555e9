"""The way back after SIGKILL, with a log of 10 GB in the page cache."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import wire
from bench.workloads.model import RAW, Context, Measure, Row, Workload, filled, verify

_LOG_BYTES, _SMALL_LOG_BYTES = 10_000_000_000, 1_000_000_000
_PARTITIONS = 12
_READ_BYTES = 1 << 22


@contextlib.contextmanager
def _crashed(context: Context) -> Iterator[Measure]:
    """A broker's folder as SIGKILL left it, written once; every round starts on a copy of it."""
    context.drop_filled()  # both logs have to fit into the page cache
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        data = Path(folder) / "crashed"
        data.mkdir()
        total = _LOG_BYTES if context.scale >= 1 else _SMALL_LOG_BYTES
        with context.start(data=str(data)) as broker:
            topic, records = filled(broker, _PARTITIONS, total, 1024)
            broker.crash()
        yield lambda: restart(context, data, topic, records)


def restart(context: Context, crashed: Path, topic: str, records: int) -> Row:
    """Until every partition answers for its end."""
    before = logs(crashed, topic)
    for path in before:
        _read(path)
    with tempfile.TemporaryDirectory(dir=crashed.parent) as folder:
        copy = Path(folder) / "data"
        copy_of(crashed, copy, topic)
        os.sync()
        began = time.perf_counter()
        with context.start(data=str(copy)) as broker:
            wire.wait_topic(broker.address, topic, _PARTITIONS, timeout_s=300)
            took_s = time.perf_counter() - began
            verify(broker, topic, _PARTITIONS, records)
            broker.crash()
    if logs(crashed, topic) != before:
        raise RuntimeError("recovery changed the log that other rounds start from")
    return {"restart s": took_s, "log GB": sum(size for size, _ in before.values()) / 1e9}


def logs(data: Path, topic: str) -> dict[Path, tuple[int, int]]:
    """Size and time of change of every log file of a topic."""
    found = sorted(data.rglob(f"{topic}-*/*.log"))
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def copy_of(crashed: Path, copy: Path, topic: str) -> None:
    """The same folder: logs of the topic as hard links, as recovery only reads them; all else as copies."""
    linked = logs(crashed, topic)

    def link_or_copy(source: str, target: str) -> None:
        if Path(source) in linked:
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    shutil.copytree(crashed, copy, copy_function=link_or_copy)


def _read(path: Path) -> None:
    """Have it in the page cache."""
    buffer = bytearray(_READ_BYTES)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


WORKLOADS = (Workload("restart after SIGKILL", "footprint", RAW, _crashed, seconds=60),)
