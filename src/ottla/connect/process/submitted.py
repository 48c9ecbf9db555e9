"""Records of a source on their way: which of its offsets may be committed. Offsets of a batch count when all
records of it, and of those before it, are in their topics. Pure; safe between threads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Offset, Produced
from ottla.connect.worker.json_records import dump


class PartitionOffset(NamedTuple):
    partition: Offset
    offset: Offset


class Batch:
    """What one poll gave. `acknowledged` where `waiting_for` is 0."""

    __slots__ = ("_lock", "error", "failed", "offsets", "outcomes", "waiting_for")

    def __init__(self, offsets: Mapping[bytes, PartitionOffset], lock: threading.Lock) -> None:
        self.offsets = offsets
        self.waiting_for = 1  # for `sent`
        self.outcomes: list[tuple[SourceRecord, Produced | None]] = []
        self.error: Exception | None = None
        self.failed: list[SourceRecord] = []
        """Those of `error`, where each is sent by itself"""
        self._lock = lock

    def expect(self, records: int) -> None:
        with self._lock:
            self.waiting_for += records

    def settled(self, records: int, error: Exception | None) -> None:
        with self._lock:
            self.waiting_for -= records
            self.error = self.error or error

    def sent(self) -> None:
        """Nothing more will be expected."""
        self.settled(1, None)


class Submitted:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: deque[Batch] = deque()
        self._committable: dict[bytes, PartitionOffset] = {}

    def begin(self, records: Sequence[SourceRecord]) -> Batch:
        batch = Batch(offsets_of(records), self._lock)
        with self._lock:
            self._batches.append(batch)
        return batch

    def forget(self, batch: Batch) -> None:
        """It will be sent again, as another."""
        with self._lock:
            self._batches.remove(batch)

    def next_over(self) -> Batch | None:
        """The next batch, in their order, if it is over; each once."""
        with self._lock:
            is_over = self._batches and self._batches[0].waiting_for == 0
            return self._batches.popleft() if is_over else None

    def may_commit(self, batch: Batch) -> None:
        """Its offsets are committable from now on: all of it is in its topics, or is left out."""
        with self._lock:
            self._committable.update(batch.offsets)

    def take(self) -> dict[bytes, PartitionOffset]:
        """What is to be committed and was not taken yet."""
        with self._lock:
            taken, self._committable = self._committable, {}
        return taken

    def give_back(self, offsets: Mapping[bytes, PartitionOffset]) -> None:
        """A commit failed: those that are not out of date count again."""
        with self._lock:
            self._committable = {**offsets, **self._committable}


def offsets_of(records: Sequence[SourceRecord]) -> dict[bytes, PartitionOffset]:
    """The last of each of the source's partitions."""
    found: dict[bytes, PartitionOffset] = {}
    partition: Offset | None = None
    key = b""
    for record in records:
        if record.source_partition is not partition:
            partition = record.source_partition
            key = partition_key(partition)
        found[key] = PartitionOffset(record.source_partition, record.source_offset)
    return found


def partition_key(partition: Offset) -> bytes:
    """The same for partitions that are equal, in whatever order their parts are."""
    return dump(dict(sorted(partition.items())))
