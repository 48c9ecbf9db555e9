"""A cluster as a client sees it: its connections, what is known of it, and requests to its nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from ottla.client.core.backoff import Backoff
from ottla.client.core.connection import Buffer, decode_body
from ottla.client.core.metadata import BrokerNode, ClusterMetadata, Leader, TopicView
from ottla.client.errors import (
    BrokerUnreachableError,
    ClientClosedError,
    ClientError,
    ConfigurationError,
    ForkedError,
    RequestTimeoutError,
    broker_error,
)
from ottla.client.net.connection import Connection
from ottla.client.net.coordinators import CoordinatorFinder, CoordinatorKind
from ottla.client.net.host import Host, this_host
from ottla.client.net.nodes import Nodes
from ottla.client.net.refreshes import Refreshes
from ottla.client.settings import ClientSettings
from ottla.protocol import wire
from ottla.protocol.errors import EncodeError, ErrorCode
from ottla.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from ottla.protocol.structs import Struct

T = TypeVar("T")
R = TypeVar("R", bound=Struct)

MAIN_LANE: Final = "main"
"""Each lane has a connection of its own to a node. A broker answers a connection's requests one after the
other, so what may be held back (Fetch, JoinGroup) takes a lane of its own."""

_UPKEEP_S: Final = 1.0


class Follower(Protocol):
    """Who goes by the cluster's metadata for a time: a producer, a consumer."""

    def topics_wanted(self) -> Iterable[str] | None:
        """What each refresh is to ask for; None for all topics."""

    def metadata_changed(self, metadata: ClusterMetadata) -> None:
        """Called after each change, which may be one of a leader's epoch alone."""


