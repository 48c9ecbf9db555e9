"""What the controller writes, given all that the cluster knows: the same for whoever is controller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TypeAlias

from ottla.config.definition import ConfigError
from ottla.config.topic import TopicDefaults, topic_config
from ottla.metadata import model
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import NO_LEADER, PartitionState, Topic
from ottla.metadata.partitions import change_partition
from ottla.metadata.plan import Changes, Plan, Step
from ottla.metadata.transaction import Compare, Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.replication.elections import Election, Situation, settle

TopicPartition: TypeAlias = tuple[str, int]

_UNFENCED_AT_ONCE = 100
"""What fits into one transaction"""


def all_partitions(image: MetadataImage) -> Iterator[TopicPartition]:
    for name, topic in image.topics.items():
        yield from ((name, number) for number in range(len(topic.partitions)))


def situation_in(
    image: MetadataImage, topic: Topic, defaults: TopicDefaults, election: Election = Election.ONLINE
) -> Situation:
    """What elections of the topic's partitions depend on. Where the topic allows unclean ones, whoever
    is looked for may be elected so.
    """
    try:
        config = topic_config(topic.configs, defaults)
    except ConfigError:  # settings that contradict those of brokers by now
        config = defaults.topic_defaults
    if election is Election.ONLINE and config.unclean_leader_election_enable:
        election = Election.UNCLEAN
    return Situation(active_brokers(image), unclean_brokers(image), config.min_insync_replicas, election)


def situation_at(image: MetadataImage, topic: Topic, number: int, of_topic: Situation) -> Situation:
    """What elections of one of its partitions depend on: brokers that cannot use its log do not count, and
    what they had may be gone.
    """
    offline = image.brokers_without(topic, number)
    if not offline:
        return of_topic
    return of_topic._replace(active=of_topic.active - offline, unclean=of_topic.unclean | offline)


def active_brokers(image: MetadataImage) -> frozenset[int]:
    """Who may lead, and be in ISRs."""
    return frozenset(filter(image.is_active, image.brokers))


def unclean_brokers(image: MetadataImage) -> frozenset[int]:
    """Who registered with less than it had, and was not unfenced since."""
    brokers = image.brokers.values()
    return frozenset(each.node_id for each in brokers if not each.is_clean and image.is_fenced(each.node_id))


def settle_partitions(
    image: MetadataImage, defaults: TopicDefaults, partitions: Iterable[TopicPartition], *always: Compare
) -> tuple[Step[TopicPartition], ...]:
    """Bring partitions to what they should be, those that are not; `always` is compared in each step. Those
    that get another leader come first: they are waited for.
    """
    urgent: Changes[TopicPartition] = Changes(*always)
    others: Changes[TopicPartition] = Changes(*always)
    situation_of = cache(lambda name: situation_in(image, image.topics[name], defaults))
    for name, number in partitions:
        topic = image.topics.get(name)
        if topic is None or number >= len(topic.partitions):
            continue
        situation = situation_at(image, topic, number, situation_of(name))
        state = topic.partitions[number]
        settled = settle(state, situation)
        _change(others if settled.leader == state.leader else urgent, topic, number, settled)
    return (*urgent.steps(), *others.steps())


def rebalance_leaders(
    image: MetadataImage, defaults: TopicDefaults, at_most: int, *always: Compare
) -> tuple[Step[TopicPartition], ...]:
    """Have preferred replicas lead that are in sync and do not; as `settle_partitions`."""
    changes: Changes[TopicPartition] = Changes(*always)
    left = at_most
    for name, number in all_partitions(image):
        topic = image.topics[name]
        state = topic.partitions[number]
        preferred = state.replicas[0]
        if state.leader != preferred and preferred in state.isr and image.is_active(preferred):
            situation = situation_in(image, topic, defaults, Election.PREFERRED)
            _change(changes, topic, number, settle(state, situation_at(image, topic, number, situation)))
            left -= 1
            if left == 0:
                break
    return changes.steps()


def elect_leaders(
    image: MetadataImage, defaults: TopicDefaults, partitions: Iterable[TopicPartition], election: Election
) -> Plan[TopicPartition, PartitionState]:
    """Elect preferred leaders, or (uncleanly) leaders where there are none (KIP-460).

    Refused are unknown_topic_or_partition, election_not_needed, preferred_leader_not_available and
    eligible_leaders_not_available.
    """
    changes: Changes[TopicPartition] = Changes()
    results: dict[TopicPartition, PartitionState | KafkaError] = {}
    for name, number in dict.fromkeys(partitions):
        try:
            topic = topic_of(image, name, number)
            state = _elected(image, topic, number, defaults, election)
        except KafkaError as error:
            results[name, number] = error
            continue
        changes.add((name, number), *change_partition(topic, number, state))
        results[name, number] = state
    return Plan(changes.steps(), results)


def _elected(
    image: MetadataImage, topic: Topic, number: int, defaults: TopicDefaults, election: Election
) -> PartitionState:
    state = topic.partitions[number]
    is_preferred = election is Election.PREFERRED
    if state.leader == state.replicas[0] if is_preferred else state.leader != NO_LEADER:
        raise KafkaError(ErrorCode.election_not_needed)
    situation = situation_in(image, topic, defaults, election)
    elected = settle(state, situation_at(image, topic, number, situation))
    if is_preferred and elected.leader != state.replicas[0]:
        raise KafkaError(ErrorCode.preferred_leader_not_available)
    if elected.leader == NO_LEADER:
        raise KafkaError(ErrorCode.eligible_leaders_not_available)
    return elected


def topic_of(image: MetadataImage, name: str, number: int) -> Topic:
    """The topic that has the partition. Raises KafkaError(unknown_topic_or_partition)."""
    topic = image.topics.get(name)
    if topic is None or not 0 <= number < len(topic.partitions):
        raise KafkaError(ErrorCode.unknown_topic_or_partition)
    return topic


def waiting_brokers(image: MetadataImage) -> list[int]:
    """Who is registered and still fenced."""
    return [node_id for node_id in image.brokers if image.is_fenced(node_id)]


def unfence(image: MetadataImage, *always: Compare) -> Transaction | None:
    """Take brokers back for which all is done: they are in no ISR from their last epochs any more and, unless
    they are clean, not eligible to lead. None where there are none.
    """
    waiting = dict.fromkeys(waiting_brokers(image))
    unclean = unclean_brokers(image)
    if not waiting:
        return None
    for topic in image.topics.values():
        for state in topic.partitions:
            for node_id in (*state.isr, *(each for each in state.elr if each in unclean)):
                waiting.pop(node_id, None)
    ready = list(waiting)[:_UNFENCED_AT_ONCE]
    if not ready:
        return None
    epochs = {node_id: image.brokers[node_id].epoch for node_id in ready}
    return Transaction(
        (*always, *(Compare.unchanged(model.broker_key(node_id), epochs[node_id]) for node_id in ready)),
        tuple(Put(model.unfenced_key(node_id), model.encode_unfenced(epochs[node_id])) for node_id in ready),
    )


def _change(changes: Changes[TopicPartition], topic: Topic, number: int, state: PartitionState) -> None:
    if state is not topic.partitions[number]:
        changes.add((topic.name, number), *change_partition(topic, number, state))
