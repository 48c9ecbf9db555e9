"""Creating, deleting and growing topics: decisions on an image, with Kafka's errors for each item."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias
from uuid import UUID

from ottla.config.controller import ControllerConfig
from ottla.config.definition import ConfigError
from ottla.config.topic import topic_config
from ottla.metadata import model
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import Configs, PartitionState, Topic
from ottla.metadata.placement import check_manual_replicas, place_replicas, usable_brokers
from ottla.metadata.plan import Changes, Plan, check_partition_count
from ottla.metadata.topic_names import (
    METADATA_TOPIC,
    check_topic_name,
    is_valid_topic_name,
    unified_name,
    unified_names,
)
from ottla.metadata.transaction import Compare, Delete, DeletePrefix, Put, Write
from ottla.protocol.errors import ErrorCode, KafkaError

__all__ = [
    "NewPartitions",
    "NewTopic",
    "create_partitions",
    "create_topics",
    "delete_topics",
    "is_usable_topic_id",
    "is_valid_topic_name",
]

Take: TypeAlias = Callable[[str, int], None]
"""Asked before so many partitions of a topic come or go; raises KafkaError where they are too many for the
client's quota (KIP-599). It may be asked again for the same, as plans are made again."""


def unlimited(_topic: str, _partitions: int) -> None:
    """Where nothing is counted."""


_UNSET = -1
_LARGEST_RESERVED_ID = 99


class NewTopic(NamedTuple):
    """One topic of a CreateTopics request; -1 asks for the broker's default."""

    name: str
    num_partitions: int = _UNSET
    replication_factor: int = _UNSET
    assignments: Sequence[tuple[int, Sequence[int]]] = ()  # partition and its replicas, in any order
    configs: Mapping[str, str | None] = MappingProxyType({})


class NewPartitions(NamedTuple):
    """One topic of a CreatePartitions request: `num_partitions` in all, `assignments` for the new ones."""

    name: str
    num_partitions: int
    assignments: Sequence[Sequence[int]] | None = None


def is_usable_topic_id(topic_id: UUID) -> bool:
    """Not an id that Kafka reserves, nor one whose base64 text begins with a dash, as options do."""
    first_six_bits = topic_id.bytes[0] >> 2
    return topic_id.int > _LARGEST_RESERVED_ID and first_six_bits != 62


def create_topics(
    image: MetadataImage,
    requests: Sequence[NewTopic],
    broker: ControllerConfig,
    topic_ids: Iterator[UUID],
    take: Take = unlimited,
) -> Plan[str, Topic]:
    """Plan the topics that can be created; `topic_ids` supplies random ids, unusable ones are passed over."""
    try:
        check_partition_count(sum(_requested_partitions(request, broker) for request in requests))
    except KafkaError as error:
        return Plan((), {request.name: error for request in requests})
    times_named = Counter(request.name for request in requests)
    taken = unified_names(image.topics)
    changes: Changes[str] = Changes()
    results: dict[str, Topic | KafkaError] = {}
    for request in requests:
        try:
            if times_named[request.name] > 1:
                raise KafkaError(ErrorCode.invalid_request, "Found multiple entries for this topic.")
            _check_new_name(request.name, image, taken)
            topic = _new_topic(request, image, broker, topic_ids)
            take(topic.name, len(topic.partitions))
            changes.add(topic.name, *_creation(topic))
        except KafkaError as error:
            results[request.name] = error
            continue
        taken.update(unified_names([topic.name]))
        results[topic.name] = topic
    return Plan(changes.steps(), results)


