"""The broker as a whole: puts the parts together, starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import base64
import logging
import resource
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from random import SystemRandom
from typing import NamedTuple
from uuid import uuid4

from ottla.broker.apis import APIS
from ottla.broker.clock import Clock
from ottla.broker.router import Router
from ottla.config.broker import BrokerConfig, broker_config
from ottla.config.definition import ConfigError
from ottla.config.layers import BrokerLayers
from ottla.controller.controller import Controller
from ottla.coordinator.groups import OFFSETS_TOPIC, GroupCoordinator
from ottla.metadata.image import MetadataImage
from ottla.network.connection import ConnectionLimits, Shared
from ottla.network.memory import RequestMemory
from ottla.network.server import ListenerLimits, Server
from ottla.network.unsent import UnsentOutput
from ottla.replica.data_dir import DataDir
from ottla.replica.fetch_sessions import FetchSessions
from ottla.replica.group_commit import GroupCommit
from ottla.replica.maintenance import Maintenance
from ottla.replica.partitions import Partitions
from ottla.storage.environment import LogEnvironment
from ottla.storage.fs import OsFileSystem

log = logging.getLogger(__name__)

_RECEIVE_BUFFER_BYTES = 256 * 1024
_READERS = 4
"""Threads for consumers of what is not in the page cache; each reads 2 MiB at a time."""
_DESCRIPTORS_BESIDE_LOGS = 512
_SESSION_EVICTABLE_AFTER_MS = 120_000
"""Kafka's fixed `min.incremental.fetch.session.eviction.ms`."""


class BrokerSettings(NamedTuple):
    """What a broker is started with: the typed configuration, and the layers it came from."""

    config: BrokerConfig
    layers: BrokerLayers


