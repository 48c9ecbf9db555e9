"""Transactions: list and describe them, see who writes to a partition, and end what hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from ottla.client.admin.calls import LEADER, Calls, Coordinator, Named, Node, known, outcome
from ottla.client.admin.results import Results
from ottla.client.core.metadata import TopicPartition, by_topic
from ottla.client.errors import ClientError, broker_error
from ottla.client.face import Face, awaited
from ottla.client.net.coordinators import CoordinatorKind
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    TopicRequest,
)
from ottla.protocol.messages.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
)
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from ottla.protocol.messages.list_transactions import ListTransactionsRequest, ListTransactionsResponse
from ottla.protocol.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerTopic,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)

__all__ = [
    "BlockingTransactions",
    "FencedProducer",
    "ListedTransaction",
    "ProducerState",
    "TransactionDescription",
    "TransactionToAbort",
    "Transactions",
]

V = TypeVar("V")


class ListedTransaction(NamedTuple):
    """`state` is Kafka's name of it, such as "Ongoing"."""

    transactional_id: str
    producer_id: int
    state: str


class TransactionDescription(NamedTuple):
    """`start_time_ms` is None where no transaction is under way."""

    transactional_id: str
    state: str
    producer_id: int
    producer_epoch: int
    timeout_ms: int
    start_time_ms: int | None
    partitions: frozenset[TopicPartition]
    coordinator: int | None


class ProducerState(NamedTuple):
    """What a partition remembers of a producer; `transaction_start` is None without an open transaction."""

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_timestamp_ms: int
    coordinator_epoch: int | None
    transaction_start: int | None


class TransactionToAbort(NamedTuple):
    """A transaction in one partition, as `describe_producers` shows it."""

    partition: TopicPartition
    producer_id: int
    producer_epoch: int
    coordinator_epoch: int


class FencedProducer(NamedTuple):
    """The id that a transactional id has now, and the epoch from which on it may be written with."""

    producer_id: int
    producer_epoch: int


