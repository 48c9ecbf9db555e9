"""Compaction in the background: one log at a time, the dirtiest first, in a worker thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from ottla.protocol.errors import KafkaError
from ottla.storage.checkpoints import CorruptCheckpointError
from ottla.storage.cleaner.cleaning import (
    CleanedGroup,
    CleanerSettings,
    CleaningFinished,
    CleaningProgress,
    CleaningStep,
    clean,
)
from ottla.storage.cleaner.policy import CleaningPlan, cleaning_facts, plan_cleaning
from ottla.storage.errors import LogStorageError
from ottla.storage.local.segments import discard

if TYPE_CHECKING:
    from uuid import UUID

    from ottla.clock import Clock
    from ottla.config.current import Current
    from ottla.config.replica import ReplicaConfig
    from ottla.metadata.image import ImageSource
    from ottla.replica.data_dir import DataDir
    from ottla.replica.data_dirs import DataDirs
    from ottla.replica.partitions import Partitions
    from ottla.replica.replica import Replica
    from ottla.storage.environment import LogEnvironment

log = logging.getLogger(__name__)


class Compaction:
    """The log cleaner (`log.cleaner.*`)."""

    def __init__(
        self,
        partitions: Partitions,
        data_dirs: DataDirs,
        environment: LogEnvironment,
        metadata: ImageSource,
        config: Current[ReplicaConfig],
        clock: Clock,
        worker: Executor,
    ) -> None:
        """`worker` has one thread: what reads and writes logs to clean them."""
        self._partitions = partitions
        self._data_dirs = data_dirs
        self._environment = environment
        self._metadata = metadata
        self._config = config
        self._clock = clock
        self._worker = worker
        self._clean_offsets: dict[str, dict[tuple[str, int], int]] = {}
        """By data folder: how far each log in it is clean"""
        self._uncleanable: set[tuple[UUID, int]] = set()
        self._stopping = False

    def start(self) -> None:
        """Read how far each log is clean."""
        for folder in self._data_dirs.online:
            try:
                self._clean_offsets[folder.path] = folder.cleaner_offsets.read()
            except CorruptCheckpointError as error:
                log.warning("%s; compacting from the start", error)
                self._clean_offsets[folder.path] = {}
        for folder in self._forget_deleted():
            folder.cleaner_offsets.write(self._clean_offsets[folder.path])

    def stop(self) -> None:
        """Let the step under way end, and begin no other."""
        self._stopping = True

    async def run_once(self) -> None:
        """Clean logs until none is due."""
        failed: set[tuple[str, int]] = set()
        while not self._stopping:
            found = self._dirtiest(failed)
            if found is None:
                return
            partition, plan = found
            try:
                await self._clean(partition, plan)
            except (OSError, LogStorageError) as error:
                failed.add((partition.topic, partition.index))
                if self._is_current(partition):
                    log.error("cannot compact %s now: %s", partition, error)
            except KafkaError as error:
                if self._is_current(partition):
                    log.error("%s is not compacted any more, its log does not read: %s", partition, error)
                    self._uncleanable.add((partition.topic_id, partition.index))

    async def topics_deleted(self) -> None:
        """Forget how far the logs of deleted topics were clean: others may get their names."""
        for folder in self._forget_deleted():
            await self._write_checkpoint(folder)

    def _forget_deleted(self) -> list[DataDir]:
        """Returns the folders of which something was forgotten."""
        changed = []
        for folder in self._data_dirs.online:
            offsets = self._clean_offsets[folder.path]
            gone = [key for key in offsets if key[0] not in self._metadata.image.topics]
            for key in gone:
                del offsets[key]
            if gone:
                changed.append(folder)
        return changed

    async def _write_checkpoint(self, folder: DataDir) -> None:
        loop = asyncio.get_running_loop()
        offsets = self._clean_offsets[folder.path].copy()
        await loop.run_in_executor(self._worker, folder.cleaner_offsets.write, offsets)

    def _is_current(self, partition: Replica) -> bool:
        """Whether the partition was not deleted meanwhile; its folder may be that of another topic then."""
        return any(each.log is partition.log for each in self._partitions.replicas_of(partition.topic))

    def _dirtiest(self, failed: set[tuple[str, int]]) -> tuple[Replica, CleaningPlan] | None:
        now_ms = self._clock.now_ms()
        best: tuple[Replica, CleaningPlan] | None = None
        for partition in self._partitions:
            key = (partition.topic, partition.index)
            if (
                not partition.config.compact
                or key in failed
                or (partition.topic_id, partition.index) in self._uncleanable
                or len(partition.log.segments) < 2
            ):
                continue
            facts = cleaning_facts(partition.log)
            plan = plan_cleaning(facts, self._clean_offsets[partition.log_dir].get(key), now_ms)
            if plan.is_due and (best is None or plan.dirty_ratio > best[1].dirty_ratio):
                best = partition, plan
        return best

    async def _clean(self, partition: Replica, plan: CleaningPlan) -> None:
        config, loop = self._config.value, asyncio.get_running_loop()
        settings = CleanerSettings(
            dedupe_buffer_size=config.log_cleaner_dedupe_buffer_size,
            dedupe_buffer_load_factor=config.log_cleaner_io_buffer_load_factor,
            io_buffer_size=config.log_cleaner_io_buffer_size,
            max_decompressed_bytes=config.ottla_decompressed_batch_max_bytes,
        )
        steps = clean(self._environment.fs, plan, settings, self._clock.now_ms())
        began = self._clock.monotonic_s()
        read_bytes = before = after = 0
        try:
            while (step := await loop.run_in_executor(self._worker, _next, steps)) is not None:
                if not self._is_current(partition):
                    if isinstance(step, CleanedGroup):
                        discard(self._environment.fs, partition.log.local.directory, step.new_base_offsets)
                    return
                if isinstance(step, CleaningProgress):
                    read_bytes += step.bytes_read
                    await self._throttle(read_bytes, began)
                elif isinstance(step, CleanedGroup):
                    new, old = step.new_base_offsets, step.old_base_offsets
                    generation, now_ms = plan.facts.generation, self._clock.now_ms()
                    if not partition.log.replace_segments(new, old, generation, now_ms):
                        return  # retention took away what was cleaned
                    before += step.bytes_before
                    after += step.bytes_after
                elif isinstance(step, CleaningFinished):
                    folder = self._data_dirs.of(partition)
                    key = (partition.topic, partition.index)
                    self._clean_offsets[folder.path][key] = step.next_dirty_offset
                    await self._write_checkpoint(folder)
                if self._stopping:
                    return
        finally:
            self._give_up(partition, steps)
        log.info("compacted %s from %d to %d bytes", partition, before, after)

    def _give_up(self, partition: Replica, steps: Generator[CleaningStep, None, None]) -> None:
        """Remove what is half done, if anything is; nothing that fails here hides why it is given up."""
        try:
            steps.close()
        except ValueError:  # a step is under way, for which nobody waits any more
            self._worker.submit(steps.close)
        except OSError as error:
            log.warning("cannot remove what was compacted of %s: %s", partition, error)

    async def _throttle(self, read_bytes: int, began: float) -> None:
        """Hold to `log.cleaner.io.max.bytes.per.second`."""
        ahead_s = read_bytes / self._config.value.log_cleaner_io_max_bytes_per_second - (
            self._clock.monotonic_s() - began
        )
        if ahead_s > 0.01:
            await asyncio.sleep(min(ahead_s, 1))


def _next(steps: Iterator[CleaningStep]) -> CleaningStep | None:
    return next(steps, None)
