"""A task in a thread's hands: what it reads, its changelogs, whether it runs, is restored, or follows."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping, Sequence
from enum import Enum

from ottla.client.core.metadata import TopicPartition
from ottla.client.core.offsets import CommittedOffset
from ottla.streams.runtime.protocol import RUNNING, TaskId
from ottla.streams.state.stores import StateStore
from ottla.streams.task.task import Task

_MAGIC = 1
_TIME = struct.Struct(">bq")


class Phase(Enum):
    standby = "follows the changelogs"
    restoring = "reads the changelogs to their end, then runs"
    running = "runs"


class Work:
    """One task. A standby that becomes active goes on with the stores that it has."""

    def __init__(
        self,
        task_id: TaskId,
        task: Task,
        changelogs: Mapping[str, TopicPartition],
        from_source: frozenset[str],
    ) -> None:
        self.task_id = task_id
        self.task = task
        self.partitions: tuple[TopicPartition, ...] = ()
        """What it reads, once it is active."""
        self.stores: dict[TopicPartition, StateStore] = {
            changelogs[store.name]: store for store in task.stores if store.name in changelogs
        }
        self._from_source = {each for name, each in changelogs.items() if name in from_source}
        self.phase = Phase.standby
        self.positions: dict[TopicPartition, int] = {
            partition: store.committed_offset() or 0 for partition, store in self.stores.items()
        }
        """By changelog partition: the next offset that the store has not got."""
        self.targets: dict[TopicPartition, int] = {}
        """Until where to restore."""
        self.restored = 0

    @property
    def offset_sum(self) -> int:
        return RUNNING if self.phase is Phase.running else sum(self.positions.values())

    @property
    def is_restored(self) -> bool:
        return all(self.positions[partition] >= target for partition, target in self.targets.items())

    def restore(
        self, partition: TopicPartition, records: Sequence[tuple[bytes, bytes | None, int]], end: int
    ) -> None:
        self.stores[partition].restore(records)
        self.positions[partition] = end
        self.restored += len(records)

    def commit_restored(self) -> None:
        for partition, store in self.stores.items():
            store.commit(self.positions[partition])

    def commit_stores(
        self, ends: Mapping[TopicPartition, int], consumed: Mapping[TopicPartition, int]
    ) -> None:
        """What was written is durable, and stands for these offsets of the changelogs."""
        for store in self.task.stores:
            partition = next((each for each, owned in self.stores.items() if owned is store), None)
            if partition is None:
                store.commit(None)
                continue
            end = (consumed if partition in self._from_source else ends).get(partition)
            if end is not None:
                self.positions[partition] = end
            store.commit(self.positions[partition])

    def committable(self) -> dict[TopicPartition, CommittedOffset]:
        return {
            TopicPartition(*partition): CommittedOffset(each.offset, -1, encode_time(each.partition_time))
            for partition, each in self.task.committable().items()
        }


def encode_time(partition_time: int) -> str:
    """The greatest time seen in a partition, as Kafka Streams commits it with the offset."""
    return base64.b64encode(_TIME.pack(_MAGIC, partition_time)).decode()


def decode_time(metadata: str) -> int:
    """-1 where there is none, or something else."""
    try:
        data = base64.b64decode(metadata, validate=True)
        magic, time = _TIME.unpack_from(data)
    except (binascii.Error, struct.error, ValueError):
        return -1
    return time if magic >= _MAGIC else -1
