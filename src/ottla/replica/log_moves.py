"""Moves logs to other data folders of this broker while they are used (KIP-113).

A copy grows in the other folder, in a folder with `-future` behind its name; once it has caught up and is on
the disk, it takes the log's place in one turn of the event loop. Logs are moved one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from ottla.config.definition import LONG_MAX
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.replica.follower import Follower
from ottla.replication.throttle import Rate, Window
from ottla.replication.truncation import EpochEnd
from ottla.storage.checkpoints import CorruptCheckpointError
from ottla.storage.names import has_room_for_suffix

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.config.current import Current
    from ottla.config.replica import ReplicaConfig
    from ottla.metadata.image import ImageSource
    from ottla.metadata.model import Topic
    from ottla.replica.data_dir import DataDir
    from ottla.replica.data_dirs import DataDirs
    from ottla.replica.folders import LogFolders
    from ottla.replica.partitions import Partitions
    from ottla.replica.replica import Replica
    from ottla.storage.log import Log

log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 256 * 1024
"""What is copied in one turn of the event loop"""
_PAUSE_S: Final = 0.05
_PATIENCE: Final = 100
"""Turns in which it is waited for a moment when nobody waits for what was appended"""


class Move(NamedTuple):
    """One that is under way."""

    topic_id: UUID
    folder: DataDir
    copy: Follower
    """Follows the log that is used; it is in no other broker's count"""


