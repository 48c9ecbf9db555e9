"""What a broker does on its own from time to time: retention, flushing, checkpoints, compaction.

Each is a loop of its own; a failure is logged and tried again at the next turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from ottla.broker.compaction import Compaction
from ottla.protocol.errors import KafkaError

if TYPE_CHECKING:
    from ottla.broker.broker import Broker
    from ottla.storage.environment import LogEnvironment

log = logging.getLogger(__name__)

_YIELD_EVERY = 200
"""Partitions looked at before the event loop gets a turn."""
_REMOVAL_INTERVAL_MS = 5_000


class Maintenance:
    """The broker's periodic work."""

    def __init__(
        self, broker: Broker, environment: LogEnvironment, sync_worker: Executor, file_worker: Executor
    ) -> None:
        self._broker = broker
        self._environment = environment
        self._sync_worker = sync_worker
        self._file_worker = file_worker
        self._tasks: list[asyncio.Task[None]] = []
        self._compaction = Compaction(broker, environment)

    def start(self) -> None:
        """Begin."""
        config = self._broker.config
        self._every(config.log_retention_check_interval_ms, self.apply_retention)
        self._every(config.log_flush_scheduler_interval_ms, self.flush_due)
        self._every(config.log_flush_offset_checkpoint_interval_ms, self.checkpoint)
        self._every(config.producer_id_expiration_check_interval_ms, self.expire_producers)
        self._every(_REMOVAL_INTERVAL_MS, self.remove_files)
        if config.log_cleaner_enable:
            self._every(config.log_cleaner_backoff_ms, self._compaction.run_once)

    async def stop(self) -> None:
        """End; what runs in a worker thread is waited for."""
        self._compaction.stop()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    def _every(self, interval_ms: int, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(self._loop(interval_ms, work)))

    async def _loop(self, interval_ms: int, work: Callable[[], Awaitable[None]]) -> None:
        interval_s = min(interval_ms / 1000, 365 * 86400)  # never is a number too large for the loop's clock
        while True:
            await asyncio.sleep(interval_s)
            try:
                await work()
            except (OSError, KafkaError) as error:
                log.error("%s failed: %s", getattr(work, "__name__", "maintenance"), error)

    # -- the work

    async def apply_retention(self) -> None:
        """Remove segments that are too old, or too much."""
        now_ms = self._broker.clock.now_ms()
        for number, partition in enumerate(self._broker.partitions):
            try:
                removed = partition.log.apply_retention(partition.high_watermark, now_ms)
            except KafkaError as error:
                log.error("retention of %s failed: %s", partition, error)
                continue
            if removed:
                log.info("removed %d segments of %s", removed, partition)
            if number % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)

    async def flush_due(self) -> None:
        """Sync the logs for which `flush.ms` or `flush.messages` asks for it."""
        now_ms = self._broker.clock.now_ms()
        loop = asyncio.get_running_loop()
        for partition in self._broker.partitions:
            if partition.log.needs_flush(now_ms):
                flush = partition.log.prepare_flush(now_ms)
                partition.log.complete_flush(await loop.run_in_executor(self._sync_worker, flush))

    async def checkpoint(self) -> None:
        """Write the checkpoints of the data folder."""
        self._broker.data_dir.checkpoint(self._broker.partitions)

    async def expire_producers(self) -> None:
        """Forget idempotent producers that have not written for `producer.id.expiration.ms`."""
        now_ms = self._broker.clock.now_ms()
        expiration_ms = self._broker.config.producer_id_expiration_ms
        for number, partition in enumerate(self._broker.partitions):
            partition.log.producer_state.remove_expired(now_ms, expiration_ms)
            if number % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)

    async def remove_files(self) -> None:
        """Unlink the files of removed segments once `file.delete.delay.ms` has passed."""
        due = self._environment.removals.take_due(self._broker.clock.now_ms())
        if due:
            await asyncio.get_running_loop().run_in_executor(self._file_worker, self._unlink, due)

    def _unlink(self, paths: list[str]) -> None:
        for path in paths:
            try:
                self._environment.fs.unlink(path)
            except OSError as error:
                log.warning("cannot remove %s: %s", path, error)
