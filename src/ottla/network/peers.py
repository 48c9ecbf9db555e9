"""Connections to the other brokers: typed requests out, typed answers back, each within its time.

A broker answers a connection's requests in order, and a follower's fetch waits at the peer, so that whoever
asks has a channel of its own.
"""

from __future__ import annotations

import asyncio
import struct as binary
from collections import deque
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from typing import Final, NamedTuple, Protocol, TypeAlias, TypeVar, cast

from ottla import __version__
from ottla.config.definition import ConfigError
from ottla.protocol import wire
from ottla.protocol.errors import DecodeError, EncodeError, ErrorCode
from ottla.protocol.messages import APIS
from ottla.protocol.structs import Struct

_NEGOTIATION_VERSION: Final = 3
"""Of ApiVersions: every broker that may be in a cluster with this one speaks it."""
_RECEIVE_BYTES: Final = 64 * 1024
_SMALLEST_FRAME: Final = 4
_MAX_ELEMENTS: Final = 4_000_000
"""Of all arrays of an answer"""
_MAX_IN_FLIGHT: Final = 1000
_MAX_CORRELATION_ID: Final = 2**31 - 1
_NEVER: Final = float("inf")
_RENEW_AFTER: Final = 0.85
"""Of a session's time, as Java's client does it"""
_INT32: Final = binary.Struct(">i")

R = TypeVar("R", bound=Struct)

Address: TypeAlias = tuple[str, int]
Connect: TypeAlias = Callable[
    [Callable[[], asyncio.BufferedProtocol], str, int, SSLContext | None], Awaitable[object]
]
"""Connects a protocol to host and port, with TLS where a context is given; raises OSError."""


class PeerError(ConnectionError):
    """A peer gave no answer: it was not reached, or not in time, or said what makes no sense. It may have
    done what it was asked all the same.
    """


class Sender(Protocol):
    """A connection that is there, for whoever proves to the peer who we are."""

    async def request(self, request: Struct, response_class: type[R], timeout_s: float) -> R: ...


class PeerSecurity(NamedTuple):
    """How peers are talked to on their listener."""

    tls: Callable[[], SSLContext] | None = None
    authenticate: Callable[[Sender], Awaitable[float | None]] | None = None
    """Called on each new connection once its versions are known; gives for how many seconds the peer believes
    it, None for good; raises PeerError
    """


OPEN: Final = PeerSecurity()
"""Nothing is hidden, and nobody is asked"""


class PeerLimits(NamedTuple):
    """What a peer may take."""

    request_max_bytes: int
    response_max_bytes: int
    connect_timeout_s: float


class _Waiting(NamedTuple):
    correlation_id: int
    deadline: float
    future: asyncio.Future[memoryview]


