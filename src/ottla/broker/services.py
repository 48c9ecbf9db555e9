"""What the handlers of each family of APIs use; `assembly` binds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ottla.config.controller import ControllerConfig
from ottla.config.current import Current, CurrentLayers
from ottla.config.groups import GroupCoordinatorConfig
from ottla.config.replica import ReplicaConfig
from ottla.coordinator.groups import GroupCoordinator
from ottla.coordinator.shards import Answered
from ottla.coordinator.transactions import TransactionCoordinator
from ottla.metadata.acls import Acl, AclFilter
from ottla.metadata.config_changes import ConfigOperation, ConfigResource
from ottla.metadata.features import FeatureUpdate
from ottla.metadata.image import ImageSource, MetadataImage
from ottla.metadata.model import Configs, PartitionState, Topic
from ottla.metadata.quotas import QuotaEntity
from ottla.metadata.topics import NewPartitions, NewTopic, Take, unlimited
from ottla.network.memory import RequestMemory, UnsentOutput
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.replica.data_dirs import DataDirs
from ottla.replica.fetch_sessions import FetchSessions
from ottla.replica.group_commit import GroupCommit
from ottla.replica.log_moves import LogMoves
from ottla.replica.partitions import Partitions
from ottla.replica.throttles import ReplicationThrottle

if TYPE_CHECKING:
    from ottla.broker.quotas import ClientQuotas
    from ottla.broker.telemetry.telemetry import Telemetry
    from ottla.clock import Clock
    from ottla.config.broker import BrokerConfig
    from ottla.coordination.runtime import Producer
    from ottla.coordination.transactions.markers import MarkerWriter
    from ottla.metadata.access import CredentialChange
    from ottla.metadata.quota_changes import QuotaAlteration
    from ottla.metadata.tokens import DelegationToken
    from ottla.network.server import AddressesOf
    from ottla.replication.elections import Election
    from ottla.security.delegation import TokenSecrets

EncodedMetadata: TypeAlias = dict[tuple[int, bool, bool, str], tuple[MetadataImage, bytes]]
"""Answers for the whole cluster, each with the image it was made from (see `apis.topics.metadata`)."""


class Node:
    """This broker, as it shows itself to clients."""

    __slots__ = ("addresses", "cluster_id", "node_id", "rack")

    def __init__(self, node_id: int, rack: str | None) -> None:
        self.node_id = node_id
        self.rack = rack
        self.cluster_id = ""
        self.addresses: dict[str, tuple[str, int]] = {}
        """Advertised host and port, by listener name; known once the listeners are bound"""

    def address(self, listener: str) -> tuple[str, int] | None:
        """Where a client that came to `listener` finds this broker; None where it is not advertised there."""
        return self.addresses.get(listener)


class TopicChanges(Protocol):
    """Creates and deletes topics; each item's result, or why it was refused."""

    async def create_topics(
        self, wanted: Sequence[NewTopic], *, validate_only: bool = False, take: Take = unlimited
    ) -> Mapping[str, Topic | KafkaError]: ...

    async def create_partitions(
        self, wanted: Sequence[NewPartitions], *, validate_only: bool = False, take: Take = unlimited
    ) -> Mapping[str, Topic | KafkaError]: ...

    async def delete_topics(
        self, names: Sequence[str], *, take: Take = unlimited
    ) -> Mapping[str, Topic | KafkaError]: ...

    async def auto_create_topics(self, names: Iterable[str]) -> None: ...


class ConfigChanges(Protocol):
    """Changes the dynamic configuration of topics, brokers and groups; each resource's result."""

    async def alter_configs(
        self, changes: Mapping[ConfigResource, Sequence[ConfigOperation]], *, validate_only: bool = False
    ) -> Mapping[ConfigResource, Configs | KafkaError]: ...

    async def replace_configs(
        self, replacements: Mapping[ConfigResource, Mapping[str, str | None]], *, validate_only: bool = False
    ) -> Mapping[ConfigResource, Configs | KafkaError]: ...


class ReplicaChanges(Protocol):
    """Has leaders elected, replicas moved and brokers forgotten; each partition's state, or the refusal."""

    async def elect_leaders(
        self, partitions: Iterable[tuple[str, int]] | None, election: Election
    ) -> Mapping[tuple[str, int], PartitionState | KafkaError]: ...

    async def alter_reassignments(
        self, wanted: Mapping[tuple[str, int], Sequence[int] | None], *, allow_factor_change: bool
    ) -> Mapping[tuple[str, int], PartitionState | KafkaError]: ...

    async def unregister_broker(self, node_id: int) -> None: ...


class FeatureChanges(Protocol):
    """Changes the finalized levels of features."""

    async def update_features(
        self, updates: Sequence[FeatureUpdate], *, validate_only: bool = False
    ) -> None: ...


class ProducerIds(Protocol):
    """Gives each producer of the cluster an id of its own."""

    async def next_producer_id(self) -> int: ...