def delete_topics(image: MetadataImage, names: Iterable[str], take: Take = unlimited) -> Plan[str, Topic]:
    """Plan the deletion of whole topics with their settings."""
    changes: Changes[str] = Changes()
    results: dict[str, Topic | KafkaError] = {}
    for name in dict.fromkeys(names):
        topic = image.topics.get(name)
        if topic is None:
            results[name] = KafkaError(ErrorCode.unknown_topic_or_partition)
            continue
        try:
            take(name, len(topic.partitions))
        except KafkaError as error:
            results[name] = error
            continue
        results[name] = topic
        key, config_key = model.topic_key(name), model.TOPIC_CONFIGS + name
        changes.add(
            name,
            (Compare.unchanged(key, topic.revision), Compare.unchanged(config_key, topic.overrides.revision)),
            (Delete(key), Delete(config_key), DeletePrefix(model.partitions_prefix(name))),
        )
    return Plan(changes.steps(), results)


def create_partitions(
    image: MetadataImage, requests: Sequence[NewPartitions], take: Take = unlimited
) -> Plan[str, Topic]:
    """Plan the growth of topics; the results are the topics as they will be."""
    times_named = Counter(request.name for request in requests)
    changes: Changes[str] = Changes()
    results: dict[str, Topic | KafkaError] = {}
    added = 0
    for request in requests:
        try:
            if times_named[request.name] > 1:
                raise KafkaError(ErrorCode.invalid_request, "Duplicate topic in request.")
            topic = image.topics.get(request.name)
            if topic is None:
                raise KafkaError(ErrorCode.unknown_topic_or_partition)
            _check_growth(topic, request)
            check_partition_count(added + request.num_partitions - len(topic.partitions))
            take(topic.name, request.num_partitions - len(topic.partitions))
            grown = _grown_topic(topic, request, image)
            key = model.topic_key(topic.name)
            changes.add(
                topic.name, (Compare.unchanged(key, topic.revision),), (Put(key, _encoded_topic(grown)),)
            )
        except KafkaError as error:
            results[request.name] = error
            continue
        added += request.num_partitions - len(topic.partitions)
        results[topic.name] = grown
    return Plan(changes.steps(), results)


def _requested_partitions(request: NewTopic, broker: ControllerConfig) -> int:
    if request.assignments:
        return len(request.assignments)
    return broker.num_partitions if request.num_partitions == _UNSET else max(request.num_partitions, 0)


def _check_new_name(name: str, image: MetadataImage, taken: Mapping[str, str]) -> None:
    if name == METADATA_TOPIC:
        raise KafkaError(ErrorCode.invalid_request, f"The name {name} is that of Kafka's own metadata.")
    check_topic_name(name)
    if name in image.topics:
        raise KafkaError(ErrorCode.topic_already_exists, f"Topic '{name}' already exists.")
    if ("." in name or "_" in name) and unified_name(name) in taken:
        raise KafkaError(
            ErrorCode.invalid_topic_exception,
            f"Topic '{name}' collides with existing topic: {taken[unified_name(name)]}",
        )


def _new_topic(
    request: NewTopic, image: MetadataImage, broker: ControllerConfig, topic_ids: Iterator[UUID]
) -> Topic:
    overrides = _checked_configs(request.configs, broker)
    if request.assignments:
        replicas = _manual_assignments(request, image)
    else:
        replicas = _automatic_assignments(request, image, broker)
    topic_id = next(topic_id for topic_id in topic_ids if is_usable_topic_id(topic_id))
    partitions = tuple(_begun(image, number, each) for number, each in enumerate(replicas))
    return Topic(request.name, topic_id, partitions, Configs(overrides))


def _begun(image: MetadataImage, number: int, replicas: tuple[int, ...]) -> PartitionState:
    """A new partition: those of its replicas are in sync whose brokers are there."""
    isr = tuple(filter(image.is_active, replicas))
    if not isr:
        raise KafkaError(
            ErrorCode.invalid_replica_assignment,
            f"All brokers specified in the manual partition assignment for partition {number} are fenced or "
            "in controlled shutdown.",
        )
    return model.initial_state(replicas, isr)


def _checked_configs(configs: Mapping[str, str | None], broker: ControllerConfig) -> dict[str, str]:
    null = [name for name, text in configs.items() if text is None]
    if null:
        raise KafkaError(
            ErrorCode.invalid_config, f"Null value not supported for topic configs: {','.join(null)}"
        )
    overrides = {name: text for name, text in configs.items() if text is not None}
    try:
        topic_config(overrides, broker)
    except ConfigError as error:
        raise KafkaError(ErrorCode.invalid_config, error.message) from None
    return overrides


