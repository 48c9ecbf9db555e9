"""A worker, put together: standalone or distributed."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
import ssl
import time
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final

from ottla.client.connecting import AsyncClient
from ottla.client.errors import ClientError, ConfigurationError
from ottla.client.net.tls import context_from
from ottla.client.settings import ClientSettings, parse
from ottla.connect.errors import ConfigError, ConnectError
from ottla.connect.providers import PROVIDERS, ConfigProvider, resolve_settings
from ottla.connect.rest.forwarding import Forwarder, is_between_workers
from ottla.connect.rest.loggers import Loggers
from ottla.connect.rest.resources import DIALECT, Connectors, Server
from ottla.connect.version import VERSION
from ottla.connect.worker.client_configs import worker_client
from ottla.connect.worker.configs import Config
from ottla.connect.worker.crew import Crew
from ottla.connect.worker.group import Group
from ottla.connect.worker.herder import Herder
from ottla.connect.worker.leading import Leading
from ottla.connect.worker.logs import FileLog, MemoryLog, RecordLog, TopicLog
from ottla.connect.worker.membership import Alone
from ottla.connect.worker.protocol import Protocol
from ottla.connect.worker.runtime import Runtime
from ottla.connect.worker.settings import WorkerConfig
from ottla.connect.worker.stores import ConfigStore, OffsetStores, StatusStore
from ottla.http.app import App, Request
from ottla.http.basic import Users
from ottla.http.errors import HttpError
from ottla.http.server import GRACE_S, WILDCARDS, HttpServer, Tls, listen

_log: Final = logging.getLogger(__name__)

_STEP_S: Final = 1.0
"""For each step at the end"""
_KILL_S: Final = 5.0
"""For processes that are killed to be gone"""


class ConnectWorker:
    """`start` it, wait for `run`, which ends when it cannot go on, and `close` it."""

    def __init__(
        self,
        config: WorkerConfig,
        host: str,
        port: int,
        *,
        is_distributed: bool,
        connectors: Sequence[Config] = (),
    ) -> None:
        settings = config.settings
        self._config = config
        self._connectors = connectors
        self._tls = _tls(config)
        self.is_secure = self._tls.certificate is not None
        self._socket = listen(host, port)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._url = self._advertised(host)
        client = {"client.id": settings.client_id or "ottla-connect", **worker_client(config.given)}
        self._client = AsyncClient(parse(ClientSettings, client))
        self._configs, self._statuses, self._offsets = self._stores(is_distributed=is_distributed)
        worker_id = self._url.partition("://")[2].rstrip("/")
        self._crew = Crew(
            settings,
            worker_id,
            self._configs,
            self._statuses,
            self._offsets,
            _resolver(config),
            _now_ms,
        )
        offsets_topic = settings.offset_storage_topic
        self._crew.runtime = Runtime(config, self._crew, self._crew, offsets_topic)
        self._loggers = Loggers(self._tell_level, _now_ms)
        self._crew.on_logger_level = self._level_set
        self._group: Group | None = None
        self._alone: Alone | None = None
        if is_distributed:
            group = Group(self._client.cluster, config, self._url, self._configs, self._crew)
            self._group = self._crew.membership = group
        else:
            self._alone = self._crew.membership = Alone(self._url)
            self._alone.on_rejoin = self._crew.wake
            self._crew.settle = partial(self._alone.rebalance, self._crew)
        trust = _trust(self._tls)
        timeout_ms = settings.ottla_connect_rest_timeout_ms
        forwarder = Forwarder(lambda: timeout_ms / 1000, 4 * settings.ottla_connect_request_max_bytes, trust)
        self._leading = Leading(config, self._configs, self._crew, self._client, forwarder, _now_ms)
        if self._group is not None:
            self._group.on_lead = self._leading.begin
        self._herder = Herder(
            config,
            self._crew,
            self._configs,
            self._statuses,
            self._offsets,
            self._client.admin,
            is_standalone=not is_distributed,
        )
        self._crew.publish_tasks = self._leading.publish_tasks
        if is_distributed and config.exactly_once:
            self._crew.fence = self._leading.fence
        self._forwarder = forwarder
        file = settings.authentication_users_file
        self._users = None if file is None else Users(file, asyncio.to_thread)
        self._server: HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def _stores(self, *, is_distributed: bool) -> tuple[ConfigStore, StatusStore, OffsetStores]:
        settings = self._config.settings
        if not is_distributed:
            assert settings.offset_storage_file_filename is not None
            file = FileLog(settings.offset_storage_file_filename)
            return ConfigStore(MemoryLog()), StatusStore(MemoryLog()), OffsetStores(file, None)
        assert settings.config_storage_topic is not None
        assert settings.status_storage_topic is not None
        assert settings.offset_storage_topic is not None
        transactions = None
        if self._config.has_transactional_leader:
            transactions = (self._client, f"connect-cluster-{settings.group_id}")
        configs = self._topic(
            settings.config_storage_topic, "config", 1, settings.config_storage_replication_factor,
            committed_only=self._config.exactly_once,
        )  # fmt: skip
        statuses = self._topic(
            settings.status_storage_topic,
            "status",
            settings.status_storage_partitions,
            settings.status_storage_replication_factor,
        )
        offsets = self._offsets_topic(settings.offset_storage_topic)
        return (
            ConfigStore(configs, transactions),
            StatusStore(statuses),
            OffsetStores(offsets, self._offsets_topic),
        )

    def _offsets_topic(self, name: str) -> RecordLog:
        settings = self._config.settings
        return self._topic(
            name,
            "offset",
            settings.offset_storage_partitions,
            settings.offset_storage_replication_factor,
            committed_only=self._config.exactly_once,
        )

    def _topic(
        self, name: str, kind: str, partitions: int, replication_factor: int, *, committed_only: bool = False
    ) -> TopicLog:
        prefix = f"{kind}.storage."
        given = {
            key.removeprefix(prefix): value
            for key, value in self._config.given.items()
            if key.startswith(prefix)
        }
        own = {
            key: value
            for key, value in given.items()
            if key not in ("topic", "partitions", "replication.factor", "file.filename")
        }
        return TopicLog(
            self._client,
            name,
            partitions=partitions,
            replication_factor=replication_factor,
            configs=own,
            committed_only=committed_only,
        )

    def _advertised(self, host: str) -> str:
        settings = self._config.settings
        name = settings.rest_advertised_host_name
        if name is None:
            name = socket.gethostname() if host in WILDCARDS else self.address[0]
        scheme = settings.rest_advertised_listener or ("https" if self.is_secure else "http")
        shown = f"[{name}]" if ":" in name else name
        return f"{scheme.lower()}://{shown}:{settings.rest_advertised_port or self.address[1]}/"

    def _tell_level(self, logger: str, level: int) -> None:
        self._crew.runtime.set_log_level(logger, level)

    def _level_set(self, namespace: str, level: str) -> None:
        if self._loggers.is_level(level):
            self._loggers.set(namespace, level)

    async def start(self) -> None:
        """Return when requests are answered and connectors are being started. ClientError for why that is not
        so.
        """
        await self._crew.runtime.start()
        await self._client.start()
        try:
            await asyncio.gather(self._configs.start(), self._statuses.start(), self._offsets.start())
        except ConnectError as error:
            raise ConfigurationError(str(error)) from error
        self._server = self._http()
        await self._server.until_started(self._spawn(self._server.serve(), "http"))
        self._spawn(self._crew.run(), "crew")
        self._crew.wake()
        if self._group is not None:
            self._spawn(self._group.run(), "group")
        for config in self._connectors:
            await self._create(config)

    async def _create(self, config: Config) -> None:
        """ConfigurationError for one that cannot be."""
        name = config.get("name", "")
        try:
            await self._herder.put_config(name, {**config}, may_replace=True)
        except ConnectError as error:
            raise ConfigurationError(f"connector {name}: {error}") from error

    def _spawn(self, work: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name=f"ottla-connect-{name}")
        self._tasks.append(task)
        return task

    def _http(self) -> HttpServer:
        settings = self._config.settings
        verifies = self._group is not None and self._config.protocol is Protocol.SESSIONED
        connectors = Connectors(
            self._herder,
            self._forwarder,
            settings,
            lambda: self._configs.state.session_key,
            verifies=verifies,
            fence=self._leading.fence_here,
        )
        server = Server(
            self._herder, self._loggers, VERSION, "ottla", self._client.cluster.metadata.cluster_id
        )
        server.is_ready = True

        users = self._users

        async def prepare(request: Request) -> None:
            if users is None or (verifies and is_between_workers(request)):
                return
            if await users.name_of(request.headers.get("authorization", "")) is None:
                raise HttpError(401, "User cannot access the resource.")

        app = App(
            [*server.routes(), *connectors.routes()],
            prepare,
            settings.ottla_connect_request_max_bytes,
            DIALECT,
        )
        return HttpServer(
            app,
            self._socket,
            self._tls,
            settings.ottla_connect_connections_max,
            settings.ottla_connect_request_memory_max_bytes,
        )

    async def run(self) -> None:
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            if task in done:
                task.result()

    async def close(self) -> None:
        """Stop what runs here, in order. Each step has a time of its own, as brokers may be gone."""
        if self._server is not None:
            self._server.stop()
        http = [each for each in self._tasks if each.get_name() == "ottla-connect-http"]
        if http:
            await asyncio.wait(http, timeout=GRACE_S + 1)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STEP_S)
        grace_s = self._config.settings.task_shutdown_graceful_timeout_ms / 1000
        await _within(_KILL_S + 2 * grace_s, self._crew.close())
        await _within(_STEP_S, self._statuses.settled())
        if self._group is not None:
            await _within(_STEP_S, self._group.leave())
        for each in (self._statuses, self._offsets, self._configs, self._client):
            await _within(_STEP_S, each.close())
        await self._crew.runtime.close()
        self._socket.close()


async def _within(time_s: float, step: Coroutine[Any, Any, None]) -> None:
    """One of those at the end, which the next does not wait for any longer."""
    try:
        async with asyncio.timeout(time_s):
            await step
    except (TimeoutError, ConnectError, ClientError) as error:
        _log.warning("a step of the end is left: %s", str(error) or f"it took more than {time_s:g} s")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _tls(config: WorkerConfig) -> Tls:
    """A listener's own settings (`listeners.https.ssl.*`) come before the worker's."""
    settings = config.settings
    if not any(each.strip().lower().startswith("https:") for each in settings.listeners):
        return Tls()
    prefix = "listeners.https."
    own = {
        name.removeprefix(prefix): value for name, value in config.given.items() if name.startswith(prefix)
    }
    fields = {each.name for each in dataclasses.fields(settings)}
    known = {name: value for name, value in own.items() if name.replace(".", "_") in fields}
    merged = dataclasses.replace(settings, **{name.replace(".", "_"): value for name, value in known.items()})  # type: ignore[arg-type]
    if merged.ssl_certificate_location is None:
        raise ConfigurationError("a listener of https needs ssl.certificate.location")
    return Tls(
        merged.ssl_certificate_location,
        merged.ssl_key_location,
        merged.ssl_key_password,
        merged.ssl_ca_location,
        merged.ssl_client_auth,
    )


def _trust(tls: Tls) -> ssl.SSLContext | None:
    if tls.certificate is None:
        return None
    return context_from(tls.ca, tls.certificate, tls.key, tls.key_password, prefix="ssl.")


def _resolver(config: WorkerConfig) -> Any:
    """What fills in `${provider:path:key}`. ConfigurationError for a provider that there is not."""
    providers: dict[str, ConfigProvider] = {}
    for name in config.settings.config_providers:
        prefix = f"config.providers.{name}."
        own = {
            key.removeprefix(prefix): value for key, value in config.given.items() if key.startswith(prefix)
        }
        class_ = own.get("class", "")
        if class_ not in PROVIDERS:
            raise ConfigurationError(f"{prefix}class={class_}: there are {', '.join(PROVIDERS)}")
        parameters = {
            key.removeprefix("param."): value for key, value in own.items() if key.startswith("param.")
        }
        try:
            providers[name] = PROVIDERS[class_](parameters)
        except ConfigError as error:
            raise ConfigurationError(str(error)) from error

    def resolve(given: Mapping[str, str]) -> dict[str, str]:
        found = resolve_settings(given, providers)
        return {name: text for name, text in found.items() if text is not None}

    return resolve
