"""SIGTERM ends a command as Ctrl-C does: what was read is sent, what was printed is committed."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import NoReturn


class TerminatedError(BaseException):
    """The process was asked to end. No Exception, so that nothing on the way up takes it for a failure."""


@contextlib.contextmanager
def termination_unwinds() -> Iterator[None]:
    """Inside, SIGTERM raises TerminatedError in the main thread."""

    def terminate(_number: int, _frame: object) -> NoReturn:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
