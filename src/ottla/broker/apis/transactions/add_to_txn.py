"""AddPartitionsToTxn, AddOffsetsToTxn: what a transaction writes to, told before it does.

Clients do so up to version 3; from 4 on brokers do for them, several transactions at once, or only verify it
(KIP-890).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.apis.transactions import known_to_client, refuse
from ottla.broker.request import RequestContext
from ottla.broker.rights import All, ByHandler, OnNamed, may, require
from ottla.broker.services import TransactionServices
from ottla.coordination.runtime import Producer
from ottla.coordinator.shards import Answered, following, partition_for, together, unless_refused
from ottla.metadata.topic_names import INTERNAL_TOPICS, OFFSETS_TOPIC
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from ottla.protocol.messages.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
)

_FENCED_SINCE = 2
_FROM_BROKERS_SINCE = 4


def _add_partitions(
    services: TransactionServices, context: RequestContext, message: AddPartitionsToTxnRequest
) -> Answered[AddPartitionsToTxnResponse]:
    if context.api_version >= _FROM_BROKERS_SINCE:
        require(context, Operation.CLUSTER_ACTION, ResourceType.CLUSTER)
    else:
        require(
            context,
            Operation.WRITE,
            ResourceType.TRANSACTIONAL_ID,
            message.v3_and_below_transactional_id,
        )
    if context.api_version < _FROM_BROKERS_SINCE:
        transaction = AddPartitionsToTxnTransaction(
            transactional_id=message.v3_and_below_transactional_id,
            producer_id=message.v3_and_below_producer_id,
            producer_epoch=message.v3_and_below_producer_epoch,
            topics=message.v3_and_below_topics,
        )
        return following(
            _add_to_one(services, context, transaction),
            lambda results: AddPartitionsToTxnResponse(results_by_topic_v3_and_below=results),
        )
    added = together([_add_to_one(services, context, each) for each in message.transactions])
    return following(added, partial(_several, message.transactions))


def _several(
    transactions: Sequence[AddPartitionsToTxnTransaction],
    results: Sequence[list[AddPartitionsToTxnTopicResult]],
) -> AddPartitionsToTxnResponse:
    return AddPartitionsToTxnResponse(
        results_by_transaction=[
            AddPartitionsToTxnResult(transactional_id=each.transactional_id, topic_results=topics)
            for each, topics in zip(transactions, results, strict=True)
        ]
    )


def _add_to_one(
    services: TransactionServices, context: RequestContext, transaction: AddPartitionsToTxnTransaction
) -> Answered[list[AddPartitionsToTxnTopicResult]]:
    partitions = [(topic.name, number) for topic in transaction.topics for number in topic.partitions]
    refused = _refused(services, context, partitions)
    codes = refused or _ask(services, context, transaction, partitions)
    return following(codes, partial(_results, transaction.topics))


def _refused(
    services: TransactionServices, context: RequestContext, partitions: Sequence[tuple[str, int]]
) -> Mapping[tuple[str, int], ErrorCode]:
    """Where one partition cannot be added none is; nothing where all can."""
    topics = services.metadata.image.topics
    refused: dict[tuple[str, int], ErrorCode] = {}
    for name, number in partitions:
        if context.api_version < _FROM_BROKERS_SINCE and (
            name in INTERNAL_TOPICS or not may(context, Operation.WRITE, ResourceType.TOPIC, name)
        ):
            refused[name, number] = ErrorCode.topic_authorization_failed
        elif name not in topics or not 0 <= number < len(topics[name].partitions):
            refused[name, number] = ErrorCode.unknown_topic_or_partition
    if not refused:
        return {}
    return {each: refused.get(each, ErrorCode.operation_not_attempted) for each in partitions}


def _ask(
    services: TransactionServices,
    context: RequestContext,
    transaction: AddPartitionsToTxnTransaction,
    partitions: Sequence[tuple[str, int]],
) -> Answered[Mapping[tuple[str, int], ErrorCode]]:
    transactional_id = transaction.transactional_id
    producer = Producer(transaction.producer_id, transaction.producer_epoch)
    coordinator = services.transactions

    def ask() -> Answered[Mapping[tuple[str, int], ErrorCode]]:
        if transaction.verify_only:
            return coordinator.verify_partitions(transactional_id, producer, partitions)
        version = 2 if context.api_version >= _FROM_BROKERS_SINCE else 0
        added = coordinator.add_partitions_of_client(
            transactional_id, producer, partitions, version, client_of(context)
        )
        return following(added, lambda code: dict.fromkeys(partitions, code))

    return unless_refused(
        ask, lambda error: dict.fromkeys(partitions, known_to_client(context, error, _FENCED_SINCE))
    )


def _results(
    topics: Sequence[AddPartitionsToTxnTopic], codes: Mapping[tuple[str, int], ErrorCode]
) -> list[AddPartitionsToTxnTopicResult]:
    return [
        AddPartitionsToTxnTopicResult(
            name=topic.name,
            results_by_partition=[
                AddPartitionsToTxnPartitionResult(
                    partition_index=number, partition_error_code=codes[topic.name, number]
                )
                for number in topic.partitions
            ],
        )
        for topic in topics
    ]


def _add_partitions_error(
    message: AddPartitionsToTxnRequest, code: ErrorCode, _text: str | None
) -> AddPartitionsToTxnResponse:
    topics = message.v3_and_below_topics
    codes = {(topic.name, number): code for topic in topics for number in topic.partitions}
    return AddPartitionsToTxnResponse(error_code=code, results_by_topic_v3_and_below=_results(topics, codes))


def _add_offsets(
    services: TransactionServices, context: RequestContext, message: AddOffsetsToTxnRequest
) -> Answered[AddOffsetsToTxnResponse]:
    topic = services.metadata.image.topics.get(OFFSETS_TOPIC)
    # Clients look for the coordinator of the group only afterwards, so that the topic need not be there yet.
    planned = services.groups_config.value.offsets_topic_num_partitions
    count = planned if topic is None else len(topic.partitions)

    def ask() -> Answered[AddOffsetsToTxnResponse]:
        added = services.transactions.add_partitions_of_client(
            message.transactional_id,
            Producer(message.producer_id, message.producer_epoch),
            [(OFFSETS_TOPIC, partition_for(message.group_id, count))],
            version=0,
            client=client_of(context),
        )
        return following(added, lambda code: AddOffsetsToTxnResponse(error_code=code))

    return unless_refused(ask, partial(refuse, context, _FENCED_SINCE))


APIS = (
    Api(
        TransactionServices,
        AddPartitionsToTxnRequest,
        AddPartitionsToTxnResponse,
        _add_partitions,
        right=ByHandler(
            "WRITE on the transactional id and on each topic; CLUSTER_ACTION on the cluster from version 4 on"
        ),
        error=_add_partitions_error,
        kips=(98, 588, 890),
    ),
    Api(
        TransactionServices,
        AddOffsetsToTxnRequest,
        AddOffsetsToTxnResponse,
        _add_offsets,
        right=All(
            OnNamed[AddOffsetsToTxnRequest](
                Operation.WRITE, ResourceType.TRANSACTIONAL_ID, lambda message: message.transactional_id
            ),
            OnNamed[AddOffsetsToTxnRequest](
                Operation.READ, ResourceType.GROUP, lambda message: message.group_id
            ),
        ),
        kips=(98, 588, 890),
    ),
)
