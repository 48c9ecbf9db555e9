"""What a broker does on its own from time to time: retention, flushing, checkpoints, compaction.

Each is a loop of its own; a failure is logged and tried again at the next turn.  A stop waits for the turns
that are under way, so that nothing is half done when the logs are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeAlias

from ottla.protocol.errors import KafkaError

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.current import Current
    from ottla.config.replica import ReplicaConfig
    from ottla.metadata.image import ImageDelta, MetadataImage
    from ottla.replica.compaction import Compaction
    from ottla.replica.data_dirs import DataDirs
    from ottla.replica.partitions import Partitions
    from ottla.storage.environment import LogEnvironment

log = logging.getLogger(__name__)

_YIELD_EVERY = 200
"""Partitions looked at before the event loop gets a turn."""
_REMOVAL_INTERVAL_MS = 5_000
_REOPEN_INTERVAL_MS = 30_000
_NEVER_S = 365 * 86400.0
"""The longest sleep: an interval that means never is a number too large for the loop's clock."""


_Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class _Loop:
    """One piece of work, again and again until `stop`; `wake` brings the next turn forward."""

    def __init__(self, work: _Work, first_ms: int, interval_ms: Callable[[], int]) -> None:
        self._work = work
        self._first_ms = first_ms
        self._interval_ms = interval_ms
        self._woken = asyncio.Event()
        self._stopping = False
        self.task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._stopping = True
        self._woken.set()

    async def _run(self) -> None:
        await self._sleep(self._first_ms)
        while not self._stopping:
            try:
                await self._work()
            except (OSError, KafkaError) as error:
                log.error("%s failed: %s", self._work.__name__, error)
            except Exception:
                log.exception("%s failed", self._work.__name__)
            await self._sleep(self._interval_ms())

    async def _sleep(self, interval_ms: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(interval_ms / 1000, _NEVER_S)):
                await self._woken.wait()
        self._woken.clear()


