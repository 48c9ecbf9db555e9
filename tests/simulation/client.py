"""A client that speaks the wire in typed messages, over the simulated network."""

from __future__ import annotations

import asyncio
from typing import Protocol, TypeVar

from tests.simulation.network import Address, Network

from ottla.protocol import wire
from ottla.protocol.structs import Struct

ANSWER_TIMEOUT_S = 3.0

R = TypeVar("R", bound=Struct)


class NoAnswerError(Exception):
    """There is no answer, and no telling whether the request was carried out."""


class Caller(Protocol):
    """Asks one broker, or those of a cluster whichever is asked what."""

    async def call(self, request: Struct, version: int, answer: type[R]) -> R:
        """Ask, and wait for the answer; raises NoAnswerError."""

    def close(self) -> None: ...


class Brokers(Protocol):
    """What clients talk to: one broker, or a cluster."""

    @property
    def name(self) -> str: ...

    @property
    def era(self) -> int:
        """Ends where what was read, and not acknowledged, may go."""

    def now_ms(self) -> int: ...

    def client(self, name: str) -> Caller: ...


class Client:
    """Talks to one broker; connects when there is something to say."""

    def __init__(self, network: Network, name: str, address: Address) -> None:
        self._network = network
        self.name = name
        self._address = address
        self._connection: _Connection | None = None

    async def connect(self) -> None:
        """Have a connection, an old one or a new one; raises NoAnswerError."""
        if self._connection is None or self._connection.is_lost:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    self._connection = await self._network.connect(self.name, self._address, _Connection)
            except (OSError, TimeoutError) as error:
                raise NoAnswerError from error

    def send(self, request: Struct, version: int) -> asyncio.Future[bytes]:
        """The frame of the answer, to be handed to `receive`. Requests are handled in the order of calls."""
        assert self._connection is not None
        return self._connection.send(request, version, self.name)

    async def receive(self, sent: asyncio.Future[bytes], version: int, answer: type[R]) -> R:
        """The answer to what was sent; raises NoAnswerError, and gives the connection up then."""
        connection = self._connection
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                frame = await sent
        except TimeoutError as error:
            if connection is not None:
                connection.close()
            raise NoAnswerError from error
        return wire.decode_response(answer, version, frame)[1]

    async def call(self, request: Struct, version: int, answer: type[R]) -> R:
        """Ask, and wait for the answer; raises NoAnswerError."""
        await self.connect()
        return await self.receive(self.send(request, version), version, answer)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _Connection(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.is_lost = False
        self._transport: asyncio.Transport
        self._buffer = bytearray(64 * 1024)
        self._received = bytearray()
        self._sent = 0
        self._waiting: dict[int, asyncio.Future[bytes]] = {}

    def send(self, request: Struct, version: int, client_id: str) -> asyncio.Future[bytes]:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self.is_lost:
            future.set_exception(NoAnswerError())
            return future
        self._sent += 1
        self._waiting[self._sent] = future
        self._transport.write(wire.encode_request(request, version, self._sent, client_id))
        return future

    def close(self) -> None:
        self._transport.close()
        self._lose()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        self._lose()

    def _lose(self) -> None:
        self.is_lost = True
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NoAnswerError())
                future.exception()  # nobody may be waiting any more
        self._waiting.clear()

    def get_buffer(self, _size: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        self._received += self._buffer[:size]
        while len(self._received) >= 4:
            end = 4 + int.from_bytes(self._received[:4], "big")
            if len(self._received) < end:
                return
            frame = bytes(self._received[4:end])
            del self._received[:end]
            future = self._waiting.pop(int.from_bytes(frame[:4], "big"))
            if not future.done():
                future.set_result(frame)
