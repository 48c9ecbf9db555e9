"""Hands a request on to another instance, over HTTP/1.1 and a connection of its own: writes are rare."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import h11

from ottla.registry.server.http import FORWARD_HEADER, OFFSET_HEADER, Request, Response
from ottla.registry.state.election import Identity
from ottla.registry.state.errors import RegistryError

_CHUNK: Final = 64 * 1024
_PASSED_BACK: Final = (OFFSET_HEADER, "www-authenticate")
_PASSED_ON: Final = ("authorization", "content-type", "accept")


class UnreachableError(Exception):
    """Nothing was sent: the same may be tried again, elsewhere too."""


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
        try:
            reader, writer = await asyncio.open_connection(leader.host, leader.port, ssl=secure)
        except OSError as error:
            raise UnreachableError(str(error)) from error
        try:
            headers = [("host", f"{leader.host}:{leader.port}"), ("connection", "close")]
            headers += [(name, request.headers[name]) for name in _PASSED_ON if name in request.headers]
            headers += [(FORWARD_HEADER, "false"), ("content-length", str(len(request.body)))]
            connection = h11.Connection(our_role=h11.CLIENT)
            target = request.target
            asked = h11.Request(method=request.method, target=target, headers=headers)
            for event in (asked, h11.Data(data=request.body), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
            await writer.drain()
            return await self._answer(connection, reader)
        finally:
            writer.close()

    async def _answer(self, connection: h11.Connection, reader: asyncio.StreamReader) -> Response:
        status, headers, body = 500, {}, bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_CHUNK))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {bytes(name).decode(): bytes(value).decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._max_bytes:
                    raise ValueError("the answer is too large")
            elif isinstance(event, h11.EndOfMessage):
                kept = {name: value for name, value in headers.items() if name in _PASSED_BACK}
                return Response(bytes(body) if body else None, status, kept)
            elif isinstance(event, h11.ConnectionClosed):
                raise ValueError("the connection was closed")