class Cluster:
    """One for a client object; its producers, consumers and admin calls share it.

    Methods raise `ClientError` kinds. Nothing is tried again by itself, but for what `retrying` is given.
    """

    def __init__(self, settings: ClientSettings, host: Host | None = None) -> None:
        self.settings = settings
        self.host = this_host() if host is None else host
        self.metadata = ClusterMetadata()
        self.retry_backoff = Backoff(settings.retry_backoff_ms, settings.retry_backoff_max_ms)
        self._process_id = self.host.process_id()
        self._nodes = Nodes(settings, self.host)
        self._refreshes = Refreshes(self._fetch_metadata, self._refresh_delay_s)
        self._followers: list[Follower] = []
        self._finder = CoordinatorFinder(self.send)
        self._coordinators: dict[tuple[CoordinatorKind, str], int] = {}
        self._refreshed_at = 0.0
        self._upkeep: asyncio.Task[None] | None = None
        self._is_closed = False

    async def start(self) -> None:
        """Find the cluster behind `bootstrap.servers`; BrokerUnreachableError tells why each failed."""
        if not self.settings.bootstrap_servers:
            raise ConfigurationError("bootstrap.servers names no broker")
        try:
            await self.refresh()
        except BaseException:
            await self.close()
            raise
        self._upkeep = asyncio.create_task(self._keep_up(), name="ottla-client-upkeep")

    async def close(self) -> None:
        """Close all connections; what waits for answers fails with ClientClosedError."""
        self._is_closed = True
        tasks = [*self._refreshes.stop(), *self._finder.stop(), *filter(None, [self._upkeep])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._nodes.close()

    # Requests.

    async def send(
        self,
        request: Struct,
        response_class: type[R],
        *,
        node: int | None = None,
        timeout_ms: int | None = None,
        lane: str = MAIN_LANE,
        min_version: int | None = None,
        max_version: int | None = None,
    ) -> R:
        """One request and its answer, at the newest version that both sides speak. `node` None: whichever is
        least busy. What the answer says of errors is the caller's to look at.
        """
        connection = await self.connection(node, lane)
        version = connection.versions.need(type(request).__key__, min_version, max_version)
        try:
            body = [wire.encode(request, version)]
        except EncodeError as error:
            raise ClientError(f"this cannot be sent: {error}") from error
        answer = await self._exchange(connection, type(request).__key__, version, body, timeout_ms)
        return decode_body(response_class, version, answer)

    async def exchange(
        self,
        api_key: int,
        write: Callable[[int], Sequence[Buffer]],
        *,
        node: int,
        timeout_ms: int | None = None,
        lane: str = MAIN_LANE,
        min_version: int | None = None,
        max_version: int | None = None,
    ) -> tuple[int, memoryview]:
        """As `send` for what is encoded and decoded by hand: `write` gives the body at a version, in pieces
        that are not copied here. The version, and the answer behind its header.
        """
        connection = await self.connection(node, lane)
        version = connection.versions.need(api_key, min_version, max_version)
        return version, await self._exchange(connection, api_key, version, write(version), timeout_ms)

    async def _exchange(
        self,
        connection: Connection,
        api_key: int,
        version: int,
        body: Sequence[Buffer],
        timeout_ms: int | None,
    ) -> memoryview:
        timeout_s = (self.settings.request_timeout_ms if timeout_ms is None else timeout_ms) / 1000
        return await connection.request(api_key, version, body, timeout_s)

    async def connection(self, node: int | None, lane: str = MAIN_LANE) -> Connection:
        """An open connection to a node; to whichever is least busy for None, known brokers first, then those
        of `bootstrap.servers`. Waits out a back-off after failures.
        """
        self.check_usable()
        if node is not None:
            connection = self._nodes.open_connection(node, lane)
            return connection or await self._nodes.connect(node, self.metadata, lane)
        connection = self._nodes.least_busy(self.metadata, lane)
        return connection or await self._nodes.any(self.metadata, lane)

    def open_connection(self, node: int, lane: str = MAIN_LANE) -> Connection | None:
        """The connection to a node where there is an open one."""
        return self._nodes.open_connection(node, lane)

    @property
    def is_connected(self) -> bool:
        """Whether any connection is open."""
        return self._nodes.is_connected

    async def version(self, node: int, api_key: int) -> int | None:
        """The newest version of an API that a node and this client both speak; None where it has none."""
        return (await self.connection(node)).versions.newest(api_key)

    def close_lane(self, lane: str) -> None:
        """Close the connections of a lane that is not used any more."""
        self._nodes.close_lane(lane)

    async def retrying(self, attempt: Callable[[], Awaitable[T]], *, timeout_ms: int | None = None) -> T:
        """The result of `attempt`, which is called again after each retriable error, with back-off, and with
        a refresh where the error asks for one. When `timeout_ms` (`default.api.timeout.ms`) are over: the
        last error, or RequestTimeoutError.
        """
        limit_ms = self.settings.default_api_timeout_ms if timeout_ms is None else timeout_ms
        deadline = self._now_s() + limit_ms / 1000
        failures = 0
        last: ClientError | None = None
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await attempt()
            except TimeoutError as error:
                if not isinstance(error, ClientError):
                    raise last or RequestTimeoutError(f"not done within {limit_ms} ms") from None
                last = error
            except ClientError as error:
                last = error
            failures += 1
            delay_s = self.retry_backoff.delay_ms(failures, self.host.random.random()) / 1000
            if not last.retriable or self._now_s() + delay_s >= deadline:
                raise last
            if last.needs_refresh:
                self.stale()
            await asyncio.sleep(delay_s)

    # What is known.

    async def refresh(
        self, topics: Iterable[str] | None = (), *, allow_auto_creation: bool = False
    ) -> ClusterMetadata:
        """Ask for brokers, these topics (None: all), and those that followers want; calls at once share one.

        That a topic is not there is no error here: see `metadata.errors`.
        """
        self.check_usable()
        await self._refreshes.ask(topics, allow_auto_creation)
        return self.metadata

    async def topic(
        self, name: str, *, timeout_ms: int | None = None, allow_auto_creation: bool = False
    ) -> TopicView:
        """The topic as it is known, asked for until it is; its error where it is not there in time."""

        async def attempt() -> TopicView:
            view = self.metadata.topics.get(name)
            if view is not None:
                return view
            metadata = await self.refresh((name,), allow_auto_creation=allow_auto_creation)
            view = metadata.topics.get(name)
            if view is None:
                code = metadata.errors.get(name, ErrorCode.unknown_topic_or_partition)
                raise broker_error(code, what=f"topic {name}")
            return view

        return await self.retrying(attempt, timeout_ms=timeout_ms)

    def stale(self, topics: Iterable[str] = ()) -> None:
        """What is known proved old: refresh soon, in the background, and not more often than
        `retry.backoff.ms` allows."""
        if not self._is_closed:
            self._refreshes.ask_soon(topics)

    def moved(self, topic: str, partition: int, leader: Leader, endpoints: Iterable[BrokerNode] = ()) -> None:
        """Take in what a Produce or Fetch response says of a new leader (KIP-951)."""
        self._take(self.metadata.moved(topic, partition, leader, endpoints))

    def follow(self, follower: Follower) -> None:
        """Ask for this follower's topics in each refresh, and tell it of changes."""
        self._followers.append(follower)

    def unfollow(self, follower: Follower) -> None:
        self._followers.remove(follower)

    # Coordinators.

    async def coordinator(self, kind: CoordinatorKind, key: str, *, timeout_ms: int | None = None) -> int:
        """The node that coordinates a group or transaction; remembered until `forget_coordinator`. Asks again
        while there is none, for at most `timeout_ms` (`default.api.timeout.ms`).
        """
        known = self._coordinators.get((kind, key))
        if known is not None:
            return known
        return await self.retrying(lambda: self._find_coordinator(kind, key), timeout_ms=timeout_ms)

    def forget_coordinator(self, kind: CoordinatorKind, key: str) -> None:
        """After it turned out not to be it, or could not be reached."""
        self._coordinators.pop((kind, key), None)

    async def _find_coordinator(self, kind: CoordinatorKind, key: str) -> int:
        found = await self._finder.find(kind, key)
        self._take(self.metadata.with_brokers([BrokerNode(found.node_id, found.host, found.port)]))
        self._coordinators[kind, key] = found.node_id
        return found.node_id

    # Inside.

    def check_usable(self) -> None:
        """ForkedError in another process than the client's, ClientClosedError after its end."""
        if self.host.process_id() != self._process_id:
            raise ForkedError("this client was made before a fork; make a new one in each process")
        if self._is_closed:
            raise ClientClosedError("the client is closed")

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _refresh_delay_s(self) -> float:
        """Until a refresh that nobody waits for may go out."""
        delay_s = self.retry_backoff.delay_ms(1, self.host.random.random()) / 1000
        return max(0.0, self._refreshed_at + delay_s - self._now_s())

    def _is_refresh_due(self) -> bool:
        return self._now_s() - self._refreshed_at >= self.settings.metadata_max_age_ms / 1000

    async def _fetch_metadata(self, asked: frozenset[str] | None, allow_auto_creation: bool) -> None:
        """One refresh; ClientError where no broker answers it."""
        wanted: dict[str, None] | None = None if asked is None else dict.fromkeys(sorted(asked))
        for follower in self._followers:
            more = follower.topics_wanted()
            wanted = None if more is None or wanted is None else wanted | dict.fromkeys(more)
        topics = None if wanted is None else [MetadataRequestTopic(name=name) for name in wanted]
        request = MetadataRequest(topics=topics, allow_auto_topic_creation=allow_auto_creation)
        response = await self.send(request, MetadataResponse)
        if response.error_code == ErrorCode.rebootstrap_required:
            self._nodes.forget_all()
            self.metadata = ClusterMetadata()
        if response.error_code:
            raise broker_error(response.error_code, what="Metadata")
        was_due = self._is_refresh_due()
        self._refreshed_at = self._now_s()
        # Now and then, what nobody goes by is forgotten.
        keep = () if wanted is None else tuple(wanted) if was_due else None
        self._take(self.metadata.updated(response, keep))

    def _take(self, metadata: ClusterMetadata) -> None:
        if metadata is self.metadata:
            return
        self.metadata = metadata
        for follower in tuple(self._followers):
            follower.metadata_changed(metadata)

    async def _keep_up(self) -> None:
        """Close idle connections, and refresh what has grown old."""
        settings = self.settings
        while True:
            await asyncio.sleep(_UPKEEP_S)
            self._nodes.renew(_UPKEEP_S)
            if settings.connections_max_idle_ms >= 0:
                self._nodes.close_idle(settings.connections_max_idle_ms / 1000)
            if self._is_refresh_due():
                try:
                    await self.refresh()
                except (BrokerUnreachableError, RequestTimeoutError):
                    await asyncio.sleep(self.retry_backoff.max_ms / 1000)
                except ClientError:
                    self._refreshed_at = self._now_s()  # not at once again
