"""Sends each of the things that a call is about where it belongs, and again where Kafka's clients do.

A `Route` finds the node of each: the controller, a coordinator, a partition's leader, a broker that is named.
What goes to one node goes there together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from ottla.client.admin.results import Results
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ClientError, RequestTimeoutError, broker_error
from ottla.client.net.cluster import Cluster
from ottla.client.net.coordinators import CoordinatorKind
from ottla.protocol.codes import Operation
from ottla.protocol.errors import ErrorCode
from ottla.protocol.structs import Struct

__all__ = [
    "ANYWHERE",
    "CONTROLLER",
    "LEADER",
    "Anywhere",
    "Calls",
    "Controller",
    "Coordinator",
    "Leader",
    "Named",
    "Route",
    "group_coordinator",
    "known",
    "operations",
    "outcome",
]

_NOT_ASKED: Final = -(1 << 31)

K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", contravariant=True)
V = TypeVar("V")
R = TypeVar("R", bound=Struct)

Node = int | None
"""A node's id; None for any."""

Ask = Callable[[Node, Sequence[K]], Awaitable[Mapping[K, V | ClientError]]]
"""One request to one node about several keys."""


class Route(Protocol[K_contra]):
    """Where a key's requests go, and which refusals tell that they should go again."""

    @property
    def retried(self) -> Collection[ErrorCode]: ...

    async def find(self, cluster: Cluster, key: K_contra) -> Node:
        """The key's node; raises `ClientError`."""

    async def prepare(self, cluster: Cluster, keys: Sequence[K_contra]) -> None:
        """Called before `find` for all keys of an attempt."""

    def failed(self, cluster: Cluster, key: K_contra) -> None:
        """The node was not the right one, or could not be reached."""


class Anywhere:
    """Whichever node is least busy."""

    retried: Collection[ErrorCode] = frozenset()

    async def find(self, cluster: Cluster, key: object) -> Node:  # noqa: ARG002
        return None

    async def prepare(self, cluster: Cluster, keys: Sequence[object]) -> None: ...

    def failed(self, cluster: Cluster, key: object) -> None: ...


class Controller(Anywhere):
    """The node that metadata names as controller: with KRaft any broker, which passes requests on."""

    retried = frozenset({ErrorCode.not_controller, ErrorCode.throttling_quota_exceeded})

    async def find(self, cluster: Cluster, key: object) -> Node:  # noqa: ARG002
        known = cluster.metadata.controller_id
        return known if known in cluster.metadata.brokers else None

    def failed(self, cluster: Cluster, key: object) -> None:  # noqa: ARG002
        cluster.stale()


class Named(Generic[K]):
    """The broker whose id the key is, or has: `node_of`."""

    retried: Collection[ErrorCode] = frozenset()

    def __init__(self, node_of: Callable[[K], int]) -> None:
        self._node_of = node_of

    async def prepare(self, cluster: Cluster, keys: Sequence[K]) -> None: ...

    def failed(self, cluster: Cluster, key: K) -> None: ...

    async def find(self, cluster: Cluster, key: K) -> Node:
        node = self._node_of(key)
        if node not in cluster.metadata.brokers:
            await cluster.refresh()
        if node not in cluster.metadata.brokers:
            raise broker_error(ErrorCode.broker_not_available, what=f"broker {node}")
        return node


class Coordinator:
    """The coordinator of a group or transaction: of the one that is given, or of each key."""

    retried = frozenset(
        {
            ErrorCode.coordinator_load_in_progress,
            ErrorCode.coordinator_not_available,
            ErrorCode.not_coordinator,
        }
    )

    def __init__(self, kind: CoordinatorKind, name: str | None = None) -> None:
        self._kind = kind
        self._name = name

    async def prepare(self, cluster: Cluster, keys: Sequence[object]) -> None: ...

    async def find(self, cluster: Cluster, key: object) -> Node:
        return await cluster.coordinator(self._kind, self._name_of(key))

    def failed(self, cluster: Cluster, key: object) -> None:
        cluster.forget_coordinator(self._kind, self._name_of(key))

    def _name_of(self, key: object) -> str:
        return str(key) if self._name is None else self._name


class Leader:
    """The leader of the partition that the key is. One that is not known yet is asked for again."""

    retried = frozenset(
        {
            ErrorCode.fenced_leader_epoch,
            ErrorCode.kafka_storage_error,
            ErrorCode.leader_not_available,
            ErrorCode.not_leader_or_follower,
            ErrorCode.offset_not_available,
            ErrorCode.replica_not_available,
            ErrorCode.unknown_leader_epoch,
            ErrorCode.unknown_topic_or_partition,
        }
    )

    async def prepare(self, cluster: Cluster, keys: Sequence[TopicPartition]) -> None:
        unknown = {key.topic: None for key in keys if cluster.metadata.leader_of(*key) is None}
        if unknown:
            await cluster.refresh(unknown)

    async def find(self, cluster: Cluster, key: TopicPartition) -> Node:
        leader = cluster.metadata.leader_of(*key)
        if leader is not None:
            return leader.node_id
        known = key.partition in cluster.metadata.partitions_of(key.topic)
        unknown = ErrorCode.leader_not_available if known else ErrorCode.unknown_topic_or_partition
        raise broker_error(
            cluster.metadata.errors.get(key.topic, unknown), what=f"{key.topic}-{key.partition}"
        )

    def failed(self, cluster: Cluster, key: TopicPartition) -> None:
        cluster.stale((key.topic,))


