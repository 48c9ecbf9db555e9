"""The memory that requests may take while they come in, bounded over all connections."""

from __future__ import annotations

from typing import Protocol


class Receiver(Protocol):
    """A connection that can wait for memory."""

    def memory_granted(self) -> None:
        """What was asked for is counted now: go on receiving."""


class RequestMemory:
    """A budget of bytes (`ottla.request.memory.max.bytes`).

    The first piece of a request is always given, so that small requests come in whatever others do; each
    further one is given before it is allocated, or else the receiver waits. One receiver at a time may
    overdraw, up to its own frame limit: otherwise half-received frames could fill the budget and wait for
    each other for ever. So no more is used than the budget, one frame, and one first piece for each
    connection.
    """

    __slots__ = ("_limit", "_overdrawing", "_waiting", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._waiting: dict[Receiver, int] = {}
        self._overdrawing: Receiver | None = None
        self.used_bytes = 0

    @property
    def is_plentiful(self) -> bool:
        """Less than half is taken."""
        return self.used_bytes < self._limit // 2

    def take_first(self, size: int) -> None:
        """Count the first piece of a request."""
        self.used_bytes += size

    def take(self, receiver: Receiver, size: int) -> bool:
        """Count `size` bytes more, now or, when the answer is False, by the time of `memory_granted`."""
        if self._may_take(receiver, size):
            self.used_bytes += size
            return True
        self._waiting[receiver] = size
        return False

    def give_back(self, receiver: Receiver, size: int) -> None:
        """Return all that a receiver was given, drop what it waits for, and grant others what fits now."""
        self.used_bytes -= size
        self._waiting.pop(receiver, None)
        if self._overdrawing is receiver:
            self._overdrawing = None
        while self._waiting:
            first, wanted = next(iter(self._waiting.items()))
            if not self._may_take(first, wanted):
                return
            del self._waiting[first]
            self.used_bytes += wanted
            first.memory_granted()

    def _may_take(self, receiver: Receiver, size: int) -> bool:
        if self.used_bytes + size <= self._limit or self._overdrawing is receiver:
            return True
        if self._overdrawing is None:
            self._overdrawing = receiver
            return True
        return False
