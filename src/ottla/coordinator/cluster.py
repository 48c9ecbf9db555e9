"""Transactions across brokers: their markers go to whoever leads a partition, and who leads one asks the
broker that coordinates the transaction (KIP-98, KIP-890).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ottla.coordinator.markers import LocalMarkers
from ottla.coordinator.peer_batches import PeerBatches
from ottla.coordinator.shards import Answered, partition_for, settled
from ottla.coordinator.transactions import TransactionCoordinator
from ottla.metadata.topic_names import TRANSACTIONS_TOPIC
from ottla.protocol.errors import ErrorCode

if TYPE_CHECKING:
    from ottla.config.current import Current
    from ottla.config.replica import ReplicaConfig
    from ottla.coordination.runtime import Producer
    from ottla.coordination.transactions.markers import MarkerResults, TopicPartition, TxnMarker
    from ottla.metadata.image import ImageDelta, ImageSource, MetadataImage
    from ottla.network.peers import Channel
    from ottla.protocol.messages.add_partitions_to_txn import AddPartitionsToTxnTopic
    from ottla.protocol.messages.write_txn_markers import WritableTxnMarkerTopic

    Codes = Mapping[TopicPartition, ErrorCode]

_PARTITIONS_TOGETHER: Final = 1000
"""Of one marker in a request"""
_PATIENCE_S: Final = 5.0
"""Longer than the peer itself waits for its followers"""


class ClusterMarkers:
    """A `MarkerWriter` for the partitions of all brokers."""

    def __init__(
        self,
        node_id: int,
        metadata: ImageSource,
        local: LocalMarkers,
        channel: Callable[[int], Channel],
        config: Current[ReplicaConfig],
    ) -> None:
        self._node_id = node_id
        self._metadata = metadata
        self._local = local
        self._config = config
        self._peers: PeerBatches[TxnMarker, Codes] = PeerBatches(
            channel, self._send, lambda marker: marker.producer.producer_id
        )

    def write_markers(self, markers: Sequence[TxnMarker]) -> MarkerResults | Awaitable[MarkerResults]:
        """As `LocalMarkers`, with not_leader_or_follower for a partition that nobody leads just now, and
        network_exception where its leader gave no answer: it may have written the marker.
        """
        image, me = self._metadata.image, self._node_id
        if all(_leader(image, place) == me for marker in markers for place in marker.partitions):
            return self._local.write_markers(markers)
        return self._write(markers)

    async def _write(self, markers: Sequence[TxnMarker]) -> MarkerResults:
        return await asyncio.gather(*[self._write_one(each) for each in markers])

    async def _write_one(self, marker: TxnMarker) -> Codes:
        image = self._metadata.image
        results: dict[TopicPartition, ErrorCode] = {}
        places: dict[int, list[TopicPartition]] = {}
        for place in dict.fromkeys(marker.partitions):
            leader = _leader(image, place)
            if leader is None:
                results[place] = ErrorCode.unknown_topic_or_partition
            elif leader < 0:
                results[place] = ErrorCode.not_leader_or_follower
            else:
                places.setdefault(leader, []).append(place)
        mine = places.pop(self._node_id, None)
        here = self._local.write_markers([marker._replace(partitions=mine)]) if mine else [{}]
        parts = [
            self._ask(leader, marker._replace(partitions=some[start : start + _PARTITIONS_TOGETHER]))
            for leader, some in places.items()
            for start in range(0, len(some), _PARTITIONS_TOGETHER)
        ]
        elsewhere = asyncio.gather(*parts)
        results |= (await settled(here))[0]
        for codes in await elsewhere:
            results |= codes
        return results

    async def _ask(self, leader: int, marker: TxnMarker) -> Codes:
        return await _codes_of(marker.partitions, self._peers.ask(leader, marker))

    async def _send(self, channel: Channel, markers: Sequence[TxnMarker]) -> Sequence[Codes]:
        from ottla.protocol.messages.write_txn_markers import (
            WritableTxnMarker,
            WriteTxnMarkersRequest,
            WriteTxnMarkersResponse,
        )

        request = WriteTxnMarkersRequest(
            markers=[
                WritableTxnMarker(
                    producer_id=each.producer.producer_id,
                    producer_epoch=each.producer.producer_epoch,
                    transaction_result=each.committed,
                    topics=_marker_topics(each.partitions),
                    coordinator_epoch=each.coordinator_epoch,
                    transaction_version=each.transaction_version,
                )
                for each in markers
            ]
        )
        timeout_s = self._config.value.request_timeout_ms / 1000 + _PATIENCE_S
        response = await channel.send(request, WriteTxnMarkersResponse, timeout_s)
        found = {
            each.producer_id: {
                (topic.name, result.partition_index): ErrorCode(result.error_code)
                for topic in each.topics
                for result in topic.partitions
            }
            for each in response.markers
        }
        return [found.get(each.producer.producer_id, {}) for each in markers]

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Wait no longer for brokers that have gone."""
        await self._peers.on_metadata(delta, image)

    def stop(self) -> None:
        """Write no more at other brokers."""
        self._peers.stop()


