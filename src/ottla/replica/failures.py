"""What becomes of replicas whose disk fails: they are offline, so that others lead, until it works again."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Iterable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Final

from ottla.replica.data_dir import DataDirError
from ottla.storage.checkpoints import CorruptCheckpointError, DirectoryLockedError

if TYPE_CHECKING:
    from ottla.replica.data_dir import DataDir
    from ottla.replica.data_dirs import DataDirs
    from ottla.replica.partitions import Partitions
    from ottla.replica.replica import Replica

log = logging.getLogger(__name__)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFailures:
    """Told of logs whose disk has refused something, it tries the whole data folder.

    Where that fails, all that is in it is offline. Where the disk is only full, replicas that are nowhere
    else stay, since what they have can be read. Where it works, only a log is offline that takes nothing more
    after a failed sync.
    """

    def __init__(self, partitions: Partitions, data_dirs: DataDirs, worker: Executor) -> None:
        """`worker` does what may hang."""
        self._partitions = partitions
        self._data_dirs = data_dirs
        self._worker = worker
        self._noted: dict[str, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on there are replicas that can fail."""
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        self._loop = None
        if self._work is not None:
            await asyncio.wait([self._work])

    def note(self, directory: str) -> None:
        """The disk has refused something of the log in this folder; from any thread."""
        self._data_dirs.runs.distrust()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._note, directory)

    def _note(self, directory: str) -> None:
        self._noted[directory] = None
        if self._work is None and self._loop is not None:
            self._work = self._loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._noted and self._loop is not None:
                noted, self._noted = self._noted, {}
                for folder in self._data_dirs.online:
                    if any(directory.rpartition("/")[0] == folder.path for directory in noted):
                        await self._look_at(folder)
        finally:
            self._work = None

    async def _look_at(self, folder: DataDir) -> None:
        failure = await self._try(folder)
        replicas = list(folder.mine(self._partitions))
        if failure is None:
            self._take_offline(each for each in replicas if each.log.local.failure is not None)
        elif failure.errno in _FULL:
            folder.is_full = True
            self._take_offline(each for each in replicas if len(each.state.replicas) > 1)
        else:
            self._take_offline(replicas)
            folder.fail(failure)
            self._partitions.offline_changed()

    async def _try(self, folder: DataDir) -> OSError | None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._worker, folder.check)
        except OSError as error:
            return error
        return None

    def _take_offline(self, replicas: Iterable[Replica]) -> None:
        for each in replicas:
            self._partitions.take_offline(each)

    async def try_again(self) -> None:
        """Use folders again whose disks work by now."""
        loop = asyncio.get_running_loop()
        for folder in self._data_dirs.failed:
            try:
                await loop.run_in_executor(self._worker, folder.resume)
            except (OSError, DataDirError, DirectoryLockedError, CorruptCheckpointError) as error:
                log.debug("%s still fails: %s", folder.path, error)
            else:
                log.info("%s can be used again", folder.path)
        for folder in self._data_dirs.online:
            if folder.is_full and await self._try(folder) is None:
                folder.is_full = False
