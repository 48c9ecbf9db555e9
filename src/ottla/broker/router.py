"""From a request's bytes to its handler and back: what is done once for all APIs.

Look the API up in the one table, check the version, decode, call the handler, turn an exception into Kafka's
error, encode at the request's version.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ottla.broker.request import RequestContext, Result, Route, ServedApi
from ottla.network.output import Frame
from ottla.network.session import Session
from ottla.protocol.errors import ErrorCode, KafkaError, MalformedRequest
from ottla.protocol.headers import parse_request_header, response_header_version
from ottla.protocol.layout import layout_of
from ottla.protocol.structs import Struct
from ottla.protocol.wire import decode_request, encode_response, response_class

if TYPE_CHECKING:
    from ottla.broker.quotas import ClientQuotas

log = logging.getLogger(__name__)

_INT32: Final = struct.Struct(">i")

API_VERSIONS_KEY: Final = 18
_UNTIMED: Final = 7
"""One request of eight is timed: reading the clock for each would be seen in the throughput."""


class RequestLimits(NamedTuple):
    """What one request may take; each a setting."""

    max_bytes: int
    """`ottla.request.max.bytes`: of a frame that carries no records"""
    max_elements: int
    """`ottla.request.max.elements`: of its arrays together"""


class Router:
    """The table of APIs, applied to the requests of one broker."""

    def __init__(
        self,
        table: Iterable[ServedApi],
        bind: Callable[[ServedApi], Route],
        limits: RequestLimits,
        now_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        quotas: ClientQuotas | None = None,
    ) -> None:
        """`bind` is called with the first request of an API: each has modules and messages of its own, which
        a broker that is not asked for them need not load.
        """
        self._table: Final = {served.key: served for served in table}
        self._bind: Final = bind
        self._routes: dict[int, Route] = {}
        self._limits = limits
        self._now_ms = now_ms
        self._monotonic_s = monotonic_s
        self._quotas: Final = quotas

    @property
    def least_frame_limit(self) -> int:
        """In bytes; no API has a lower one."""
        return self._limits.max_bytes

    def frame_limit(self, api_key: int, general_limit: int) -> int:
        """The largest frame in bytes that a request of this API may have."""
        served = self._table.get(api_key)
        if served is None or served.carries_records:
            return general_limit
        return min(self._limits.max_bytes, general_limit)

    def dispatch(
        self, session: Session, frame: memoryview
    ) -> tuple[Frame | asyncio.Future[Any] | None, bool]:
        """Handle one request (without its size prefix).

        Returns the encoded answer, None for no answer, or a future of either, and whether the connection may
        go on meanwhile.  Raises MalformedRequest where Kafka closes the connection.  `frame` is only valid
        until this returns.
        """
        api_key, version, correlation_id, client_id, position = parse_request_header(frame)
        route = self._routes.get(api_key) or self._first(api_key)
        context = RequestContext(session, api_key, version, correlation_id, client_id, self._now_ms())
        if self._quotas is not None and self._quotas.time is not None and session.is_known:
            context.meter = self._quotas.meter()
        if not route.lowest <= version <= route.highest:
            return self._version_not_served(route, context), False
        requests, number = route.requests, version - route.lowest
        count = requests[number]
        requests[number] = count + 1
        if count & _UNTIMED:
            return self._serve(route, context, frame, position)
        return self._serve_timed(route, context, frame, position)

    @property
    def routes(self) -> list[Route]:
        """The APIs that were asked for so far."""
        return list(self._routes.values())

    def _serve_timed(
        self, route: Route, context: RequestContext, frame: memoryview, position: int
    ) -> tuple[Frame | asyncio.Future[Any] | None, bool]:
        began_s = self._monotonic_s()

        def passed_ms() -> float:
            return (self._monotonic_s() - began_s) * 1000

        outcome, pipelined = self._serve(route, context, frame, position)
        local_ms = passed_ms()
        route.local_ms.add(local_ms)
        if isinstance(outcome, asyncio.Future):
            outcome.add_done_callback(lambda _: route.total_ms.add(passed_ms()))
        else:
            route.total_ms.add(local_ms)
        return outcome, pipelined

    def _serve(
        self, route: Route, context: RequestContext, frame: memoryview, position: int
    ) -> tuple[Frame | asyncio.Future[Any] | None, bool]:
        api_key, version = context.api_key, context.api_version
        if route.decode is None:
            message = decode_request(api_key, version, frame, position, self._limits.max_elements)
        else:
            message = route.decode(context, frame, position)
        try:
            result = route.handle(context, message)
        except Exception as error:  # noqa: BLE001 - the boundary: any failure becomes an error code
            return self._failed(route, context, message, error), False
        # The usual case of the produce path, without the costlier questions below.
        if type(result) is bytes and context.meter is None:
            return result, False
        if isinstance(result, Awaitable):
            if context.meter is not None:
                context.meter.pause()
            # A coroutine has its effects still before it, and with them the order of the connection.
            pipelined = route.pipelined and isinstance(result, asyncio.Future)
            return self._eventually(route, context, message, result), pipelined
        return self._encode(route, context, result), False

    def refuse(self, session: Session, frame: memoryview, error: KafkaError) -> Frame | None:
        """The answer to a request that is not handled. MalformedRequest where there can be none."""
        api_key, version, correlation_id, client_id, position = parse_request_header(frame)
        route = self._routes.get(api_key) or self._first(api_key)
        if route.decode is not None or not route.lowest <= version <= route.highest:
            raise MalformedRequest(error.message or error.code.name)
        message = decode_request(api_key, version, frame, position, self._limits.max_elements)
        context = RequestContext(session, api_key, version, correlation_id, client_id, self._now_ms())
        return self._failed(route, context, message, error)

    def _first(self, api_key: int) -> Route:
        served = self._table.get(api_key)
        if served is None:
            raise MalformedRequest(f"unknown API key {api_key}")
        route = self._routes[api_key] = self._bind(served)
        return route

    @staticmethod
    def _version_not_served(route: Route, context: RequestContext) -> Frame:
        """KIP-511: a client that is too new learns what there is from a version 0 response."""
        if route.key != API_VERSIONS_KEY:
            raise MalformedRequest(
                f"{route.name} version {context.api_version} is not supported "
                f"({route.lowest} to {route.highest} are)"
            )
        context.api_version = -1
        response = route.handle(context, None)
        assert isinstance(response, Struct)
        return encode_response(response, 0, context.correlation_id)

    def _eventually(
        self, route: Route, context: RequestContext, message: Any, result: Awaitable[Result]
    ) -> asyncio.Future[Any]:
        if isinstance(result, asyncio.Future):
            return result  # made of encoded frames, by the produce and fetch paths
        return asyncio.get_running_loop().create_task(self._await(route, context, message, result))

    async def _await(
        self, route: Route, context: RequestContext, message: Any, result: Awaitable[Result]
    ) -> Frame | None:
        try:
            if context.meter is not None:
                result = context.meter.counted(result)
            return self._encode(route, context, await result)
        except Exception as error:  # noqa: BLE001
            return self._failed(route, context, message, error)

    def _encode(self, route: Route, context: RequestContext, result: Result) -> Frame | None:
        if context.meter is not None and route.decode is None and self._quotas is not None:
            # Produce and Fetch say by themselves how long their clients have to wait.
            result = _throttled(context, result, self._quotas.answered(context))
        return _encode(context, result)

    def _failed(self, route: Route, context: RequestContext, message: Any, error: Exception) -> Frame | None:
        if isinstance(error, KafkaError):
            code, text = error.code, error.message
        elif isinstance(error, MalformedRequest):
            raise error
        else:
            log.error("%s version %d failed", route.name, context.api_version, exc_info=error)
            code, text = ErrorCode.unknown_server_error, None
        if route.error is not None:
            return self._encode(route, context, route.error(message, code, text))
        if not has_top_level_error(route.key, context.api_version):
            # Closing is better than an empty response, which would look like success.
            raise MalformedRequest(f"{route.name} version {context.api_version} failed with {code.name}")
        return self._encode(route, context, _top_level_error(route.key, code, text))


@cache
def has_top_level_error(api_key: int, version: int) -> bool:
    """Whether a response has one error for the request as a whole."""
    return any(field.name == "error_code" for field in layout_of(response_class(api_key), version).fields)


def _top_level_error(api_key: int, code: ErrorCode, text: str | None) -> Struct:
    response = response_class(api_key)
    told: dict[str, Any] = {"error_code": code, "error_message": text}
    return response(**{name: value for name, value in told.items() if name in response.__fields__})


def _throttled(context: RequestContext, result: Result, wait_ms: int) -> Result:
    """The answer, saying how long the client has to wait."""
    if not wait_ms or result is None or isinstance(result, list):
        return result
    if isinstance(result, bytes):
        place = throttle_time_at(context.api_key, context.api_version)
        if place is None:
            return result
        return b"".join((result[:place], _INT32.pack(wait_ms), result[place + 4 :]))
    if "throttle_time_ms" in result.__fields__:
        told: Any = result
        told.throttle_time_ms = max(told.throttle_time_ms, wait_ms)
    return result


@cache
def throttle_time_at(api_key: int, version: int) -> int | None:
    """Where a response's frame has its throttle time, which comes first in all that have one but Produce's;
    None where it has none.
    """
    layout = layout_of(response_class(api_key), version)
    if not layout.fields or layout.fields[0].name != "throttle_time_ms":
        return None
    return 8 + (1 if response_header_version(api_key, version) else 0)


def _encode(context: RequestContext, result: Result) -> Frame | None:
    if result is None or isinstance(result, bytes | list):
        return result
    return encode_response(result, context.api_version, context.correlation_id)
