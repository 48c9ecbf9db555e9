"""Where time comes from."""

from __future__ import annotations

import time


class Clock:
    """The system's clocks; a simulation has its own."""

    __slots__ = ()

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since the epoch, as records and timers carry it."""
        return int(time.time() * 1000)

    def monotonic_s(self) -> float:
        """Seconds since some time, which never go back: for durations."""
        return time.monotonic()

    def monotonic_ms(self) -> int:
        """`monotonic_s` in whole milliseconds."""
        return int(self.monotonic_s() * 1000)

    def processor_s(self) -> float:
        """Seconds of processor time that the calling thread has had."""
        return time.thread_time()
