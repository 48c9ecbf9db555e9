"""The listeners: accept connections, bound their number, close the idle and the stalled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ottla.config.listener_security import ListenerSecurity
from ottla.config.listeners import Listener
from ottla.config.network import NetworkConfig
from ottla.network.connection import Connection, Shared
from ottla.quotas.connections import NO_BOUND, ConnectionRates
from ottla.quotas.rates import Window

if TYPE_CHECKING:
    from ottla.network.authenticator import SaslListener
    from ottla.network.secured import SecuredTransport
    from ottla.network.tls import ServerTls

log = logging.getLogger(__name__)

_ROUNDS_FOR_ONE_REQUEST = 10
"""A request may trickle in for ten times as long as it may stand still."""


class Listening(Protocol):
    """A bound address; what is accepted there is a protocol of its own."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, with the port that was given for 0."""

    async def serve(self) -> None:
        """Accept connections."""

    def close(self) -> None:
        """Accept no more."""


Bind: TypeAlias = Callable[
    [Callable[[], asyncio.BufferedProtocol], str, int, NetworkConfig], Awaitable[Listening]
]
"""Binds to a host and port, makes a protocol for each connection; raises OSError."""
AddressesOf: TypeAlias = Callable[[str], Awaitable[list[str]]]
"""What a host's name stands for, as the system writes it; raises OSError."""


class SaslListeners(Protocol):
    """How clients of a broker's listeners say who they are."""

    def listener(self, name: str) -> SaslListener:
        """Of the one of that name, as it is configured now."""

    async def reconfigure(self) -> None:
        """Have ready what changed settings need."""


