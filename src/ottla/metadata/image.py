"""What the cluster knows at one revision, immutable; a newer image shares what has not changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from ottla.metadata import model
from ottla.metadata.acls import ACLS, Acl, decode_acl
from ottla.metadata.credentials import (
    SCRAM,
    ScramCredential,
    ScramUser,
    decode_credential,
    parse_credential_key,
)
from ottla.metadata.model import (
    NO_CONFIGS,
    NO_OVERRIDES,
    BrokerRegistration,
    Configs,
    Controller,
    OfflineReplicas,
    PartitionState,
    Topic,
)
from ottla.metadata.quotas import QUOTAS, EntityQuotas, QuotaEntity, decode_quotas, parse_quota_key
from ottla.metadata.tokens import TOKENS, DelegationToken, decode_token
from ottla.metadata.transaction import Event, KeyValue, MetadataFormatError

__all__ = ["ImageDelta", "MetadataImage", "PartitionChange", "PartitionsAdded", "Topic", "image_at"]

_K = TypeVar("_K")
_V = TypeVar("_V")


class PartitionsAdded(NamedTuple):
    topic: Topic
    first_new: int  # the new ones are those from this number on


class PartitionChange(NamedTuple):
    topic: Topic
    partition: int


class ImageDelta(NamedTuple):
    """What differs between two images. Act on deletions first: a name may be deleted and created at once."""

    topics_deleted: tuple[Topic, ...] = ()
    topics_created: tuple[Topic, ...] = ()
    partitions_added: tuple[PartitionsAdded, ...] = ()
    partitions_changed: tuple[PartitionChange, ...] = ()
    topic_configs_changed: tuple[Topic, ...] = ()
    broker_configs_changed: frozenset[str] = frozenset()
    group_configs_changed: frozenset[str] = frozenset()
    brokers_changed: frozenset[int] = frozenset()
    """Those that came or went, registered anew, were unfenced, or began to stop"""
    offline_replicas_changed: frozenset[tuple[int, str]] = frozenset()
    """Brokers and topics"""
    controller_changed: bool = False
    features_changed: bool = False
    acls_changed: bool = False
    credentials_changed: frozenset[ScramUser] = frozenset()
    quotas_changed: bool = False
    unclean_elections: int = 0
    """Leaders that came to lead although they may lack records"""


_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class MetadataImage(NamedTuple):
    """Read only; `apply` makes the next one."""

    revision: int = 0
    topics: Mapping[str, Topic] = _NOTHING
    topics_by_id: Mapping[UUID, Topic] = _NOTHING
    brokers: Mapping[int, BrokerRegistration] = _NOTHING
    """Those that live: their registrations are there as long as their leases"""
    stopping: frozenset[int] = frozenset()
    """Of these the ones that hand over what they lead; they lead nothing new, and join no ISR"""
    cordoned: frozenset[int] = frozenset()
    """Those, living or not, whose data folders take no new replicas (KIP-1066); no delta tells of them"""
    unfenced: Mapping[int, int] = _NOTHING
    """By broker: the last epoch in which it was unfenced"""
    known_brokers: Mapping[int, BrokerRegistration] = _NOTHING
    """All that there ever were and that were not retired, as they last registered"""
    controller: Controller | None = None
    offline_replicas: Mapping[tuple[int, str], OfflineReplicas] = _NOTHING
    """By broker and topic, of brokers that live: replicas whose logs they cannot use"""
    log_dirs: Mapping[int, tuple[str, ...]] = _NOTHING
    """By broker: the ids of the data folders that its replicas may lie in"""
    broker_overrides: Mapping[str, Configs] = _NOTHING
    group_overrides: Mapping[str, Configs] = _NOTHING
    client_metrics: Mapping[str, Configs] = _NOTHING
    """Subscriptions to the metrics of clients (KIP-714); the same object as long as none changes"""
    features: Mapping[str, int] = model.UNRECORDED_FEATURES
    """The finalized level of each feature; one that is not named is at level 0"""
    features_epoch: int = 0
    """Grows with each change of `features`: the revision of their key, 0 where there is none"""
    acls: Mapping[str, Acl] = _NOTHING
    """By key; the same object as long as none changes"""
    credentials: Mapping[ScramUser, ScramCredential] = _NOTHING
    tokens: Mapping[str, DelegationToken] = _NOTHING
    """By their ids; the same object as long as none changes"""
    quotas: Mapping[QuotaEntity, EntityQuotas] = _NOTHING
    """The same object as long as none changes"""

    def name_of(self, topic: str | UUID | None) -> str | None:
        """Of a topic that is asked for by its name or id; None for an id that no topic has."""
        if topic is None or isinstance(topic, str):
            return topic
        known = self.topics_by_id.get(topic)
        return None if known is None else known.name

    def broker_configs(self, name: str) -> Mapping[str, str]:
        """A broker's dynamic settings by its number as text; "" for those of the whole cluster."""
        return self.broker_overrides.get(name, NO_OVERRIDES).values

    def group_configs(self, group_id: str) -> Mapping[str, str]:
        overrides = self.group_overrides.get(group_id)
        return NO_CONFIGS if overrides is None else overrides.values

    def is_fenced(self, node_id: int) -> bool:
        """Whether the broker is gone, or not yet taken back after it registered."""
        broker = self.brokers.get(node_id)
        return broker is None or (broker.is_fenced and self.unfenced.get(node_id) != broker.epoch)

    def is_active(self, node_id: int) -> bool:
        """Whether the broker may lead, and be in ISRs: it is not fenced, nor about to stop."""
        return node_id not in self.stopping and not self.is_fenced(node_id)

    def brokers_without(self, topic: Topic, partition: int) -> frozenset[int]:
        """Those that keep the partition and cannot use its log."""
        if not self.offline_replicas:
            return frozenset()
        found = {
            node_id: self.offline_replicas.get((node_id, topic.name))
            for node_id in topic.partitions[partition].replicas
        }
        return frozenset(
            node_id
            for node_id, offline in found.items()
            if offline is not None and offline.topic_id == topic.topic_id and partition in offline.partitions
        )

    def apply(self, events: Iterable[Event]) -> tuple[MetadataImage, ImageDelta]:
        """The image after `events` (whole revisions, in order), and what they changed.

        Raises MetadataFormatError for a key or value that is not as `model` writes it.
        """
        draft = _Draft(self)
        for revision, changes in groupby(events, key=lambda event: event.revision):
            draft.apply(revision, list(changes))
        image = draft.image()
        return image, _delta(self, image, draft.touched_topics)

    def delta_from(self, older: MetadataImage) -> ImageDelta:
        """What differs from an image of long ago, when the changes in between are not known."""
        return _delta(older, self, {**older.topics, **self.topics})


