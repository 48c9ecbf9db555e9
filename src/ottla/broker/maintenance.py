"""What a broker does on its own from time to time: retention, flushing, checkpoints, compaction.

Each is a loop of its own; a failure is logged and tried again at the next turn.  A stop waits for the turns
that are under way, so that nothing is half done when the logs are closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from ottla.broker.compaction import Compaction
from ottla.protocol.errors import KafkaError

if TYPE_CHECKING:
    from ottla.broker.broker import Broker
    from ottla.storage.environment import LogEnvironment

log = logging.getLogger(__name__)

_YIELD_EVERY = 200
"""Partitions looked at before the event loop gets a turn."""
_REMOVAL_INTERVAL_MS = 5_000
_REOPEN_INTERVAL_MS = 30_000
_NEVER_S = 365 * 86400.0
"""The longest sleep: an interval that means never is a number too large for the loop's clock."""


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
        self._stopping = asyncio.Event()
        self._compaction = Compaction(broker, environment)

    def start(self) -> None:
        """Begin, with the checkpoints as they have to be."""
        config = self._broker.config
        self._broker.data_dir.drop_stale(self._broker.partitions)
        self._compaction.start()
        self._every(config.log_retention_check_interval_ms, self.apply_retention)
        self._every(config.log_flush_scheduler_interval_ms, self.flush_due)
        self._every(config.log_flush_offset_checkpoint_interval_ms, self.checkpoint)
        self._every(config.producer_id_expiration_check_interval_ms, self.expire_producers)
        self._every(_REMOVAL_INTERVAL_MS, self.remove_files)
        self._every(_REOPEN_INTERVAL_MS, self.reopen)
        if config.log_cleaner_enable:
            self._every(config.log_cleaner_backoff_ms, self._compaction.run_once)

    async def stop(self) -> None:
        """End; the turns under way are waited for."""
        self._stopping.set()
        self._compaction.stop()
        await asyncio.gather(*self._tasks)
        self._tasks.clear()
        self._compaction.close()

    def _every(self, interval_ms: int, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(self._loop(interval_ms, work)))

    async def _loop(self, interval_ms: int, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while not await self._sleep(interval_ms):
            try:
                await work()
            except (OSError, KafkaError) as error:
                log.error("%s failed: %s", work.__name__, error)
            except Exception:
                log.exception("%s failed", work.__name__)

    async def _sleep(self, interval_ms: int) -> bool:
        """Wait for the next turn; True when there is to be none."""
        try:
            await asyncio.wait_for(self._stopping.wait(), min(interval_ms / 1000, _NEVER_S))
        except TimeoutError:
            return False
        return True

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
            if not partition.log.needs_flush(now_ms):
                continue
            try:
                flush = partition.log.prepare_flush(now_ms)
                partition.log.complete_flush(await loop.run_in_executor(self._sync_worker, flush))
            except KafkaError as error:
                log.error("flush of %s failed: %s", partition, error)

    async def checkpoint(self) -> None:
        """Write the checkpoints of the data folder."""
        write = self._broker.data_dir.checkpoint(self._broker.partitions)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._sync_worker, write)

    async def topics_deleted(self) -> None:
        """Have no checkpoint speak of topics that are gone, before their names are used again."""
        try:
            await self.checkpoint()
            await self._compaction.topics_deleted()
        except OSError as error:
            log.error("cannot write checkpoints: %s", error)

    async def reopen(self) -> None:
        """Try again to open the partitions that could not be opened."""
        if self._broker.partitions.offline:
            await self._broker.controller.reopen_partitions()

    async def expire_producers(self) -> None:
        """Forget idempotent producers that have not written for `producer.id.expiration.ms`."""
        now_ms = self._broker.clock.now_ms()
        expiration_ms = self._broker.config.producer_id_expiration_ms
        for number, partition in enumerate(self._broker.partitions):
            try:
                partition.log.producer_state.remove_expired(now_ms, expiration_ms)
            except KafkaError as error:
                log.error("expiry of the producers of %s failed: %s", partition, error)
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
