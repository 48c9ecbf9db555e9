"""What is counted of a stream thread."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ThreadMetrics:
    """Totals since the thread began."""

    processed: int = 0
    sent: int = 0
    dropped: int = 0
    commits: int = 0
    restored: int = 0
    rebalances: int = 0
    active_tasks: int = 0
    standby_tasks: int = 0