class _Addition(NamedTuple):
    transactional_id: str
    producer: Producer
    partitions: Sequence[TopicPartition]
    verify_only: bool


class ClusterTransactions:
    """The `TransactionPartitions` of all brokers' coordinators."""

    def __init__(
        self,
        node_id: int,
        metadata: ImageSource,
        local: TransactionCoordinator,
        channel: Callable[[int], Channel],
        config: Current[ReplicaConfig],
    ) -> None:
        self._node_id = node_id
        self._metadata = metadata
        self._local = local
        self._config = config
        self._peers: PeerBatches[_Addition, Codes] = PeerBatches(
            channel, self._send, lambda addition: addition.transactional_id
        )

    def add_partitions(
        self,
        transactional_id: str,
        producer: Producer,
        partitions: Sequence[TopicPartition],
        *,
        verify_only: bool,
    ) -> Answered[Mapping[TopicPartition, ErrorCode]]:
        """As `TransactionCoordinator.add_partitions`, with coordinator_not_available while there is none, and
        network_exception where it gave no answer.
        """
        leader = self._coordinator_of(transactional_id)
        if leader == self._node_id:
            return self._local.add_partitions(transactional_id, producer, partitions, verify_only=verify_only)
        if leader is None or leader < 0:
            return dict.fromkeys(partitions, ErrorCode.coordinator_not_available)
        addition = _Addition(transactional_id, producer, partitions, verify_only)
        return _codes_of(partitions, self._peers.ask(leader, addition))

    async def await_end(self, transactional_id: str, max_wait_ms: int) -> None:
        """As `TransactionCoordinator.await_end`; another broker's transactions are given the whole time."""
        if self._coordinator_of(transactional_id) == self._node_id:
            await self._local.await_end(transactional_id, max_wait_ms)
        else:
            await asyncio.sleep(max_wait_ms / 1000)

    def _coordinator_of(self, transactional_id: str) -> int | None:
        image = self._metadata.image
        topic = image.topics.get(TRANSACTIONS_TOPIC)
        if topic is None:
            return None
        return topic.partitions[partition_for(transactional_id, len(topic.partitions))].leader

    async def _send(self, channel: Channel, additions: Sequence[_Addition]) -> Sequence[Codes]:
        from ottla.protocol.messages.add_partitions_to_txn import (
            AddPartitionsToTxnRequest,
            AddPartitionsToTxnResponse,
            AddPartitionsToTxnTransaction,
        )

        request = AddPartitionsToTxnRequest(
            transactions=[
                AddPartitionsToTxnTransaction(
                    transactional_id=each.transactional_id,
                    producer_id=each.producer.producer_id,
                    producer_epoch=each.producer.producer_epoch,
                    verify_only=each.verify_only,
                    topics=_added_topics(each.partitions),
                )
                for each in additions
            ]
        )
        timeout_s = self._config.value.request_timeout_ms / 1000
        response = await channel.send(request, AddPartitionsToTxnResponse, timeout_s)
        if response.error_code:
            code = ErrorCode(response.error_code)
            return [dict.fromkeys(each.partitions, code) for each in additions]
        found = {
            each.transactional_id: {
                (topic.name, result.partition_index): ErrorCode(result.partition_error_code)
                for topic in each.topic_results
                for result in topic.results_by_partition
            }
            for each in response.results_by_transaction
        }
        return [found.get(each.transactional_id, {}) for each in additions]

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Wait no longer for brokers that have gone."""
        await self._peers.on_metadata(delta, image)

    def stop(self) -> None:
        """Ask other brokers no more."""
        self._peers.stop()


async def _codes_of(places: Iterable[TopicPartition], answer: Awaitable[Codes]) -> Codes:
    """A peer's for each of these; network_exception for what it says nothing of."""
    try:
        codes = await answer
    except OSError:
        codes = {}
    return {place: codes.get(place, ErrorCode.network_exception) for place in places}


def _leader(image: MetadataImage, place: TopicPartition) -> int | None:
    """Negative where nobody leads; None where there is no such partition."""
    name, number = place
    topic = image.topics.get(name)
    if topic is None or not 0 <= number < len(topic.partitions):
        return None
    return topic.partitions[number].leader


def _marker_topics(partitions: Iterable[TopicPartition]) -> list[WritableTxnMarkerTopic]:
    from ottla.protocol.messages.write_txn_markers import WritableTxnMarkerTopic

    return [
        WritableTxnMarkerTopic(name=name, partition_indexes=indexes)
        for name, indexes in _by_topic(partitions).items()
    ]


def _added_topics(partitions: Iterable[TopicPartition]) -> list[AddPartitionsToTxnTopic]:
    from ottla.protocol.messages.add_partitions_to_txn import AddPartitionsToTxnTopic

    return [
        AddPartitionsToTxnTopic(name=name, partitions=indexes)
        for name, indexes in _by_topic(partitions).items()
    ]


def _by_topic(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name, number in partitions:
        found.setdefault(name, []).append(number)
    return found
