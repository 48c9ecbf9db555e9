"""One instance of the registry, put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from ottla.client.connecting import AsyncClient
from ottla.client.net.tls import context_from
from ottla.client.settings import ClientSettings
from ottla.http.app import App, Request
from ottla.http.server import GRACE_S, WILDCARDS, HttpServer, Tls, listen
from ottla.registry.server.api.compatibility import Compatibility
from ottla.registry.server.api.configs import Configs
from ottla.registry.server.api.schemas import Schemas
from ottla.registry.server.api.server import Server
from ottla.registry.server.api.services import Services
from ottla.registry.server.api.subjects import Subjects
from ottla.registry.server.contexts import leave_context
from ottla.registry.server.dialect import DIALECT
from ottla.registry.server.election import Election
from ottla.registry.server.forwarding import Forwarder
from ottla.registry.server.leadership import Leadership
from ottla.registry.server.log import SchemasLog, Writer
from ottla.registry.server.security import Security
from ottla.registry.settings import RegistrySettings
from ottla.registry.state.election import Identity
from ottla.registry.state.parsing import Parser
from ottla.registry.state.registration import Registration
from ottla.registry.state.state import RegistryState
from ottla.schemas.parsing import parse

_log: Final = logging.getLogger(__name__)


class Registry:
    """`start` it, wait for `run`, which ends when `stop` is called or it cannot go on, and `close` it."""

    def __init__(self, client: ClientSettings, settings: RegistrySettings, host: str, port: int) -> None:
        self._settings = settings
        self._host = host
        self._trust = _trust(settings)
        self._socket = listen(host, port)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        # What is heavy, one after the other: the loop stays free for who only reads.
        self._executor = ThreadPoolExecutor(1, "ottla-registry")
        self._client = AsyncClient(client)
        self._state = RegistryState(in_order=True)
        self._schemas = SchemasLog(self._client, settings, self._state)
        self._writer = Writer(self._client, settings, self._schemas)
        self._leadership = Leadership(settings, self._schemas, self._writer, self._executor, self._again)
        self._security = Security(settings, self._in_thread, asyncio.get_running_loop().time)
        self._election: Election | None = None
        self._server: HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Return when the log has been read and requests are answered. ClientError for why that is not so."""
        await self._client.start()
        await self._schemas.open()
        cluster = self._client.cluster
        self._election = Election(cluster, self._settings, self._identity(), self._leadership.elected)
        reading = self._spawn(self._schemas.read(), "log")
        loading = self._spawn(self._loaded(), "loading")
        await asyncio.wait([reading, loading], return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()
        self._tasks.remove(loading)
        self._spawn(self._election.run(), "election")
        self._spawn(self._leadership.keep_ready(), "leadership")
        self._server = self._http()
        await self._server.until_started(self._spawn(self._server.serve(), "http"))

    async def _loaded(self) -> None:
        await self._schemas.loaded.wait()

    async def run(self) -> None:
        """Until `stop`. ClientError where it cannot go on."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            if task in done:
                task.result()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()

    @property
    def is_secure(self) -> bool:
        return self._settings.is_secure

    async def close(self) -> None:
        self.stop()
        if self._server is not None:
            http = next(task for task in self._tasks if task.get_name() == "ottla-registry-http")
            await asyncio.wait([http], timeout=GRACE_S + 1)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                if self._election is not None:
                    await self._election.leave()
                await self._writer.end()
                await self._client.close()
        self._socket.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _spawn(self, work: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name=f"ottla-registry-{name}")
        self._tasks.append(task)
        return task

    def _again(self, reason: str) -> None:
        if self._election is not None:
            self._election.again(reason)

    async def _in_thread(self, call: Callable[[], bool]) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def _identity(self) -> Identity:
        settings = self._settings
        host = settings.host_name or (socket.gethostname() if self._host in WILDCARDS else self.address[0])
        scheme = "https" if settings.is_secure else "http"
        return Identity(scheme, host, self.address[1], settings.leader_eligibility)

    def _services(self) -> Services:
        settings = self._settings
        parser = Parser(parse, settings.ottla_registry_parsed_max_chars)
        registration = Registration(self._state, parser, settings.schema_compatibility_level)
        timeout_s = (settings.ottla_registry_leader_wait_ms + 2 * settings.kafkastore_timeout_ms) / 1000
        forwarder = Forwarder(timeout_s, 4 * settings.ottla_registry_request_max_bytes, self._trust)
        return Services(
            settings,
            self._state,
            self._schemas,
            self._leadership,
            registration,
            self._security,
            forwarder,
            self._client.cluster.metadata.cluster_id or "",
        )

    def _http(self) -> HttpServer:
        settings, services = self._settings, self._services()
        rooms = (Subjects, Schemas, Compatibility, Configs, Server)
        routes = [each for room in rooms for each in room(services).routes()]

        async def prepare(request: Request) -> None:
            leave_context(request)
            await self._security.authenticate(request)

        tls = Tls(
            settings.listener_ssl_certificate_location,
            settings.listener_ssl_key_location,
            settings.listener_ssl_key_password,
            settings.listener_ssl_ca_location,
            settings.ssl_client_authentication,
        )
        app = App(routes, prepare, settings.ottla_registry_request_max_bytes, DIALECT)
        return HttpServer(
            app,
            self._socket,
            tls,
            settings.ottla_registry_connections_max,
            settings.ottla_registry_request_memory_max_bytes,
        )


def _trust(settings: RegistrySettings) -> ssl.SSLContext | None:
    """How other instances are reached, with our own certificate. ConfigurationError for files of the listener
    that cannot be used.
    """
    if not settings.is_secure:
        return None
    return context_from(
        settings.listener_ssl_ca_location,
        settings.listener_ssl_certificate_location,
        settings.listener_ssl_key_location,
        settings.listener_ssl_key_password,
        prefix="listener.ssl.",
    )
