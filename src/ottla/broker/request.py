"""One request: who asks, what may be answered, and the bound API that answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from ottla.network.output import Frame
from ottla.network.session import Session
from ottla.protocol.errors import ErrorCode
from ottla.protocol.structs import Struct

Result: TypeAlias = Struct | Frame | None
"""What a handler answers with: a response to encode, a frame that is encoded already, or no answer."""

BoundHandler: TypeAlias = Callable[["RequestContext", Any], Result | Awaitable[Result]]
BoundDecoder: TypeAlias = Callable[["RequestContext", memoryview, int], Any]
ErrorResponse: TypeAlias = Callable[[Any, ErrorCode, str | None], Struct]


class RequestContext:
    """Who asks, and how: all that a handler needs beside its services and the decoded message."""

    __slots__ = ("api_key", "api_version", "client_id", "correlation_id", "received_ms", "session")

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


class Route:
    """An API with what its handler uses: as this broker serves it."""

    __slots__ = (
        "carries_records",
        "decode",
        "error",
        "handle",
        "highest",
        "key",
        "lowest",
        "name",
        "pipelined",
    )

    def __init__(
        self,
        key: int,
        name: str,
        versions: tuple[int, int],
        handle: BoundHandler,
        decode: BoundDecoder | None,
        error: ErrorResponse | None,
        pipelined: bool,
        carries_records: bool,
    ) -> None:
        """The fields are those of `Api`."""
        self.key: Final = key
        self.name: Final = name
        self.lowest, self.highest = versions
        self.handle: Final = handle
        self.decode: Final = decode
        self.error: Final = error
        self.pipelined: Final = pipelined
        self.carries_records: Final = carries_records
