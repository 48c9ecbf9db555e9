"""What metadata consists of, and how each piece is written into the store.

One key each, values compact JSON:

    /topics/<name>              the topic's id, and the replicas and ISRs that its partitions began with
    /partitions/<name>/<n>      one partition's state from its first change on; whoever changes it compares
                                the revisions of its key and of its topic's
    /configs/topics/<name>      a topic's overrides
    /configs/brokers/<id>       a broker's dynamic settings; `/configs/brokers/` is the cluster's default
    /configs/groups/<group id>  a group's overrides
    /brokers/<id>               a registered broker, under its lease; the revision is the broker's epoch
    /stopping/<broker id>       under that lease, while the broker hands over what it leads before it stops
    /cordoned/<broker id>       while all data folders of the broker are cordoned (KIP-1066)
    /unfenced/<broker id>       the epoch in which the controller has taken the broker back, when all was done
                                that its registration meant for partitions
    /known_brokers/<id>         the last registration of each broker that there ever was, until it is retired
    /controller                 the broker that acts as controller, under its lease; the revision is the
                                controller's epoch, which each write of that duty compares
    /offline_replicas/<broker id>/<topic>  under that lease: those of the broker's replicas whose logs fail
    /log_dirs/<broker id>       the ids of the data folders that the broker's replicas may lie in
    /cluster_id                 the cluster's id, once brokers share the store
    /migrating                  while a single node's metadata is copied here: whose, by its folder's id
    /producer_ids               the next block of producer ids
    /features                   the finalized level of each feature (KIP-584)
    /acls/<digest>              an entry of the access control list (`acls.py`)
    /scram/<mechanism>/<user>   what is kept of a user's password (`credentials.py`)
    /quotas/<entity>            how much an entity may take (`quotas.py`)

These are of form 0, but for registrations, and topics and partitions that form 0 has no room for, which are
of form 1. A later form is an array of its number and what it has; a broker refuses forms and keys that it
does not know, so none is written before the cluster's `ottla.metadata.version` says that all its brokers
know it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from ottla.metadata import documents
from ottla.metadata.transaction import MetadataFormatError

TOPICS = "/topics/"
PARTITIONS = "/partitions/"
TOPIC_CONFIGS = "/configs/topics/"
BROKER_CONFIGS = "/configs/brokers/"
GROUP_CONFIGS = "/configs/groups/"
CLIENT_METRICS = "/configs/client-metrics/"
BROKERS = "/brokers/"
STOPPING = "/stopping/"
CORDONED = "/cordoned/"
UNFENCED = "/unfenced/"
KNOWN_BROKERS = "/known_brokers/"
CONTROLLER = "/controller"
OFFLINE_REPLICAS = "/offline_replicas/"
LOG_DIRS = "/log_dirs/"
CLUSTER_ID = "/cluster_id"
MIGRATING = "/migrating"
PRODUCER_IDS = "/producer_ids"
FEATURES = "/features"

NO_LEADER = -1
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
OTTLA_METADATA_VERSION = "ottla.metadata.version"
"""What the store may hold that there was not always (`features.py` has what came with which level); it is
never lowered."""
SUPPORTED_FEATURES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        METADATA_VERSION: (33, 33),
        TRANSACTION_VERSION: (0, 2),
        GROUP_VERSION: (0, 1),
        OTTLA_METADATA_VERSION: (0, 2),
    }
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
    """Who keeps a partition, as brokers' ids; `leader` is NO_LEADER when nobody can lead.

    `leader_epoch` grows with each change of the leader, `partition_epoch` with each change of anything.
    `revision` is that of its key, 0 while it has none: then it is as its topic says.
    """

    replicas: tuple[int, ...]
    """The preferred leader first"""
    isr: tuple[int, ...]
    leader: int
    leader_epoch: int = 0
    partition_epoch: int = 0
    adding: tuple[int, ...] = ()
    """Replicas that a reassignment adds (KIP-455); they are among `replicas`"""
    removing: tuple[int, ...] = ()
    """Replicas that it takes away once the added ones are in the ISR; they are among `replicas` until then"""
    elr: tuple[int, ...] = ()
    """Eligible to lead although not in the ISR: they have all that was committed (KIP-966)"""
    last_known_elr: tuple[int, ...] = ()
    """Were in `elr` until they stopped uncleanly; the last known leader alone, once nobody is eligible"""
    is_recovering: bool = False
    """The leader was elected uncleanly and is not known yet to have finished with what that means"""
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


class Endpoint(NamedTuple):
    """Where a listener of a broker is found, and how it is spoken to."""

    host: str
    port: int
    security_protocol: str = "PLAINTEXT"
    """By Kafka's name: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"""