class TransactionPartitions(Protocol):
    """Asks the coordinator of a transaction which partitions it has (KIP-890)."""

    def add_partitions(
        self,
        transactional_id: str,
        producer: Producer,
        partitions: Sequence[tuple[str, int]],
        *,
        verify_only: bool,
    ) -> Answered[Mapping[tuple[str, int], ErrorCode]]:
        """Add partitions to the producer's transaction, or only say whether it has them: each one's result.

        With Kafka's errors of AddPartitionsToTxn and of finding the coordinator; or KafkaError for all.
        """

    async def await_end(self, transactional_id: str, max_wait_ms: int) -> None:
        """After concurrent_transactions: wait until the last transaction is complete, at most so long.

        Raises KafkaError where nobody is there to wait for.
        """


class InternalTopics(Protocol):
    """Makes the topics of the coordinators when they are first used."""

    async def ensure_topic(self, name: str) -> None:
        """Raises KafkaError(coordinator_not_available) when it cannot be made."""


class Followers(Protocol):
    """The brokers that follow what this one leads."""

    def awaits_fetch(self, node_id: int) -> bool:
        """Whether the broker has yet to fetch something that this one has begun to lead."""

    def monotonic_ms(self) -> int:
        """What their progress is measured by"""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class RecordServices:
    """Produce, fetch, and the offsets of partitions."""

    metadata: ImageSource
    partitions: Partitions
    followers: Followers
    sessions: FetchSessions
    group_commit: GroupCommit
    unsent: UnsentOutput
    request_memory: RequestMemory
    transactions: TransactionPartitions
    leader_throttle: ReplicationThrottle
    quotas: ClientQuotas
    config: Current[ReplicaConfig]


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class TransactionServices:
    """Producers and their transactions."""

    producer_ids: ProducerIds
    markers: MarkerWriter
    transactions: TransactionCoordinator
    metadata: ImageSource
    groups_config: Current[GroupCoordinatorConfig]


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class TopicServices:
    """Topics: what there is, and changes."""

    node: Node
    config: Current[ControllerConfig]
    sources: CurrentLayers
    metadata: ImageSource
    topics: TopicChanges
    quotas: ClientQuotas
    encoded: EncodedMetadata = field(default_factory=dict)


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class ConfigServices:
    """The configuration of topics, brokers and groups."""

    node: Node
    config: CurrentLayers
    metadata: ImageSource
    configs: ConfigChanges


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class GroupServices:
    """Groups and their offsets."""

    node: Node
    config: Current[GroupCoordinatorConfig]
    replica_config: Current[ReplicaConfig]
    metadata: ImageSource
    groups: GroupCoordinator
    transactions: TransactionPartitions
    internal_topics: InternalTopics


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class ClusterServices:
    """The brokers, what they serve and where replicas lie."""

    node: Node
    metadata: ImageSource
    features: FeatureChanges
    replicas: ReplicaChanges
    partitions: Partitions
    log_moves: LogMoves
    data_dirs: DataDirs
    config: Current[ReplicaConfig]
    has_telemetry: bool = False
    """Clients are asked for their metrics"""


@dataclass(slots=True, eq=False, repr=False)
class TelemetryServices:
    """What clients tell of themselves; None where nobody asks."""

    telemetry: Telemetry | None


class AccessChanges(Protocol):
    """Changes who may come and do what; each item's result, or why it was refused."""

    async def create_acls(self, wanted: Sequence[Acl]) -> Mapping[Acl, KafkaError | None]: ...

    async def delete_acls(
        self, filters: Sequence[AclFilter]
    ) -> Mapping[AclFilter, tuple[Acl, ...] | KafkaError]: ...

    async def alter_credentials(
        self, changes: Sequence[CredentialChange]
    ) -> Mapping[str, KafkaError | None]: ...


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class AccessServices:
    """Who may come, and do what."""

    metadata: ImageSource
    access: AccessChanges
    is_authorized: bool
    """There is an authorizer that judges by the ACLs"""


class TokenChanges(Protocol):
    """Changes delegation tokens."""

    async def put_token(self, token: DelegationToken) -> None: ...

    async def remove_tokens(self, tokens: Sequence[DelegationToken]) -> None: ...


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class TokenServices:
    """Delegation tokens; there are none without `secrets`."""

    metadata: ImageSource
    access: TokenChanges
    secrets: TokenSecrets | None
    config: Current[BrokerConfig]
    clock: Clock
    new_id: Callable[[], str]


class QuotaChanges(Protocol):
    """Changes how much clients may take; each entity's result, or why it was refused."""

    async def alter_client_quotas(
        self, alterations: Sequence[QuotaAlteration], *, validate_only: bool = False
    ) -> Mapping[QuotaEntity, KafkaError | None]: ...


@dataclass(slots=True, eq=False, repr=False)
class QuotaServices:
    """How much clients may take."""

    metadata: ImageSource
    quotas: QuotaChanges
    addresses_of: AddressesOf


class NoServices:
    """For APIs that need nothing but the request: the answer is always the same so far."""
