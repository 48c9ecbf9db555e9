"""Writing one partition's new state: the same for whoever changes it."""

from __future__ import annotations

from collections.abc import Sequence

from ottla.metadata import model
from ottla.metadata.model import PartitionState, Topic
from ottla.metadata.transaction import Compare, Put, Write


def change_partition(
    topic: Topic, partition: int, state: PartitionState, *, former: PartitionState | None = None
) -> tuple[Sequence[Compare], Sequence[Write]]:
    """What is compared and written to put `state` where the partition is as `topic` has it, or as it was in
    its `former` state.

    While a partition has no key of its own it is as its topic says, so that the topic's key is compared too.
    """
    key, revision = (
        model.partition_key(topic.name, partition),
        (former or topic.partitions[partition]).revision,
    )
    compares = [Compare.unchanged(key, revision)]
    if not revision:
        compares.append(Compare.unchanged(model.topic_key(topic.name), topic.revision))
    return compares, (Put(key, model.encode_partition(state)),)