class Maintenance:
    """The broker's periodic work."""

    def __init__(
        self,
        partitions: Partitions,
        data_dirs: DataDirs,
        environment: LogEnvironment,
        compaction: Compaction,
        config: Current[ReplicaConfig],
        clock: Clock,
        sync_worker: Executor,
        file_worker: Executor,
        reopen_partitions: Callable[[], Awaitable[None]],
    ) -> None:
        """`reopen_partitions` tries again to open those whose logs could not be opened."""
        self._partitions = partitions
        self._data_dirs = data_dirs
        self._environment = environment
        self._compaction = compaction
        self._config = config
        self._clock = clock
        self._reopen_partitions = reopen_partitions
        self._sync_worker = sync_worker
        self._file_worker = file_worker
        self._loops: list[_Loop] = []
        self._cleaning: _Loop | None = None

    def start(self) -> None:
        """Begin; what concerns all logs is looked at first after `log.initial.task.delay.ms`, as in Kafka."""
        config = self._config.value
        self._data_dirs.drop_stale(self._partitions)
        self._compaction.start()
        first_ms = config.log_initial_task_delay_ms
        for work, interval_ms in (
            (self.apply_retention, config.log_retention_check_interval_ms),
            (self.flush_due, config.log_flush_scheduler_interval_ms),
            (self.checkpoint, config.log_flush_offset_checkpoint_interval_ms),
            (self.checkpoint_log_starts, config.log_flush_start_offset_checkpoint_interval_ms),
        ):
            self._every(interval_ms, work, first_ms)
        self._every(config.replica_high_watermark_checkpoint_interval_ms, self.checkpoint_high_watermarks)
        self._every(config.producer_id_expiration_check_interval_ms, self.expire_producers)
        self._every(_REMOVAL_INTERVAL_MS, self.remove_files)
        self._every(_REOPEN_INTERVAL_MS, self.reopen)
        if config.log_cleaner_enable:
            self._cleaning = _Loop(
                self._compaction.run_once,
                config.log_cleaner_backoff_ms,
                lambda: self._config.value.log_cleaner_backoff_ms,
            )
            self._loops.append(self._cleaning)

    def reconfigure(self) -> None:
        """Apply changed `log.cleaner.*`: look for something to clean now, then by the new intervals."""
        if self._cleaning is not None:
            self._cleaning.wake()

    async def stop(self) -> None:
        """End; the turns under way are waited for."""
        self._compaction.stop()
        for loop in self._loops:
            loop.stop()
        await asyncio.gather(*(loop.task for loop in self._loops))
        self._loops.clear()

    def _every(self, interval_ms: int, work: _Work, first_ms: int | None = None) -> None:
        first_ms = interval_ms if first_ms is None else first_ms
        self._loops.append(_Loop(work, first_ms, lambda: interval_ms))

    # -- the work

    async def apply_retention(self) -> None:
        """Remove segments that are too old, or too much."""
        now_ms = self._clock.now_ms()
        for number, partition in enumerate(self._partitions):
            try:
                removed = partition.log.apply_retention(now_ms)
            except KafkaError as error:
                log.error("retention of %s failed: %s", partition, error)
                continue
            if removed:
                partition.touch()
                log.info("removed %d segments of %s", removed, partition)
            if number % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)

    async def flush_due(self) -> None:
        """Sync the logs for which `flush.ms` or `flush.messages` asks for it."""
        now_ms = self._clock.now_ms()
        loop = asyncio.get_running_loop()
        for partition in self._partitions:
            if not partition.log.local.needs_flush(now_ms):
                continue
            try:
                flush = partition.log.prepare_flush(now_ms)
                partition.log.complete_flush(await loop.run_in_executor(self._sync_worker, flush))
            except KafkaError as error:
                log.error("flush of %s failed: %s", partition, error)

    async def checkpoint(self) -> None:
        """Write down how far the logs are on the disk, and what is committed."""
        write = self._data_dirs.checkpoint(self._partitions)
        await asyncio.get_running_loop().run_in_executor(self._sync_worker, write)

    async def checkpoint_high_watermarks(self) -> None:
        """Write down what is committed."""
        write = self._data_dirs.checkpoint_high_watermarks(self._partitions)
        await asyncio.get_running_loop().run_in_executor(self._sync_worker, write)

    async def checkpoint_log_starts(self) -> None:
        """Write down where the logs start."""
        write = self._data_dirs.checkpoint_log_starts(self._partitions)
        await asyncio.get_running_loop().run_in_executor(self._sync_worker, write)

    async def on_metadata(self, delta: ImageDelta, _image: MetadataImage) -> None:
        """Have no checkpoint speak of logs that are gone, before others are at their places."""
        if not delta.topics_deleted and not self._partitions.has_removed:
            return
        self._partitions.has_removed = False
        try:
            await self.checkpoint()
            await self.checkpoint_log_starts()
            await self._compaction.topics_deleted()
        except OSError as error:
            log.error("cannot write checkpoints: %s", error)

    async def reopen(self) -> None:
        """Try again to open the partitions that could not be opened."""
        if self._partitions.offline:
            await self._reopen_partitions()

    async def expire_producers(self) -> None:
        """Forget idempotent producers that have not written for `producer.id.expiration.ms`."""
        now_ms = self._clock.now_ms()
        expiration_ms = self._config.value.producer_id_expiration_ms
        for number, partition in enumerate(self._partitions):
            try:
                partition.log.producer_state.remove_expired(now_ms, expiration_ms)
            except KafkaError as error:
                log.error("expiry of the producers of %s failed: %s", partition, error)
            if number % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)

    async def remove_files(self) -> None:
        """Unlink the files of removed segments once `file.delete.delay.ms` has passed."""
        due = self._environment.removals.take_due(self._clock.now_ms())
        if due:
            await asyncio.get_running_loop().run_in_executor(self._file_worker, self._unlink, due)

    def _unlink(self, paths: list[str]) -> None:
        for path in paths:
            try:
                self._environment.fs.unlink(path)
            except OSError as error:
                log.warning("cannot remove %s: %s", path, error)
