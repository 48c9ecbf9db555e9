"""Opening a log, and closing many at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ottla.storage.checkpoints import has_partition_metadata, write_partition_metadata
from ottla.storage.errors import LogStorageError
from ottla.storage.local.log import Flush, FlushResult, Unsynced
from ottla.storage.local.recovery import Opening
from ottla.storage.log import Log

if TYPE_CHECKING:
    from uuid import UUID

    from ottla.config.topic import TopicConfig
    from ottla.storage.environment import LogEnvironment
    from ottla.storage.fs import FileSystem

__all__ = ["close_logs", "open_log"]

_SYNC_SINGLY: Final = 32  # logs; beyond that, syncing everything at once is quicker


def open_log(
    directory: str,
    partition: str,
    config: TopicConfig,
    environment: LogEnvironment,
    *,
    clean: bool,
    log_start_offset: int = 0,
    recovery_point: int | None = 0,
    high_watermark: int = 0,
    now_ms: int,
    topic_id: UUID | None = None,
) -> Log:
    """Open the log in `directory`, or create it there. `partition` names it in messages:
    `<topic>-<partition>`.

    `clean` says that the data folder was closed in order. Then no records are read; otherwise the segments
    from the one that holds `recovery_point` on are checked and their indexes rebuilt. `recovery_point` (None
    where nobody knows), `log_start_offset` and `high_watermark` come from the data folder's checkpoints.

    Raises OSError, KafkaError(inconsistent_topic_id) when the folder belongs to another topic of that name,
    CorruptCheckpointError when what it says of that is beyond us.
    """
    fs = environment.fs
    opening = Opening(environment, directory, partition, config, now_ms)
    try:
        names = fs.listdir(directory)
    except FileNotFoundError:
        fs.make_dirs(directory)
        opened = opening.create(log_start_offset, _note_topic_id(fs, directory, topic_id))
    else:
        unsynced = _note_topic_id(fs, directory, topic_id)
        opened = opening.open(names, unsynced, clean, log_start_offset, recovery_point)
    log = Log(
        opened.local,
        opened.log_start_offset,
        producers=opened.producers,
        snapshot_offsets=opened.snapshot_offsets,
    )
    log.update_high_watermark(high_watermark)
    return log


def _note_topic_id(fs: FileSystem, directory: str, topic_id: UUID | None) -> tuple[Unsynced, ...]:
    """Compare the folder's topic id with the wanted one; returns the file written when there was none."""
    if topic_id is None or has_partition_metadata(fs, directory, topic_id):
        return ()
    return (Unsynced(write_partition_metadata(fs, directory, topic_id)),)


def close_logs(fs: FileSystem, logs: Iterable[Log]) -> list[LogStorageError]:
    """Bring every log to the disk and close it. The stop was clean when no errors are returned."""
    errors: list[LogStorageError] = []
    flushes: list[tuple[Log, Flush]] = []
    for log in logs:
        try:
            log.prepare_close()
            if log.local.needs_sync:
                flushes.append((log, log.prepare_flush()))
            else:
                log.close(flush=False)
        except LogStorageError as error:
            errors.append(error)
            log.close(flush=False)
    if len(flushes) > _SYNC_SINGLY:
        results = _sync_at_once(fs, [flush for _, flush in flushes])
    else:
        results = [flush() for _, flush in flushes]
    for (log, _), result in zip(flushes, results, strict=True):
        try:
            log.complete_flush(result)
        except LogStorageError as error:
            errors.append(error)
        log.close(flush=False)
    return errors


def _sync_at_once(fs: FileSystem, flushes: list[Flush]) -> list[FlushResult]:
    try:
        fs.sync_all()
    except OSError as error:
        return [FlushResult(flush, error) for flush in flushes]
    return [FlushResult(flush, None) for flush in flushes]