NO_FEATURES: Mapping[str, tuple[int, int]] = MappingProxyType({})
NO_INCARNATION = UUID(int=0)


@dataclass(frozen=True, slots=True)
class BrokerRegistration:
    """What a broker says of itself while it holds its lease."""

    node_id: int
    listeners: Mapping[str, Endpoint]
    """Where it is found by the name of the listener, those that it advertises"""
    rack: str | None = None
    incarnation: UUID = NO_INCARNATION
    """Drawn anew by each process"""
    features: Mapping[str, tuple[int, int]] = field(default_factory=lambda: NO_FEATURES)
    """The lowest and the newest level of each feature that it serves"""
    directory_id: str = ""
    """Of its first data folder: who holds the lock of that folder knows that no other process does"""
    is_clean: bool = True
    """Its logs have all that they had in its last epoch: it stopped in order, or went on"""
    is_fenced: bool = False
    """It leads nothing and is in no ISR until it is unfenced. A single node is not fenced to begin with"""
    epoch: int = 0
    """The revision of its registration. It registers once for each lease, so that it grows with each"""


class OfflineReplicas(NamedTuple):
    """Of one topic, on one broker: the partitions whose logs it cannot use."""

    topic_id: UUID
    partitions: frozenset[int]


class Controller(NamedTuple):
    """The broker that acts as controller; `epoch` is the revision at which it took that up."""

    node_id: int
    epoch: int


def topic_key(name: str) -> str:
    return TOPICS + name


def partition_key(name: str, partition: int) -> str:
    return f"{partitions_prefix(name)}{partition}"


def partitions_prefix(name: str) -> str:
    return f"{PARTITIONS}{name}/"


def broker_key(node_id: int) -> str:
    return f"{BROKERS}{node_id}"


def stopping_key(node_id: int) -> str:
    return f"{STOPPING}{node_id}"


def cordoned_key(node_id: int) -> str:
    return f"{CORDONED}{node_id}"


def unfenced_key(node_id: int) -> str:
    return f"{UNFENCED}{node_id}"


def known_broker_key(node_id: int) -> str:
    return f"{KNOWN_BROKERS}{node_id}"


def offline_replicas_key(node_id: int, topic: str) -> str:
    return f"{OFFLINE_REPLICAS}{node_id}/{topic}"


def log_dirs_key(node_id: int) -> str:
    return f"{LOG_DIRS}{node_id}"


def parse_partition_key(key: str) -> tuple[str, int]:
    name, _, number = key.removeprefix(PARTITIONS).rpartition("/")
    if not name or not (number.isascii() and number.isdigit()):
        raise MetadataFormatError(f"{key} is no partition's key")
    return name, int(number)


def parse_offline_replicas_key(key: str) -> tuple[int, str]:
    node_id, _, topic = key.removeprefix(OFFLINE_REPLICAS).partition("/")
    if not topic:
        raise MetadataFormatError(f"{key} names no topic")
    return parse_broker_key(node_id, ""), topic


def parse_broker_key(key: str, prefix: str) -> int:
    """The id of the broker whose key this is, below `prefix`."""
    number = key.removeprefix(prefix)
    if not (number.isascii() and number.isdigit()):
        raise MetadataFormatError(f"{key} is no broker's key")
    return int(number)


def encode_topic(topic_id: UUID, partitions: Sequence[PartitionState]) -> bytes:
    """How its partitions begin. Of one that has a key of its own, that key alone counts.

    An ISR is named where not all replicas could be in it when the partition was made.
    """
    replicas = [state.replicas for state in partitions]
    isr = {
        str(number): state.isr
        for number, state in enumerate(partitions)
        if not state.revision and state.isr != state.replicas
    }
    if not isr:
        return documents.encode({"id": str(topic_id), "replicas": replicas})
    return documents.encode({"id": str(topic_id), "replicas": replicas, "isr": isr}, form=1)


