"""Bringing a log to the disk: prepared by the owner, run in any thread, completed by the owner."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

__all__ = ["Flush", "FlushResult", "Unsynced"]


class Unsynced(NamedTuple):
    """A file that was written, or a folder that was changed, and that a power loss could take back."""

    path: str
    is_directory: bool = False


class Flush:
    """Syncs the files that hold what was appended before it was made. Call it, once, in any thread.

    `covers` are the entries of the log's own list that are synced with it. `end_offset` is what the recovery
    point becomes. `generation` tells a log that was truncated meanwhile, whose offsets then mean other
    records.
    """

    __slots__ = ("_fs", "_paths", "covers", "end_offset", "generation", "now_ms")

    def __init__(
        self,
        fs: FileSystem,
        paths: list[str],
        covers: tuple[Unsynced, ...],
        *,
        end_offset: int,
        generation: int,
        now_ms: int,
    ) -> None:
        self._fs = fs
        self._paths = paths
        self.covers = covers
        self.end_offset = end_offset
        self.generation = generation
        self.now_ms = now_ms

    def __call__(self) -> FlushResult:
        try:
            files = [entry.path for entry in self.covers if not entry.is_directory]
            for path in dict.fromkeys(self._paths + files):
                self._sync(self._fs.sync_file, path)
            for path in dict.fromkeys(entry.path for entry in self.covers if entry.is_directory):
                self._sync(self._fs.sync_dir, path)
        except OSError as error:
            return FlushResult(self, error)
        return FlushResult(self, None)

    @staticmethod
    def _sync(sync: Callable[[str], None], path: str) -> None:
        try:
            sync(path)
        except FileNotFoundError:
            pass  # an index that has no entries, or what retention or a deletion has taken away meanwhile


class FlushResult(NamedTuple):
    """How a flush went; hand it to `Log.complete_flush`."""

    flush: Flush
    error: OSError | None
