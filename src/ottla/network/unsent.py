"""The memory that answers take while their clients do not read them, bounded over all connections."""

from __future__ import annotations

from typing import Protocol


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
        self._clogged: set[Sender] = set()

    def add(self, sender: Sender) -> None:
        """A connection has too much to send."""
        self._clogged.add(sender)

    def discard(self, sender: Sender) -> None:
        """It has sent enough of it, or is gone."""
        self._clogged.discard(sender)

    @property
    def is_full(self) -> bool:
        """No more than a batch may be read for anybody now."""
        if not self._clogged:
            return False
        return sum(sender.unsent_bytes for sender in self._clogged) >= self._limit_bytes
