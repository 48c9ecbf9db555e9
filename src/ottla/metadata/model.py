"""What metadata consists of, and how each piece is written into the store.

One key each, values compact JSON:

    /topics/<name>              the topic's id, and the replicas that its partitions began with
    /partitions/<name>/<n>      one partition's state from its first change on; whoever changes it compares
                                the revisions of its key and of its topic's
    /configs/topics/<name>      a topic's overrides
    /configs/brokers/<id>       a broker's dynamic settings; `/configs/brokers/` is the cluster's default
    /configs/groups/<group id>  a group's overrides
    /brokers/<id>               a registered broker, under its lease
    /log_dirs/<broker id>       the ids of the data folders that the broker's replicas may lie in
    /producer_ids               the next block of producer ids
    /features                   the finalized level of each feature (KIP-584)

These are of form 0. A later form is an array of its number and what it has; a broker refuses forms that it
does not know, so none is written before the cluster's `metadata.version` says that all its brokers know it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

from ottla.metadata.transaction import MetadataFormatError

TOPICS = "/topics/"
PARTITIONS = "/partitions/"
TOPIC_CONFIGS = "/configs/topics/"
BROKER_CONFIGS = "/configs/brokers/"
GROUP_CONFIGS = "/configs/groups/"
BROKERS = "/brokers/"
LOG_DIRS = "/log_dirs/"
PRODUCER_IDS = "/producer_ids"
FEATURES = "/features"

CLUSTER_DEFAULT = ""  # the name of the broker resource that holds for every broker
NO_CONFIGS: Mapping[str, str] = MappingProxyType({})
PRODUCER_ID_BLOCK_SIZE = 1000

METADATA_VERSION = "metadata.version"
"""As Kafka numbers it, for tools that read a cluster's release from it; 33 is Kafka 4.4."""
TRANSACTION_VERSION = "transaction.version"
"""1 lets the coordinator's records have tagged fields; with 2 each end of a transaction bumps its producer's
epoch (KIP-890)."""
GROUP_VERSION = "group.version"
"""From 1 on there are groups that the coordinator assigns for (KIP-848)."""
SUPPORTED_FEATURES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {METADATA_VERSION: (33, 33), TRANSACTION_VERSION: (0, 2), GROUP_VERSION: (0, 1)}
)
"""The lowest and the newest level of each feature that is served; level 0 is to be without it."""
NEWEST_FEATURES: Mapping[str, int] = MappingProxyType(
    {name: newest for name, (_, newest) in SUPPORTED_FEATURES.items()}
)
"""What a new cluster begins with."""
UNRECORDED_FEATURES: Mapping[str, int] = MappingProxyType(
    {METADATA_VERSION: 33, TRANSACTION_VERSION: 2, GROUP_VERSION: 1}
)
"""What holds where no levels were ever written down: clusters that are older than their record had consumer
groups, and no transactions that an older form of them could have left behind."""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """Who keeps a partition; `leader` is -1 when nobody can lead. `revision` is that of its key, if any."""

    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader: int
    leader_epoch: int = 0
    partition_epoch: int = 0
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Configs:
    """A resource's overrides; `revision` is that of its key, 0 when it has none."""

    values: Mapping[str, str] = field(default_factory=lambda: NO_CONFIGS)
    revision: int = field(default=0, compare=False)


NO_OVERRIDES = Configs()


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic with all of its partitions, by their number."""

    name: str
    topic_id: UUID
    partitions: tuple[PartitionState, ...]
    overrides: Configs = NO_OVERRIDES
    revision: int = field(default=0, compare=False)

    @property
    def configs(self) -> Mapping[str, str]:
        return self.overrides.values


@dataclass(frozen=True, slots=True)
class BrokerRegistration:
    """A broker that holds its lease; `epoch` is the revision of its registration."""

    node_id: int
    host: str
    port: int
    rack: str | None = None
    epoch: int = field(default=0, compare=False)


def topic_key(name: str) -> str:
    return TOPICS + name


def partition_key(name: str, partition: int) -> str:
    return f"{partitions_prefix(name)}{partition}"


def partitions_prefix(name: str) -> str:
    return f"{PARTITIONS}{name}/"


def broker_key(node_id: int) -> str:
    return f"{BROKERS}{node_id}"


def log_dirs_key(node_id: int) -> str:
    return f"{LOG_DIRS}{node_id}"


def parse_partition_key(key: str) -> tuple[str, int]:
    name, _, number = key.removeprefix(PARTITIONS).rpartition("/")
    if not name or not (number.isascii() and number.isdigit()):
        raise MetadataFormatError(f"{key} is no partition's key")
    return name, int(number)


def encode_topic(topic_id: UUID, replicas: Sequence[Sequence[int]]) -> bytes:
    """`replicas` of each partition, the first leader first."""
    return _encode({"id": str(topic_id), "replicas": replicas})


def decode_topic(value: bytes) -> tuple[UUID, tuple[tuple[int, ...], ...]]:
    text, replicas = _decode(value, {"id": str, "replicas": list}, replicas=[])
    if not all(isinstance(each, list) and each and all(type(b) is int for b in each) for each in replicas):
        raise MetadataFormatError(f"{value!r} names replicas that are no numbers")
    try:
        return UUID(text), tuple(tuple(each) for each in replicas)
    except ValueError:
        raise MetadataFormatError(f"{text!r} is no topic id") from None


# The partitions of a cluster begin in one of a few states.
@lru_cache(maxsize=1024)
def initial_state(replicas: tuple[int, ...]) -> PartitionState:
    """A partition's state until its first change."""
    return PartitionState(replicas=replicas, isr=replicas, leader=replicas[0])