def image_at(revision: int, entries: Iterable[KeyValue]) -> MetadataImage:
    """The image of a store that holds `entries` at `revision`."""
    draft = _Draft(MetadataImage())
    # One step: what is present together needs no order.
    draft.apply(revision, [Event(entry.mod_revision, entry.key, entry.value) for entry in entries])
    return draft.image()


class ImageSource(Protocol):
    """Whoever knows the newest image."""

    @property
    def image(self) -> MetadataImage:
        """What the cluster knows at this moment."""


class _TopicChange:
    """What one revision does to one topic."""

    __slots__ = ("overrides", "partitions", "topic")

    def __init__(self) -> None:
        self.topic: Event | None = None
        self.partitions: dict[int, PartitionState | None] = {}
        self.overrides: Configs | None = None


class _Kept(Generic[_K, _V]):
    """A mapping that stays the same object as long as nothing in it changes."""

    __slots__ = ("_changed", "_former")

    def __init__(self, former: Mapping[_K, _V]) -> None:
        self._former = former
        self._changed: dict[_K, _V] | None = None

    def put(self, key: _K, value: _V | None) -> None:
        """In place of what was there, if anything; None takes that away alone."""
        if self._changed is None:
            self._changed = dict(self._former)
        self._changed.pop(key, None)
        if value is not None:
            self._changed[key] = value

    def now(self) -> Mapping[_K, _V]:
        return self._former if self._changed is None else self._changed


