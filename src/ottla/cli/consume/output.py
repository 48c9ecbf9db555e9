"""Standard output, written without holding up what goes on beside it."""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import BinaryIO

from ottla.cli.running import Worker


class Output:
    """A file is written to at once, anything else, which may be read slowly, in a thread."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._descriptor: int | None
        try:
            self._descriptor = file.fileno()
        except OSError:  # an object of Python's
            self._descriptor = None
        is_file = self._descriptor is None or stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._worker = None if is_file else Worker()

    async def write(self, data: bytes) -> None:
        """Done when all is written. What was begun goes on, cancelled or not."""
        if not data:
            return
        if self._worker is None:
            self._write(data)
        else:
            await self._worker.call(partial(self._write, data))

    def _write(self, data: bytes) -> None:
        if self._descriptor is None:
            self._file.write(data)
            return
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]
