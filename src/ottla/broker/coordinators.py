"""The coordinators of a broker, and what they need of each other and of those of other brokers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ottla.coordinator.cluster import ClusterMarkers, ClusterTransactions
from ottla.coordinator.groups import GroupCoordinator
from ottla.coordinator.markers import LocalMarkers
from ottla.coordinator.transactions import ProducerIdSource, TransactionCoordinator

if TYPE_CHECKING:
    from ottla.broker.host import Host
    from ottla.config.broker import BrokerConfig
    from ottla.config.current import CurrentConfig
    from ottla.metadata.image import ImageDelta, ImageSource, MetadataImage
    from ottla.network.peers import Channel
    from ottla.replica.group_commit import GroupCommit
    from ottla.replica.partitions import Partitions


class Coordinators:
    """Of groups and of transactions."""

    def __init__(
        self,
        partitions: Partitions,
        metadata: ImageSource,
        config: CurrentConfig,
        host: Host,
        group_commit: GroupCommit,
        producer_ids: ProducerIdSource,
        channel: Callable[[int], Channel],
    ) -> None:
        """`channel` opens a connection to another broker."""
        clock, node_id = host.clock, config.value.node_id
        self.groups = GroupCoordinator(
            partitions, metadata, config, config, clock, group_commit, host.new_uuid
        )
        self.local_markers = LocalMarkers(partitions.get, self.groups, group_commit, config, clock)
        self._markers = ClusterMarkers(node_id, metadata, self.local_markers, channel, config)
        self.transactions = TransactionCoordinator(
            partitions, metadata, config, config, clock, group_commit, producer_ids, self._markers
        )
        self.transaction_partitions = ClusterTransactions(
            node_id, metadata, self.transactions, channel, config
        )

    async def load(self) -> None:
        """Take over what is led here."""
        await asyncio.gather(self.groups.load(), self.transactions.load())

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Follow the internal topics and the brokers."""
        for each in (self.groups, self.transactions, self._markers, self.transaction_partitions):
            await each.on_metadata(delta, image)

    def reconfigure(self, config: BrokerConfig) -> None:
        """Apply changed settings from the next decision on."""
        self.groups.reconfigure(config)
        self.transactions.reconfigure(config)

    async def stop(self) -> None:
        """Give all groups and transactions up; whoever waits is answered."""
        self.groups.stop()
        await self.transactions.stop()
        self._markers.stop()
        self.transaction_partitions.stop()