class _Draft:
    """The next image in the making; the large mappings, those of topics, are copied only if they change."""

    def __init__(self, base: MetadataImage) -> None:
        self._base = base
        self._revision = base.revision
        self._topics: dict[str, Topic] | None = None
        self._topics_by_id: dict[UUID, Topic] = {}
        self._brokers = dict(base.brokers)
        self._unfenced = dict(base.unfenced)
        self._stopping, self._cordoned = dict.fromkeys(base.stopping), dict.fromkeys(base.cordoned)
        self._known_brokers = dict(base.known_brokers)
        self._controller = base.controller
        self._offline_replicas = dict(base.offline_replicas)
        self._log_dirs = dict(base.log_dirs)
        self._broker_overrides = dict(base.broker_overrides)
        self._group_overrides = dict(base.group_overrides)
        self._client_metrics = _Kept(base.client_metrics)
        self._features, self._features_epoch = base.features, base.features_epoch
        self._acls, self._credentials = _Kept(base.acls), _Kept(base.credentials)
        self._tokens, self._quotas = _Kept(base.tokens), _Kept(base.quotas)
        self.touched_topics: dict[str, None] = {}

    def apply(self, revision: int, changes: list[Event]) -> None:
        topics: dict[str, _TopicChange] = {}
        for event in changes:
            if not (self._note_topic(event, topics) or self._note_broker(event) or self._note_access(event)):
                self._apply_other(event)
        for name, change in topics.items():
            self._apply_topic(name, change)
        self._revision = revision

    def image(self) -> MetadataImage:
        return MetadataImage(
            revision=self._revision,
            topics=self._base.topics if self._topics is None else self._topics,
            topics_by_id=self._base.topics_by_id if self._topics is None else self._topics_by_id,
            brokers=self._brokers,
            stopping=frozenset(self._stopping),
            cordoned=frozenset(self._cordoned),
            unfenced=self._unfenced,
            known_brokers=self._known_brokers,
            controller=self._controller,
            offline_replicas=self._offline_replicas,
            log_dirs=self._log_dirs,
            broker_overrides=self._broker_overrides,
            group_overrides=self._group_overrides,
            client_metrics=self._client_metrics.now(),
            features=self._features,
            features_epoch=self._features_epoch,
            acls=self._acls.now(),
            credentials=self._credentials.now(),
            tokens=self._tokens.now(),
            quotas=self._quotas.now(),
        )

    def _note_topic(self, event: Event, topics: dict[str, _TopicChange]) -> bool:
        key = event.key
        if key.startswith(model.PARTITIONS):
            name, partition = model.parse_partition_key(key)
            state = None if event.value is None else model.decode_partition(event.value, event.revision)
            topics.setdefault(name, _TopicChange()).partitions[partition] = state
        elif key.startswith(model.TOPICS):
            topics.setdefault(key.removeprefix(model.TOPICS), _TopicChange()).topic = event
        elif key.startswith(model.TOPIC_CONFIGS):
            overrides = _decode_configs(event)
            topics.setdefault(key.removeprefix(model.TOPIC_CONFIGS), _TopicChange()).overrides = overrides
        else:
            return False
        return True

    def _apply_topic(self, name: str, change: _TopicChange) -> None:
        if self._topics is None:
            self._topics, self._topics_by_id = dict(self._base.topics), dict(self._base.topics_by_id)
        topics, by_id = self._topics, self._topics_by_id
        self.touched_topics[name] = None
        old = topics.get(name)
        if change.topic is not None and change.topic.value is None:
            if old is not None:
                del topics[name], by_id[old.topic_id]
            return
        if change.topic is not None and change.topic.value is not None:
            (topic_id, begun), revision = model.decode_topic(change.topic.value), change.topic.revision
        elif old is not None:
            topic_id, begun, revision = old.topic_id, (), old.revision
        else:
            raise MetadataFormatError(f"topic {name} has partitions or settings but no id")
        before = () if old is None else old.partitions
        partitions = _partitions_after(name, before, begun, change.partitions)
        overrides = change.overrides or (NO_OVERRIDES if old is None else old.overrides)
        topic = Topic(name, topic_id, partitions, overrides, revision)
        if old is not None and old.topic_id != topic_id:
            raise MetadataFormatError(f"topic {name} got another id while it existed")
        topics[name] = by_id[topic_id] = topic

    def _note_broker(self, event: Event) -> bool:
        key, value = event.key, event.value
        if key.startswith(model.BROKERS):
            _set_broker(self._brokers, model.parse_broker_key(key, model.BROKERS), event)
        elif key.startswith(model.KNOWN_BROKERS):
            _set_broker(self._known_brokers, model.parse_broker_key(key, model.KNOWN_BROKERS), event)
        elif key.startswith(model.STOPPING):
            _mark(self._stopping, model.parse_broker_key(key, model.STOPPING), event)
        elif key.startswith(model.CORDONED):
            _mark(self._cordoned, model.parse_broker_key(key, model.CORDONED), event)
        elif key.startswith(model.UNFENCED):
            if value is None:
                self._unfenced.pop(model.parse_broker_key(key, model.UNFENCED), None)
            else:
                self._unfenced[model.parse_broker_key(key, model.UNFENCED)] = model.decode_unfenced(value)
        elif key.startswith(model.OFFLINE_REPLICAS):
            self._offline_replicas.pop(model.parse_offline_replicas_key(key), None)
            if value is not None:
                where = model.parse_offline_replicas_key(key)
                self._offline_replicas[where] = model.decode_offline_replicas(value)
        elif key.startswith(model.LOG_DIRS):
            if value is None:
                self._log_dirs.pop(model.parse_broker_key(key, model.LOG_DIRS), None)
            else:
                node_id, directory_ids = model.decode_log_dirs(key, value)
                self._log_dirs[node_id] = directory_ids
        else:
            return False
        return True

    def _note_access(self, event: Event) -> bool:
        """Who may come, what each may do, and how much of it."""
        key, value, revision = event.key, event.value, event.revision
        if key.startswith(ACLS):
            self._acls.put(key, None if value is None else decode_acl(value))
        elif key.startswith(SCRAM):
            credential = None if value is None else decode_credential(key, value, revision)
            self._credentials.put(parse_credential_key(key), credential)
        elif key.startswith(TOKENS):
            token = None if value is None else decode_token(key, value, revision)
            self._tokens.put(key.removeprefix(TOKENS), token)
        elif key.startswith(QUOTAS):
            self._quotas.put(parse_quota_key(key), None if value is None else decode_quotas(value, revision))
        else:
            return False
        return True

    def _apply_other(self, event: Event) -> None:
        key, value = event.key, event.value
        if key.startswith(model.BROKER_CONFIGS):
            _set(self._broker_overrides, key.removeprefix(model.BROKER_CONFIGS), event)
        elif key.startswith(model.GROUP_CONFIGS):
            _set(self._group_overrides, key.removeprefix(model.GROUP_CONFIGS), event)
        elif key.startswith(model.CLIENT_METRICS):
            configs = None if value is None else model.decode_configs(value, event.revision)
            self._client_metrics.put(key.removeprefix(model.CLIENT_METRICS), configs)
        elif key == model.CONTROLLER:
            self._controller = None if value is None else model.decode_controller(value, event.revision)
        elif key == model.FEATURES:
            if value is None:
                self._features, self._features_epoch = model.UNRECORDED_FEATURES, 0
            else:
                self._features, self._features_epoch = model.decode_features(value), event.revision
        elif key == model.MIGRATING:
            if value is not None:
                raise MetadataFormatError(
                    "a copy of a single node's metadata is under way in the store, or was broken off: "
                    "`ottla cluster migrate` completes it"
                )
        elif key not in (model.PRODUCER_IDS, model.CLUSTER_ID):  # whoever needs these reads them itself
            raise MetadataFormatError(f"{key} is no key of this version")


