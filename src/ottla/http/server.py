"""A server of HTTP or HTTPS: uvicorn on a socket of ours, within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ottla.http.app import Application
from ottla.http.memory import BODIES_MAX_BYTES, BoundedBodies

GRACE_S: Final = 2
"""For requests under way when the server stops"""
_HEAD_S: Final = 10.0
"""For a request's head to come in"""
_UNREAD_S: Final = 60.0
_LEAST_READ: Final = 1 << 16
"""Of an answer that a client takes in that time, or it is not waited for"""
WILDCARDS: Final = ("", "0.0.0.0", "::")  # noqa: S104 - what is listened on is the user's to say


class Tls(NamedTuple):
    """Files of the listener. Without a certificate it is HTTP."""

    certificate: str | None = None
    key: str | None = None
    key_password: str | None = None
    ca: str | None = None
    """Who certifies clients"""
    client_authentication: str = "NONE"


_NEEDED: Final = {"NONE": ssl.CERT_NONE, "REQUESTED": ssl.CERT_OPTIONAL, "REQUIRED": ssl.CERT_REQUIRED}


class HttpServer:
    """`serve` until `stop`. The socket is the caller's to close."""

    def __init__(
        self,
        app: Application,
        listening: socket.socket,
        tls: Tls,
        connections_max: int,
        bodies_max_bytes: int = BODIES_MAX_BYTES,
    ) -> None:
        self._socket = listening
        self._server = _Server(
            uvicorn.Config(
                BoundedBodies(app, bodies_max_bytes),
                http=_Connection,
                ws="none",
                loop="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=connections_max,
                timeout_graceful_shutdown=GRACE_S,
                ssl_certfile=tls.certificate,
                ssl_keyfile=tls.key,
                ssl_keyfile_password=tls.key_password,
                ssl_ca_certs=tls.ca,
                ssl_cert_reqs=_NEEDED[tls.client_authentication.upper()],
            )
        )

    async def serve(self) -> None:
        await self._server.serve([self._socket])

    async def until_started(self, serving: asyncio.Task[None]) -> None:
        """`serving` runs `serve`; raises what ended that."""
        while not self._server.started:
            if serving.done():
                serving.result()
            await asyncio.sleep(0.005)

    def stop(self) -> None:
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Signals are the process's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(H11Protocol):
    """Tells the application of the client's certificate, and waits for ever neither for a request's head nor
    for a client to take its answer.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None
    _unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        certificate = None if secured is None else secured.getpeercert()
        if certificate:
            app = self.app

            async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
                scope.setdefault("extensions", {})["ottla.certificate"] = certificate
                await app(scope, receive, send)

            self.app = with_certificate
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._head_timer is None:
            self._await_head()

    def on_response_complete(self) -> None:
        self._await_reader()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._answer_timer is not None:
            self._answer_timer.cancel()
        super().connection_lost(exc)

    def _await_reader(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
        self._unsent = self.transport.get_write_buffer_size()
        self._answer_timer = self.loop.call_later(_UNREAD_S, self._look_at_reader) if self._unsent else None

    def _look_at_reader(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent and self._unsent - unsent < _LEAST_READ:
            self.transport.abort()  # `close` would wait for the client
        else:
            self._await_reader()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(_HEAD_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def listen(host: str, port: int) -> socket.socket:
    """OSError where that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made