def decode_topic(value: bytes) -> tuple[UUID, tuple[PartitionState, ...]]:
    """The id, and the partitions as they begin."""
    text, replicas, isr = documents.decode(
        value, {"id": str, "replicas": list, "isr": dict}, newest_form=1, replicas=[], isr={}
    )
    if not all(isinstance(each, list) and each and all(type(b) is int for b in each) for each in replicas):
        raise MetadataFormatError(f"{value!r} names replicas that are no numbers")
    in_sync = [isr.pop(str(number), each) for number, each in enumerate(replicas)]
    if isr or not all(
        isinstance(some, list) and some and all(each in every for each in some)
        for some, every in zip(in_sync, replicas, strict=True)
    ):
        raise MetadataFormatError(f"{value!r} names an ISR of other brokers than the replicas")
    states = zip(replicas, in_sync, strict=True)
    return documents.parse_uuid(text), tuple(
        initial_state(tuple(every), tuple(some)) for every, some in states
    )


# The partitions of a cluster begin in one of a few states.
@lru_cache(maxsize=1024)
def initial_state(replicas: tuple[int, ...], isr: tuple[int, ...]) -> PartitionState:
    """A partition's state until its first change; `isr` is those of the replicas that were there."""
    return PartitionState(replicas=replicas, isr=isr, leader=isr[0])


_PARTITION_FIELDS: Mapping[str, type] = MappingProxyType(
    {"replicas": list, "isr": list, "leader": int, "leader_epoch": int, "partition_epoch": int}
)
_LATER_PARTITION_FIELDS: Mapping[str, type] = MappingProxyType(
    {"adding": list, "removing": list, "elr": list, "last_known_elr": list, "is_recovering": bool}
)
"""Which form 1 has where they are not empty"""


# Most partitions of a cluster are in one of a few states, so the texts are worth remembering.
@lru_cache(maxsize=1024)
def encode_partition(state: PartitionState) -> bytes:
    fields: dict[str, object] = {name: getattr(state, name) for name in _PARTITION_FIELDS}
    later = {name: value for name in _LATER_PARTITION_FIELDS if (value := getattr(state, name))}
    return documents.encode(fields) if not later else documents.encode({**fields, **later}, form=1)


@lru_cache(maxsize=1024)
def decode_partition(value: bytes, revision: int) -> PartitionState:
    fields = {**_PARTITION_FIELDS, **_LATER_PARTITION_FIELDS}
    defaults = {name: kind() for name, kind in _LATER_PARTITION_FIELDS.items()}
    decoded = dict(zip(fields, documents.decode(value, fields, newest_form=1, **defaults), strict=True))
    for name, kind in fields.items():
        if kind is list:
            decoded[name] = tuple(decoded[name])
            if not all(type(broker) is int for broker in decoded[name]):
                raise MetadataFormatError(f"{value!r} names {name} that are no numbers")
    return PartitionState(**decoded, revision=revision)


def encode_configs(values: Mapping[str, str]) -> bytes:
    return documents.encode(dict(values))


def decode_configs(value: bytes, revision: int) -> Configs:
    _, values = documents.load(value)
    if not all(isinstance(text, str) for text in values.values()):
        raise MetadataFormatError(f"{value!r} holds settings that are no texts")
    return Configs(MappingProxyType(values), revision)


def encode_broker(broker: BrokerRegistration) -> bytes:
    return documents.encode(
        {
            "listeners": broker.listeners,
            "rack": broker.rack,
            "incarnation": str(broker.incarnation),
            "features": dict(broker.features),
            "directory": broker.directory_id,
            "clean": broker.is_clean,
            "fenced": broker.is_fenced,
        },
        form=1,
    )