def _delta(old_image: MetadataImage, new_image: MetadataImage, topics: Iterable[str]) -> ImageDelta:
    """What differs between two images; all other topics are known to be the same."""
    deleted: list[Topic] = []
    created: list[Topic] = []
    configured: list[Topic] = []
    added: list[PartitionsAdded] = []
    changed: list[PartitionChange] = []
    unclean_elections = 0
    for name in topics:
        old, new = old_image.topics.get(name), new_image.topics.get(name)
        if old is new:
            continue
        same = old is not None and new is not None and old.topic_id == new.topic_id
        if old is not None and not same:
            deleted.append(old)
        if new is not None and not same:
            created.append(new)
        if old is None or new is None or not same:
            continue
        if len(new.partitions) > len(old.partitions):
            added.append(PartitionsAdded(new, len(old.partitions)))
        states = zip(old.partitions, new.partitions, strict=False)  # only those that both have
        for number, (was, is_) in enumerate(states):
            if was != is_:
                changed.append(PartitionChange(new, number))
                unclean_elections += is_.is_recovering and was.leader_epoch != is_.leader_epoch
        if old.configs != new.configs:
            configured.append(new)
    return ImageDelta(
        tuple(deleted),
        tuple(created),
        tuple(added),
        tuple(changed),
        tuple(configured),
        _differing(old_image.broker_overrides, new_image.broker_overrides),
        _differing(old_image.group_overrides, new_image.group_overrides),
        _differing(old_image.brokers, new_image.brokers)
        | _differing(old_image.unfenced, new_image.unfenced)
        | (old_image.stopping ^ new_image.stopping),
        _differing(old_image.offline_replicas, new_image.offline_replicas),
        old_image.controller != new_image.controller,
        old_image.features != new_image.features,
        old_image.acls is not new_image.acls and old_image.acls != new_image.acls,
        frozenset()
        if old_image.credentials is new_image.credentials
        else _differing(old_image.credentials, new_image.credentials),
        old_image.quotas is not new_image.quotas and old_image.quotas != new_image.quotas,
        unclean_elections,
    )


