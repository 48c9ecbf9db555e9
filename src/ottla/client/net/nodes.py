"""The connections to the nodes of a cluster: made when they are needed, given up when they idle or fail."""

from __future__ import annotations

import asyncio
import contextlib
from typing import NamedTuple

from ottla.client.core.backoff import Backoff
from ottla.client.core.metadata import BrokerNode, ClusterMetadata
from ottla.client.errors import AuthenticationError, BrokerUnreachableError, ClientClosedError, ClientError
from ottla.client.net.connection import NEVER, Connection, connect, mechanism_of
from ottla.client.net.host import Host
from ottla.client.net.tls import context_of
from ottla.client.settings import ClientSettings, address_of


class _Failures(NamedTuple):
    """How often in a row connecting failed, and until when it is not tried again."""

    in_a_row: int
    until: float


class Nodes:
    """Nodes by id; the addresses of `bootstrap.servers` have negative ids, as nobody knows who they are."""

    def __init__(self, settings: ClientSettings, host: Host) -> None:
        self._settings = settings
        self._host = host
        self._rebootstraps = settings.metadata_recovery_strategy == "rebootstrap"
        self._context = context_of(settings)
        self._backoff = Backoff(settings.reconnect_backoff_ms, settings.reconnect_backoff_max_ms)
        self._bootstrap = {
            -1 - place: BrokerNode(-1 - place, *address_of(server))
            for place, server in enumerate(settings.bootstrap_servers)
        }
        self._connections: dict[tuple[int, str], Connection] = {}
        self._connecting: dict[tuple[int, str], asyncio.Task[Connection]] = {}
        self._renewing: dict[asyncio.Task[None], None] = {}
        self._failures: dict[int, _Failures] = {}
        self._is_closed = False

    @property
    def is_connected(self) -> bool:
        """Whether any is open."""
        return any(connection.error is None for connection in self._connections.values())

    def open_connection(self, node: int, lane: str) -> Connection | None:
        """The one to this node, where it is open and takes requests."""
        connection = self._connections.get((node, lane))
        return connection if connection is not None and connection.is_ready else None

    def least_busy(self, metadata: ClusterMetadata, lane: str) -> Connection | None:
        """Of those that are open to the cluster's nodes."""
        connections = (self.open_connection(node, lane) for node in metadata.brokers)
        return min(filter(None, connections), key=lambda each: each.in_flight, default=None)

    async def connect(self, node: int, metadata: ClusterMetadata, lane: str) -> Connection:
        """A connection to this node, after its back-off where it failed before. Who asks for one that is
        being made waits for that one. BrokerUnreachableError, AuthenticationError.
        """
        connection = self._connections.get((node, lane))
        if connection is not None:
            await connection.ready()
            if connection.error is None:
                return connection
        target = metadata.brokers.get(node) or self._bootstrap.get(node)
        if target is None:
            raise BrokerUnreachableError(f"broker {node}: its address is not known")
        task = self._connecting.get((node, lane))
        if task is None:
            believed = metadata.cluster_id if self._rebootstraps else None
            task = asyncio.create_task(self._connect(target, believed, lane))
            self._connecting[node, lane] = task
            task.add_done_callback(lambda done: self._connected((node, lane), done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled() and self._is_closed:
                raise ClientClosedError("the client was closed") from None
            raise

    async def any(self, metadata: ClusterMetadata, lane: str) -> Connection:
        """A connection to a node that can be reached: the cluster's known ones in random order, those that
        failed lately last, then the bootstrap addresses (KIP-899). BrokerUnreachableError when none can.
        """
        known = list(metadata.brokers)
        self._host.random.shuffle(known)
        known.sort(key=self._failed)
        reasons: list[str] = []
        for node in [*known, *(self._bootstrap if self._rebootstraps or not known else ())]:
            try:
                return await self.connect(node, metadata, lane)
            except AuthenticationError:
                raise
            except BrokerUnreachableError as error:
                reasons.append(str(error))
        raise BrokerUnreachableError("no broker can be reached: " + "; ".join(dict.fromkeys(reasons)))

    def renew(self, within_s: float) -> None:
        """Those whose session is about to end within this time tell again who we are (KIP-368)."""
        soon = asyncio.get_running_loop().time() + within_s
        for connection in self._connections.values():
            if connection.error is None and connection.renew_at <= soon:
                connection.renew_at = NEVER
                task = asyncio.create_task(self._renew(connection))
                self._renewing[task] = None
                task.add_done_callback(self._renewing.pop)

    async def _renew(self, connection: Connection) -> None:
        settings = self._settings
        timeout_s = settings.socket_connection_setup_timeout_ms / 1000
        try:
            mechanism = await mechanism_of(settings, self._host)
        except (ClientError, OSError):  # a token that cannot be had now; until the session ends there is time
            connection.renew_at = asyncio.get_running_loop().time()
            return
        with contextlib.suppress(ClientError, TimeoutError):  # whoever needs the next connection is told
            await connection.authenticate_again(settings.sasl_mechanism, mechanism, timeout_s)

    def close_idle(self, idle_s: float) -> None:
        """Those over which nothing has gone for so long."""
        before = asyncio.get_running_loop().time() - idle_s
        for key, connection in tuple(self._connections.items()):
            if connection.error is not None or (not connection.in_flight and connection.last_used < before):
                self._drop(key)

    def close_lane(self, lane: str) -> None:
        for key in tuple(self._connections):
            if key[1] == lane:
                self._drop(key)

    def forget_all(self) -> None:
        """Begin anew from the bootstrap addresses."""
        for key in tuple(self._connections):
            self._drop(key)
        self._failures.clear()

    async def close(self) -> None:
        self._is_closed = True
        tasks = (*self._connecting.values(), *self._renewing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.forget_all()
        await asyncio.sleep(0)  # sockets are closed in the loop's next turn

    def _drop(self, key: tuple[int, str]) -> None:
        self._connections.pop(key).close()

    def _failed(self, node: int) -> int:
        failures = self._failures.get(node)
        return 0 if failures is None else failures.in_a_row

    async def _connect(self, target: BrokerNode, cluster_id: str | None, lane: str) -> Connection:
        node = target.node_id
        loop = asyncio.get_running_loop()
        failures = self._failures.get(node)
        if failures is not None:
            await asyncio.sleep(max(0.0, failures.until - loop.time()))
        try:
            connection = await connect(target, self._settings, self._host, self._context, cluster_id)
        except ClientError:
            count = self._failed(node) + 1
            delay_ms = self._backoff.delay_ms(count, self._host.random.random())
            self._failures[node] = _Failures(count, loop.time() + delay_ms / 1000)
            raise
        self._failures.pop(node, None)
        self._connections[node, lane] = connection
        return connection

    def _connected(self, key: tuple[int, str], task: asyncio.Task[Connection]) -> None:
        del self._connecting[key]
        if not task.cancelled():
            task.exception()  # who waited has it; there may be nobody
