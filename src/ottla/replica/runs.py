"""Whether the logs still have all that this broker had written before it was killed.

What a killed process wrote is in the page cache, if not on the disk: it is gone only when the machine is
switched off as well. So each folder notes in which epoch the broker is, and the machine's boot id.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ottla.storage.checkpoints import Run, read_run, remove_run, write_run

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

log = logging.getLogger(__name__)


class RunFolder(Protocol):
    """A data folder."""

    @property
    def fs(self) -> FileSystem: ...

    @property
    def path(self) -> str: ...

    @property
    def is_online(self) -> bool: ...

    @property
    def clean_epoch(self) -> int | None:
        """The broker's epoch at the last stop, where it was clean."""


class Runs:
    """What the data folders say of the broker's runs, the last one and this."""

    def __init__(self, folders: Sequence[RunFolder], boot_id: str) -> None:
        """`boot_id` is the machine's since it was switched on, empty where it is not known."""
        self._folders = folders
        self._boot_id = boot_id
        self._has_failed = False

    @property
    def intact_epoch(self) -> int | None:
        """The broker's epoch in which all logs were what they are now, where that is known. To be asked for
        once they are open. After `distrust` only a stop in order before this run still tells it.
        """
        epochs = [self._intact_epoch(each) if each.is_online else None for each in self._folders]
        return epochs[0] if epochs.count(epochs[0]) == len(epochs) else None

    def _intact_epoch(self, folder: RunFolder) -> int | None:
        if folder.clean_epoch is not None:
            return folder.clean_epoch
        if self._has_failed:
            return None
        run = read_run(folder.fs, folder.path)
        if run is None or not self._boot_id or run.boot_id != self._boot_id:
            return None
        return run.broker_epoch

    @property
    def has_failed(self) -> bool:
        """Whether `distrust` was called: a stop in order says nothing either."""
        return self._has_failed

    def note(self, broker_epoch: int) -> None:
        """The broker is in this epoch from now on."""
        if self._boot_id and not self._has_failed:
            self._write(Run(broker_epoch, self._boot_id))

    def _write(self, run: Run) -> None:
        try:
            for folder in self._folders:
                if folder.is_online:
                    write_run(folder.fs, folder.path, run)
        except OSError as error:
            log.warning("cannot note the broker's epoch; killed, it will count as unclean: %s", error)
        if self._has_failed:  # meanwhile, in another thread
            self._remove()

    def distrust(self) -> None:
        """A disk has refused something, or lost it (any thread). What was written may be gone without another
        word, so a kill is like a loss of power from now on, for as long as this process runs.
        """
        if not self._has_failed:
            self._has_failed = True
            self._remove()

    def _remove(self) -> None:
        for folder in self._folders:
            try:
                remove_run(folder.fs, folder.path)
            except OSError as error:
                log.warning("%s still says that its logs have all that was written: %s", folder.path, error)
