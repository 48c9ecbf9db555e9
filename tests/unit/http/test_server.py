"""What the server of HTTP bears of many clients together, and of those that do not read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from ottla.http import server as under_test
from ottla.http.app import App, Application, Dialect, Request, Response, route
from ottla.http.server import HttpServer, Tls, listen

LARGE = b"x" * (32 << 20)
"""More than what kernels keep of a connection"""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Held:
    """Requests are answered with the sizes of their bodies when `let_go` is set."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.came: asyncio.Queue[int] = asyncio.Queue()

    def app(self) -> App:
        async def prepare(_request: Request) -> None: ...

        return App([route("POST", "/", self._answer)], prepare, 1000, Dialect())

    async def _answer(self, request: Request) -> Response:
        self.came.put_nowait(len(request.body))
        await self.let_go.wait()
        return Response(len(request.body))


@contextlib.asynccontextmanager
async def serving(
    app: Application, bodies_max_bytes: int = 1000, connections_max: int = 100
) -> AsyncIterator[tuple[str, int]]:
    listening = listen("127.0.0.1", 0)
    server = HttpServer(app, listening, Tls(), connections_max, bodies_max_bytes)
    serving = asyncio.create_task(server.serve())
    await server.until_started(serving)
    try:
        yield listening.getsockname()
    finally:
        server.stop()
        await serving
        listening.close()


async def posted(address: tuple[str, int], announced: int, sent: int) -> Streams:
    reader, writer = await asyncio.open_connection(*address)
    head = f"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {announced}\r\n\r\n"
    writer.write(head.encode() + b"x" * sent)
    return reader, writer


async def status_of(streams: Streams) -> int:
    reader, writer = streams
    async with asyncio.timeout(60):
        line = await reader.readline()
        await reader.read()
    writer.close()
    return int(line.split()[1])


async def test_bodies_together_have_a_bound() -> None:
    held = Held()
    async with serving(held.app(), 1000) as address, asyncio.timeout(60):
        first = await posted(address, 600, 600)
        assert await held.came.get() == 600
        assert await status_of(await posted(address, 401, 401)) == 503
        second = await posted(address, 400, 400)
        assert await held.came.get() == 400
        assert await status_of(await posted(address, 900, 1)) == 503
        held.let_go.set()
        assert await status_of(first) == await status_of(second) == 200
        assert await status_of(await posted(address, 1000, 1000)) == 200


async def test_room_is_given_back_by_whoever_goes_away() -> None:
    held = Held()
    held.let_go.set()
    async with serving(held.app(), 1000) as address, asyncio.timeout(60):
        _, gone = await posted(address, 600, 500)
        while await status_of(await posted(address, 600, 600)) != 503:
            pass  # its part has not come in yet
        gone.close()
        while await status_of(await posted(address, 600, 600)) != 200:
            pass


async def test_one_alone_is_as_large_as_the_application_lets_it() -> None:
    held = Held()
    held.let_go.set()
    async with serving(held.app(), 10) as address:
        assert await status_of(await posted(address, 1000, 1000)) == 200
        assert await status_of(await posted(address, 1001, 1001)) == 413


async def large(request: Request) -> Response:
    return Response(LARGE)


def answering() -> App:
    async def prepare(_request: Request) -> None: ...

    return App([route("GET", "/", large)], prepare, 1000, Dialect())


async def asked(address: tuple[str, int]) -> Streams:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, address)
    reader, writer = await asyncio.open_connection(sock=connection, limit=1 << 12)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return reader, writer


async def test_a_client_that_takes_no_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_UNREAD_S", 0.2)
    async with serving(answering(), connections_max=2) as address, asyncio.timeout(60):
        reader, writer = await asked(address)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        while await status_of(await asked(address)) == 503:  # there is room for one more alone
            await asyncio.sleep(0.02)
        assert len(await reader.read()) < len(LARGE)
        writer.close()


async def test_a_client_that_takes_its_answer_slowly_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_UNREAD_S", 1.5)
    async with serving(answering()) as address, asyncio.timeout(60):
        reader, writer = await asked(address)
        await reader.readuntil(b"\r\n\r\n")
        size = 0
        while part := await reader.read(1 << 16):
            size += len(part)
            await asyncio.sleep(0.003)
        assert size == len(LARGE)
        writer.close()
