"""Closing many logs: thousands of single syncs would take longer than a service manager waits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ottla.storage.errors import LogStorageError
from ottla.storage.flush import Flush, FlushResult

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem
    from ottla.storage.log import Log

__all__ = ["close_logs"]

_SYNC_SINGLY = 32  # logs; beyond that, syncing everything at once is quicker


def close_logs(fs: FileSystem, logs: Iterable[Log]) -> list[LogStorageError]:
    """Bring every log to the disk and close it. The stop was clean when no errors are returned."""
    errors: list[LogStorageError] = []
    flushes: list[tuple[Log, Flush]] = []
    for log in logs:
        try:
            log.prepare_close()
            if log.needs_sync:
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
