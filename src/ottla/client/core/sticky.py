"""Where records go that may go anywhere: to one partition until it got a batch's worth, then to another
(KIP-794).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


class StickyPartition:
    """One topic's. `chance` gives numbers in [0, 1)."""

    __slots__ = ("_available", "_chance", "_left", "_size", "current")

    def __init__(self, size: int, chance: Callable[[], float]) -> None:
        self._size = max(size, 1)
        self._chance = chance
        self._available: Sequence[int] = (0,)
        self._left = 0
        self.current = 0

    def offer(self, available: Sequence[int]) -> None:
        """The partitions that have a leader, or all where none has; at least one."""
        self._available = available
        if self.current not in available:
            self._left = 0

    def take(self, size: int) -> int:
        """The partition for a record of `size` bytes."""
        if self._left <= 0:
            self.move()
        self._left -= size
        return self.current

    def move(self) -> int:
        """Another partition, where there is one."""
        others = [each for each in self._available if each != self.current] or self._available
        self.current = others[int(self._chance() * len(others))]
        self._left = self._size
        return self.current