class PeerConnection(asyncio.BufferedProtocol):
    """One connection; `request` once `negotiate` is done. Answers come in the order of requests."""

    def __init__(self, name: str, client_id: str, limits: PeerLimits) -> None:
        self.name = name
        self.error: PeerError | None = None
        """Why it is closed; None while it is open."""
        self.renew_at = _NEVER
        """On the loop's clock: from then on it takes no new requests, as the peer would not believe them"""
        self._is_retired = False
        self._client_id = client_id
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._versions: dict[int, tuple[int, int]] = {}
        self._next_id = 0
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._small = memoryview(bytearray(_RECEIVE_BYTES))
        self._large: memoryview | None = None
        self._filled = 0

    @property
    def is_due(self) -> bool:
        """Whether another connection has to take its place."""
        return self._loop.time() >= self.renew_at

    def retire(self) -> None:
        """Close it once what waits is answered."""
        self._is_retired = True
        if not self._waiting:
            self.close()

    async def negotiate(self, timeout_s: float) -> None:
        """Find out what the peer speaks; nothing else may be sent before. Raises PeerError."""
        from ottla.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse

        asked = ApiVersionsRequest(client_software_name="ottla", client_software_version=__version__)
        answer = await self._ask(asked, ApiVersionsResponse, _NEGOTIATION_VERSION, timeout_s)
        if answer.error_code:
            raise PeerError(f"{self.name}: ApiVersions: {ErrorCode(answer.error_code).name}")
        self._versions = {each.api_key: (each.min_version, each.max_version) for each in answer.api_keys}

    async def request(self, request: Struct, response_class: type[R], timeout_s: float) -> R:
        """Ask at the newest version that both speak. What is left of its records is part of the frame that
        came. Raises PeerError; after a timeout the connection is closed.
        """
        return await self._ask(request, response_class, self.version_of(type(request).__key__), timeout_s)

    def version_of(self, api_key: int) -> int:
        """The newest version that both speak. Raises PeerError where there is none."""
        ours = APIS[api_key]
        oldest, newest = self._versions.get(api_key, (0, -1))
        version = min(newest, ours.highest - 1 if ours.unstable else ours.highest)
        if version < max(oldest, ours.lowest):
            raise PeerError(f"{self.name} speaks no version of {ours.name} that is spoken here")
        return version

    async def _ask(self, request: Struct, response_class: type[R], version: int, timeout_s: float) -> R:
        frame = await self._send(request, version, timeout_s)
        try:
            return wire.decode_response(response_class, version, frame, _MAX_ELEMENTS)[1]
        except DecodeError as error:
            self.close(PeerError(f"{self.name}: {error}"))
            raise PeerError(f"{self.name}: {error}") from error

    def _send(self, request: Struct, version: int, timeout_s: float) -> asyncio.Future[memoryview]:
        if self.error is not None or self._transport is None:
            raise PeerError(str(self.error or f"{self.name}: not connected"))
        if len(self._waiting) >= _MAX_IN_FLIGHT:
            raise PeerError(f"{self.name}: {len(self._waiting)} requests wait already")
        correlation_id = self._next_id
        try:
            frame = wire.encode_request(request, version, correlation_id, self._client_id)
        except EncodeError as error:
            raise PeerError(f"{self.name}: {error}") from error
        if len(frame) - 4 > self._limits.request_max_bytes:
            raise PeerError(f"{self.name}: a request of {len(frame) - 4} bytes")
        self._next_id = 0 if correlation_id == _MAX_CORRELATION_ID else correlation_id + 1
        waiting = _Waiting(correlation_id, self._loop.time() + timeout_s, self._loop.create_future())
        self._waiting.append(waiting)
        self._transport.write(frame)
        if self._timer is None or self._timer.when() > waiting.deadline:
            self._arm(waiting.deadline)
        return waiting.future

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._check_deadlines)

    def _check_deadlines(self) -> None:
        self._timer = None
        deadline = min((each.deadline for each in self._waiting), default=None)
        if deadline is None:
            return
        if deadline > self._loop.time():
            self._arm(deadline)
        else:
            self.close(PeerError(f"{self.name}: no answer in time"))

    def close(self, error: PeerError | None = None) -> None:
        """At once; what waits fails with `error`."""
        if self.error is not None:
            return
        self.error = error or PeerError(f"{self.name}: closed")
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        for each in self._waiting:
            if not each.future.done():
                each.future.set_exception(PeerError(str(self.error)))
                each.future.exception()  # whoever waited may be gone: nothing is to be logged then
        self._waiting.clear()

    # -- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self.error is not None:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.close(PeerError(f"{self.name}: {error or 'the peer closed the connection'}"))

    def eof_received(self) -> None:
        return None

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's
        return (self._small if self._large is None else self._large)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        if self._large is None:
            self._cut()
        elif self._filled == len(self._large):
            frame, self._large, self._filled = self._large, None, 0
            self._answered(frame)

    def _cut(self) -> None:
        """Take the frames out of the buffer; one that does not fit goes on in memory of its own."""
        view, position, filled = self._small, 0, self._filled
        while filled - position >= 4 and self.error is None:
            (size,) = _INT32.unpack_from(view, position)
            if not _SMALLEST_FRAME <= size <= self._limits.response_max_bytes:
                self.close(PeerError(f"{self.name}: an answer of {size} bytes"))
                return
            start, end = position + 4, position + 4 + size
            if end <= filled:
                self._answered(memoryview(bytes(view[start:end])))
                position = end
                continue
            if size > len(view) - 4:
                self._large = memoryview(bytearray(size))
                self._filled = filled - start
                self._large[: self._filled] = view[start:filled]
                return
            break
        if position:
            rest = bytes(view[position:filled])
            view[: len(rest)] = rest
            self._filled = len(rest)

    def _answered(self, frame: memoryview) -> None:
        (correlation_id,) = _INT32.unpack_from(frame)
        if not self._waiting or self._waiting[0].correlation_id != correlation_id:
            self.close(PeerError(f"{self.name}: an answer to request {correlation_id}, which none waits for"))
            return
        future = self._waiting.popleft().future
        if not future.done():
            future.set_result(frame)
        if self._is_retired and not self._waiting:
            self.close()


