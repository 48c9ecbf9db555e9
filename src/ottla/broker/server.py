"""The listener: accepts connections, bounds their number, closes the idle and the stalled."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass

from ottla.broker.connection import Connection, Shared

_ROUNDS_FOR_ONE_REQUEST = 10
"""A request may trickle in for ten times as long as it may stand still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """Bounds on connections as a whole; each a setting."""

    max_connections: int
    max_connections_per_ip: int
    idle_max_ms: int
    """`connections.max.idle.ms`"""
    stalled_max_ms: int
    """`ottla.request.stalled.ms`: how long a half-received request may stand still"""
    backlog: int
    """`socket.listen.backlog.size`"""


class Server:
    """Listens on one address and owns the connections accepted there."""

    def __init__(self, shared: Shared, limits: ListenerLimits) -> None:
        self._shared = shared
        self._limits = limits
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Bind and listen; returns the address with the port that was given for 0."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._accept, host or None, port, backlog=self._limits.backlog, start_serving=False
        )
        self._sweeper = loop.create_task(self._sweep())
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    async def serve(self) -> None:
        """Accept connections."""
        assert self._server is not None
        await self._server.start_serving()

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        if self._server is not None:
            self._server.close()
        for connection in list(self._shared.connections):
            connection.close()
        # One turn lets the transports send what is written and drop their sockets.
        for _ in range(20):
            if not self._shared.connections:
                break
            await asyncio.sleep(0.005)
        for connection in list(self._shared.connections):
            connection.refuse("the broker stops")

    def _accept(self) -> asyncio.BufferedProtocol:
        return Connection(self._shared, self._admit)

    def _admit(self, connection: Connection) -> str | None:
        """Why a new connection may not stay, or None."""
        connections = self._shared.connections
        if len(connections) > self._limits.max_connections:
            return f"more than max.connections={self._limits.max_connections} connections"
        if self._limits.max_connections_per_ip < len(connections):
            hosts = Counter(each.peer_host for each in connections)
            if hosts[connection.peer_host] > self._limits.max_connections_per_ip:
                return f"more than max.connections.per.ip={self._limits.max_connections_per_ip} connections"
        return None

    async def _sweep(self) -> None:
        """Look at every connection once in `ottla.request.stalled.ms`."""
        round_s = max(self._limits.stalled_max_ms / 1000, 0.05)
        idle_rounds = max(1, round(self._limits.idle_max_ms / 1000 / round_s))
        while True:
            await asyncio.sleep(round_s)
            for connection in list(self._shared.connections):
                _sweep_one(connection, idle_rounds if self._limits.idle_max_ms >= 0 else None)


def _sweep_one(connection: Connection, idle_rounds: int | None) -> None:
    """Close a connection that stopped in the middle of a request, or neither sends, waits nor reads."""
    if connection.half_received:
        connection.request_rounds += 1
        if connection.request_rounds > _ROUNDS_FOR_ONE_REQUEST:
            connection.refuse("a request came in too slowly")
            return
    unsent_bytes, before = connection.unsent_bytes, connection.unsent_bytes_before
    connection.unsent_bytes_before = unsent_bytes
    if connection.active or unsent_bytes < before:
        connection.active, connection.quiet_rounds = False, 0
        return
    connection.quiet_rounds += 1
    if connection.half_received:
        connection.refuse("a request stopped in the middle")
    elif idle_rounds is not None and connection.quiet_rounds >= idle_rounds:
        if unsent_bytes:
            connection.refuse(f"{unsent_bytes} bytes of answers are not read")
        elif connection.idle:
            connection.close()
