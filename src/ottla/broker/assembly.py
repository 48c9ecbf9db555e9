"""The broker as a whole: puts the parts together, starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ottla.broker.apis import APIS, binder
from ottla.broker.coordinators import Coordinators
from ottla.broker.host import Host, this_host
from ottla.broker.membership import Alone, Member, Membership, registration_of
from ottla.broker.opening import Opening
from ottla.broker.protection import Protection
from ottla.broker.quotas import ClientQuotas
from ottla.broker.request import Route, ServedApi
from ottla.broker.router import RequestLimits, Router
from ottla.broker.services import (
    ClusterServices,
    ConfigServices,
    GroupServices,
    Node,
    NoServices,
    QuotaServices,
    RecordServices,
    TelemetryServices,
    TopicServices,
    TransactionServices,
)
from ottla.broker.telemetry import make_telemetry
from ottla.config.broker import BrokerConfig
from ottla.config.current import CurrentConfig
from ottla.config.layers import BrokerLayers
from ottla.controller.access import AccessController
from ottla.controller.commit import Committer
from ottla.controller.configs import ConfigController, DynamicConfig
from ottla.controller.features import FeatureController
from ottla.controller.isr import IsrController
from ottla.controller.producer_ids import ProducerIds
from ottla.controller.publisher import Publisher
from ottla.controller.quotas import QuotaController
from ottla.controller.replicas import ReplicaController
from ottla.controller.topics import InternalTopics, TopicController
from ottla.metadata.image import MetadataImage
from ottla.network.connection import Shared
from ottla.network.memory import ConnectionLimits, RequestMemory, UnsentOutput
from ottla.network.server import Server
from ottla.replica.compaction import Compaction
from ottla.replica.data_dirs import DataDirs
from ottla.replica.failures import DiskFailures
from ottla.replica.fetch_sessions import FetchSessions
from ottla.replica.fetchers import Fetchers
from ottla.replica.folders import LogFolders
from ottla.replica.group_commit import GroupCommit
from ottla.replica.isr_watch import IsrWatch
from ottla.replica.log_moves import LogMoves
from ottla.replica.maintenance import Maintenance
from ottla.replica.membership import Rejoining
from ottla.replica.partitions import Partitions
from ottla.replica.throttles import follower_throttle, leader_throttle
from ottla.storage.environment import LogEnvironment

if TYPE_CHECKING:
    from ottla.broker.monitoring.monitor import Monitor
    from ottla.broker.telemetry.telemetry import Telemetry
    from ottla.network.peers import Peers

log = logging.getLogger(__name__)

_RECEIVE_BUFFER_BYTES = 256 * 1024
_READERS = 4
"""Threads for consumers of what is not in the page cache; each reads 2 MiB at a time."""
_SESSION_EVICTABLE_AFTER_MS = 120_000
"""Kafka's fixed `min.incremental.fetch.session.eviction.ms`."""


class BrokerSettings(NamedTuple):
    """What a broker is started with: the typed configuration, and the layers it came from."""

    config: BrokerConfig
    layers: BrokerLayers


