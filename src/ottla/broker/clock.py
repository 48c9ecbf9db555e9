"""Where the broker's time comes from."""

from __future__ import annotations

import time


class Clock:
    """Wall-clock time in milliseconds, as records and timers carry it."""

    __slots__ = ()

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(time.time() * 1000)
