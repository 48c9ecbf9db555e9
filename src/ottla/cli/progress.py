"""How far long work has come, on stderr and out of the way of what the command prints."""

from __future__ import annotations

import sys
import time

import click

TERMINAL_INTERVAL_S = 0.2
PLAIN_INTERVAL_S = 2.0

progress_option = click.option(
    "--progress/--no-progress", default=None, help="Tell progress on stderr.  [default: on a terminal]"
)


class Progress:
    """Counts told now and then: rewritten in place on a terminal, line by line elsewhere."""

    def __init__(self, wanted: bool | None) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._is_on = self._is_terminal if wanted is None else wanted
        self._interval_s = TERMINAL_INTERVAL_S if self._is_terminal else PLAIN_INTERVAL_S
        self._started_s = time.monotonic()
        self._told_s = self._started_s

    def at(self, records: int, size_bytes: int) -> None:
        """Tell how far it is, if it was not told just now."""
        now = time.monotonic()
        if self._is_on and now - self._told_s >= self._interval_s:
            self._told_s = now
            self._tell(records, size_bytes, now, "" if self._is_terminal else "\n")

    def done(self, records: int, size_bytes: int) -> None:
        """Tell the sums."""
        if self._is_on:
            self._tell(records, size_bytes, time.monotonic(), "\n")

    def _tell(self, records: int, size_bytes: int, now: float, end: str) -> None:
        elapsed_s = max(now - self._started_s, 1e-6)
        start = "\r\x1b[K" if self._is_terminal else ""
        sys.stderr.write(
            f"{start}{records:,} records, {size_bytes / 1e6:,.1f} MB in {elapsed_s:.1f} s"
            f" ({records / elapsed_s:,.0f} records/s){end}"
        )
        sys.stderr.flush()
