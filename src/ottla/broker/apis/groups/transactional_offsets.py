"""TxnOffsetCommit: the positions of a group, committed with a producer's transaction."""

from __future__ import annotations

from typing import Final

from ottla.broker.api import Api
from ottla.broker.apis.groups import client_of
from ottla.broker.request import RequestContext
from ottla.broker.rights import All, OnEach, OnNamed, name_or_id
from ottla.broker.services import GroupServices
from ottla.coordination.groups.offsets.commit import commits_anything, transactional_commit_refusal
from ottla.coordination.runtime import Producer
from ottla.coordinator.shards import settled
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from ottla.storage.verification import EXEMPT, Verification

_FIRST_TO_WAIT_FOR_LOADING: Final = 2
"""Older producers fail over COORDINATOR_LOAD_IN_PROGRESS (KAFKA-7296)."""
_FIRST_ABORTABLE: Final = 4
"""From this version on clients know TRANSACTION_ABORTABLE."""
_FIRST_ADDING: Final = 5
"""From this version on the offsets' partition is added to the transaction (transaction version 2)."""


async def _handle(
    services: GroupServices, context: RequestContext, message: TxnOffsetCommitRequest
) -> TxnOffsetCommitResponse:
    image, version = services.metadata.image, context.api_version
    if not commits_anything(image, message, version):
        return transactional_commit_refusal(image, message, version, ErrorCode.none)
    try:
        if not message.group_id:
            raise KafkaError(ErrorCode.invalid_group_id)
        verification = await _verified(services, context, message)
        return await settled(services.groups.txn_offset_commit(message, client_of(context), verification))
    except KafkaError as error:
        return transactional_commit_refusal(image, message, version, _told(error.code, version))


async def _verified(
    services: GroupServices, context: RequestContext, message: TxnOffsetCommitRequest
) -> Verification | None:
    """What the offsets may be written with (KIP-890): the transaction's coordinator has added the partition
    that they go to, or confirms that its producer did. Raises KafkaError.
    """
    adds = context.api_version >= _FIRST_ADDING
    if not adds and not services.replica_config.value.transaction_partition_verification_enable:
        return EXEMPT
    partition = services.groups.owner_of(message.group_id).partition
    producer = Producer(message.producer_id, message.producer_epoch)
    guard = partition.begin_verification(*producer, -1, context.received_ms, adds_partition=adds)
    if guard is None:
        return None
    place = (partition.topic, partition.index)
    codes = await settled(
        services.transactions.add_partitions(
            message.transactional_id, producer, [place], verify_only=not adds
        )
    )
    if codes[place]:
        raise KafkaError(codes[place])
    return guard


def _told(code: ErrorCode, version: int) -> ErrorCode:
    """What a client of this version understands of a refusal."""
    if code == ErrorCode.producer_fenced:
        return ErrorCode.invalid_producer_epoch
    if code == ErrorCode.transaction_abortable and version < _FIRST_ABORTABLE:
        return ErrorCode.invalid_txn_state
    if code == ErrorCode.network_exception:
        code = ErrorCode.coordinator_load_in_progress  # it may try again without looking for us anew
    if code == ErrorCode.coordinator_load_in_progress and version < _FIRST_TO_WAIT_FOR_LOADING:
        return ErrorCode.coordinator_not_available
    return code


def _error(message: TxnOffsetCommitRequest, code: ErrorCode, _text: str | None) -> TxnOffsetCommitResponse:
    return TxnOffsetCommitResponse(topics=[_topic_error(topic, code) for topic in message.topics])


def _topic_error(topic: TxnOffsetCommitRequestTopic, code: ErrorCode) -> TxnOffsetCommitResponseTopic:
    return TxnOffsetCommitResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        partitions=[
            TxnOffsetCommitResponsePartition(partition_index=each.partition_index, error_code=code)
            for each in topic.partitions
        ],
    )


APIS = (
    Api(
        GroupServices,
        TxnOffsetCommitRequest,
        TxnOffsetCommitResponse,
        _handle,
        right=All(
            OnNamed[TxnOffsetCommitRequest](
                Operation.WRITE, ResourceType.TRANSACTIONAL_ID, lambda message: message.transactional_id
            ),
            OnNamed[TxnOffsetCommitRequest](
                Operation.READ, ResourceType.GROUP, lambda message: message.group_id
            ),
            OnEach(
                Operation.READ,
                ResourceType.TOPIC,
                "topics",
                _topic_error,
                response=TxnOffsetCommitResponse,
                into="topics",
                name=name_or_id,
            ),
        ),
        error=_error,
        kips=(98, 447, 890, 1319),
    ),
)
