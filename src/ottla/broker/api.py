"""What an API module declares: the facts about one of Kafka's APIs, and its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from ottla.broker.request import ErrorResponse, RequestContext, Result, Route

Services = TypeVar("Services")
"""What the handlers of one family use; `broker.services` has them all."""

Handler: TypeAlias = Callable[[Services, RequestContext, Any], Result | Awaitable[Result]]
Decoder: TypeAlias = Callable[[Services, RequestContext, memoryview, int], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api(Generic[Services]):
    """One Kafka API as Ottla serves it; the router, ApiVersions, docs and tests derive from these."""

    key: int
    name: str
    versions: tuple[int, int]
    """Lowest and highest version served, both included."""
    handle: Handler[Services]
    kips: tuple[int, ...] = ()
    gaps: tuple[str, ...] = ()
    """What Kafka does here and Ottla does not, a sentence each."""
    advertised_min: int | None = None
    """Lowest version shown in ApiVersions where it differs from the lowest served."""
    decode: Decoder[Services] | None = None
    """Reads a request where that is not left to the schema."""
    error: ErrorResponse | None = None
    """Makes the response of a request that failed as a whole, where that is not a mere `error_code`."""
    pipelined: bool = False
    """The connection goes on with the next request while this one waits (its effects are ordered already)."""
    carries_records: bool = False
    """A request's frame may be as large as `socket.request.max.bytes`, not only `ottla.request.max.bytes`."""

    def bind(self, services: Services) -> Route:
        """The API with what its handler uses."""
        decode = None if self.decode is None else partial(self.decode, services)
        return Route(
            self.key,
            self.name,
            self.versions,
            partial(self.handle, services),
            decode,
            self.error,
            self.pipelined,
            self.carries_records,
        )