class LogMoves:
    """The moves of one broker."""

    def __init__(
        self,
        partitions: Partitions,
        folders: LogFolders,
        data_dirs: DataDirs,
        metadata: ImageSource,
        config: Current[ReplicaConfig],
        clock: Clock,
        worker: Executor,
        checkpoint: Callable[[], Awaitable[None]],
    ) -> None:
        """`checkpoint` writes down how far logs are on the disk, and where they start."""
        self._partitions = partitions
        self._folders = folders
        self._data_dirs = data_dirs
        self._metadata = metadata
        self._config = config
        self._clock = clock
        self._worker = worker
        self._checkpoint = checkpoint
        self._moves: dict[tuple[str, int], Move] = {}
        self._rate = Rate()
        self._work: asyncio.Task[None] | None = None
        self._is_stopped = False

    def __iter__(self) -> Iterator[Move]:
        return iter(list(self._moves.values()))

    def begin(self, topic: str, index: int, path: str) -> None:
        """Move a log into the data folder at `path`; one that is there stays, and is moved no more.

        Raises KafkaError: invalid_topic_exception for a name that leaves no room, log_dir_not_found,
        invalid_replica_assignment for a folder that is cordoned, kafka_storage_error, and where the replica
        is not here unknown_topic_or_partition or not_leader_or_follower: then it goes there when it comes.
        """
        if not has_room_for_suffix(topic, index):
            raise KafkaError(ErrorCode.invalid_topic_exception, "The topic name is too long.")
        folder = self._usable(path)
        try:
            replica = self._partitions.replica(topic, index)
        except KafkaError as error:
            if error.code is ErrorCode.not_leader_or_follower:
                self._folders.prefer(topic, index, folder)
            raise
        under_way = self._moves.get((topic, index))
        if under_way is not None:
            if under_way.folder is folder and under_way.topic_id == replica.topic_id:
                return
            self._abandon(topic, index)
        if replica.log_dir == path:
            return
        if missing := self._data_dirs.missing():
            raise KafkaError(ErrorCode.kafka_storage_error, f"data folders are offline: {', '.join(missing)}")
        try:
            future = self._folders.open_future(self._topic(replica), index, replica.config, folder)
        except (OSError, CorruptCheckpointError) as error:
            raise KafkaError(ErrorCode.kafka_storage_error, str(error)) from error
        copy = Follower(topic, replica.topic_id, index, future, replica.state, replica.traffic)
        self._moves[topic, index] = Move(replica.topic_id, folder, copy)
        log.info("%s moves from %s to %s", replica, replica.log_dir, path)
        if self._work is None and not self._is_stopped:
            self._work = asyncio.get_running_loop().create_task(self._run())

    def _usable(self, path: str) -> DataDir:
        folder = next((each for each in self._data_dirs.all if each.path == path), None)
        if folder is None:
            raise KafkaError(ErrorCode.log_dir_not_found)
        if not folder.is_online:
            raise KafkaError(ErrorCode.kafka_storage_error, f"Log directory {path} is offline")
        cordoned = self._config.value.cordoned_log_dirs
        if path in cordoned or "*" in cordoned:
            raise KafkaError(ErrorCode.invalid_replica_assignment, f"Log directory {path} is cordoned")
        return folder

    def _topic(self, replica: Replica) -> Topic:
        topic = self._metadata.image.topics_by_id.get(replica.topic_id)
        if topic is None:
            raise KafkaError(ErrorCode.unknown_topic_or_partition)
        return topic

    def _abandon(self, topic: str, index: int) -> None:
        move = self._moves.pop((topic, index))
        future = move.copy.log
        future.close(flush=False)
        self._folders.discard(future.local.directory)

    async def stop(self) -> None:
        """Copies that are not complete begin anew with the next start."""
        self._is_stopped = True
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
        for move in self:
            move.copy.log.close(flush=False)
        self._moves.clear()

    # -- the work

    async def _run(self) -> None:
        try:
            while self._moves:
                topic, index = next(iter(self._moves))
                try:
                    await self._move(topic, index)
                except (KafkaError, OSError, CorruptCheckpointError) as error:
                    log.error("%s-%d is not moved: %s", topic, index, error)
                    self._forget(topic, index)
                except Exception:
                    log.exception("%s-%d is not moved", topic, index)
                    self._forget(topic, index)
        finally:
            self._work = None

    def _forget(self, topic: str, index: int) -> None:
        if (topic, index) in self._moves:
            self._abandon(topic, index)

    async def _move(self, topic: str, index: int) -> None:
        move = self._moves[topic, index]
        is_durable, patience = False, _PATIENCE
        while self._moves.get((topic, index)) is move:
            replica = self._partitions.replica(topic, index)
            if replica.topic_id != move.topic_id:
                raise KafkaError(ErrorCode.unknown_topic_or_partition, "the topic was deleted")
            if self._is_too_fast():
                await asyncio.sleep(_PAUSE_S)
            elif self._copy_some(move.copy, replica):
                await asyncio.sleep(0)
            elif not is_durable:
                await self._make_durable(move.copy.log)
                is_durable = True
            elif patience and not self._is_quiet(replica):
                patience -= 1
                await asyncio.sleep(0.001)
            else:
                self._take_its_place(move, replica)
                await self._checkpoint()

    def _copy_some(self, copy: Follower, replica: Replica) -> bool:
        """Copy what comes next; False where there is no more. What is cut off the log is cut off the copy."""
        source, now_ms = replica.log, self._clock.now_ms()
        copy.take_state(replica.state)
        if copy.log.log_end_offset < source.log_start_offset:
            copy.log.truncate_fully_and_start_at(source.log_start_offset, now_ms)
        end_offset = copy.log.log_end_offset
        if copy.last_epoch >= 0:
            diverging = replica.diverging_epoch(copy.last_epoch, end_offset)
            if diverging is not None:
                copy.truncate(copy.end_in_common(EpochEnd(*diverging)), now_ms)
                return True
        data = source.read(end_offset, _CHUNK_BYTES, source.log_end_offset).to_bytes()
        copy.append(data, source.high_watermark, source.log_start_offset, now_ms)
        if data:
            self._rate.record(len(data), self._clock.monotonic_ms(), self._window)
        return copy.log.log_end_offset < source.log_end_offset

    @property
    def _window(self) -> Window:
        config = self._config.value
        return Window(
            config.alter_log_dirs_replication_quota_window_num,
            config.alter_log_dirs_replication_quota_window_size_seconds * 1000,
        )

    def _is_too_fast(self) -> bool:
        limit = self._config.value.replica_alter_log_dirs_io_max_bytes_per_second
        return limit < LONG_MAX and self._rate.per_second(self._clock.monotonic_ms(), self._window) > limit

    async def _make_durable(self, future: Log) -> None:
        """Most of it, in another thread; what comes meanwhile is synced when it takes its place."""
        flush = future.prepare_flush(self._clock.now_ms())
        future.complete_flush(await asyncio.get_running_loop().run_in_executor(self._worker, flush))

    def _is_quiet(self, replica: Replica) -> bool:
        """Nobody waits for what was appended: who does is turned away, and sends it again."""
        source = replica.log
        if source.high_watermark < source.log_end_offset:
            return False
        return not self._config.value.ottla_acks_all_flush or source.recovery_point >= source.log_end_offset

    def _take_its_place(self, move: Move, replica: Replica) -> None:
        """Nothing else happens meanwhile. Raises LogStorageError where the copy is not on the disk."""
        topic, former, future = self._topic(replica), replica.log_dir, move.copy.log
        future.close(flush=True)
        del self._moves[replica.topic, replica.index]
        self._partitions.move_log(
            topic, replica, lambda: self._folders.promote(topic, replica.index, former, move.folder, future)
        )
        log.info("%s is in %s now", replica, move.folder.path)
