"""From a request's bytes to its handler and back: what is done once for all APIs.

Look the API up in the one table, check the version, authorise coarsely, decode, call the handler, turn an
exception into Kafka's error, encode at the request's version.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, Final

from ottla.broker.api import Api, Frame, Request, Result, has_top_level_error, top_level_error
from ottla.protocol.errors import ErrorCode, KafkaError, MalformedRequest
from ottla.protocol.headers import parse_request_header
from ottla.protocol.messages import encode_response
from ottla.security.principal import ANONYMOUS

if TYPE_CHECKING:
    from ottla.broker.assembly import Broker

log = logging.getLogger(__name__)

API_VERSIONS_KEY: Final = 18


class Router:
    """The table of APIs, applied to one broker."""

    def __init__(self, broker: Broker, apis: Iterable[Api]) -> None:
        self._broker = broker
        self._apis: dict[int, Api] = {}
        self._frame_limits: dict[int, int] = {}
        self.least_frame_limit: int = sys.maxsize
        for api in apis:
            if api.key in self._apis:
                raise ValueError(
                    f"API key {api.key} is declared twice: {self._apis[api.key].name}, {api.name}"
                )
            self._apis[api.key] = api
            limit = self._frame_limits[api.key] = api.frame_max_bytes(broker.config)
            self.least_frame_limit = min(self.least_frame_limit, limit)

    def frame_limit(self, api_key: int, general_limit: int) -> int:
        """The largest frame in bytes that a request of this API may have."""
        return min(self._frame_limits.get(api_key, general_limit), general_limit)

    def dispatch(
        self, client_host: str, frame: memoryview
    ) -> tuple[Frame | asyncio.Future[Any] | None, bool]:
        """Handle one request (without its size prefix).

        Returns the encoded answer, None for no answer, or a future of either, and whether the connection may
        go on meanwhile.  Raises MalformedRequest where Kafka closes the connection.  `frame` is only valid
        until this returns.
        """
        api_key, version, correlation_id, client_id, position = parse_request_header(frame)
        api = self._apis.get(api_key)
        if api is None:
            raise MalformedRequest(f"unknown API key {api_key}")
        lowest, highest = api.versions
        request = Request(self._broker, api_key, version, correlation_id, client_id, client_host, ANONYMOUS)
        if not lowest <= version <= highest:
            if api_key != API_VERSIONS_KEY:
                raise MalformedRequest(
                    f"{api.name} version {version} is not supported ({lowest} to {highest} are)"
                )
            # KIP-511: a client that is too new learns what there is from a version 0 response.
            request.api_version = -1
            return encode_response(api_key, 0, correlation_id, api.handle(request, None)), False  # type: ignore[arg-type]
        message = api.decode(request, frame, position)
        try:
            result = api.handle(request, message)
        except Exception as error:  # noqa: BLE001 - the boundary: any failure becomes an error code
            return self._failed(api, request, message, error), False
        if type(result) is bytes:  # the usual case of the produce path, without the costlier question below
            return result, False
        if isinstance(result, Awaitable):
            return self._eventually(api, request, message, result), api.pipelined
        return self._encode(api_key, version, correlation_id, result), False

    def _eventually(
        self, api: Api, request: Request, message: Any, result: Awaitable[Result]
    ) -> asyncio.Future[Any]:
        if isinstance(result, asyncio.Future):
            return result  # made of encoded frames, by the produce and fetch paths
        return asyncio.get_running_loop().create_task(self._await(api, request, message, result))

    async def _await(
        self, api: Api, request: Request, message: Any, result: Awaitable[Result]
    ) -> Frame | None:
        try:
            return self._encode(request.api_key, request.api_version, request.correlation_id, await result)
        except Exception as error:  # noqa: BLE001
            return self._failed(api, request, message, error)

    @staticmethod
    def _encode(api_key: int, version: int, correlation_id: int, result: Result) -> Frame | None:
        if result is None or isinstance(result, bytes | list):
            return result
        return encode_response(api_key, version, correlation_id, result)

    def _failed(self, api: Api, request: Request, message: Any, error: Exception) -> Frame | None:
        if isinstance(error, KafkaError):
            code, text = error.code, error.message
        elif isinstance(error, MalformedRequest):
            raise error
        else:
            log.error("%s version %d failed", api.name, request.api_version, exc_info=error)
            code, text = ErrorCode.unknown_server_error, None
        if api.error is top_level_error and not has_top_level_error(api.key, request.api_version):
            raise MalformedRequest(f"{api.name} version {request.api_version} failed with {code.name}")
        response = api.error(message, code, text)
        return self._encode(request.api_key, request.api_version, request.correlation_id, response)