def _partitions_after(
    name: str,
    old: tuple[PartitionState, ...],
    begun: tuple[PartitionState, ...],
    changes: Mapping[int, PartitionState | None],
) -> tuple[PartitionState, ...]:
    """`begun` is as a changed topic's key says: that holds for partitions without a key of their own."""
    if not changes and not begun:
        return old
    states: dict[int, PartitionState | None] = {
        **dict(enumerate(begun)),
        **{number: state for number, state in enumerate(old) if state.revision or number >= len(begun)},
        **changes,
    }
    present = [state for number in range(len(states)) if (state := states.get(number)) is not None]
    if len(present) != len(states):
        raise MetadataFormatError(f"topic {name} has gaps between its partitions")
    return tuple(present)


def _decode_configs(event: Event) -> Configs:
    return NO_OVERRIDES if event.value is None else model.decode_configs(event.value, event.revision)


def _set_broker(brokers: dict[int, BrokerRegistration], node_id: int, event: Event) -> None:
    if event.value is None:
        brokers.pop(node_id, None)
    else:
        brokers[node_id] = model.decode_broker(node_id, event.value, event.revision)


def _mark(brokers: dict[int, None], node_id: int, event: Event) -> None:
    brokers.pop(node_id, None)
    if event.value is not None:
        brokers[node_id] = None


def _set(overrides: dict[str, Configs], name: str, event: Event) -> None:
    if event.value is None:
        overrides.pop(name, None)
    else:
        overrides[name] = _decode_configs(event)


def _differing(old: Mapping[_K, object], new: Mapping[_K, object]) -> frozenset[_K]:
    return frozenset(key for key in {**old, **new} if old.get(key) != new.get(key))