class Channel:
    """One connection to a broker, made when it is needed, and anew after it was lost or the broker moved."""

    def __init__(self, peers: Peers, node_id: int, client_id: str) -> None:
        self._peers = peers
        self._node_id = node_id
        self._client_id = client_id
        self._connection: PeerConnection | None = None
        self._address: Address | None = None
        self._connecting = asyncio.Lock()
        self._is_closed = False

    async def send(self, request: Struct, response_class: type[R], timeout_s: float) -> R:
        """Ask at the newest version that both speak. Raises PeerError."""
        connection = self._connection
        if connection is None or not self._is_current(connection):
            connection = await self._connected()
        return await connection.request(request, response_class, timeout_s)

    def close(self) -> None:
        """What waits fails, and whatever is sent from now on."""
        self._is_closed = True
        self.disconnect()

    def disconnect(self) -> None:
        """What waits fails; the next request connects anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _is_current(self, connection: PeerConnection) -> bool:
        if connection.error is not None or connection.is_due:
            return False
        return self._peers.address_of(self._node_id) == self._address

    async def _connected(self) -> PeerConnection:
        async with self._connecting:  # those who come meanwhile take the same
            self._refuse_if_closed()
            connection = self._connection
            if connection is not None and self._is_current(connection):
                return connection
            if connection is not None and connection.is_due:
                self._connection = None
                connection.retire()
            self.disconnect()
            address = self._peers.address_of(self._node_id)
            if address is None:
                raise PeerError(f"broker {self._node_id} is not registered")
            made = await self._peers.connect(self._node_id, address, self._client_id)
            try:
                self._refuse_if_closed()
            except PeerError:
                made.close()
                raise
            self._connection, self._address = made, address
            return made

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise PeerError(f"broker {self._node_id}: closed")


class Peers:
    """The other brokers of the cluster, by their ids."""

    def __init__(
        self,
        connect: Connect,
        address_of: Callable[[int], Address | None],
        limits: PeerLimits,
        security: PeerSecurity = OPEN,
    ) -> None:
        """`address_of` says where a broker is to be found now, None for one that is not registered."""
        self._connect = connect
        self.address_of = address_of
        self._limits = limits
        self._security = security

    def channel(self, node_id: int, client_id: str) -> Channel:
        """A connection of the caller's own, who closes it."""
        return Channel(self, node_id, client_id)

    async def connect(self, node_id: int, address: Address, client_id: str) -> PeerConnection:
        """A new connection that is ready for requests. Raises PeerError."""
        host, port = address
        connection = PeerConnection(f"broker {node_id} at {host}:{port}", client_id, self._limits)
        timeout_s = self._limits.connect_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                tls = None if self._security.tls is None else self._security.tls()
                await self._connect(lambda: connection, host, port, tls)
                await connection.negotiate(timeout_s)
                if self._security.authenticate is not None:
                    lifetime_s = await self._security.authenticate(connection)
                    if lifetime_s is not None:
                        connection.renew_at = asyncio.get_running_loop().time() + lifetime_s * _RENEW_AFTER
        except BaseException as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise PeerError(f"{connection.name}: no connection within {timeout_s:g} s") from None
            if isinstance(error, ConfigError):  # of certificates
                raise PeerError(f"{connection.name}: {error.message}") from error
            if isinstance(error, OSError) and not isinstance(error, PeerError):
                raise PeerError(f"{connection.name}: {error}") from error
            raise
        return connection