def _manual_assignments(request: NewTopic, image: MetadataImage) -> list[tuple[int, ...]]:
    for field_name, value in (
        ("replication factor", request.replication_factor),
        ("numPartitions", request.num_partitions),
    ):
        if value != _UNSET:
            raise KafkaError(
                ErrorCode.invalid_request,
                f"A manual partition assignment was specified, but {field_name} was not set to -1.",
            )
    by_partition: dict[int, tuple[int, ...]] = {}
    replication_factor: int | None = None
    for partition, replicas in request.assignments:
        if partition in by_partition:
            raise KafkaError(
                ErrorCode.invalid_replica_assignment,
                f"Found multiple manual partition assignments for partition {partition}",
            )
        check_manual_replicas(image, replicas, replication_factor)
        replication_factor = len(replicas)
        by_partition[partition] = tuple(replicas)
    if by_partition.keys() != set(range(len(by_partition))):
        raise KafkaError(
            ErrorCode.invalid_replica_assignment,
            "partitions should be a consecutive 0-based integer sequence",
        )
    return [by_partition[partition] for partition in range(len(by_partition))]


def _automatic_assignments(
    request: NewTopic, image: MetadataImage, broker: ControllerConfig
) -> list[tuple[int, ...]]:
    if request.replication_factor != _UNSET and request.replication_factor <= 0:
        raise KafkaError(
            ErrorCode.invalid_replication_factor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        )
    if request.num_partitions != _UNSET and request.num_partitions <= 0:
        raise KafkaError(
            ErrorCode.invalid_partitions, "Number of partitions was set to an invalid non-positive value."
        )
    factor = request.replication_factor
    if factor == _UNSET:
        factor = broker.default_replication_factor
    partitions = _requested_partitions(request, broker)
    return place_replicas(usable_brokers(image), partitions, factor, first=len(image.topics))


def _check_growth(topic: Topic, request: NewPartitions) -> None:
    present = len(topic.partitions)
    if request.num_partitions == present:
        raise KafkaError(ErrorCode.invalid_partitions, f"Topic already has {present} partition(s).")
    if request.num_partitions < present:
        raise KafkaError(
            ErrorCode.invalid_partitions,
            f"The topic {topic.name} currently has {present} partition(s); {request.num_partitions} would "
            "not be an increase.",
        )
    additional = request.num_partitions - present
    if request.assignments is not None and len(request.assignments) != additional:
        raise KafkaError(
            ErrorCode.invalid_replica_assignment,
            f"Attempted to add {additional} additional partition(s), but only {len(request.assignments)} "
            "assignment(s) were specified.",
        )


def _grown_topic(topic: Topic, request: NewPartitions, image: MetadataImage) -> Topic:
    factor = len(topic.partitions[0].replicas)
    present = len(topic.partitions)
    replicas: Iterable[Sequence[int]]
    if request.assignments is not None:
        for of_partition in request.assignments:
            check_manual_replicas(image, of_partition, factor)
        replicas = request.assignments
    else:
        new = request.num_partitions - present
        replicas = place_replicas(usable_brokers(image), new, factor, first=len(image.topics) + present)
    added = [_begun(image, number, tuple(each)) for number, each in enumerate(replicas, present)]
    return dataclasses.replace(topic, partitions=(*topic.partitions, *added))


def _creation(topic: Topic) -> tuple[Sequence[Compare], Sequence[Write]]:
    key = model.topic_key(topic.name)
    writes: list[Write] = [Put(key, _encoded_topic(topic))]
    if topic.configs:
        writes.append(Put(model.TOPIC_CONFIGS + topic.name, model.encode_configs(topic.configs)))
    return (Compare.absent(key),), writes


def _encoded_topic(topic: Topic) -> bytes:
    return model.encode_topic(topic.topic_id, topic.partitions)
