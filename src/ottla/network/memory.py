"""The memory that requests may take while they come in, and answers while nobody reads them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Protocol

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT_BYTES = 8 << 20
_FROM_HEAP_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one connection may occupy; each a setting."""

    frame_max_bytes: int
    """`socket.request.max.bytes`"""
    requests_in_flight_max: int
    """`ottla.requests.in.flight.max`: answers of one connection that may be outstanding"""
    response_buffer_max_bytes: int
    """`ottla.response.buffer.max.bytes`: unsent output above which a connection is not read"""


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
        """Count the first piece of a request, or one that has come in and is kept until it can be handled."""
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
        self._waiting.pop(receiver, None)
        if self._overdrawing is receiver:
            self._overdrawing = None
        self.release(size)

    def release(self, size: int) -> None:
        """Return what nobody waits for, and grant others what fits now."""
        self.used_bytes -= size
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


class Sender(Protocol):
    """A connection that may have more to send than its client takes."""

    @property
    def unsent_bytes(self) -> int: ...


class UnsentOutput:
    """Knows the connections that are clogged: those with more unsent than `ottla.response.buffer.max.bytes`.

    While they hold `ottla.response.memory.max.bytes` together, a fetch gets one batch at most: others still
    come forward, and what is held is bounded by that memory, one response, and for each connection the
    smaller bound and one batch.  It lasts until the readers go on, or are closed for standing still.
    """

    __slots__ = ("_clogged", "_limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._clogged: dict[Sender, None] = {}

    def add(self, sender: Sender) -> None:
        """A connection has too much to send."""
        self._clogged[sender] = None

    def discard(self, sender: Sender) -> None:
        """It has sent enough of it, or is gone."""
        self._clogged.pop(sender, None)

    @property
    def is_full(self) -> bool:
        """No more than a batch may be read for anybody now."""
        if not self._clogged:
            return False
        return sum(sender.unsent_bytes for sender in self._clogged) >= self._limit_bytes


@functools.cache
def keep_freed_memory() -> None:
    """Have up to 8 MiB stay with the process when freed, where the C library is glibc.

    It would go back to the system with each large request and come again, page by page, with the next, which
    took a third to a half of the time of 1 MB batches. Called with the first such request, as it takes
    some milliseconds.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _FROM_HEAP_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
