"""The cluster around a partition, for tests of what its leader decides."""

from __future__ import annotations

from ottla.replica.partition import IsrProposal, Partition

NOW_MS = 2_000_000
LAG_MS = 10_000


class Neighbours:
    """A `Cluster` of brokers that are registered with an epoch each, as far as a test says so."""

    def __init__(self, node_id: int = 1, **epochs: int) -> None:
        """`epochs` by the brokers' names: `b2=7` is broker 2 in epoch 7."""
        self.node_id = node_id
        self.lag_max_ms = LAG_MS
        self.time_ms = NOW_MS
        self.epochs = {int(name[1:]): epoch for name, epoch in epochs.items()}
        self.stopping: list[int] = []
        self.proposals: list[IsrProposal] = []
        self.awaited: dict[tuple[int, Partition], None] = {}
        self.watched: dict[Partition, None] = {}

    def monotonic_ms(self) -> int:
        return self.time_ms

    def broker_epoch(self, node_id: int) -> int:
        return self.epochs.get(node_id, -1)

    def may_join(self, node_id: int, broker_epoch: int) -> bool:
        return self.epochs.get(node_id) == broker_epoch and node_id not in self.stopping

    def await_fetch(self, node_id: int, partition: Partition) -> None:
        self.awaited[node_id, partition] = None

    def fetched(self, node_id: int, partition: Partition) -> None:
        self.awaited.pop((node_id, partition), None)

    def propose(self, proposal: IsrProposal) -> None:
        self.proposals.append(proposal)

    def watch(self, partition: Partition) -> None:
        self.watched[partition] = None

    def look(self) -> None:
        """What the timer does."""
        watched, self.watched = self.watched, {}
        for partition in watched:
            if partition.check_lag(self.time_ms):
                self.watch(partition)
