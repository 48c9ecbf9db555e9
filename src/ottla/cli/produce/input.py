"""What there is to send: a file, or what comes in."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import IO, BinaryIO, Final, cast

from ottla.cli.formats.interface import Decoder, FileDecoder, Rows
from ottla.cli.running import Worker

_READ_BYTES: Final = 1 << 20
_SET_PIPE_SIZE: Final = getattr(fcntl, "F_SETPIPE_SZ", None)


async def rows_in(file: BinaryIO, decoder: Decoder) -> AsyncIterator[Rows]:
    """As they come. InputError where something is no record."""
    read = partial(os.read, file.fileno(), _READ_BYTES)
    if _SET_PIPE_SIZE is not None:
        with contextlib.suppress(OSError):  # no pipe, or too many of that size
            fcntl.fcntl(file.fileno(), _SET_PIPE_SIZE, _READ_BYTES)
    worker = Worker()
    while data := await worker.call(read):
        for rows in decoder.feed(data):
            yield rows
    for rows in decoder.end():
        yield rows


class _Whole(io.RawIOBase):
    """A pipe, of which as much is read as was asked for. Python's buffers do that too, and lock: a thread
    that waits in one keeps others from closing it.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts: list[bytes] = []
        while size and (part := self._pipe.read(size if size > 0 else _READ_BYTES)):
            parts.append(part)
            size -= len(part) if size > 0 else 0
        return b"".join(parts)


async def rows_of_file(file: BinaryIO, decoder: FileDecoder) -> AsyncIterator[Rows]:
    """As `rows_in`, of formats that libraries read. One that is read here and there (`needs_seeking`) is put
    into a file first, where it comes through a pipe.
    """
    worker = Worker()
    with contextlib.ExitStack() as stack:
        held: IO[bytes] = stack.enter_context(open(file.fileno(), "rb", buffering=0, closefd=False))
        if decoder.needs_seeking and not held.seekable():
            copy = stack.enter_context(tempfile.TemporaryFile())
            await worker.call(partial(_copy, held, copy))
            held = copy
        elif not held.seekable():
            held = cast("IO[bytes]", _Whole(held))
        left = decoder.read(held)
        while (rows := await worker.call(partial(_next, left))) is not None:
            yield rows


def _copy(file: IO[bytes], held: IO[bytes]) -> None:
    shutil.copyfileobj(file, held, _READ_BYTES)
    held.seek(0)


def _next(left: Iterator[Rows]) -> Rows | None:
    """An iterator's end is no exception that a future may have."""
    return next(left, None)
