"""How far a long read has come, on stderr."""

from __future__ import annotations

import asyncio
import sys
from typing import TextIO

from ottla.client.tables.scan import Progress, Report

_QUIET_S = 1.0
"""A read that is over sooner says nothing."""
_INTERVAL_S = 0.2


class ProgressLine:
    """One line, rewritten in place."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._loop = asyncio.get_running_loop()
        self._began = self._told = self._loop.time()
        self._is_shown = False

    def __call__(self, progress: Progress) -> None:
        now = self._loop.time()
        is_done = progress.offsets >= progress.total
        if now - self._began < _QUIET_S or (now - self._told < _INTERVAL_S and not is_done):
            return
        if is_done and not self._is_shown:
            return
        self._told, self._is_shown = now, True
        part = progress.offsets / max(progress.total, 1)
        left_s = (now - self._began) * (1 - part) / part if part else 0.0
        rest = "" if is_done else f", {left_s:,.0f} s left"
        self._out.write(
            f"\r\x1b[K{progress.topic}: {part:.0%}, {progress.records:,} records, "
            f"{progress.nbytes / 1e6:,.1f} MB{rest}" + ("\n" if is_done else "")
        )
        self._out.flush()


def reporter(report: Report | bool | None) -> Report | None:
    """What to call; None: a line on stderr, if that is a terminal."""
    if callable(report):
        return report
    wanted = sys.stderr.isatty() if report is None else report
    return ProgressLine(sys.stderr) if wanted else None
