"""What an API module declares: the facts about one of Kafka's APIs, and its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from ottla.broker.request import BoundHandler, RequestContext, Result, Route, ServedApi
from ottla.broker.rights import AnyRight, Authorization
from ottla.network.output import Frame
from ottla.protocol.errors import ErrorCode
from ottla.protocol.structs import Struct

if TYPE_CHECKING:
    from ottla.broker.audit.trail import Trail

Services = TypeVar("Services")
"""What the handlers of one family use; `broker.services` has them all."""
Message = TypeVar("Message")
Request = TypeVar("Request", bound=Struct)
Response = TypeVar("Response", bound=Struct)

Answer: TypeAlias = Response | Frame | Awaitable[Response | Frame]
"""A response to encode, or a frame that is encoded already; now or later."""


@dataclass(frozen=True, slots=True)
class Api(Generic[Services, Request, Response]):
    """One Kafka API, by its messages; which versions are served is in the table (`broker.apis`)."""

    services: type[Services]
    """Which of the services its handler is given"""
    request: type[Request]
    response: type[Response]
    handle: Callable[[Services, RequestContext, Request], Answer[Response]]
    _: KW_ONLY
    right: AnyRight
    """What a client has to be allowed before it is answered"""
    error: Callable[[Request, ErrorCode, str | None], Response] | None = None
    """Makes the response of a request that failed as a whole, where that is not a mere `error_code`."""
    is_audited: bool = False
    """Who asks for it changes something that others depend on: it is told in the audit"""
    kips: tuple[int, ...] = ()
    gaps: tuple[str, ...] = ()
    """What Kafka does here and Ottla does not, a sentence each."""

    @property
    def key(self) -> int:
        """Kafka's number for the API."""
        return self.request.__key__

    def bind(
        self,
        served: ServedApi,
        services: Services,
        authorization: Authorization | None,
        trail: Trail | None = None,
    ) -> Route:
        """The API with what its handler uses; without `authorization` everybody may do everything, without
        `trail` there is no audit.
        """
        handle: BoundHandler = partial(self.handle, services)
        if trail is not None and self.is_audited:
            handle = trail.watch(handle)
        if authorization is not None:
            handle = self.right.guard(handle, authorization)
        return Route(served, handle, error=self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandCodedApi(Generic[Services, Message]):
    """An API that decodes its requests and encodes its responses itself: Produce and Fetch, for speed."""

    key: int
    services: type[Services]
    decode: Callable[[Services, RequestContext, memoryview, int], Message]
    """From a request's bytes, and where the message begins in them; MalformedRequest for nonsense"""
    handle: Callable[[Services, RequestContext, Message], Result | Awaitable[Result]]
    right: AnyRight
    pipelined: bool = False
    """The connection goes on with the next request while this one waits (its effects are ordered already)."""
    is_audited: bool = False
    kips: tuple[int, ...] = ()
    gaps: tuple[str, ...] = ()

    def bind(
        self,
        served: ServedApi,
        services: Services,
        authorization: Authorization | None,
        _trail: Trail | None = None,
    ) -> Route:
        """As that of `Api`; records are no changes that are told."""
        handle: BoundHandler = partial(self.handle, services)
        if authorization is not None:
            handle = self.right.guard(handle, authorization)
        decode = partial(self.decode, services)
        return Route(served, handle, decode=decode, pipelined=self.pipelined)


AnyApi: TypeAlias = Api[Any, Any, Any] | HandCodedApi[Any, Any]
