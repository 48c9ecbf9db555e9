"""A shard of the transaction coordinator at work, beside that of groups (`coordinator_harness`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from tests.coordinator_harness import Coordinator, plain

from ottla.config.transactions import TransactionConfig
from ottla.coordination.runtime import Client, Effects, Pending, Producer, RequestInfo
from ottla.coordination.transactions.markers import DueMarker, TopicPartition, TxnMarker
from ottla.coordination.transactions.shard import Addition, TransactionShard
from ottla.coordination.transactions.state import Transaction
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from ottla.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopicResult,
)
from ottla.protocol.messages.end_txn import EndTxnRequest
from ottla.protocol.messages.init_producer_id import InitProducerIdRequest
from ottla.protocol.messages.list_transactions import ListTransactionsRequest, ListTransactionsResponse
from ottla.protocol.structs import Struct

OFFSETS = ("__consumer_offsets", 0)
CLIENT = Client("", "", 0)


class Transactions(Coordinator):
    """One shard, and what happens to it."""

    view = TransactionConfig
    shard: TransactionShard

    def __init__(self, topics: MetadataImage, config: Mapping[str, Any], *, version: int = 2) -> None:
        self.markers: dict[str, TxnMarker] = {}
        """Those that are to be written, by transactional id."""
        self.undecided: dict[str, KafkaError] = {}
        """Why others may not be."""
        self.coordinator_epoch = 0
        self.has_producer_ids = True
        self._producer_ids = count(1000)
        features = {**topics.features, "transaction.version": version}
        super().__init__(topics._replace(features=features), config)

    def new_shard(self) -> TransactionShard:
        return TransactionShard(
            self.config, self.image, self._new_producer_id, lambda: self.coordinator_epoch, self._take_marker
        )

    def _new_producer_id(self) -> int:
        if not self.has_producer_ids:
            raise KafkaError(ErrorCode.coordinator_load_in_progress)
        return next(self._producer_ids)

    def _take_marker(self, transactional_id: str, order: Pending[DueMarker]) -> None:
        assert transactional_id not in self.markers, "two at once"
        if isinstance(order.outcome, KafkaError):
            self.undecided[transactional_id] = order.outcome
        else:
            due = order.result()
            assert due.transactional_id == transactional_id
            self.markers[transactional_id] = due.marker

    def _load(self, shard: Any) -> None:
        self.markers.clear()  # whoever takes over knows nothing of those that are under way
        super()._load(shard)
        self.advance(0)

    # Requests

    def decide(self, request: Any, info: RequestInfo[Any], now_ms: int) -> Effects:
        shard = self.shard
        if isinstance(request, InitProducerIdRequest):
            return shard.init_producer_id(request, info, now_ms)
        if isinstance(request, EndTxnRequest):
            return shard.end_txn(request, info, now_ms)
        if isinstance(request, AddOffsetsToTxnRequest):
            producer = Producer(request.producer_id, request.producer_epoch)
            addition = Addition(request.transactional_id, producer, [OFFSETS], 0)
            return shard.add_partitions(addition, answered(info, lambda _: AddOffsetsToTxnResponse()), now_ms)
        assert isinstance(request, AddPartitionsToTxnRequest)
        return self._decide_add(request, info, now_ms)

    def _decide_add(self, request: AddPartitionsToTxnRequest, info: RequestInfo[Any], now_ms: int) -> Effects:
        """By clients up to version 3, from then on by brokers."""
        if info.api_version > 3:
            (asked,) = request.transactions
            id_, producer = asked.transactional_id, Producer(asked.producer_id, asked.producer_epoch)
            topics = asked.topics
        else:
            id_ = request.v3_and_below_transactional_id
            producer = Producer(request.v3_and_below_producer_id, request.v3_and_below_producer_epoch)
            topics = request.v3_and_below_topics
        partitions = [(topic.name, number) for topic in topics for number in topic.partitions]

        def response(code: Any) -> AddPartitionsToTxnResponse:
            codes = code if isinstance(code, dict) else dict.fromkeys(partitions, code)
            return added(id_, codes, info.api_version)

        if info.api_version > 3 and request.transactions[0].verify_only:
            return self.shard.verify_partitions(
                Addition(id_, producer, partitions, 2), answered(info, response)
            )
        addition = Addition(id_, producer, partitions, 2 if info.api_version > 3 else 0)
        return self.shard.add_partitions(addition, answered(info, response), now_ms)

    def await_end(self, transactional_id: str, max_wait_ms: int) -> Pending[ErrorCode]:
        """Wait for the end of a transaction."""
        answer: Pending[ErrorCode] = Pending()
        self.runtime.request(
            RequestInfo(CLIENT, answer),
            lambda info, now_ms: self.shard.await_end(
                transactional_id, info, now_ms, max_wait_ms=max_wait_ms
            ),
        )
        return answer

    def written(self, transactional_id: str, codes: Mapping[TopicPartition, ErrorCode] | None = None) -> None:
        """The marker that is due has been written, but where `codes` says otherwise."""
        marker = self.markers.pop(transactional_id)
        results = dict.fromkeys(marker.partitions, ErrorCode.none) | dict(codes or {})
        self.report(transactional_id, results)

    def report(self, transactional_id: str, results: Mapping[TopicPartition, ErrorCode]) -> None:
        """What became of a marker."""
        self.runtime.obey(self.shard.markers_written(transactional_id, results, self.now_ms))

    def unsent(self, transactional_id: str) -> None:
        """The marker that is due could not be sent."""
        del self.markers[transactional_id]
        self.report(transactional_id, {})

    def transaction(self, transactional_id: str = "x") -> Transaction | None:
        return self.shard.state.transactions.get(transactional_id)

    def describe(self, transactional_id: str = "x") -> dict[str, Any]:
        state = self.ask(lambda info: self.shard.describe(transactional_id, info), 0)
        return {name: getattr(state, name) for name in state.__fields__}

    def list_transactions(self, **filters: Any) -> list[str]:
        request = ListTransactionsRequest(**filters)
        listed = self.ask(lambda info: self.shard.list_transactions(request, info, self.now_ms), 2)
        return [
            each["transactional_id"]
            for each in plain(ListTransactionsResponse(transaction_states=listed), 2)["transaction_states"]
        ]

    def known(self, shard: TransactionShard | None = None) -> dict[str, Transaction]:
        """What a shard holds that is in its records."""
        transactions = (shard or self.shard).state.transactions
        return dict(transactions)


def answered(info: RequestInfo[Any], response: Callable[[Any], Struct]) -> RequestInfo[Any]:
    """Have what the shard answers made a response, as the APIs' handlers do."""
    inner: Pending[Any] = Pending()

    def give() -> None:
        outcome = inner.outcome
        info.answer.give(outcome if isinstance(outcome, KafkaError) else response(outcome))

    inner.on_given = give
    return RequestInfo(info.client, inner)


def added(
    transactional_id: str, codes: Mapping[TopicPartition, ErrorCode], version: int
) -> AddPartitionsToTxnResponse:
    topics: dict[str, list[AddPartitionsToTxnPartitionResult]] = {}
    for (topic, number), code in codes.items():
        result = AddPartitionsToTxnPartitionResult(partition_index=number, partition_error_code=code)
        topics.setdefault(topic, []).append(result)
    results = [
        AddPartitionsToTxnTopicResult(name=topic, results_by_partition=each) for topic, each in topics.items()
    ]
    if version <= 3:
        return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=results)
    of_one = AddPartitionsToTxnResult(transactional_id=transactional_id, topic_results=results)
    return AddPartitionsToTxnResponse(results_by_transaction=[of_one])
