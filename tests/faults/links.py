"""Connections that can be cut, in one direction or both: proxies on 127.0.0.1 between those who talk.

A cut is what lost packets are to TCP: connections stay, nothing arrives, and what was sent comes late when
the link is there again, unless whoever waited has given the connection up.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Awaitable
from types import TracebackType
from typing import Final, Self, TypeVar

R = TypeVar("R")

_CHUNK_BYTES: Final = 64 * 1024
_BROKER: Final = re.compile(rb"broker-(\d+)-")
"""What a broker's connections to others call themselves"""

Way = tuple[str, str]
"""From whom, to whom"""


class Links:
    """Proxies in a thread; addresses of whom they lead to are ports of 127.0.0.1."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._gates: dict[Way, asyncio.Event] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: dict[asyncio.Task[None], None] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, target: str, port: int, source: str | None = None) -> int:
        """A port that leads to `port`, which is `target`'s. Who connects is `source`, or a broker that says
        who it is in its first request ("broker 3").
        """
        return self._run(self._open(target, port, source))

    def cut(self, *ways: Way) -> None:
        """Let nothing through in these."""
        self._run(self._set(ways, is_open=False))

    def mend(self) -> None:
        """Let all through again."""
        self._run(self._set(tuple(self._gates), is_open=True))

    def _run(self, work: Awaitable[R]) -> R:
        async def run() -> R:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _open(self, target: str, port: int, source: str | None) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks[task] = None
            try:
                await self._connect(reader, writer, target, port, source)
            except asyncio.CancelledError:
                pass  # we close; asyncio would log it
            finally:
                del self._tasks[task]
                writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        opened: int = server.sockets[0].getsockname()[1]
        return opened

    async def _set(self, ways: tuple[Way, ...], *, is_open: bool) -> None:
        for way in ways:
            gate = self._gate(way)
            if is_open:
                gate.set()
            else:
                gate.clear()

    def _gate(self, way: Way) -> asyncio.Event:
        gate = self._gates.get(way)
        if gate is None:
            gate = self._gates[way] = asyncio.Event()
            gate.set()
        return gate

    async def _connect(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        target: str,
        port: int,
        source: str | None,
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            first = b""
            if source is None:
                first = await reader.read(_CHUNK_BYTES)
                told = _BROKER.search(first)
                source = f"broker {int(told[1])}" if told else "client"
            there, back = self._gate((source, target)), self._gate((target, source))
            await there.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                far_writer.write(first)
                await _first_to_end(_pump(reader, far_writer, there), _pump(far_reader, writer, back))
            finally:
                far_writer.transport.abort()


async def _first_to_end(*pumps: Awaitable[None]) -> None:
    tasks = [asyncio.ensure_future(pump) for pump in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    """Until one of them ends; the end, too, gets through only while the gate is open."""
    while data := await reader.read(_CHUNK_BYTES):
        await gate.wait()
        writer.write(data)
        await writer.drain()
    await gate.wait()
