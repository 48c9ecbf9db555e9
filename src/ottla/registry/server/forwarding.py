"""Hands a request on to another instance, over HTTP/1.1 and a connection of its own: writes are rare."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import h11

from ottla.http.app import Request, Response
from ottla.http.client import ask
from ottla.registry.server.dialect import FORWARD_HEADER, OFFSET_HEADER
from ottla.registry.state.election import Identity
from ottla.registry.state.errors import RegistryError

_PASSED_BACK: Final = (OFFSET_HEADER, "www-authenticate")
_PASSED_ON: Final = ("authorization", "content-type", "accept")


class Forwarder:
    def __init__(self, timeout_s: float, max_bytes: int, context: ssl.SSLContext | None) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._context = context

    async def send(self, leader: Identity, request: Request) -> Response:
        """Its answer, whatever it is. RegistryError where there was none: what was asked may be done."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._send(leader, request)
        except (OSError, TimeoutError, h11.ProtocolError, ValueError) as error:
            raise RegistryError(
                50003, f"Error while forwarding the request to {leader.url}: {error or 'no answer in time'}"
            ) from error

    async def _send(self, leader: Identity, request: Request) -> Response:
        secure = None
        if leader.scheme == "https":
            secure = self._context or ssl.create_default_context()
        headers = [(name, request.headers[name]) for name in _PASSED_ON if name in request.headers]
        headers.append((FORWARD_HEADER, "false"))
        address = (leader.host, leader.port)
        answer = await ask(
            address, secure, request.method, request.target, headers, request.body, self._max_bytes
        )
        kept = {name: value for name, value in answer.headers.items() if name in _PASSED_BACK}
        return Response(answer.body or None, answer.status, kept)
