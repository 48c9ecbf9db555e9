"""Clients that put a broker under load: every one in a process of its own, all let go at once."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import queue
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaException

TIMEOUT_S = 240
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Task:
    """What one client does."""

    address: str
    topic: str
    partitions: int
    records: int
    record_bytes: int = 1024
    properties: dict[str, Any] = field(default_factory=dict)
    rate: int = 0
    """Records a second; 0 is as fast as it goes."""
    transaction: int = 0
    """Records of each transaction."""
    group: str = ""
    """Consume as a member of this group; empty is all partitions by assignment."""


@dataclass(frozen=True, slots=True)
class Done:
    """What one client did; times are of the machine's monotonic clock."""

    began_s: float
    ended_s: float
    records: int
    cpu_s: tuple[float, float] = (0.0, 0.0)
    """Of all its threads, and of the busiest."""
    latencies_ms: list[float] = field(default_factory=list)


Job = Callable[[Task, Callable[[], object], Any], Done]
"""Connects, calls its second argument, which returns once all are connected, and works. The third counts what
the members of a group have left to read."""


@dataclass(frozen=True, slots=True)
class Load:
    """What all clients did together."""

    elapsed_s: float
    records: int
    client_cores: float
    """Cores that the clients kept busy."""
    busiest_thread: float
    """The share of a core that the busiest thread of any client took."""
    latencies_ms: list[float]

    def row(self) -> dict[str, float]:
        """The metrics that say what the clients took."""
        return {"client cores": self.client_cores, "client thread": self.busiest_thread}


def values(record_bytes: int) -> list[bytes]:
    """The payloads of every client: random capital letters, the same in every run, about 1 MB in all."""
    source, letters = random.Random(3), bytes(65 + byte % 26 for byte in range(256))
    count = max(16, min(1000, 1_000_000 // record_bytes))
    return [source.randbytes(record_bytes).translate(letters) for _ in range(count)]


def together(*jobs: tuple[Job, Task]) -> Load:
    """Run every job in a process, started together once all are connected."""
    barrier, results = _SPAWN.Barrier(len(jobs)), _SPAWN.Queue()
    left = _SPAWN.Value("q", sum(task.records for _, task in jobs if task.group))
    processes = [
        _SPAWN.Process(target=_client, args=(job, task, barrier, left, results), daemon=True)
        for job, task in jobs
    ]
    for process in processes:
        process.start()
    try:
        done: list[Done] = []
        for _ in jobs:
            result = results.get(timeout=TIMEOUT_S)
            if isinstance(result, str):
                raise RuntimeError(result)
            done.append(result)
    except queue.Empty:
        raise RuntimeError(f"a client did not end within {TIMEOUT_S} s") from None
    finally:
        for process in processes:
            process.join(5)
            process.kill()
    elapsed = max(each.ended_s for each in done) - min(each.began_s for each in done)
    return Load(
        elapsed,
        sum(each.records for each in done),
        sum(each.cpu_s[0] for each in done) / elapsed,
        max(each.cpu_s[1] for each in done) / elapsed,
        list(itertools.chain.from_iterable(each.latencies_ms for each in done)),
    )


def _client(job: Job, task: Task, barrier: Any, left: Any, results: Any) -> None:
    gc.disable()  # it would go over every record that waits in a consumer's list
    try:
        results.put(job(task, lambda: barrier.wait(60), left))
    except (RuntimeError, KafkaException, OSError, BufferError) as error:
        barrier.abort()
        results.put(f"a client of {task.topic}: {error!r}")
