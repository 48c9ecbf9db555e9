"""Why a store could not be asked."""

from __future__ import annotations

from ottla.streams.errors import StreamsError


class QueryError(StreamsError):
    """A question that cannot be answered as it was put."""


class StoreUnavailableError(StreamsError):
    """Nobody answers for a part of a store now, since it moves, is restored, or its instance went away: ask
    again (Java: InvalidStateStoreException)."""
