"""What an API module declares, and what its handler is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from ottla.protocol.errors import ErrorCode
from ottla.protocol.kio_schemas import response_struct
from ottla.protocol.messages import decode_request

if TYPE_CHECKING:
    from ottla.broker.assembly import Broker
    from ottla.config.broker import BrokerConfig
    from ottla.network.streamed import Piece
    from ottla.security.principal import Principal

Response: TypeAlias = Mapping[str, Any]
Frame: TypeAlias = bytes | list["Piece"]
"""A whole encoded response, in one piece, or in pieces of which some may still be in files."""

Result: TypeAlias = Response | Frame | None
"""What a handler answers with: a response to encode, a frame that is encoded already, or no answer."""

Handler: TypeAlias = Callable[["Request", Any], Result | Awaitable[Result]]
Decoder: TypeAlias = Callable[["Request", memoryview, int], Any]
ErrorResponse: TypeAlias = Callable[[Any, ErrorCode, str | None], Response]


class Request:
    """Who asks, and how: all that a handler needs beside the decoded message."""

    __slots__ = (
        "api_key",
        "api_version",
        "broker",
        "client_host",
        "client_id",
        "correlation_id",
        "principal",
    )

    def __init__(
        self,
        broker: Broker,
        api_key: int,
        api_version: int,
        correlation_id: int,
        client_id: str | None,
        client_host: str,
        principal: Principal,
    ) -> None:
        self.broker = broker
        self.api_key = api_key
        self.api_version = api_version
        self.correlation_id = correlation_id
        self.client_id = client_id
        self.client_host = client_host
        self.principal = principal


def top_level_error(_request: Any, code: ErrorCode, message: str | None) -> Response:
    """The error response of the many APIs that carry one error for the whole request."""
    return {"error_code": code, "error_message": message}


@cache
def has_top_level_error(api_key: int, version: int) -> bool:
    """Whether `top_level_error` says anything.  Where it does not, and an API has nothing of its own to say
    instead, closing the connection is better than an empty response, which would look like success.
    """
    return any(field.name == "error_code" for field in response_struct(api_key, version).fields)


def _decode(request: Request, frame: memoryview, position: int) -> Any:
    most = request.broker.config.ottla_request_max_elements
    return decode_request(request.api_key, request.api_version, frame, position, most)


def _request_max_bytes(config: BrokerConfig) -> int:
    return config.ottla_request_max_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One Kafka API as Ottla serves it; the router, ApiVersions, docs and tests derive from these."""

    key: int
    name: str
    versions: tuple[int, int]
    """Lowest and highest version served, both included."""
    handle: Handler
    kips: tuple[int, ...] = ()
    gaps: tuple[str, ...] = ()
    """What Kafka does here and Ottla does not, a sentence each."""
    advertised_min: int | None = None
    """Lowest version shown in ApiVersions where it differs from the lowest served."""
    decode: Decoder = _decode
    error: ErrorResponse = top_level_error
    pipelined: bool = False
    """The connection goes on with the next request while this one waits (its effects are ordered already)."""
    frame_max_bytes: Callable[[BrokerConfig], int] = _request_max_bytes
    """What bounds a request's frame, beside `socket.request.max.bytes`."""