# Most partitions of a cluster are in one of a few states, so the texts are worth remembering.
@lru_cache(maxsize=1024)
def encode_partition(state: PartitionState) -> bytes:
    return _encode(
        {
            "replicas": state.replicas,
            "isr": state.isr,
            "leader": state.leader,
            "leader_epoch": state.leader_epoch,
            "partition_epoch": state.partition_epoch,
        }
    )


@lru_cache(maxsize=1024)
def decode_partition(value: bytes, revision: int) -> PartitionState:
    replicas, isr, leader, leader_epoch, partition_epoch = _decode(
        value, {"replicas": list, "isr": list, "leader": int, "leader_epoch": int, "partition_epoch": int}
    )
    if not all(type(broker) is int for broker in (*replicas, *isr)):
        raise MetadataFormatError(f"{value!r} names replicas that are no numbers")
    return PartitionState(tuple(replicas), tuple(isr), leader, leader_epoch, partition_epoch, revision)


def encode_configs(values: Mapping[str, str]) -> bytes:
    return _encode(dict(values))


def decode_configs(value: bytes, revision: int) -> Configs:
    values = _load(value)
    if not all(isinstance(text, str) for text in values.values()):
        raise MetadataFormatError(f"{value!r} holds settings that are no texts")
    return Configs(MappingProxyType(values), revision)


def encode_broker(broker: BrokerRegistration) -> bytes:
    return _encode({"host": broker.host, "port": broker.port, "rack": broker.rack})


def decode_broker(key: str, value: bytes, revision: int) -> BrokerRegistration:
    number = key.removeprefix(BROKERS)
    if not (number.isascii() and number.isdigit()):
        raise MetadataFormatError(f"{key} is no broker's key")
    host, port, rack = _decode(value, {"host": str, "port": int, "rack": (str, type(None))})
    return BrokerRegistration(int(number), host, port, rack, revision)


def encode_log_dirs(directory_ids: Sequence[str]) -> bytes:
    return _encode({"ids": directory_ids})


def decode_log_dirs(key: str, value: bytes) -> tuple[int, tuple[str, ...]]:
    """The broker's id, and its folders'."""
    number = key.removeprefix(LOG_DIRS)
    if not (number.isascii() and number.isdigit()):
        raise MetadataFormatError(f"{key} is no broker's key")
    (directory_ids,) = _decode(value, {"ids": list})
    if not all(isinstance(each, str) for each in directory_ids):
        raise MetadataFormatError(f"{value!r} names folders by other than texts")
    return int(number), tuple(directory_ids)


def encode_producer_ids(next_producer_id: int) -> bytes:
    return _encode({"next": next_producer_id})


def decode_producer_ids(value: bytes) -> int:
    next_producer_id: int
    (next_producer_id,) = _decode(value, {"next": int})
    if next_producer_id < 0:
        raise MetadataFormatError(f"{next_producer_id} is no producer id")
    return next_producer_id


def encode_features(levels: Mapping[str, int]) -> bytes:
    return _encode(dict(levels))


def decode_features(value: bytes) -> Mapping[str, int]:
    """Level by feature; those at level 0 are left out. Refuses levels that this version does not serve."""
    levels = _load(value)
    for name, level in levels.items():
        lowest, newest = SUPPORTED_FEATURES.get(name, (0, 0))
        if type(level) is not int or not lowest <= level <= newest:
            raise MetadataFormatError(
                f"the cluster has {name} at level {level}, and this version serves {lowest} to {newest}"
            )
    return MappingProxyType({name: level for name, level in levels.items() if level})


def _encode(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _load(value: bytes) -> dict[str, Any]:
    try:
        document = json.loads(value)
    except ValueError:
        raise MetadataFormatError(f"{value!r} is no JSON") from None
    if isinstance(document, list) and document:
        raise MetadataFormatError(f"{value!r} is of form {document[0]}, which a newer Ottla has written")
    if not isinstance(document, dict):
        raise MetadataFormatError(f"{value!r} is no JSON object")
    return document


def _decode(
    value: bytes, fields: Mapping[str, type | tuple[type, ...]], **defaults: object
) -> tuple[Any, ...]:
    """The fields of a JSON object in order: these, of these types, and no others."""
    document = {**defaults, **_load(value)}
    if document.keys() != fields.keys():
        raise MetadataFormatError(f"{value!r} has other fields than {', '.join(fields)}")
    for name, kind in fields.items():
        if not isinstance(document[name], kind) or (kind is int and isinstance(document[name], bool)):
            raise MetadataFormatError(f"{value!r} has a wrong {name}")
    return tuple(document[name] for name in fields)
