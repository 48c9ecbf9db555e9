"""A task in a thread's hands: what it reads, its changelogs, whether it runs, is restored, or follows."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from ottla.client.core.metadata import TopicPartition
from ottla.client.core.offsets import CommittedOffset
from ottla.streams.runtime.protocol import RUNNING, TaskId
from ottla.streams.state.stores import StateStore
from ottla.streams.task.task import Task

TURN_S: Final = 0.05
"""How long tasks may process before others get their turn: heartbeats, fetches, queries."""
_FIRST_RECORDS: Final = 500
_MOST_RECORDS: Final = 1 << 20
_VERSION = 2
_HEAD = struct.Struct(">bq")
_INT = struct.Struct(">i")
_LONG = struct.Struct(">q")


class Phase(Enum):
    standby = "follows the changelogs"
    restoring = "reads the changelogs to their end, then runs"
    running = "runs"


Wanted = tuple[Phase, tuple[TopicPartition, ...]]
"""What a task was assigned for: to run and read these partitions, or to follow."""


class Pace:
    """How many records of a task go together at a time, so that others have their turn in between."""

    def __init__(self) -> None:
        self.records = _FIRST_RECORDS

    def took(self, count: int, seconds: float) -> None:
        """So many went together, and took so long."""
        if seconds > TURN_S:
            self.records = max(count // 2, 1)
        elif count >= self.records and seconds < TURN_S / 4:
            self.records = min(self.records * 2, _MOST_RECORDS)


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
        self.pace = Pace()
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
        self.lags: dict[TopicPartition, int] = {}
        """How many records of each changelog it lacks, as far as is known, while it does not run."""

    @property
    def offset_sum(self) -> int:
        return RUNNING if self.phase is Phase.running else sum(self.positions.values())

    def goes_on_as(self, wanted: Wanted | None) -> bool:
        """Whether it need not be closed for what is wanted of its task now; None: nothing."""
        if wanted is None:
            return False
        phase, partitions = wanted
        return self.phase is Phase.standby or (phase is Phase.running and partitions == self.partitions)

    def lag_of(self, store: str) -> int | None:
        """How many records of its changelog a store lacks; None where that is not known."""
        if self.phase is Phase.running:
            return 0
        partition = next((each for each, owned in self.stores.items() if owned.name == store), None)
        return None if partition is None else self.lags.get(partition)

    @property
    def is_restored(self) -> bool:
        return all(self.positions[partition] >= target for partition, target in self.targets.items())

    def restore(
        self, partition: TopicPartition, records: Sequence[tuple[bytes, bytes | None, int]], end: int
    ) -> None:
        self.stores[partition].restore(records)
        self.positions[partition] = end

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
        noted = self.task.context.metadata
        return {
            TopicPartition(*partition): CommittedOffset(
                each.offset, -1, encode_metadata(each.partition_time, noted)
            )
            for partition, each in self.task.committable().items()
        }


def encode_metadata(partition_time: int, noted: Mapping[str, int]) -> str:
    """What Kafka Streams commits with an offset: the greatest time seen in the partition, and what the task's
    processors noted."""
    parts = [_HEAD.pack(_VERSION, partition_time)]
    if noted:
        parts.append(_INT.pack(len(noted)))
    for name, number in noted.items():
        encoded = name.encode()
        parts += [_INT.pack(len(encoded)), encoded, _LONG.pack(number)]
    return base64.b64encode(b"".join(parts)).decode()


def decode_metadata(metadata: str) -> tuple[int, dict[str, int]]:
    """The time and the notes; -1 and none where there is something else."""
    try:
        data = base64.b64decode(metadata, validate=True)
        version, time = _HEAD.unpack_from(data)
        if not 1 <= version <= _VERSION:
            return -1, {}
        return time, _decode_noted(data[_HEAD.size :]) if version == _VERSION else {}
    except (binascii.Error, struct.error, ValueError):
        return -1, {}


def is_of_task(metadata: str) -> bool:
    """Whether this was committed by a task of a streams application."""
    try:
        data = base64.b64decode(metadata, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(data) >= _HEAD.size and 1 <= data[0] <= _VERSION


def _decode_noted(data: bytes) -> dict[str, int]:
    noted: dict[str, int] = {}
    at = _INT.size
    for _ in range(_INT.unpack_from(data)[0] if data else 0):
        (size,) = _INT.unpack_from(data, at)
        if size < 0:
            raise ValueError(f"a name of {size} bytes")
        end = at + _INT.size + size
        (noted[data[at + _INT.size : end].decode()],) = _LONG.unpack_from(data, end)
        at = end + _LONG.size
    return noted