class Transactions:
    """Admin calls about transactions."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def list(
        self,
        *,
        states: Iterable[str] = (),
        producer_ids: Iterable[int] = (),
        longer_than_ms: int | None = None,
        pattern: str | None = None,
    ) -> Results[int, Sequence[ListedTransaction]]:
        """The transactions that each broker, by its id, coordinates: in some states, of some producers,
        running for longer than a time, with ids that a regular expression (RE2's) takes.
        """
        request = ListTransactionsRequest(
            state_filters=list(states),
            producer_id_filters=list(producer_ids),
            duration_filter=-1 if longer_than_ms is None else longer_than_ms,
            transactional_id_pattern=pattern,
        )
        first_version = 2 if pattern is not None else 1 if longer_than_ms is not None else None

        async def ask(
            node: Node, keys: Sequence[int]
        ) -> Mapping[int, Sequence[ListedTransaction] | ClientError]:
            response = await self._calls.send(
                request, ListTransactionsResponse, node, min_version=first_version
            )
            found = [
                ListedTransaction(each.transactional_id, each.producer_id, each.transaction_state)
                for each in response.transaction_states
            ]
            if response.unknown_state_filters:
                unknown = ", ".join(response.unknown_state_filters)
                return {keys[0]: broker_error(ErrorCode.invalid_request, f"unknown states: {unknown}")}
            return {keys[0]: outcome(response.error_code, found)}

        loading = {ErrorCode.coordinator_load_in_progress, ErrorCode.coordinator_not_available}
        brokers = await self._calls.brokers()
        return await self._calls.each(brokers, Named(int), ask, also_retried=loading)

    async def describe(self, transactional_ids: Iterable[str]) -> Results[str, TransactionDescription]:
        """What their coordinators know of transactions."""

        async def ask(node: Node, keys: Sequence[str]) -> Mapping[str, TransactionDescription | ClientError]:
            request = DescribeTransactionsRequest(transactional_ids=keys)
            response = await self._calls.send(request, DescribeTransactionsResponse, node)
            return {
                each.transactional_id: outcome(
                    each.error_code,
                    TransactionDescription(
                        each.transactional_id,
                        each.transaction_state,
                        each.producer_id,
                        each.producer_epoch,
                        each.transaction_timeout_ms,
                        known(each.transaction_start_time_ms),
                        frozenset(
                            TopicPartition(topic.topic, partition)
                            for topic in each.topics
                            for partition in topic.partitions
                        ),
                        node,
                    ),
                )
                for each in response.transaction_states
            }

        return await self._calls.each(transactional_ids, Coordinator(CoordinatorKind.TRANSACTION), ask)

    async def describe_producers(
        self, partitions: Iterable[TopicPartition], *, broker: int | None = None
    ) -> Results[TopicPartition, Sequence[ProducerState]]:
        """The producers that partitions remember: their leaders', or those of `broker`'s replicas."""

        async def ask(
            node: Node, keys: Sequence[TopicPartition]
        ) -> Mapping[TopicPartition, Sequence[ProducerState] | ClientError]:
            request = DescribeProducersRequest(
                topics=[
                    TopicRequest(name=topic, partition_indexes=[key.partition for key in each])
                    for topic, each in by_topic(keys).items()
                ]
            )
            response = await self._calls.send(request, DescribeProducersResponse, node)
            return {
                TopicPartition(topic.name, each.partition_index): outcome(
                    each.error_code,
                    [
                        ProducerState(
                            producer.producer_id,
                            producer.producer_epoch,
                            producer.last_sequence,
                            producer.last_timestamp,
                            known(producer.coordinator_epoch),
                            producer.current_txn_start_offset
                            if producer.current_txn_start_offset >= 0
                            else None,
                        )
                        for producer in each.active_producers
                    ],
                    each.error_message,
                )
                for topic in response.topics
                for each in topic.partitions
            }

        if broker is None:
            return await self._calls.each(partitions, LEADER, ask)
        return await self._calls.each(partitions, Named[TopicPartition](lambda _: broker), ask)

    async def abort(self, transaction: TransactionToAbort) -> None:
        """Write the marker that ends a hanging transaction in its partition (KIP-664)."""

        async def ask(
            node: Node, keys: Sequence[TopicPartition]
        ) -> Mapping[TopicPartition, ClientError | None]:
            marker = WritableTxnMarker(
                producer_id=transaction.producer_id,
                producer_epoch=transaction.producer_epoch,
                transaction_result=False,
                topics=[
                    WritableTxnMarkerTopic(name=key.topic, partition_indexes=[key.partition]) for key in keys
                ],
                coordinator_epoch=transaction.coordinator_epoch,
            )
            request = WriteTxnMarkersRequest(markers=[marker])
            response = await self._calls.send(request, WriteTxnMarkersResponse, node)
            return {
                TopicPartition(topic.name, each.partition_index): outcome(each.error_code, None)
                for written in response.markers
                for topic in written.topics
                for each in topic.partitions
            }

        (await self._calls.each([transaction.partition], LEADER, ask)).check()

    async def fence_producers(
        self, transactional_ids: Iterable[str], *, timeout_ms: int | None = None
    ) -> Results[str, FencedProducer]:
        """Have no producer that runs now with these ids write on: their transactions are aborted."""
        limit_ms = self._calls.request_timeout_ms if timeout_ms is None else timeout_ms

        async def ask_one(node: Node, name: str) -> FencedProducer | ClientError:
            # A transaction that nobody has begun needs a timeout of at least 1 ms.
            request = InitProducerIdRequest(
                transactional_id=name,
                transaction_timeout_ms=max(limit_ms, 1),
                producer_id=-1,
                producer_epoch=-1,
            )
            try:
                response = await self._calls.send(request, InitProducerIdResponse, node, max_version=5)
            except ClientError as error:
                return error
            fenced = FencedProducer(response.producer_id, response.producer_epoch)
            return outcome(response.error_code, fenced, what=f"transactional id {name}")

        async def ask(node: Node, keys: Sequence[str]) -> Mapping[str, FencedProducer | ClientError]:
            found = await asyncio.gather(*(ask_one(node, key) for key in keys))
            return dict(zip(keys, found, strict=True))

        return await self._calls.each(
            transactional_ids,
            Coordinator(CoordinatorKind.TRANSACTION),
            ask,
            also_retried={ErrorCode.concurrent_transactions},
            timeout_ms=timeout_ms,
        )

    async def terminate(self, transactional_id: str, *, timeout_ms: int | None = None) -> None:
        """Abort whatever transaction an id has under way (KIP-939), by fencing its producer."""
        (await self.fence_producers([transactional_id], timeout_ms=timeout_ms)).check()


class BlockingTransactions(Face[Transactions]):
    """`Transactions` for callers that wait."""

    list = awaited(Transactions.list)
    describe = awaited(Transactions.describe)
    describe_producers = awaited(Transactions.describe_producers)
    abort = awaited(Transactions.abort)
    fence_producers = awaited(Transactions.fence_producers)
    terminate = awaited(Transactions.terminate)
