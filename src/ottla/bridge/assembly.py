"""One instance of the bridge, put together."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.middleware.cors import CORSMiddleware

from ottla.bridge.api.consuming import Consuming
from ottla.bridge.api.producing import Producing
from ottla.bridge.api.service import Service
from ottla.bridge.api.services import Services
from ottla.bridge.api.topics import Topics
from ottla.bridge.clients import Clients
from ottla.bridge.consumers import Consumers
from ottla.bridge.media import DIALECT
from ottla.bridge.metrics import BridgeMetrics
from ottla.bridge.refusals import refusal
from ottla.bridge.settings import BridgeSettings, Configuration
from ottla.client.consumer.settings import ConsumerSettings
from ottla.client.producer.settings import ProducerSettings
from ottla.client.settings import parse
from ottla.http.app import App, Application, Request
from ottla.http.server import GRACE_S, HttpServer, Tls, listen

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_CLOSE_S: Final = 5
_CORS_HEADERS: Final = (
    "accept",
    "authorization",
    "content-length",
    "content-type",
    "origin",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-requested-with",
)


class Bridge:
    """`start` it, wait for `run`, which ends when `stop` is called or it cannot go on, and `close` it."""

    def __init__(self, configured: Configuration, host: str, port: int) -> None:
        """ConfigurationError for settings that cannot be used, OSError for an address that cannot."""
        self._configured = configured
        self._settings = configured.bridge
        parse(ProducerSettings, configured.producer)
        parse(ConsumerSettings, configured.consumer)
        self._socket = listen(host, port)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        now_s = asyncio.get_running_loop().time
        timeout_s = self._settings.http_timeout_seconds
        self._consumers = Consumers(
            self._settings.ottla_bridge_consumers_max, None if timeout_s < 0 else timeout_s, now_s
        )
        self._clients = Clients(
            configured.client,
            configured.producer,
            passed_on=self._settings.ottla_bridge_authentication == "kafka",
            most=self._settings.ottla_bridge_principals_max,
            idle_s=self._settings.ottla_bridge_principals_idle_ms / 1000,
            is_used=self._consumers.has_of,
            now_s=now_s,
        )
        self._metrics = BridgeMetrics(lambda: len(self._consumers), lambda: len(self._clients), now_s)
        self._server: HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_secure(self) -> bool:
        return self._settings.http_ssl_enable

    async def start(self) -> None:
        """Return when requests are answered. ClientError for why that is not so."""
        await self._clients.start()
        host, port = self.address
        services = Services(
            self._settings,
            self._clients,
            self._consumers,
            self._configured.consumer,
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "https" if self.is_secure else "http",
        )
        self._server = self._http(services)
        self._spawn(self._consumers.keep_fresh())
        self._spawn(self._clients.keep_fresh())
        await self._server.until_started(self._spawn(self._server.serve()))

    async def run(self) -> None:
        """Until `stop`. ClientError where it cannot go on."""
        await self._tasks[-1]

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()

    async def close(self) -> None:
        """Requests under way are answered, as far as they are soon, and what was sent is delivered."""
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks[-1:], timeout=GRACE_S + 1)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._consumers.close()
                await self._clients.close()
        self._socket.close()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    def _http(self, services: Services) -> HttpServer:
        settings = self._settings
        rooms = (
            Producing(services),
            Consuming(services),
            Topics(services),
            Service(self._metrics),
        )
        routes = [self._metrics.counted(each) for room in rooms for each in room.routes()]

        async def prepare(_request: Request) -> None: ...

        dialect = DIALECT._replace(refusal=refusal)
        app = App(routes, prepare, settings.ottla_bridge_request_max_bytes, dialect)
        tls = Tls()
        if self.is_secure:
            tls = Tls(
                settings.http_ssl_certificate_location,
                settings.http_ssl_key_location,
                settings.http_ssl_key_password,
            )
        return HttpServer(
            _with_cors(app, settings),
            self._socket,
            tls,
            settings.ottla_bridge_connections_max,
            settings.ottla_bridge_request_memory_max_bytes,
        )


def _with_cors(app: App, settings: BridgeSettings) -> Application:
    if not settings.http_cors_enabled:
        return app
    origins = settings.http_cors_allowed_origins
    made = CORSMiddleware(
        cast("ASGIApp", app),
        allow_origins=("*",) if origins == "*" else (),
        allow_origin_regex=None if origins == "*" else origins,
        allow_methods=tuple(each.strip() for each in settings.http_cors_allowed_methods.split(",")),
        allow_headers=_CORS_HEADERS,
    )
    return cast("Application", made)
