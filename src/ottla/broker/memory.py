"""The memory that requests may take while they come in, bounded over all connections."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Receiver(Protocol):
    """A connection that can wait for memory."""

    def memory_granted(self) -> None:
        """Go on receiving."""


class RequestMemory:
    """A budget of bytes (`queued.max.request.bytes`).

    A connection always gets the piece it asks for and, once the budget is overdrawn, must stop reading until
    others have given theirs back; so the overdraft is at most one piece for each connection. One receiver at
    a time may overdraw freely, up to its own frame limit: otherwise many half-received frames could fill the
    budget and wait for each other for ever.
    """

    __slots__ = ("_limit", "_overdrawing", "_waiting", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._waiting: deque[Receiver] = deque()
        self._overdrawing: Receiver | None = None
        self.used_bytes = 0

    @property
    def is_plentiful(self) -> bool:
        """Less than half is taken."""
        return self.used_bytes < self._limit // 2

    def take(self, receiver: Receiver, size: int) -> bool:
        """Count `size` bytes; False asks the receiver to stop until `memory_granted`."""
        self.used_bytes += size
        if self.used_bytes <= self._limit or self._overdrawing is receiver:
            return True
        if self._overdrawing is None:
            self._overdrawing = receiver
            return True
        self._waiting.append(receiver)
        return False

    def give_back(self, receiver: Receiver, size: int) -> None:
        """Return what a receiver took and wake those that may go on now."""
        self.used_bytes -= size
        self.forget(receiver)

    def forget(self, receiver: Receiver) -> None:
        """Drop a receiver that is done or went away."""
        if self._overdrawing is receiver:
            self._overdrawing = None
        elif receiver in self._waiting:
            self._waiting.remove(receiver)
        while self._waiting and (self.used_bytes <= self._limit or self._overdrawing is None):
            if self.used_bytes > self._limit:
                self._overdrawing = self._waiting[0]
            self._waiting.popleft().memory_granted()
