"""How a broker is in its cluster: alone, with a store of its own, or as one of several that share one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeVar

from ottla.controller.features import finalize_newest
from ottla.controller.registration import NEVER, agree_on_cluster_id, register
from ottla.controller.reports import FolderReports
from ottla.metadata.model import SUPPORTED_FEATURES, BrokerRegistration, Endpoint
from ottla.metadata.transaction import NO_LEASE
from ottla.replica.data_dir import DataDirError
from ottla.replica.membership import Standing
from ottla.store.etcd import SEEN_FILE_NAME
from ottla.store.interface import OutcomeUnknownError, StoreError, UnfitStoreError
from ottla.store.sqlite import FILE_NAME, MIGRATED_FILE_NAME

if TYPE_CHECKING:
    from uuid import UUID

    from ottla.broker.services import Node
    from ottla.clock import Clock
    from ottla.config.current import Current, CurrentConfig
    from ottla.config.listeners import Listener
    from ottla.config.replica import ReplicaConfig
    from ottla.controller.publisher import MetadataSubscriber, Publisher
    from ottla.controller.session import BrokerSession
    from ottla.replica.data_dirs import DataDirs
    from ottla.replica.partitions import Partitions
    from ottla.store.interface import Store

log = logging.getLogger(__name__)

_RETRY_S: Final = 0.5

R = TypeVar("R")
Serve: TypeAlias = Callable[[], Awaitable[None]]


def registration_of(
    node: Node, advertised: Iterable[Listener], incarnation: UUID, directory_id: str, *, is_fenced: bool
) -> BrokerRegistration:
    """What a process tells its cluster of itself."""
    listeners = {
        each.name: Endpoint(*node.addresses[each.name], each.protocol.value)
        for each in advertised
        if each.name in node.addresses
    }
    return BrokerRegistration(
        node.node_id,
        listeners,
        node.rack,
        incarnation,
        SUPPORTED_FEATURES,
        directory_id,
        is_fenced=is_fenced,
    )


class Membership(Protocol):
    """What differs between the two, in the order in which a broker starts and stops."""

    @property
    def epoch(self) -> int:
        """Of the registration, negative without one"""

    async def open(self) -> str:
        """Open the data folders and the store; returns the cluster's id.

        Raises DataDirError, DirectoryLockedError, StoreError.
        """

    async def when_reached(self, ask: Callable[[], Awaitable[R]]) -> R:
        """What the store gives; `ask` may be called several times."""

    async def announce(self, registration: BrokerRegistration) -> None:
        """Register before the metadata is read, where nobody else counts on this broker then."""

    def subscribers(self, partitions: Partitions) -> tuple[MetadataSubscriber, ...]:
        """Who is to follow the metadata, from before logs are opened on."""

    async def join(self, registration: BrokerRegistration, serve: Serve) -> None:
        """Register if that is not done, `serve` clients, and return when the cluster counts on this broker.

        Raises KafkaError: duplicate_broker_registration, kafka_storage_error.
        """

    async def hand_over(self) -> None:
        """Have others lead what this broker leads, as it is about to stop."""

    async def stop(self) -> None:
        """Be no member any more."""


async def open_alone(node_id: int, store: Store, folders: DataDirs, new_id: Callable[[], str]) -> str:
    """As `Membership.open`, of a node that is `Alone`."""
    found = folders.take(node_id, FILE_NAME)
    home = folders.metadata
    for name in (SEEN_FILE_NAME, MIGRATED_FILE_NAME):
        if home.has(name):
            raise DataDirError(
                f"{home.path} holds the data of a broker whose metadata is in a cluster's store, as "
                f"{name} in it says: name that store with --metadata (ottla.metadata.store)"
            )
    cluster_id = found or new_id()
    folders.format(cluster_id, node_id, new_id)
    await store.open()
    await finalize_newest(store)
    return cluster_id


class Alone:
    """Its store is in its data folder: what that refuses once, it will refuse again."""

    lease_id = NO_LEASE

    def __init__(
        self,
        node_id: int,
        store: Store,
        metadata: Publisher,
        data_dirs: DataDirs,
        new_id: Callable[[], str],
        config: Current[ReplicaConfig],
    ) -> None:
        self._node_id = node_id
        self._store = store
        self._data_dirs = data_dirs
        self._new_id = new_id
        self.epoch = NEVER
        # Nobody else could lead what is offline here.
        self._reports = FolderReports(
            store, metadata, self, node_id, tuple, lambda: data_dirs.are_all(config.value.cordoned_log_dirs)
        )

    async def open(self) -> str:
        return await open_alone(self._node_id, self._store, self._data_dirs, self._new_id)

    async def when_reached(self, ask: Callable[[], Awaitable[R]]) -> R:
        return await ask()

    async def announce(self, registration: BrokerRegistration) -> None:
        self.epoch = await register(self._store, registration)

    def subscribers(self, partitions: Partitions) -> tuple[MetadataSubscriber, ...]:  # noqa: ARG002
        return (self._reports,)

    async def join(self, registration: BrokerRegistration, serve: Serve) -> None:  # noqa: ARG002
        await self._reports.start()
        await serve()

    async def hand_over(self) -> None: ...

    async def stop(self) -> None:
        await self._reports.stop()


class Member:
    """One of several. Their store is elsewhere: while it cannot be reached, a broker that starts waits."""

    def __init__(
        self,
        node_id: int,
        store: Store,
        metadata: Publisher,
        data_dirs: DataDirs,
        new_id: Callable[[], str],
        config: CurrentConfig,
        clock: Clock,
    ) -> None:
        # What a broker that is alone does not need.
        from ottla.controller.controller import Controller
        from ottla.controller.session import BrokerSession
        from ottla.controller.topics import internal_factors

        self._node_id = node_id
        self._store = store
        self._metadata = metadata
        self._data_dirs = data_dirs
        self._new_id = new_id
        self._config = config
        self._session = BrokerSession(store, metadata, clock)
        self._reports: FolderReports | None = None
        self._controller = Controller(
            store,
            metadata,
            self._session,
            node_id,
            config,
            lambda: internal_factors(config.value, config.value),
        )

    @property
    def epoch(self) -> int:
        return self._session.epoch

    async def open(self) -> str:
        """The store knows whose folders they have to be."""
        store, folders = self._store, self._data_dirs
        found = folders.take(self._node_id, FILE_NAME)
        if folders.metadata.has(FILE_NAME):
            raise DataDirError(
                f"{folders.metadata.path} holds the data of a broker that was alone, with its metadata in "
                f"{FILE_NAME}: `ottla cluster migrate` copies it into the cluster's store"
            )
        proposed = found or self._new_id()
        await store.open()
        await self.when_reached(lambda: finalize_newest(store))
        cluster_id = await self.when_reached(lambda: agree_on_cluster_id(store, proposed))
        if found not in (None, cluster_id):
            raise DataDirError(
                f"{folders.metadata.path} holds the data of cluster {found}, but the metadata is that of "
                f"cluster {cluster_id}"
            )
        folders.format(cluster_id, self._node_id, self._new_id)
        return cluster_id

    async def when_reached(self, ask: Callable[[], Awaitable[R]]) -> R:
        refusal = ""
        while True:
            try:
                return await ask()
            except UnfitStoreError:
                raise
            except (StoreError, OutcomeUnknownError) as error:
                if refusal != str(error):
                    refusal = str(error)
                    log.warning("waiting for the metadata store: %s", refusal)
            await asyncio.sleep(_RETRY_S)

    async def announce(self, registration: BrokerRegistration) -> None:
        """Not before the logs are open."""

    def subscribers(self, partitions: Partitions) -> tuple[MetadataSubscriber, ...]:
        standing = Standing(self._node_id, partitions, self._metadata, lambda: self.epoch)
        self._session.tell(standing)
        self._session.tell(_RunNotes(self._data_dirs, self._session))
        reports = self._reports = FolderReports(
            self._store,
            self._metadata,
            self._session,
            self._node_id,
            lambda: partitions.offline,
            lambda: self._data_dirs.are_all(self._config.value.cordoned_log_dirs),
        )
        self._session.tell(reports)
        partitions.offline_changed = reports.changed
        return standing, self._session, self._controller, reports

    async def join(self, registration: BrokerRegistration, serve: Serve) -> None:
        epoch = self._data_dirs.runs.intact_epoch
        await self._session.start(registration, NEVER if epoch is None else epoch, self._config.value)
        self._controller.start()
        if self._reports is not None:
            await self._reports.start()
        await serve()
        await self._session.taken_back()

    async def hand_over(self) -> None:
        if self._config.value.controlled_shutdown_enable:
            await self._session.hand_over()

    async def stop(self) -> None:
        if self._reports is not None:
            await self._reports.stop()
        await self._controller.stop()
        await self._session.stop()


class _RunNotes:
    """Has the data folders say in which epoch this broker is, if that is another one."""

    def __init__(self, data_dirs: DataDirs, session: BrokerSession) -> None:
        self._data_dirs = data_dirs
        self._session = session
        self._noted = NEVER

    def lease_in_doubt(self) -> None:
        """It is in the same epoch, if the lease goes on."""

    def lease_renewed(self) -> None:
        if self._noted != self._session.epoch:
            self._noted = self._session.epoch
            self._data_dirs.runs.note(self._noted)
