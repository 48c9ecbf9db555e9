"""One request to another instance of the same server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Final, NamedTuple

import h11

_CHUNK: Final = 1 << 16


class UnreachableError(Exception):
    """Nothing was sent: the same may be tried again, elsewhere too."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    address: tuple[str, int],
    context: ssl.SSLContext | None,
    method: str,
    target: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    max_bytes: int,
) -> Answer:
    """`context` for HTTPS; `target` is path and query. UnreachableError, OSError, ValueError or
    h11.ProtocolError where there is no answer.
    """
    host, port = address
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
    except OSError as error:
        raise UnreachableError(str(error)) from error
    try:
        all_headers = [
            ("host", f"{host}:{port}"),
            ("connection", "close"),
            *headers,
            ("content-length", str(len(body))),
        ]
        connection = h11.Connection(our_role=h11.CLIENT)
        asked = h11.Request(method=method, target=target, headers=all_headers)
        for event in (asked, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        return await _answer(connection, reader, max_bytes)
    finally:
        writer.close()


async def _answer(connection: h11.Connection, reader: asyncio.StreamReader, max_bytes: int) -> Answer:
    status, headers, body = 500, dict[str, str](), bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {bytes(name).decode(): bytes(value).decode() for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > max_bytes:
                raise ValueError("the answer is too large")
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, headers, bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            raise ValueError("the connection was closed")
