"""Compaction as the broker runs it: in a worker, beside everything else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from ottla.replica import compaction
from ottla.replica.compaction import Compaction
from ottla.storage.cleaner.cleaning import CleaningProgress, CleaningStep


@pytest.mark.parametrize("in_a_step", [True, False], ids=["in a step", "between steps"])
async def test_a_compaction_that_is_given_up_ends_also_where_the_disk_fails(
    monkeypatch: pytest.MonkeyPatch, in_a_step: bool
) -> None:
    """Else the loop that had begun it would go on, and whoever stops it wait for ever."""
    began, may_go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def steps(*_: object) -> Iterator[CleaningStep]:
        try:
            began.set()
            if in_a_step:
                may_go_on.wait(10)
            while True:
                yield CleaningProgress(1 << 30)
        finally:
            closed.set()
            raise OSError("a disk that fails")

    monkeypatch.setattr(compaction, "clean", steps)
    config: Any = SimpleNamespace(
        log_cleaner_dedupe_buffer_size=1 << 20,
        log_cleaner_io_buffer_load_factor=0.9,
        log_cleaner_io_buffer_size=1 << 20,
        ottla_decompressed_batch_max_bytes=1 << 20,
        log_cleaner_io_max_bytes_per_second=1.0,
    )
    clock: Any = SimpleNamespace(now_ms=lambda: 0, monotonic_s=lambda: 0.0)
    partition: Any = SimpleNamespace(topic="t", log=object())
    partitions: Any = SimpleNamespace(replicas_of=lambda _topic: [partition])
    with ThreadPoolExecutor(1) as worker:
        none: Any = SimpleNamespace(fs=None)
        cleaner = Compaction(partitions, none, none, none, SimpleNamespace(value=config), clock, worker)
        cleaning = asyncio.ensure_future(cleaner._clean(partition, none))
        while not began.is_set():
            await asyncio.sleep(0.001)
        if not in_a_step:
            await asyncio.sleep(0.05)
        cleaning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cleaning
        may_go_on.set()
    assert closed.is_set()
