"""Sockets of the operating system: those that listen, and those that connect to other brokers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from functools import partial
from ssl import SSLContext

from ottla.config.network import NetworkConfig

_UNPACED = b"reno"
"""The congestion control of loopback: every kernel has it. BBR's pacing costs a timer for each segment there
and held a stream to a third of its rate; where the system uses cubic this changes nothing."""


class TcpListening:
    """A bound address of the system, served by the running event loop."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        address = server.sockets[0].getsockname()
        self.address: tuple[str, int] = address[0], address[1]

    async def serve(self) -> None:
        """Accept connections."""
        await self._server.start_serving()

    def close(self) -> None:
        """Accept no more."""
        self._server.close()


async def bind_tcp(
    make_protocol: Callable[[], asyncio.BufferedProtocol], host: str, port: int, config: NetworkConfig
) -> TcpListening:
    """Bind to a host and port, 0 for a free one; an empty host is every interface. Raises OSError."""
    create_server = partial(
        asyncio.get_running_loop().create_server,
        make_protocol,
        backlog=config.socket_listen_backlog_size,
        start_serving=False,
    )
    try:
        bound = _bound_to_address(host, port)
        server = await (create_server(host or None, port) if bound is None else create_server(sock=bound))
    except OSError as error:
        number = error.errno or 0
        if number <= 0:  # a name that does not resolve
            raise
        raise OSError(number, os.strerror(number)) from error  # the loop's own text repeats the address
    for listening in server.sockets:
        _tune(listening, config)
    return TcpListening(server)


async def connect_tcp(
    make_protocol: Callable[[], asyncio.BufferedProtocol], host: str, port: int, tls: SSLContext | None
) -> None:
    """Connect a protocol to host and port, with TLS where a context is given. Raises OSError."""
    loop = asyncio.get_running_loop()
    if tls is None:
        await loop.create_connection(make_protocol, host, port)
        return
    # A handshake that is cancelled in the middle leaves its failure for nobody, which uvloop would log.
    connecting = loop.create_task(
        loop.create_connection(make_protocol, host, port, ssl=tls, server_hostname=host)
    )
    connecting.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.shield(connecting)


async def addresses_of(host: str) -> list[str]:
    """What a host's name stands for; an address, as the system writes it. Raises OSError."""
    try:
        # A mere address is not looked up, so that it need not go through a thread.
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except OSError:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
    return [str(address[0]) for *_, address in found]


def _tune(listening: socket.socket, config: NetworkConfig) -> None:
    """Accepted sockets inherit what the listening one has."""
    sizes = (
        (socket.SO_SNDBUF, config.socket_send_buffer_bytes),
        (socket.SO_RCVBUF, config.socket_receive_buffer_bytes),
    )
    for option, size in sizes:
        if size >= 0:
            listening.setsockopt(socket.SOL_SOCKET, option, size)
    if _is_loopback(listening.getsockname()[0]) and hasattr(socket, "TCP_CONGESTION"):
        # Not once it is accepted: a socket that was made to pace its segments goes on with it.
        with contextlib.suppress(OSError):
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _UNPACED)


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _bound_to_address(host: str, port: int) -> socket.socket | None:
    """A socket on a mere address; None for a name, which has to be looked up and may stand for several.

    The loop would look up an address as well, with four threads that nothing else needs.
    """
    if not host.isascii():
        return None
    try:
        # As bytes: for text the tables of international names are loaded, half a megabyte, whatever it says.
        found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return None
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound
