"""Produce: append record batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from ottla.broker import leader_hints
from ottla.broker.admission import Admission, admit, is_transactional, partition_of
from ottla.broker.api import HandCodedApi
from ottla.broker.request import RequestContext, Result
from ottla.broker.rights import ByHandler, may
from ottla.broker.services import RecordServices
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError, MalformedRequest
from ottla.protocol.produce import (
    NodeEndpoint,
    PartitionData,
    PartitionResult,
    ProduceRequest,
    appended,
    decode_produce,
    encode_produce_response,
)
from ottla.records.validation import RecordValidationError
from ottla.replica.delayed import DelayedProduce, Unfinished
from ottla.storage.verification import UNASKED

if TYPE_CHECKING:
    from ottla.replica.partition import Partition
    from ottla.storage.verification import Verification


ACKS_NONE: Final = 0
ACKS_ALL: Final = -1
FIRST_VERSION_WITH_ZSTD: Final = 7
_SAYS_NOTHING_OF_THE_LOG: Final = frozenset(
    {
        ErrorCode.corrupt_message,
        ErrorCode.invalid_topic_exception,
        ErrorCode.kafka_storage_error,
        ErrorCode.message_too_large,
        ErrorCode.not_leader_or_follower,
        ErrorCode.record_list_too_large,
        ErrorCode.transactional_id_authorization_failed,
    }
)
"""With any other error the producer is told where the log begins (KIP-360)."""
_TOO_LARGE: Final = frozenset({ErrorCode.message_too_large, ErrorCode.record_list_too_large})
_NOT_COUNTED_AS_FAILED: Final = _TOO_LARGE | {
    ErrorCode.corrupt_message,
    ErrorCode.kafka_storage_error,
    ErrorCode.not_leader_or_follower,
    ErrorCode.unknown_topic_id,
    ErrorCode.unknown_topic_or_partition,
}
_KNOWN_AND_NOT_HERE: Final = (ErrorCode.kafka_storage_error, ErrorCode.not_leader_or_follower)
_MAY_WRITE_INTERNAL_TOPICS: Final = "__admin_client"
"""The only client id that may, as in Kafka: coordinators replay what is written there."""


def _decode(
    services: RecordServices, context: RequestContext, frame: memoryview, position: int
) -> ProduceRequest:
    if services.quotas.produce is not None:
        context.body_bytes = len(frame) - position
    limit = services.config.value.ottla_request_max_partitions
    return decode_produce(context.api_version, frame, position, max_partitions=limit)


def _handle(
    services: RecordServices, context: RequestContext, produce: ProduceRequest
) -> Result | Awaitable[Result]:
    """First append, in the order of the connection; then wait for replicas and the disk, as far as asked."""
    acks = produce.acks
    unfinished: list[Unfinished] = []
    if not ACKS_ALL <= acks <= 1:
        results = [_failure(data, ErrorCode.invalid_required_acks) for data in produce.partitions]
    else:
        if (produce.transactional_id is not None or len(produce.partitions) > 1) and any(
            is_transactional(data) for data in produce.partitions
        ):
            return _handle_transactional(services, context, produce)
        results = [
            _append(services, context, data, acks, number, unfinished)
            for number, data in enumerate(produce.partitions)
        ]
        if acks and not unfinished:
            return _encode(services, context, results)
    return _finish(services, context, produce, results, unfinished)


def _handle_transactional(
    services: RecordServices, context: RequestContext, produce: ProduceRequest
) -> Result | Awaitable[Result]:
    if context.session.access is not None and (
        produce.transactional_id is None
        or not may(context, Operation.WRITE, ResourceType.TRANSACTIONAL_ID, produce.transactional_id)
    ):
        code = ErrorCode.transactional_id_authorization_failed
        return _finish(services, context, produce, [_failure(data, code) for data in produce.partitions], [])
    admission = admit(services, produce, context.api_version, context.received_ms)
    if isinstance(admission, Admission):
        return _append_admitted(services, context, produce, admission)
    # The frame is gone by the time of the answer.
    kept = [
        data if data.records is None else data._replace(records=memoryview(bytes(data.records)))
        for data in produce.partitions
    ]
    return _when_admitted(services, context, produce._replace(partitions=kept), admission)


async def _when_admitted(
    services: RecordServices,
    context: RequestContext,
    produce: ProduceRequest,
    admission: Awaitable[Admission],
) -> Result:
    """Unlike a produce that waits for its durability this one holds its connection up: nothing may overtake
    what is not appended yet.
    """
    size = sum(len(data.records) for data in produce.partitions if data.records is not None)
    services.request_memory.take_first(size)
    try:
        result = _append_admitted(services, context, produce, await admission)
    finally:
        services.request_memory.release(size)
    return await result if isinstance(result, asyncio.Future) else result


def _append_admitted(
    services: RecordServices, context: RequestContext, produce: ProduceRequest, admission: Admission
) -> Result | asyncio.Future[Any]:
    unfinished: list[Unfinished] = []
    results = []
    for number, data in enumerate(produce.partitions):
        error = admission.refused.get(number)
        if error is not None:
            results.append(_failure(data, error.code, error.message))
            continue
        verification = admission.verifications.get(number, UNASKED)
        results.append(_append(services, context, data, produce.acks, number, unfinished, verification))
    return _finish(services, context, produce, results, unfinished)


def _finish(
    services: RecordServices,
    context: RequestContext,
    produce: ProduceRequest,
    results: list[PartitionResult],
    unfinished: list[Unfinished],
) -> Result | asyncio.Future[Any]:
    if produce.acks == ACKS_NONE:
        if services.quotas.produce is not None:
            services.quotas.produced(context, time_counts=False)
        failed = next((result for result in results if result.error_code), None)
        if failed is not None:
            # As Kafka: a producer that waits for no answer learns from the closed connection.
            raise MalformedRequest(f"produce with acks=0 failed: {ErrorCode(failed.error_code).name}")
        return None
    if not unfinished:
        return _encode(services, context, results)

    def complete(failures: Mapping[int, KafkaError]) -> Result:
        for number, error in failures.items():
            results[number] = _failure(produce.partitions[number], error.code, error.message)
        return _encode(services, context, results)

    return DelayedProduce(unfinished, produce.timeout_ms, services.group_commit, complete).future


def _encode(services: RecordServices, context: RequestContext, results: list[PartitionResult]) -> Result:
    """The response; with who leads instead, where that is why something failed."""
    node_endpoints: list[NodeEndpoint] = []
    for number, result in enumerate(results):
        if (
            result.error_code == ErrorCode.not_leader_or_follower
            and context.api_version >= leader_hints.FIRST_PRODUCE
        ):
            topic = result.topic_id if result.topic is None else result.topic
            leader = leader_hints.current_leader(services, topic, result.partition)
            if leader is not None:
                results[number] = result._replace(current_leader=leader)
                known = [each.node_id for each in node_endpoints]
                if leader[0] not in known:
                    node_endpoints += leader_hints.endpoints(services, context.session.listener, leader[:1])
    wait_ms = 0
    if services.quotas.produce is not None or context.meter is not None:
        wait_ms = services.quotas.produced(context, time_counts=True)
    return encode_produce_response(
        context.api_version, context.correlation_id, results, wait_ms, node_endpoints
    )


def _append(
    services: RecordServices,
    context: RequestContext,
    data: PartitionData,
    acks: int,
    number: int,
    unfinished: list[Unfinished],
    verification: Verification | None = None,
) -> PartitionResult:
    """Append to one partition; it joins `unfinished` when the answer has to wait."""
    topic, topic_id, index, records = data
    partition: Partition | None = None
    try:
        if records is None:
            raise KafkaError(ErrorCode.invalid_record, "the request holds no records for the partition")
        if context.session.access is not None:
            _check_right(services, context, topic, topic_id)
        partition = partition_of(services, topic, topic_id, index)
        partition.traffic.produces += 1
        if partition.is_internal and context.client_id != _MAY_WRITE_INTERNAL_TOPICS:
            raise KafkaError(
                ErrorCode.invalid_topic_exception, f"Cannot append to internal topic {partition.topic}"
            )
        base_offset, append_time_ms, must_be_durable = partition.append(
            records,
            context.received_ms,
            acks=acks,
            allow_zstd=context.api_version >= FIRST_VERSION_WITH_ZSTD,
            verification=verification,
        )
        log = partition.log
        must_be_replicated = False
        if acks == ACKS_ALL:
            must_be_replicated = log.high_watermark < log.log_end_offset
            must_be_durable = must_be_durable or services.config.value.ottla_acks_all_flush
        if must_be_durable or must_be_replicated:
            unfinished.append(
                Unfinished(number, partition, log.log_end_offset, must_be_replicated, must_be_durable)
            )
        return appended(topic, topic_id, index, base_offset, append_time_ms, log.log_start_offset)
    except RecordValidationError as refused:
        failure = _failure(data, refused.code, refused.message, refused.record_errors)
    except KafkaError as error:
        failure = _failure(data, error.code, error.message)
    _count_failure(services, failure, data, partition)
    if partition is None or failure.error_code in _SAYS_NOTHING_OF_THE_LOG:
        return failure
    return failure._replace(log_start_offset=partition.log.log_start_offset)


def _count_failure(
    services: RecordServices, failure: PartitionResult, data: PartitionData, partition: Partition | None
) -> None:
    """As Kafka's metrics do: what is too large by its bytes; what others lead as asked for and not as failed;
    and nothing of what may not be written, or does not exist.
    """
    if partition is not None:
        traffic = partition.traffic
    elif failure.error_code in _KNOWN_AND_NOT_HERE:
        name = services.metadata.image.name_of(data.topic_id if data.topic is None else data.topic)
        traffic = services.partitions.traffic.at(name or "")
        traffic.produces += 1
    else:
        return
    if failure.error_code not in _NOT_COUNTED_AS_FAILED:
        traffic.failed_produces += 1
    if failure.error_code in _TOO_LARGE and data.records is not None:
        traffic.bytes_rejected += len(data.records)


def _check_right(
    services: RecordServices, context: RequestContext, topic: str | None, topic_id: UUID | None
) -> None:
    """Raises KafkaError(topic_authorization_failed); of an id that no topic has something else is told."""
    name = services.metadata.image.name_of(topic_id if topic is None else topic)
    if name is not None and not may(context, Operation.WRITE, ResourceType.TOPIC, name):
        raise KafkaError(ErrorCode.topic_authorization_failed)


def _failure(
    data: PartitionData,
    code: ErrorCode,
    message: str | None = None,
    record_errors: tuple[tuple[int, str], ...] = (),
) -> PartitionResult:
    return PartitionResult(
        data.topic, data.topic_id, data.partition, code, record_errors=record_errors, error_message=message
    )


APIS = (
    HandCodedApi(
        key=0,
        services=RecordServices,
        decode=_decode,
        handle=_handle,
        right=ByHandler("WRITE on each topic, and on the transactional id"),
        pipelined=True,
        kips=(98, 467, 516, 890, 951),
    ),
)
