"""What the worker wants of a process: to go on, to pause, to end."""

from __future__ import annotations

import threading
import time


class Lifecycle:
    """Set in the thread that reads what the worker says, waited for in the task's."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_stopping = False
        self._is_paused = False

    @property
    def is_stopping(self) -> bool:
        return self._is_stopping

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    def stop(self) -> None:
        self._set(is_stopping=True, is_paused=self._is_paused)

    def pause(self) -> None:
        self._set(is_stopping=self._is_stopping, is_paused=True)

    def resume(self) -> None:
        self._set(is_stopping=self._is_stopping, is_paused=False)

    def _set(self, *, is_stopping: bool, is_paused: bool) -> None:
        with self._changed:
            self._is_stopping, self._is_paused = is_stopping, is_paused
            self._changed.notify_all()

    def wait_while_paused(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping or not self._is_paused)

    def wait_ms(self, timeout_ms: int) -> bool:
        """False as soon as the process is to end."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._is_stopping, timeout_ms / 1000)


def now_ms() -> int:
    """Of a clock that only goes forwards."""
    return time.monotonic_ns() // 1_000_000