ANYWHERE: Final = Anywhere()
CONTROLLER: Final = Controller()
LEADER: Final = Leader()


def group_coordinator(group: str | None = None) -> Coordinator:
    """The coordinator of `group`, or of the groups that the keys are."""
    return Coordinator(CoordinatorKind.GROUP, group)


def outcome(code: int, value: V, reason: str | None = None, what: str | None = None) -> V | ClientError:
    """`value`, or the error of a code other than 0."""
    return broker_error(code, reason or None, what) if code else value


def known(number: int) -> int | None:
    """A number of an answer; None for -1, which says that there is none or that it is not known."""
    return number if number >= 0 else None


def operations(bits: int) -> frozenset[Operation] | None:
    """The operations that an answer's bits stand for; None where it was not asked for them."""
    if bits == _NOT_ASKED:
        return None
    return frozenset(operation for operation in Operation if operation > 1 and bits >> operation & 1)


class Calls:
    """What every family of admin calls is built on."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    @property
    def request_timeout_ms(self) -> int:
        """How long a broker may take for what it is asked to wait for."""
        return self.cluster.settings.request_timeout_ms

    async def each(
        self,
        keys: Iterable[K],
        route: Route[K],
        ask: Ask[K, V],
        *,
        also_retried: Collection[ErrorCode] = (),
        timeout_ms: int | None = None,
    ) -> Results[K, V]:
        """What comes of each key, asked for until it is there, refused for good, or `timeout_ms`
        (`default.api.timeout.ms`) are over: then its last error, or RequestTimeoutError.
        """
        limit_ms = self.cluster.settings.default_api_timeout_ms if timeout_ms is None else timeout_ms
        wanted = list(dict.fromkeys(keys))
        outcomes: dict[K, V | ClientError] = {}
        pending, failures = wanted, 0
        try:
            async with asyncio.timeout(limit_ms / 1000):
                while pending:
                    answers = await self._attempt(pending, route, ask)
                    outcomes |= answers
                    pending = [key for key in pending if self._is_retried(answers[key], route, also_retried)]
                    if pending:
                        failures += 1
                        for key in pending:
                            route.failed(self.cluster, key)
                        await self._back_off(failures)
        except TimeoutError:
            late = RequestTimeoutError(f"not done within {limit_ms} ms")
            outcomes = dict.fromkeys(pending, late) | outcomes
        return Results({key: outcomes[key] for key in wanted})

    async def one(
        self,
        request: Struct,
        response_class: type[R],
        route: Route[str],
        *,
        key: str = "",
        also_retried: Collection[ErrorCode] = (),
        min_version: int | None = None,
    ) -> R:
        """The answer to one request that is about one thing. Raises its `error_code`, if it has one."""

        async def ask(node: Node, keys: Sequence[str]) -> Mapping[str, R | ClientError]:
            response = await self.send(request, response_class, node, min_version=min_version)
            code = getattr(response, "error_code", 0)
            return {keys[0]: outcome(code, response, getattr(response, "error_message", None))}

        return (await self.each([key], route, ask, also_retried=also_retried))[key]

    async def send(
        self,
        request: Struct,
        response_class: type[R],
        node: Node = None,
        *,
        min_version: int | None = None,
        max_version: int | None = None,
    ) -> R:
        """One request to one node."""
        return await self.cluster.send(
            request, response_class, node=node, min_version=min_version, max_version=max_version
        )

    async def brokers(self) -> list[int]:
        """The ids of all brokers, asked for now."""

        async def attempt() -> list[int]:
            return sorted((await self.cluster.refresh()).brokers)

        return await self.cluster.retrying(attempt)

    async def _attempt(self, keys: Sequence[K], route: Route[K], ask: Ask[K, V]) -> dict[K, V | ClientError]:
        try:
            await route.prepare(self.cluster, keys)
        except ClientError as error:
            return dict.fromkeys(keys, error)
        outcomes: dict[K, V | ClientError] = {}
        together: dict[Node, list[K]] = {}
        found = await asyncio.gather(*(self._find(key, route) for key in keys))
        for key, node in zip(keys, found, strict=True):
            if isinstance(node, ClientError):
                outcomes[key] = node
            else:
                together.setdefault(node, []).append(key)
        for answer in await asyncio.gather(*(self._ask(ask, node, each) for node, each in together.items())):
            outcomes |= answer
        return outcomes

    async def _find(self, key: K, route: Route[K]) -> Node | ClientError:
        try:
            return await route.find(self.cluster, key)
        except ClientError as error:
            return error

    async def _ask(self, ask: Ask[K, V], node: Node, keys: Sequence[K]) -> dict[K, V | ClientError]:
        try:
            given = await ask(node, keys)
        except ClientError as error:
            return dict.fromkeys(keys, error)
        silent = broker_error(ErrorCode.unknown_server_error, "the broker's answer leaves it out")
        return {key: given.get(key, silent) for key in keys}

    def _is_retried(self, outcome: object, route: Route[K], also_retried: Collection[ErrorCode]) -> bool:
        """Refusals by their code; of the rest what did not get through."""
        if not isinstance(outcome, ClientError):
            return False
        if outcome.code is None:
            return outcome.retriable
        return outcome.code in route.retried or outcome.code in also_retried

    async def _back_off(self, failures: int) -> None:
        delay_ms = self.cluster.retry_backoff.delay_ms(failures, self.cluster.host.random.random())
        await asyncio.sleep(delay_ms / 1000)
