"""Bringing a log to the disk: prepared by the owner, run in any thread, completed by the owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

__all__ = ["Flush", "FlushResult"]


class FlushResult(NamedTuple):
    """How a flush went; hand it to `Log.complete_flush`."""

    flush: Flush
    error: OSError | None


class Flush:
    """Syncs the files that hold what was appended before it was made. Call it, once, in any thread.

    `end_offset` is what the recovery point becomes. `generation` tells a log that was truncated meanwhile,
    whose offsets then mean other records.
    """

    __slots__ = ("_directories", "_fs", "_paths", "end_offset", "generation", "now_ms")

    def __init__(
        self,
        fs: FileSystem,
        paths: list[str],
        directories: tuple[str, ...],
        *,
        end_offset: int,
        generation: int,
        now_ms: int,
    ) -> None:
        self._fs = fs
        self._paths = paths
        self._directories = directories
        self.end_offset = end_offset
        self.generation = generation
        self.now_ms = now_ms

    def __call__(self) -> FlushResult:
        try:
            for path in self._paths:
                self._sync_file(path)
            for directory in self._directories:
                self._fs.sync_dir(directory)
        except OSError as error:
            return FlushResult(self, error)
        return FlushResult(self, None)

    def _sync_file(self, path: str) -> None:
        try:
            self._fs.sync_file(path)
        except FileNotFoundError:
            pass  # an index that has no entries, or a segment that retention has taken away meanwhile
