"""Changelogs are read back into stores: to their end before a task runs, and on and on for standbys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from ottla.client.consumer.batch import Batch
from ottla.client.consumer.consumer import AsyncConsumer
from ottla.client.consumer.logs import list_offsets
from ottla.client.core.positions import LATEST_TIMESTAMP
from ottla.client.net.cluster import Cluster
from ottla.streams.errors import StateStoreError
from ottla.streams.runtime.protocol import TaskId
from ottla.streams.runtime.work import Phase, Work

_RECORDS: Final = 20_000
_WAIT_S: Final = 0.02


class Restoring:
    """The consumer of a thread's changelogs."""

    def __init__(self, cluster: Cluster, consumer: AsyncConsumer, folder: Path) -> None:
        self._cluster = cluster
        self._consumer = consumer
        self._folder = folder
        self.restored = 0
        """Records so far."""

    async def find_targets(self, works: Collection[Work]) -> None:
        """The changelogs' ends: behind open transactions too, since those have to end first. Raises
        StateStoreError where state is ahead of its changelog."""
        wanted = {partition: LATEST_TIMESTAMP for work in works for partition in work.stores}
        ends = await list_offsets(self._cluster, wanted) if wanted else {}
        for work in works:
            work.targets = {partition: ends[partition].offset for partition in work.stores}
            for partition, target in work.targets.items():
                if work.positions[partition] > target:
                    raise StateStoreError(
                        f"the state of task {work.task_id} is ahead of its changelog {partition.topic}, which"
                        f" was made anew or cut: delete {self._folder / str(work.task_id)}"
                    )

    def assign(self, works: Mapping[TaskId, Work]) -> None:
        """Read the changelogs of those that do not run."""
        wanted = {
            partition: work
            for work in works.values()
            if work.phase is not Phase.running
            for partition in work.stores
        }
        held = dict.fromkeys(self._consumer.assignment())
        self._consumer.assign(wanted)
        for partition, work in wanted.items():
            if partition not in held:
                self._consumer.seek(partition, work.positions[partition])

    async def step(self, works: Mapping[TaskId, Work]) -> list[Work]:
        """Take in what there is. Gives those whose state is whole now, so that they can run."""
        restoring = [work for work in works.values() if work.phase is Phase.restoring]
        if self._consumer.assignment():
            batch = await self._consumer.poll(_RECORDS, timeout_s=_WAIT_S if restoring else 0)
            if batch is not None:
                self._take_in(batch, works)
            elif restoring:
                await self._see_positions(restoring)
            self._see_lags(works)
        done = [work for work in restoring if work.is_restored]
        for work in done:
            work.commit_restored()
        return done

    def _see_lags(self, works: Mapping[TaskId, Work]) -> None:
        """What queries are told of those that do not run."""
        for work in works.values():
            if work.phase is not Phase.running:
                for partition in work.stores:
                    if (lag := self._consumer.lag(partition)) is not None:
                        work.lags[partition] = lag

    def _take_in(self, batch: Batch, works: Mapping[TaskId, Work]) -> None:
        by_partition: dict[int, list[tuple[bytes, bytes | None, int]]] = {}
        for record in batch.records():
            if record.key is not None:
                by_partition.setdefault(record.partition, []).append(
                    (record.key, record.value, record.timestamp)
                )
        owners = {partition: work for work in works.values() for partition in work.stores}
        for partition, end in batch.offsets.items():
            work = owners.get(partition)
            if work is not None:
                records = by_partition.get(partition.partition, [])
                work.restore(partition, records, end.offset)
                self.restored += len(records)
                if work.phase is Phase.standby:
                    work.commit_restored()

    async def _see_positions(self, works: Collection[Work]) -> None:
        """What is read of a changelog may end in marks of transactions, which are no records."""
        for work in works:
            for partition in work.stores:
                if work.positions[partition] < work.targets[partition]:
                    position = await self._consumer.position(partition)
                    work.positions[partition] = max(work.positions[partition], position)
