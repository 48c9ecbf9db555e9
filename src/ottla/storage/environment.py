"""What all logs of one broker share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ottla.storage.local.indexes import IndexCache

if TYPE_CHECKING:
    from random import Random  # noqa: TID251 - the type

    from ottla.storage.fs import FileSystem

__all__ = ["LogEnvironment", "RemovalQueue"]


class RemovalQueue:
    """Files renamed to `.deleted` that are to be unlinked once `file.delete.delay.ms` has passed.

    The owner of the data folders asks for what is due and unlinks it, in a worker thread if it likes:
    removing a large file takes milliseconds. What a crash leaves behind is removed when the log opens again.
    """

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, paths: Iterable[str], due_ms: int) -> None:
        self._pending.extend((due_ms, path) for path in paths)

    def take_due(self, now_ms: int) -> list[str]:
        """The paths to unlink now; they are the caller's from here on."""
        due = [path for due_ms, path in self._pending if due_ms <= now_ms]
        if due:
            self._pending = [entry for entry in self._pending if entry[0] > now_ms]
        return due


@dataclass(slots=True)
class LogEnvironment:
    """One for each broker: the disks, the shared bounds, and the settings that are the broker's, not a
    topic's.
    """

    fs: FileSystem
    random: Random
    max_decoded_batch_bytes: int
    index_cache: IndexCache = field(default_factory=IndexCache)
    removals: RemovalQueue = field(default_factory=RemovalQueue)
    note_failure: Callable[[str], None] = lambda _directory: None
    """Told of the folder of a log whose disk has refused something, in any thread."""
