"""A network in memory: ordered, delayed, in pieces, with back-pressure; it stalls and resets when told to."""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from random import Random
from ssl import SSLContext
from typing import Any, TypeVar
from zlib import crc32

from tests.simulation.loop import Trace, VirtualLoop

from ottla.config.network import NetworkConfig
from ottla.network.peers import Connect
from ottla.network.server import Bind

Address = tuple[str, int]
MakeProtocol = Callable[[], asyncio.BufferedProtocol]
P = TypeVar("P", bound=asyncio.BufferedProtocol)

_LATENCY_S = 0.0005
"""The mean; most things take less, some much more."""
_CUT_IN_TWO = 0.1
"""How likely it is that a write arrives in two pieces."""


class Network:
    """Connects machines by their names."""

    def __init__(self, loop: VirtualLoop, trace: Trace, random: Random) -> None:
        self._loop = loop
        self._trace = trace
        self._random = random
        self._listening: dict[Address, _Listening] = {}
        self._endpoints: dict[Endpoint, None] = {}
        self._stalled_until: dict[tuple[str, str], float] = {}

    # -- what machines do

    def binder(self, machine: str) -> Bind:
        """What a broker on `machine` listens with."""

        async def bind(
            make_protocol: MakeProtocol, host: str, port: int, _config: NetworkConfig
        ) -> _Listening:
            if (host, port) in self._listening:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            return _Listening(self._listening, machine, make_protocol, (host, port))

        return bind

    def connector(self, machine: str) -> Connect:
        """What a broker on `machine` connects to others with."""

        async def connect(
            make_protocol: MakeProtocol, host: str, port: int, _tls: SSLContext | None
        ) -> asyncio.BufferedProtocol:
            return await self.connect(machine, (host, port), make_protocol)

        return connect

    async def addresses_of(self, host: str) -> list[str]:
        """A machine's name is its address."""
        return [host]

    async def connect(self, machine: str, address: Address, make_protocol: Callable[[], P]) -> P:
        """Connect from `machine`; raises ConnectionRefusedError."""
        back = self._stalled_until.get((address[0], machine), 0.0) - self._loop.time()
        await asyncio.sleep(max(self.delay(machine, address[0]), back))
        listening = self._listening.get(address)
        if listening is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        near_protocol = make_protocol()
        near = Endpoint(self, machine, near_protocol, copy_context())
        far = Endpoint(self, listening.machine, listening.make_protocol(), listening.context)
        near.peer, far.peer = far, near
        for endpoint in (near, far):
            self._endpoints[endpoint] = None
        self.call(far, 0, far.protocol.connection_made, far)
        near_protocol.connection_made(near)
        return near_protocol

    # -- faults

    def stall(self, one: str, other: str, seconds: float) -> None:
        """Nothing comes through between the two for a while; it comes later."""
        self.cut(one, other, seconds)
        self.cut(other, one, seconds)

    def cut(self, one: str, other: str, seconds: float) -> None:
        """Nothing comes from `one` to `other` for a while; it comes later. What others say comes through."""
        self._stalled_until[one, other] = self._loop.time() + seconds

    def reset(self, one: str, other: str) -> None:
        """End the connections between the two; what is on its way is lost."""
        for endpoint in list(self._endpoints):
            if endpoint.machine == one and endpoint.peer.machine == other:
                endpoint.abort()

    def unplug(self, machine: str, notice_s: float) -> None:
        """The machine is gone; those that it was connected to notice some time within `notice_s`."""
        for address in [each.address for each in self._listening.values() if each.machine == machine]:
            del self._listening[address]
        for endpoint in list(self._endpoints):
            if endpoint.machine == machine:
                endpoint.drop()
                peer = endpoint.peer
                self.call(peer, self._random.uniform(0, notice_s), peer.reset)

    # -- for endpoints

    def delay(self, one: str, other: str) -> float:
        """Seconds until something sent now arrives."""
        stalled = self._stalled_until.get((one, other), 0.0) - self._loop.time()
        return max(stalled, 0.0) + self._random.expovariate(1 / _LATENCY_S)

    def call(self, endpoint: Endpoint, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """On the endpoint's machine, if it still has power then."""
        self._loop.call_later(delay_s, callback, *args, context=endpoint.context)

    def send(self, endpoint: Endpoint, data: bytes) -> None:
        """Bring it to the endpoint's peer, behind what was sent before."""
        for piece in self._pieces(data):
            delay = self.delay(endpoint.machine, endpoint.peer.machine)
            endpoint.arrives_at = max(endpoint.arrives_at, self._loop.time() + delay)
            endpoint.peer.on_its_way.append(piece)
            self.call(endpoint.peer, endpoint.arrives_at - self._loop.time(), endpoint.peer.receive)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        if len(data) > 1 and self._random.random() < _CUT_IN_TWO:
            middle = self._random.randrange(1, len(data))
            yield data[:middle]
            data = data[middle:]
        yield data

    def arrived(self, endpoint: Endpoint, data: bytes) -> None:
        self._trace.note(endpoint.machine, "received", len(data), f"{crc32(data):08x}", endpoint.peer.machine)

    def forget(self, endpoint: Endpoint) -> None:
        self._endpoints.pop(endpoint, None)


class _Listening:
    """A bound address."""

    def __init__(
        self, all_: dict[Address, _Listening], machine: str, make_protocol: MakeProtocol, address: Address
    ) -> None:
        self._all = all_
        self.machine = machine
        self.make_protocol = make_protocol
        self.address = address
        self.context = copy_context()

    async def serve(self) -> None:
        self._all[self.address] = self

    def close(self) -> None:
        self._all.pop(self.address, None)


class Endpoint(asyncio.Transport):
    """One side of a connection."""

    peer: Endpoint

    def __init__(
        self, network: Network, machine: str, protocol: asyncio.BufferedProtocol, context: Context
    ) -> None:
        super().__init__()
        self._network = network
        self.machine = machine
        self.protocol = protocol
        self.context = context
        self.arrives_at = 0.0
        """When the last of what was sent will be with the peer."""
        self._high = 64 * 1024
        self._unread = 0  # of what was sent, at the peer or on its way
        self._is_clogged = False
        self.on_its_way: deque[bytes] = deque()
        self._inbox: deque[bytes] = deque()
        self._is_paused = False
        self._is_closing = False
        self._peer_closed = False

    # -- the transport's face

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        # There is no "socket", so that answers are sent from memory.
        return (self.peer.machine, 0) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 64 * 1024 if high is None else high

    def get_write_buffer_size(self) -> int:
        return self._unread

    def is_closing(self) -> bool:
        return self._is_closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_closing or not data:
            return
        self._unread += len(data)
        self._network.send(self, bytes(data))
        if self._unread > self._high and not self._is_clogged:
            self._is_clogged = True
            self.protocol.pause_writing()

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self._network.call(self, 0, self._deliver)

    def close(self) -> None:
        """The peer reads what was written, and then the end."""
        if not self._is_closing:
            self._end(None)
            left = max(self.arrives_at, asyncio.get_running_loop().time()) - asyncio.get_running_loop().time()
            self._network.call(self.peer, left, self.peer.closed_by_peer)

    def abort(self) -> None:
        """As a reset: what is on its way is lost."""
        if not self._is_closing:
            self._end(None)
            delay = self._network.delay(self.machine, self.peer.machine)
            self._network.call(self.peer, delay, self.peer.reset)

    # -- the network's

    def receive(self) -> None:
        """The first of what is on its way has come."""
        if not self._is_closing:
            self._inbox.append(self.on_its_way.popleft())
            self._deliver()

    def reset(self) -> None:
        if not self._is_closing:
            self._end(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    def drop(self) -> None:
        """Without telling anybody."""
        self._is_closing = True
        self._inbox.clear()
        self._network.forget(self)

    def closed_by_peer(self) -> None:
        self._peer_closed = True
        self._deliver()

    def _end(self, error: Exception | None) -> None:
        self.drop()
        self._network.call(self, 0, self.protocol.connection_lost, error)

    def _deliver(self) -> None:
        while self._inbox and not self._is_paused and not self._is_closing:
            data = self._inbox.popleft()
            buffer = self.protocol.get_buffer(len(data))
            size = min(len(buffer), len(data))
            memoryview(buffer)[:size] = data[:size]
            if size < len(data):
                self._inbox.appendleft(data[size:])
            self._network.arrived(self, data[:size])
            self.protocol.buffer_updated(size)
            self._network.call(self.peer, 0, self.peer.was_read, size)
        if (
            self._peer_closed
            and not self._inbox
            and not self._is_closing
            and not self.protocol.eof_received()
        ):
            self.close()

    def was_read(self, size: int) -> None:
        """The peer has taken so much of what was sent."""
        self._unread -= size
        if self._is_clogged and self._unread <= self._high // 4 and not self._is_closing:
            self._is_clogged = False
            self.protocol.resume_writing()