class Broker:
    """One node, in one event loop; worker threads only sync, compact, remove files and wait for cold ones."""

    def __init__(self, settings: BrokerSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.config = settings.config
        self.clock = clock or Clock()
        self.node_id = settings.config.node_id
        self.cluster_id = ""
        self.fetch_sessions = FetchSessions(
            self.config.max_incremental_fetch_session_cache_slots,
            _SESSION_EVICTABLE_AFTER_MS,
            lambda: SystemRandom().randrange(1, 2**31),
        )
        self.encoded_metadata: dict[tuple[int, bool, bool], tuple[MetadataImage, bytes]] = {}
        """Answers for the whole cluster, with the image that each was made from (see `apis.metadata`)."""
        self.api_table = [
            {
                "api_key": api.key,
                "min_version": api.versions[0] if api.advertised_min is None else api.advertised_min,
                "max_version": api.versions[1],
            }
            for api in APIS
        ]
        self._sync_worker = ThreadPoolExecutor(1, "ottla-sync")
        self._file_worker = ThreadPoolExecutor(1, "ottla-files")
        self._readers = ThreadPoolExecutor(_READERS, "ottla-read")
        self.group_commit = GroupCommit(self._sync_worker)
        self._fs = OsFileSystem(_open_files(self.config.ottla_open_files_max))
        self.data_dir = DataDir(self._fs, self.config.log_dirs[0])
        self._environment = LogEnvironment(
            self._fs,
            producer_id_expiration_ms=self.config.producer_id_expiration_ms,
            max_decoded_batch_bytes=self.config.ottla_decompressed_batch_max_bytes,
        )
        self.partitions = Partitions(
            self.data_dir,
            self._environment,
            self.config,
            self._file_worker,
            self.group_commit,
        )
        self.controller = Controller(self, self.data_dir.path)
        self.groups = GroupCoordinator(self)
        self.maintenance = Maintenance(self, self._environment, self._sync_worker, self._file_worker)
        self.unsent = UnsentOutput(self.config.ottla_response_memory_max_bytes)
        self._server = self._make_server()
        self.advertised_address: tuple[str, int] = ("", -1)
        self._loading: asyncio.Task[None] | None = None

    @property
    def image(self) -> MetadataImage:
        """What the cluster knows at this moment."""
        return self.controller.image

    @property
    def serves_consumer_protocol(self) -> bool:
        """Whether groups may use the protocol of KIP-848 (`group.coordinator.rebalance.protocols`)."""
        return "consumer" in self.config.group_coordinator_rebalance_protocols

    def group_configs(self, group_id: str) -> Mapping[str, str]:
        """The dynamic configuration of one group (KIP-848)."""
        return self.image.group_configs(group_id)

    async def reconfigure(self) -> None:
        """Apply changed dynamic broker configuration (KIP-226).

        It was checked when it was set, but the settings of the last start may have changed since: what
        contradicts them is left out, as in Kafka.
        """
        layers = BrokerLayers(
            static=self.settings.layers.static,
            dynamic_default=dict(self.image.broker_configs("")),
            dynamic=dict(self.image.broker_configs(str(self.node_id))),
        )
        try:
            self.settings = BrokerSettings(broker_config(layers), layers)
        except ConfigError as error:
            log.error("the dynamic broker configuration has no effect: %s", error)
            return
        self.config = self.settings.config
        self._environment.producer_id_expiration_ms = self.config.producer_id_expiration_ms
        self.partitions.broker_reconfigured(self.config, self.image.topics.values())
        self.groups.reconfigure(self.config)
        self.maintenance.reconfigure()
        await self._server.reconfigure(_listener_limits(self.config))

    def _make_server(self) -> Server:
        config = self.config
        shared = Shared(
            Router(self, APIS),
            ConnectionLimits(
                frame_max_bytes=config.socket_request_max_bytes,
                requests_in_flight_max=config.ottla_requests_in_flight_max,
                response_buffer_max_bytes=config.ottla_response_buffer_max_bytes,
            ),
            RequestMemory(config.ottla_request_memory_max_bytes),
            self.unsent,
            _RECEIVE_BUFFER_BYTES,
            self._readers,
        )
        return Server(shared, _listener_limits(config))

    # -- life cycle

    async def start(self) -> tuple[str, int]:
        """Open the data folder, the logs and the listener; returns the address that clients connect to.

        Raises OSError for an address in use, DataDirError and DirectoryLockedError for the folder, StoreError
        for the metadata.
        """
        try:
            return await self._start()
        except BaseException:
            await self._abandon_start()
            raise

    async def _abandon_start(self) -> None:
        """Give back what a failed start has taken, and leave the folder as after a crash."""
        await self._stop_work()
        for partition in self.partitions:
            partition.log.close(flush=False)
        self.data_dir.release()

    async def _start(self) -> tuple[str, int]:
        self.cluster_id = self.data_dir.open(self.node_id, _new_id(), _new_id())
        listener = self.config.listeners[0]
        host, port = await self._server.start(listener.host, listener.port)
        self.advertised_address = await self._advertised(port)
        await self.controller.start(self.advertised_address)
        if self.image.broker_overrides:
            await self.reconfigure()
        self.data_dir.begin()
        self.partitions.clear_folders(self.image.topics)
        now_ms = self.clock.now_ms()
        for topic in self.image.topics.values():
            await self.partitions.open_topic(topic, now_ms)
        self._loading = asyncio.get_running_loop().create_task(self._load_groups())
        self.maintenance.start()
        await self._server.serve()
        return host, port

    async def _advertised(self, port: int) -> tuple[str, int]:
        listener = self.config.advertised_listeners[0]
        # A name server may be asked for it, which takes its time.
        host = listener.host or await asyncio.to_thread(socket.getfqdn)
        return host, listener.port or port

    async def _load_groups(self) -> None:
        await self.groups.load(self.partitions.of_topic(OFFSETS_TOPIC))

    async def stop(self) -> None:
        """Answer no more, sync and close everything; the next start reads no logs then."""
        await self._stop_work()
        clean = self.partitions.close()
        self.data_dir.close(self.partitions, clean=clean)

    async def _stop_work(self) -> None:
        """End all tasks and threads."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])
        self.groups.stop()
        await self._server.stop()
        await self.controller.stop()
        await self.maintenance.stop()
        await self.group_commit.finish()
        self._sync_worker.shutdown()
        self._file_worker.shutdown()
        self._readers.shutdown(cancel_futures=True)


def _listener_limits(config: BrokerConfig) -> ListenerLimits:
    return ListenerLimits(
        max_connections=config.max_connections,
        max_connections_per_ip=config.max_connections_per_ip,
        max_connections_per_ip_overrides=config.max_connections_per_ip_overrides,
        idle_max_ms=config.connections_max_idle_ms,
        stalled_max_ms=config.ottla_request_stalled_ms,
        backlog=config.socket_listen_backlog_size,
        send_buffer_bytes=config.socket_send_buffer_bytes,
        receive_buffer_bytes=config.socket_receive_buffer_bytes,
    )


def _new_id() -> str:
    """A random id in Kafka's text form: 22 characters of URL-safe base64."""
    while True:
        text = base64.urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode()
        if not text.startswith("-"):
            return text


def _open_files(wanted: int) -> int:
    """How many of the process's descriptors logs may keep open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(64, min(wanted, limit - _DESCRIPTORS_BESIDE_LOGS))
