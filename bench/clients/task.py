"""What one client is to do, and what came of it: both go through pipes to and from a process of its own."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PARTITIONS = 4
TIMEOUT_S = 60.0
WINDOW_MS = 60_000
BATCH_ROWS = 50_000
"""Of those who take many at a time."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Task:
    """`warm` records more are read or written before anything is measured, in the same process."""

    client: str
    job: str
    address: str
    topic: str
    records: int
    warm: int
    record_bytes: int


@dataclass(frozen=True, slots=True)
class Done:
    """`answer` has to be the same for all clients: bytes of values, or the sums of windows by their start."""

    records: int
    cpu_s: float
    elapsed_s: float
    answer: dict[str, int]
    grown_mb: float = 0.0


class Meter:
    """From `start` on: time of all threads, user and system; memory at its highest."""

    def __init__(self) -> None:
        self._cpu_s = self._began = 0.0

    def start(self) -> None:
        self._cpu_s, self._began = time.process_time(), time.monotonic()

    def done(self, records: int, answer: dict[str, int], grown_mb: float = 0.0) -> Done:
        cpu_s, elapsed_s = time.process_time() - self._cpu_s, time.monotonic() - self._began
        return Done(records, cpu_s, elapsed_s, answer, grown_mb)


class Growth:
    """How far resident memory rises above where it is now, looked at by a thread."""

    def __init__(self) -> None:
        self._least = self._most = _resident_pages()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._is_over.wait(0.02):
            self._most = max(self._most, _resident_pages())

    def end_mb(self) -> float:
        self._is_over.set()
        self._thread.join()
        return (self._most - self._least) * _PAGE / 1e6


def _resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def add(sums: dict[str, int], at_ms: int, amount: int) -> None:
    """To its window."""
    window = str(at_ms // WINDOW_MS * WINDOW_MS)
    sums[window] = sums.get(window, 0) + amount
