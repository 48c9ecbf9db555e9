"""What processes use: CPU time, memory, and which of their threads is the busiest."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path

_PAGE = resource.getpagesize()
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(root: int) -> float:
    """CPU seconds used so far, user and system, by a process and its descendants that still run."""
    return sum(map(_cpu_s, _tree(root)))


def resident_mb(root: int) -> float:
    """Resident memory in MB of a process and its descendants."""
    return sum(map(_resident_pages, _tree(root))) * _PAGE / 1e6


def thread_cpu_s(pid: int) -> dict[tuple[int, str], float]:
    """CPU seconds of every thread, by its id and name; empty once the process has ended."""
    found: dict[tuple[int, str], float] = {}
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            name, fields = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            found[int(task.name), name] = sum(map(int, fields.split()[11:13])) / _TICKS
    return found


class OwnCpu:
    """What this process uses from here on."""

    def __init__(self) -> None:
        self._total_s, self._threads_s = time.process_time(), thread_cpu_s(os.getpid())

    def used_s(self) -> tuple[float, float]:
        """CPU seconds of all threads, and of the one that used most."""
        busiest_s = max(
            now_s - self._threads_s.get(thread, 0.0) for thread, now_s in thread_cpu_s(os.getpid()).items()
        )
        return time.process_time() - self._total_s, busiest_s


def _tree(root: int) -> list[int]:
    found, position = [root], 0
    while position < len(found):
        pid = found[position]
        position += 1
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            found += map(int, children.split())
    return found


def _cpu_s(pid: int) -> float:
    """By the process's own clock (`clock_getcpuclockid`), which is finer than the ticks in /proc."""
    with contextlib.suppress(OSError):
        return time.clock_gettime(~pid << 3 | 2)
    return 0.0


def _resident_pages(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return 0