class Server:
    """Listens on the addresses of one broker and owns the connections accepted there."""

    def __init__(
        self,
        shared: Shared,
        config: NetworkConfig,
        bind: Bind,
        addresses_of: AddressesOf,
        sasl: Callable[[], SaslListeners],
    ) -> None:
        """`sasl` is asked for where a listener wants to know who its clients are; may raise ConfigError."""
        self._shared = shared
        self._make_sasl = sasl
        self._sasl: SaslListeners | None = None
        self._tls: dict[str, ServerTls] = {}
        self._shaking_hands: dict[SecuredTransport, None] = {}
        self._files_watch: asyncio.Task[None] | None = None
        self._config = config
        self._bind = bind
        self._addresses_of = addresses_of
        self._per_address: Mapping[str, int] = {}
        self._rates: ConnectionRates | None = None
        self._rate_bounds: Mapping[str | None, float] = {}
        self._listening: dict[str, Listening] = {}
        self.is_serving = False
        """Whether connections are accepted"""
        self.accepted: dict[str, int] = {}
        """How many connections came, by listener"""
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, listeners: Iterable[Listener]) -> dict[str, tuple[str, int]]:
        """Bind and listen; returns by listener name the address, with the port that was given for 0.

        Raises OSError, and ConfigError for certificates; what was bound before is closed by `stop`.
        """
        self._per_address = await self._by_address(self._config)
        for listener in listeners:
            name, host, port = listener.name, listener.host, listener.port
            self.accepted[name] = 0
            try:
                make = self._connections_of(name, self._config.listener_security[name])
                self._listening[name] = await self._bind(make, host, port, self._config)
            except OSError as error:
                reason = error.strerror or str(error)
                raise OSError(f"cannot listen on {host}:{port}: {reason.lower()}") from error
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        if self._tls:
            self._files_watch = asyncio.get_running_loop().create_task(self._watch_files())
        return {name: listening.address for name, listening in self._listening.items()}

    def _connections_of(
        self, name: str, security: ListenerSecurity
    ) -> Callable[[], asyncio.BufferedProtocol]:
        """What makes the protocol of each of a listener's connections."""
        authenticate = None
        if security.sasl is not None:
            from ottla.network.authenticator import authentication

            if self._sasl is None:
                self._sasl = self._make_sasl()
            authenticate = authentication(self._shared.router, partial(self._sasl.listener, name))
        if security.tls is None:
            return partial(Connection, self._shared, name, self._admit, authenticate)
        from ottla.network.secured import secured_connections  # what a plain listener does not need
        from ottla.network.tls import ServerTls

        tls = self._tls[name] = ServerTls(security.tls)
        return secured_connections(
            tls, self._shared, name, self._admit, authenticate, self._shaking_hands, self._handshake_timeout_s
        )

    def _handshake_timeout_s(self) -> float:
        return self._config.ottla_tls_handshake_timeout_ms / 1000

    async def _watch_files(self) -> None:
        while True:
            await asyncio.sleep(self._config.ottla_tls_files_check_ms / 1000)
            try:
                self._renew_certificates()
            except Exception:
                log.exception("the certificates stay as they were")

    def _renew_certificates(self) -> None:
        for name, tls in self._tls.items():
            settings = self._config.listener_security[name].tls
            if settings is not None:
                tls.renew(settings)

    async def reconfigure(self, config: NetworkConfig) -> None:
        """Apply changed bounds to connections that come from now on."""
        if config.max_connections_per_ip_overrides != self._config.max_connections_per_ip_overrides:
            self._per_address = await self._by_address(config)
        self._config = config
        if self._sasl is not None:
            await self._sasl.reconfigure()
        self._renew_certificates()

    async def _by_address(self, config: NetworkConfig) -> dict[str, int]:
        """`max.connections.per.ip.overrides` by address; host names are looked up."""
        limits: dict[str, int] = {}
        for host, limit in config.max_connections_per_ip_overrides.items():
            try:
                limits.update(dict.fromkeys(await self._addresses_of(host), limit))
            except OSError as error:
                log.warning("max.connections.per.ip.overrides: cannot find %s: %s", host, error)
        return limits

    @property
    def connections(self) -> Iterable[Connection]:
        """Those that are open."""
        return self._shared.connections

    async def limit_rates(self, quotas: Mapping[str | None, float], window: Window) -> None:
        """Hold addresses to so many connections a second, None being all that are not named."""
        bounds: dict[str | None, float] = {}
        for host, bound in quotas.items():
            try:
                named = [None] if host is None else await self._addresses_of(host)
                bounds |= dict.fromkeys(named, bound)
            except OSError as error:
                log.warning("the quota of connections from %s: cannot find it: %s", host, error)
        self._rate_bounds = bounds
        self._rates = self._rates or ConnectionRates(window)

    async def serve(self) -> None:
        """Accept connections."""
        for listening in self._listening.values():
            await listening.serve()
        self.is_serving = True

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        self.is_serving = False
        for task in filter(None, (self._sweeper, self._files_watch)):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for listening in self._listening.values():
            listening.close()
        for begun in list(self._shaking_hands):
            begun.abort()
        for connection in list(self._shared.connections):
            connection.close()
        # One turn lets the transports send what is written and drop their sockets.
        for _ in range(20):
            if not self._shared.connections:
                break
            await asyncio.sleep(0.005)
        for connection in list(self._shared.connections):
            connection.refuse("the broker stops")

    def _admit(self, connection: Connection | SecuredTransport) -> str | None:
        """Why a new connection may not stay, or None."""
        self.accepted[connection.listener] += 1
        count = len(self._shared.connections) + len(self._shaking_hands)
        if count > self._config.max_connections:
            return f"more than max.connections={self._config.max_connections} connections"
        name, host = connection.listener, connection.peer_host
        limits = self._config.listener_limits.get(name)
        if limits is not None and self._count(lambda each: each.listener == name) > limits.max_connections:
            return f"more than max.connections={limits.max_connections} connections of the listener"
        limit = self._per_address.get(host, self._config.max_connections_per_ip)
        if limit < count and self._count(lambda each: each.peer_host == host) > limit:
            return f"more than max.connections.per.ip={limit} connections"
        if self._rates is not None:
            self._have_wait(connection, self._rates)
        return None

    def _have_wait(self, connection: Connection | SecuredTransport, rates: ConnectionRates) -> None:
        """Where connections come too fast, as Kafka does it: the broker's for their turn, an address's to be
        refused.
        """
        loop = asyncio.get_running_loop()
        limits = self._config.listener_limits.get(connection.listener)
        turn = rates.came(
            connection.listener,
            connection.peer_host,
            int(loop.time() * 1000),
            self._config.max_connection_creation_rate,
            self._rate_bounds,
            NO_BOUND if limits is None else limits.creation_rate,
        )
        if turn.is_refused:  # before the end of the wait is scheduled, so that nothing is read in between
            loop.call_later(turn.wait_ms / 1000, self._refuse, connection)
        if turn.wait_ms:
            connection.mute(turn.wait_ms)

    def _refuse(self, connection: Connection | SecuredTransport) -> None:
        if connection in self._shared.connections or connection in self._shaking_hands:
            connection.refuse("connections from there come too fast")

    def _count(self, is_meant: Callable[[Connection | SecuredTransport], bool]) -> int:
        return sum(map(is_meant, self._shared.connections)) + sum(map(is_meant, self._shaking_hands))

    async def _sweep(self) -> None:
        """Look at every connection once in `ottla.request.stalled.ms`."""
        round_s = max(self._config.ottla_request_stalled_ms / 1000, 0.05)
        idle_rounds = max(1, round(self._config.connections_max_idle_ms / 1000 / round_s))
        while True:
            await asyncio.sleep(round_s)
            for connection in list(self._shared.connections):
                _sweep_one(connection, idle_rounds if self._config.connections_max_idle_ms >= 0 else None)


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
