"""Punctuations: functions that are called as time goes on, of the stream or of the wall clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from ottla.streams.task.heap import Heap

__all__ = ["PunctuationQueue", "Schedule"]

N = TypeVar("N")


class Schedule(Generic[N]):
    """Calls `callback` at `time` and then each `interval` milliseconds, until it is cancelled."""

    __slots__ = ("callback", "cancelled", "interval", "node", "time")

    def __init__(self, node: N, time: int, interval: int, callback: Callable[[int], None]) -> None:
        self.node = node
        self.time = time
        self.interval = interval
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class PunctuationQueue(Generic[N]):
    def __init__(self) -> None:
        self._schedules: Heap[Schedule[N]] = Heap(lambda schedule: schedule.time)

    def add(self, schedule: Schedule[N]) -> Schedule[N]:
        self._schedules.push(schedule)
        return schedule

    def punctuate(self, now: int, call: Callable[[Schedule[N], int], None]) -> bool:
        """Call what is due at `now`, once each however many intervals have passed; whether anything was."""
        called = False
        schedules = self._schedules
        while schedules and schedules.peek().time <= now:
            schedule = schedules.pop()
            if schedule.cancelled:
                continue
            call(schedule, now)
            called = True
            if not schedule.cancelled:
                schedule.time += ((now - schedule.time) // schedule.interval + 1) * schedule.interval
                schedules.push(schedule)
        return called

    def next_time(self) -> int | None:
        """When the next one is due."""
        return self._schedules.peek().time if self._schedules else None

    def clear(self) -> None:
        self._schedules.clear()