def decode_broker(node_id: int, value: bytes, revision: int) -> BrokerRegistration:
    form, document = documents.load(value, newest_form=1)
    if form == 0:  # of a single node, which was called so whatever its listener's name
        host, port, rack = documents.fields_of(
            document, {"host": str, "port": int, "rack": (str, type(None))}
        )
        return BrokerRegistration(node_id, {"PLAINTEXT": Endpoint(host, port)}, rack, epoch=revision)
    listeners, rack, incarnation, features, directory_id, is_clean, is_fenced = documents.fields_of(
        document,
        {
            "listeners": dict,
            "rack": (str, type(None)),
            "incarnation": str,
            "features": dict,
            "directory": str,
            "clean": bool,
            "fenced": bool,
        },
    )
    if not all(_are(each, str, int, str) for each in listeners.values()):
        raise MetadataFormatError(f"{value!r} has a wrong listener")
    if not all(_are(each, int, int) for each in features.values()):
        raise MetadataFormatError(f"{value!r} has a wrong feature")
    return BrokerRegistration(
        node_id,
        MappingProxyType({name: Endpoint(*each) for name, each in listeners.items()}),
        rack,
        documents.parse_uuid(incarnation),
        MappingProxyType({name: (lowest, newest) for name, (lowest, newest) in features.items()}),
        directory_id,
        is_clean,
        is_fenced,
        revision,
    )


def _are(values: object, *kinds: type) -> bool:
    return isinstance(values, list) and [type(each) for each in values] == list(kinds)


def encode_controller(node_id: int) -> bytes:
    return documents.encode({"node": node_id})


def decode_controller(value: bytes, revision: int) -> Controller:
    (node_id,) = documents.decode(value, {"node": int})
    return Controller(node_id, revision)


def encode_unfenced(epoch: int) -> bytes:
    return documents.encode({"epoch": epoch})


def decode_unfenced(value: bytes) -> int:
    epoch: int
    (epoch,) = documents.decode(value, {"epoch": int})
    return epoch


def encode_offline_replicas(offline: OfflineReplicas) -> bytes:
    return documents.encode({"id": str(offline.topic_id), "partitions": sorted(offline.partitions)})


def decode_offline_replicas(value: bytes) -> OfflineReplicas:
    text, partitions = documents.decode(value, {"id": str, "partitions": list})
    if not all(type(each) is int for each in partitions):
        raise MetadataFormatError(f"{value!r} names partitions that are no numbers")
    return OfflineReplicas(documents.parse_uuid(text), frozenset(partitions))


MARK = b"{}"
"""Of `/stopping/<broker id>` and `/cordoned/<broker id>`: that they are there says all"""


def encode_log_dirs(directory_ids: Sequence[str]) -> bytes:
    return documents.encode({"ids": directory_ids})


def decode_log_dirs(key: str, value: bytes) -> tuple[int, tuple[str, ...]]:
    """The broker's id, and its folders'."""
    node_id = parse_broker_key(key, LOG_DIRS)
    (directory_ids,) = documents.decode(value, {"ids": list})
    if not all(isinstance(each, str) for each in directory_ids):
        raise MetadataFormatError(f"{value!r} names folders by other than texts")
    return node_id, tuple(directory_ids)


def encode_migrating(directory_id: str) -> bytes:
    return documents.encode({"directory": directory_id})


def decode_migrating(value: bytes) -> str:
    directory_id: str
    (directory_id,) = documents.decode(value, {"directory": str})
    return directory_id


def encode_producer_ids(next_producer_id: int) -> bytes:
    return documents.encode({"next": next_producer_id})


def decode_producer_ids(value: bytes) -> int:
    next_producer_id: int
    (next_producer_id,) = documents.decode(value, {"next": int})
    if next_producer_id < 0:
        raise MetadataFormatError(f"{next_producer_id} is no producer id")
    return next_producer_id


def encode_features(levels: Mapping[str, int]) -> bytes:
    return documents.encode(dict(levels))


def decode_features(value: bytes) -> Mapping[str, int]:
    """Level by feature; those at level 0 are left out. Refuses levels that this version does not serve."""
    _, levels = documents.load(value)
    for name, level in levels.items():
        lowest, newest = SUPPORTED_FEATURES.get(name, (0, 0))
        if type(level) is not int or not lowest <= level <= newest:
            raise MetadataFormatError(
                f"the cluster has {name} at level {level}, and this version serves {lowest} to {newest}"
            )
    return MappingProxyType({name: level for name, level in levels.items() if level})
