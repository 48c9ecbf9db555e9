"""One request: who asks, what may be answered, and the API that answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from ottla.metrics.reservoir import Reservoir
from ottla.network.output import Frame
from ottla.network.session import Session
from ottla.protocol.errors import ErrorCode
from ottla.protocol.structs import Struct

if TYPE_CHECKING:
    from ottla.broker.meter import Meter

Result: TypeAlias = Struct | Frame | None
"""What a handler answers with: a response to encode, a frame that is encoded already, or no answer."""

BoundHandler: TypeAlias = Callable[["RequestContext", Any], Result | Awaitable[Result]]
BoundDecoder: TypeAlias = Callable[["RequestContext", memoryview, int], Any]
ErrorResponse: TypeAlias = Callable[[Any, ErrorCode, str | None], Struct]


class RequestContext:
    """Who asks, and how: all that a handler needs beside its services and the decoded message."""

    __slots__ = (
        "api_key",
        "api_version",
        "body_bytes",
        "client_id",
        "correlation_id",
        "meter",
        "received_ms",
        "session",
    )

    def __init__(
        self,
        session: Session,
        api_key: int,
        api_version: int,
        correlation_id: int,
        client_id: str | None,
        received_ms: int,
    ) -> None:
        """`received_ms` is the broker's wall clock, in milliseconds since the epoch."""
        self.session = session
        self.api_key = api_key
        self.api_version = api_version
        self.correlation_id = correlation_id
        self.client_id = client_id
        self.received_ms = received_ms
        self.body_bytes = 0
        """Of the request without its header, where a quota asks for that"""
        self.meter: Meter | None = None
        """Where the time is counted that is spent on it"""


class ServedApi(NamedTuple):
    """A row of the table of APIs: what is known before the first request has its module loaded."""

    key: int
    name: str
    lowest: int
    highest: int
    """Version, the lowest too"""
    module: str
    """In `ottla.broker.apis`"""
    advertised_lowest: int
    """As ApiVersions shows it"""
    carries_records: bool
    """A request's frame may be as large as `socket.request.max.bytes`, not only `ottla.request.max.bytes`."""


class Route:
    """An API with what its handler uses: as this broker serves it."""

    __slots__ = (
        "decode",
        "error",
        "handle",
        "highest",
        "key",
        "local_ms",
        "lowest",
        "name",
        "pipelined",
        "requests",
        "total_ms",
    )

    def __init__(
        self,
        served: ServedApi,
        handle: BoundHandler,
        *,
        decode: BoundDecoder | None = None,
        error: ErrorResponse | None = None,
        pipelined: bool = False,
    ) -> None:
        """The last four are fields of `broker.api.Api` and `HandCodedApi`."""
        self.key: Final = served.key
        self.name: Final = served.name
        self.lowest: Final = served.lowest
        self.highest: Final = served.highest
        self.handle: Final = handle
        self.decode: Final = decode
        self.error: Final = error
        self.pipelined: Final = pipelined
        self.requests = [0] * (served.highest - served.lowest + 1)
        """How many there were, by version from the lowest on"""
        self.total_ms: Final = Reservoir()
        """From the request to its answer; of some of them"""
        self.local_ms: Final = Reservoir()
        """Of that, until the handler waited for others"""