class Broker:
    """One node, in one event loop; worker threads only sync, compact, remove files and wait for cold ones."""

    def __init__(self, settings: BrokerSettings, host: Host | None = None) -> None:
        config = settings.config
        host = host or this_host()
        self._host = host
        self._shares_store = host.shares_store or config.ottla_metadata_store is not None
        self.current = CurrentConfig(config, settings.layers)
        self.clock = host.clock
        self.node = Node(config.node_id, config.broker_rack)
        self._incarnation = host.new_uuid()
        self._sync_worker = host.make_executor(1, "ottla-sync")
        self._file_worker = host.make_executor(1, "ottla-files")
        self._cleaner = host.make_executor(1, "ottla-cleaner")
        self._readers = host.make_executor(_READERS, "ottla-read")
        fs = host.open_fs(config.ottla_open_files_max)
        self.data_dirs = DataDirs(fs, config.log_dirs, config.metadata_log_dir, host.boot_id)
        self._environment = LogEnvironment(
            fs, host.random, max_decoded_batch_bytes=config.ottla_decompressed_batch_max_bytes
        )
        self.group_commit = GroupCommit(self._sync_worker)
        self._store = host.make_store(self.data_dirs.metadata.path, config)
        self.metadata = Publisher(self._store)
        self._committer = Committer(self._store, self.metadata)
        self._membership = self._make_membership()
        self._dynamic_config = DynamicConfig(self.current, self.node.node_id, self._reconfigure)
        self._folders = LogFolders(
            self.data_dirs,
            self._environment,
            host.new_uuid,
            host.clock,
            config.node_id,
            self._file_worker,
        )
        self._isr_controller = IsrController(self._store, self.metadata, config.node_id, self._own_epoch)
        self._isr_watch = IsrWatch(
            config.node_id, self.metadata, self._isr_controller, self.current, host.clock
        )
        self.leader_throttle = leader_throttle(config.node_id, self.current, host.clock)
        self._fetchers = self._make_fetchers()
        self.partitions = self._make_partitions()
        self._disk_failures = DiskFailures(self.partitions, self.data_dirs, self._sync_worker)
        self._environment.note_failure = self._disk_failures.note
        self.log_moves = self._make_log_moves()
        self._producer_ids = ProducerIds(self._store)
        self._coordinators = self._make_coordinators()
        self.groups, self.transactions = self._coordinators.groups, self._coordinators.transactions
        self.maintenance = Maintenance(
            self.partitions,
            self.data_dirs,
            self._environment,
            Compaction(
                self.partitions,
                self.data_dirs,
                self._environment,
                self.metadata,
                self.current,
                host.clock,
                self._cleaner,
            ),
            self.current,
            host.clock,
            self._sync_worker,
            self._file_worker,
            self._reopen_partitions,
        )
        self._unsent = UnsentOutput(config.ottla_response_memory_max_bytes)
        self._request_memory = RequestMemory(config.request_memory_max_bytes)
        self._quotas = ClientQuotas(config, host.clock)
        self._router = self._make_router()
        self._server = self._make_server()
        self._loading: asyncio.Task[None] | None = None

    def _make_membership(self) -> Membership:
        node_id = self.node.node_id
        if not self._shares_store:
            new_id = self._host.new_id
            return Alone(node_id, self._store, self.metadata, self.data_dirs, new_id, self.current)
        return Member(
            node_id, self._store, self.metadata, self.data_dirs, self._host.new_id, self.current, self.clock
        )

    def _make_coordinators(self) -> Coordinators:
        client_id = f"broker-{self.node.node_id}-transactions"
        return Coordinators(
            self.partitions,
            self.metadata,
            self.current,
            self._host,
            self.group_commit,
            self._producer_ids,
            lambda peer: self.peers.channel(peer, client_id),
        )

    @cached_property
    def peers(self) -> Peers:
        """The other brokers."""
        from ottla.broker.peering import make_peers  # there are none where this one is alone

        return make_peers(self._host, self.current, self.metadata)

    def _make_partitions(self) -> Partitions:
        return Partitions(
            self.data_dirs,
            self._folders,
            self.config,
            self.group_commit,
            self.node.node_id,
            self._isr_watch,
            self._fetchers,
        )

    def _make_fetchers(self) -> Fetchers:
        node_id = self.node.node_id
        return Fetchers(
            node_id,
            lambda leader: self.peers.channel(leader, f"broker-{node_id}-fetcher"),
            self._own_epoch,
            self._checkpoint,
            self.group_commit,
            follower_throttle(node_id, self.current, self.clock),
            self.current,
            self.clock,
        )

    def _make_log_moves(self) -> LogMoves:
        return LogMoves(
            self.partitions,
            self._folders,
            self.data_dirs,
            self.metadata,
            self.current,
            self.clock,
            self._sync_worker,
            self._checkpoint,
        )

    @cached_property
    def _protection(self) -> Protection:
        client_id = f"broker-{self.node.node_id}-audit"
        return Protection(
            self._host,
            self.current,
            self.metadata,
            TopicController(self._committer, self.current, self._host.new_uuid),
            self.partitions,
            lambda peer: self.peers.channel(peer, client_id),
            self._readers,
        )

    @cached_property
    def _telemetry(self) -> Telemetry | None:
        return make_telemetry(self.current, self._host, self.metadata, self._readers)

    def _make_router(self) -> Router:
        config, clock = self.config, self.clock
        limits = RequestLimits(config.ottla_request_max_bytes, config.ottla_request_max_elements)
        return Router(APIS, self._binder(), limits, clock.now_ms, clock.monotonic_s, self._quotas)

    def _make_server(self) -> Server:
        config = self.config
        shared = Shared(
            self._router,
            ConnectionLimits(
                frame_max_bytes=config.socket_request_max_bytes,
                requests_in_flight_max=config.ottla_requests_in_flight_max,
                response_buffer_max_bytes=config.ottla_response_buffer_max_bytes,
            ),
            self._request_memory,
            self._unsent,
            _RECEIVE_BUFFER_BYTES,
            self._readers,
        )
        return Server(
            shared, config, self._host.bind, self._host.addresses_of, self._protection.sasl_listeners
        )

    def _binder(self) -> Callable[[ServedApi], Route]:
        """Gives every API what its family uses."""
        node, config, metadata, quotas = self.node, self.current, self.metadata, self._quotas
        topics = TopicController(self._committer, config, self._host.new_uuid)
        sessions = FetchSessions(
            config.value.max_incremental_fetch_session_cache_slots,
            _SESSION_EVICTABLE_AFTER_MS,
            lambda: self._host.random.randrange(1, 2**31),
        )
        self._isr_watch.answer_followers = sessions.answer_followers
        return binder(
            self._protection.authorization,
            self._protection.trail,
            RecordServices(
                metadata=metadata,
                partitions=self.partitions,
                followers=self._isr_watch,
                sessions=sessions,
                group_commit=self.group_commit,
                unsent=self._unsent,
                transactions=self._coordinators.transaction_partitions,
                leader_throttle=self.leader_throttle,
                quotas=quotas,
                request_memory=self._request_memory,
                config=config,
            ),
            TopicServices(
                node=node, config=config, sources=config, metadata=metadata, topics=topics, quotas=quotas
            ),
            ConfigServices(
                node=node, config=config, metadata=metadata, configs=ConfigController(self._committer, config)
            ),
            GroupServices(
                node=node,
                config=config,
                replica_config=config,
                metadata=metadata,
                groups=self.groups,
                transactions=self._coordinators.transaction_partitions,
                internal_topics=InternalTopics(
                    topics, metadata, config, config, in_cluster=self._shares_store
                ),
            ),
            TransactionServices(
                producer_ids=self._producer_ids,
                markers=self._coordinators.local_markers,
                transactions=self.transactions,
                metadata=metadata,
                groups_config=config,
            ),
            ClusterServices(
                node=node,
                metadata=metadata,
                features=FeatureController(self._committer),
                replicas=ReplicaController(self._committer, config),
                partitions=self.partitions,
                log_moves=self.log_moves,
                data_dirs=self.data_dirs,
                config=config,
                has_telemetry=self._telemetry is not None,
            ),
            TelemetryServices(self._telemetry),
            *self._protection.services(AccessController(self._committer)),
            QuotaServices(metadata, QuotaController(self._committer), self._host.addresses_of),
            NoServices(),
        )

    # -- what the controller and the coordinators see of the broker

    @property
    def config(self) -> BrokerConfig:
        """The configuration in force."""
        return self.current.value

    @property
    def image(self) -> MetadataImage:
        """What the cluster knows at this moment."""
        return self.metadata.image

    @cached_property
    def monitor(self) -> Monitor:
        """What is shown of it; from the start on."""
        from ottla.broker.monitoring.monitor import broker_monitor  # only where somebody looks

        client_id = f"broker-{self.node.node_id}-monitor"
        return broker_monitor(
            self.node.node_id,
            self._router,
            self._server,
            self.partitions,
            self.data_dirs,
            self._isr_controller,
            self.metadata,
            self.groups,
            lambda peer: self.peers.channel(peer, client_id),
            self.clock,
            self._readers,
        )

    # -- following the metadata

    async def _reconfigure(self, config: BrokerConfig, image: MetadataImage) -> None:
        """Have those follow a changed dynamic configuration that do not look at `current` each time."""
        self.partitions.broker_reconfigured(config, image.topics.values())
        self._coordinators.reconfigure(config)
        self.maintenance.reconfigure()
        await self._server.reconfigure(config)

    async def _checkpoint(self) -> None:
        await self.maintenance.checkpoint()
        await self.maintenance.checkpoint_log_starts()

    async def _reopen_partitions(self) -> None:
        """Try again to open the partitions that could not be opened."""
        await self._disk_failures.try_again()
        async with self.metadata.paused() as image:
            await self.partitions.reopen(image.topics.values())
        await self._coordinators.load()

    # -- life cycle

    async def start(self) -> tuple[str, int]:
        """Open the data folders, the logs and the listeners; returns the address of the first listener.

        Raises OSError for an address in use, DataDirError and DirectoryLockedError for a folder, StoreError
        for the metadata.
        """
        try:
            return await self._start()
        except BaseException:
            await self._abandon_start()
            raise

    async def _abandon_start(self) -> None:
        """Give back what a failed start has taken, and leave the folders as after a crash."""
        await self._stop_work()
        for partition in self.partitions:
            partition.log.close(flush=False)
        self.data_dirs.release()

    async def _start(self) -> tuple[str, int]:
        config, node = self.config, self.node
        if self._shares_store:
            _ = self.peers  # what is wrong with how they are to be reached is told now
        node.cluster_id = await self._membership.open()
        bound = await self._server.start(config.listeners)
        for listener in config.advertised_listeners:
            if listener.name in bound:
                # A name server may be asked for our name, which takes its time.
                host = listener.host or await self._own_name()
                node.addresses[listener.name] = host, listener.port or bound[listener.name][1]
        registration = registration_of(
            node,
            config.advertised_listeners,
            self._incarnation,
            self.data_dirs.metadata.directory_id,
            is_fenced=self._shares_store,
        )
        await self._membership.announce(registration)
        image = await self._membership.when_reached(self.metadata.load)
        if image.broker_overrides:
            await self._dynamic_config.load(image)
        members = self._membership.subscribers(self.partitions)
        self._quotas.limit_rates = self._server.limit_rates
        await self._quotas.follow(image)
        await Opening(
            node.node_id,
            self._store,
            self._membership,
            self.data_dirs,
            self._folders,
            self.partitions,
            self.log_moves,
        ).open(image)
        self.metadata.start(
            [
                self._dynamic_config,
                self._quotas,
                self.partitions,
                self._fetchers,
                Rejoining(self.partitions, self.clock),
                self.maintenance,
                self._coordinators,
                *members,
            ]
        )
        self._loading = asyncio.get_running_loop().create_task(self._coordinators.load())
        self._disk_failures.start()
        self._protection.start(AccessController(self._committer))
        self.maintenance.start()
        await self._membership.join(registration, self._server.serve)
        return bound[config.listeners[0].name]

    def _own_epoch(self) -> int:
        """Of this broker's registration, negative without one."""
        return self._membership.epoch

    async def _own_name(self) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._host.name)

    async def stop(self) -> None:
        """Answer no more, sync and close everything; the next start reads no logs then."""
        await self._membership.hand_over()
        await self._stop_work()
        self.data_dirs.close(self.partitions, self.partitions.close(), self._own_epoch())

    async def _stop_work(self) -> None:
        """End all tasks and threads."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])
        await self._coordinators.stop()
        await self._server.stop()
        await self._protection.stop()
        if self._telemetry is not None:
            await self._telemetry.stop()
        await self._fetchers.stop()
        self._isr_watch.stop()
        await self._isr_controller.stop()
        await self._committer.stop()
        await self.metadata.stop()
        await self._membership.stop()
        await self._store.close()
        await self.log_moves.stop()
        await self.maintenance.stop()
        await self._disk_failures.stop()
        await self.group_commit.finish()
        self._sync_worker.shutdown()
        self._file_worker.shutdown()
        self._cleaner.shutdown()
        self._readers.shutdown(cancel_futures=True)
