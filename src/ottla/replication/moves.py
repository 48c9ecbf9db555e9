"""Which partitions move to other brokers, by what the cluster knows (KIP-455): as clients ask for it, and as
topics of coordinators need it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ottla.config.topic import TopicDefaults
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import NO_LEADER, PartitionState, Topic
from ottla.metadata.partitions import change_partition
from ottla.metadata.placement import UsableBroker, check_manual_replicas, usable_brokers
from ottla.metadata.plan import Changes, Plan, Step
from ottla.metadata.transaction import Compare
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.replication.elections import Election, change
from ottla.replication.leadership import TopicPartition, situation_at, situation_in, topic_of
from ottla.replication.reassignment import begin_reassignment, is_moving, revert_reassignment


def alter_reassignments(
    image: MetadataImage,
    defaults: TopicDefaults,
    wanted: Mapping[TopicPartition, Sequence[int] | None],
    *,
    allow_factor_change: bool,
) -> Plan[TopicPartition, PartitionState]:
    """Move each partition to the brokers that are wanted, or take its move back where that is None.

    Refused are unknown_topic_or_partition, invalid_replica_assignment, no_reassignment_in_progress, and
    invalid_replication_factor (KIP-860).
    """
    changes: Changes[TopicPartition] = Changes()
    results: dict[TopicPartition, PartitionState | KafkaError] = {}
    for (name, number), replicas in wanted.items():
        try:
            topic = topic_of(image, name, number)
            state = topic.partitions[number]
            if replicas is None:
                moved = _cancelled(image, topic, number, defaults)
            else:
                check_manual_replicas(image, replicas, None)
                if not allow_factor_change:
                    _check_factor(state, len(replicas))
                situation = situation_at(image, topic, number, situation_in(image, topic, defaults))
                moved = change(state, situation, **begin_reassignment(state, replicas)._asdict())
        except KafkaError as error:
            results[name, number] = error
            continue
        if moved is not state:
            changes.add((name, number), *change_partition(topic, number, moved))
        results[name, number] = moved
    return Plan(changes.steps(), results)


def raise_factors(
    image: MetadataImage, defaults: TopicDefaults, factors: Mapping[str, int], *always: Compare
) -> tuple[Step[TopicPartition], ...]:
    """Begin to give topics as many replicas as `factors` says, once there are brokers for all of them;
    `always` is compared in each step.

    Topics of coordinators are made with their factor, but a node that was alone had one replica of each.
    """
    changes: Changes[TopicPartition] = Changes(*always)
    active = [broker for broker in usable_brokers(image) if broker.is_active]
    for name, factor in factors.items():
        topic = image.topics.get(name)
        if topic is None:
            continue
        kept = Counter(each for state in topic.partitions for each in state.replicas)
        for number, state in enumerate(topic.partitions):
            if len(state.replicas) >= factor or is_moving(state) or state.leader == NO_LEADER:
                continue
            replicas = _extended(state.replicas, factor, active, kept)
            if len(replicas) == factor:
                kept.update(replicas[len(state.replicas) :])
                situation = situation_at(image, topic, number, situation_in(image, topic, defaults))
                moved = change(state, situation, **begin_reassignment(state, replicas)._asdict())
                changes.add((name, number), *change_partition(topic, number, moved))
    return changes.steps()


def _extended(
    replicas: Sequence[int], factor: int, brokers: Sequence[UsableBroker], kept: Mapping[int, int]
) -> tuple[int, ...]:
    """The replicas and others, on racks of their own where there are such, and on who keeps the fewest."""
    chosen = list(replicas)
    racks = {each.node_id: each.rack for each in brokers}
    while len(chosen) < factor and (free := [each for each in racks if each not in chosen]):
        taken = [racks[each] for each in chosen if each in racks]
        chosen.append(min(free, key=lambda each: (taken.count(racks[each]), kept.get(each, 0), each)))
    return tuple(chosen)


def _cancelled(image: MetadataImage, topic: Topic, number: int, defaults: TopicDefaults) -> PartitionState:
    state = topic.partitions[number]
    if not is_moving(state):
        raise KafkaError(ErrorCode.no_reassignment_in_progress)
    reverted = revert_reassignment(state)
    situation = situation_at(image, topic, number, situation_in(image, topic, defaults))
    if reverted.is_unclean and situation.election is not Election.UNCLEAN:
        raise KafkaError(
            ErrorCode.invalid_replica_assignment,
            f"Unable to revert partition assignment for {topic.name}:{number} because it would require an "
            "unclean leader election.",
        )
    return change(state, situation, isr=reverted.isr, replicas=reverted.replicas, adding=(), removing=())


def _check_factor(state: PartitionState, wanted: int) -> None:
    present = len([each for each in state.replicas if each not in state.removing])
    if wanted != present:
        raise KafkaError(
            ErrorCode.invalid_replication_factor,
            f"The replication factor is changed from {present} to {wanted}",
        )
