"""Produce: append record batches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ottla.broker.api import Api
from ottla.broker.request import RequestContext, Result
from ottla.broker.services import RecordServices
from ottla.protocol.errors import ErrorCode, KafkaError, MalformedRequest
from ottla.protocol.produce import (
    PartitionData,
    PartitionResult,
    ProduceRequest,
    appended,
    decode_produce,
    encode_produce_response,
)
from ottla.records.validation import RecordValidationError

if TYPE_CHECKING:
    from uuid import UUID

    from ottla.replica.group_commit import Failures
    from ottla.replica.partition import Partition
    from ottla.storage.log import Log

ACKS_NONE: Final = 0
ACKS_ALL: Final = -1
FIRST_VERSION_WITH_ZSTD: Final = 7
_MAY_WRITE_INTERNAL_TOPICS: Final = "__admin_client"
"""The only client id that may, as in Kafka: coordinators replay what is written there."""


def _decode(
    services: RecordServices, context: RequestContext, frame: memoryview, position: int
) -> ProduceRequest:
    limit = services.config.value.ottla_request_max_partitions
    return decode_produce(context.api_version, frame, position, max_partitions=limit)


def _handle(
    services: RecordServices, context: RequestContext, produce: ProduceRequest
) -> Result | asyncio.Future[Any]:
    """First append, in the order of the connection; then wait for durability where it is asked for."""
    now_ms = context.received_ms
    acks = produce.acks
    urgent: set[Log] = set()
    if not ACKS_ALL <= acks <= 1:
        results = [_failure(data, ErrorCode.invalid_required_acks) for data in produce.partitions]
    else:
        results = [_append(services, context, data, now_ms, urgent) for data in produce.partitions]
    if acks == ACKS_NONE:
        failed = next((result for result in results if result.error_code), None)
        if failed is not None:
            # As Kafka: a producer that waits for no answer learns from the closed connection.
            raise MalformedRequest(f"produce with acks=0 failed: {ErrorCode(failed.error_code).name}")
        return None
    frame = encode_produce_response(context.api_version, context.correlation_id, results)
    all_urgent = acks == ACKS_ALL and services.config.value.ottla_acks_all_flush
    if all_urgent or urgent:
        written = {
            number: log
            for number, (data, result) in enumerate(zip(produce.partitions, results, strict=True))
            if not result.error_code
            and ((log := _partition(services, *data[:3]).log) in urgent or all_urgent)
        }
        if written:
            return _when_durable(services, context, produce, results, written, frame)
    return frame


def _when_durable(
    services: RecordServices,
    context: RequestContext,
    produce: ProduceRequest,
    results: list[PartitionResult],
    written: Mapping[int, Log],
    frame: bytes,
) -> asyncio.Future[Any]:
    """A future of `frame`, or of what is left of it when the disk refuses."""

    def answer(failures: Failures) -> Result:
        return _not_durable(context, produce, results, written, failures) if failures else frame

    return services.group_commit.when_durable(list(written.values()), answer)


def _not_durable(
    context: RequestContext,
    produce: ProduceRequest,
    results: list[PartitionResult],
    written: Mapping[int, Log],
    failures: Failures,
) -> Result:
    """The answer when the disk did not keep what was appended: an error for the partitions concerned."""
    for number, log in written.items():
        if log in failures:
            error = failures[log]
            results[number] = _failure(produce.partitions[number], error.code, error.message)
    return encode_produce_response(context.api_version, context.correlation_id, results)


def _append(
    services: RecordServices,
    context: RequestContext,
    data: PartitionData,
    now_ms: int,
    urgent: set[Log],
) -> PartitionResult:
    """Append to one partition; its log joins `urgent` when it is to be on the disk before the answer."""
    topic, topic_id, index, records = data
    try:
        if records is None:
            raise KafkaError(ErrorCode.invalid_record, "the request holds no records for the partition")
        partition = _partition(services, topic, topic_id, index)
        if partition.is_internal and context.client_id != _MAY_WRITE_INTERNAL_TOPICS:
            raise KafkaError(
                ErrorCode.invalid_topic_exception, f"Cannot append to internal topic {partition.topic}"
            )
        base_offset, append_time_ms, must_be_durable = partition.append(
            records, now_ms, allow_zstd=context.api_version >= FIRST_VERSION_WITH_ZSTD
        )
        log = partition.log
        if must_be_durable:
            urgent.add(log)
        return appended(topic, topic_id, index, base_offset, append_time_ms, log.log_start_offset)
    except RecordValidationError as refused:
        return _failure(data, refused.code, refused.message, refused.record_errors)
    except KafkaError as error:
        return _failure(data, error.code, error.message)


def _partition(services: RecordServices, topic: str | None, topic_id: UUID | None, index: int) -> Partition:
    if topic is not None:
        return services.partitions.get(topic, index)
    return services.partitions.get_by_id(topic_id, index)


def _failure(
    data: PartitionData, code: ErrorCode, message: str | None = None, record_errors: tuple[Any, ...] = ()
) -> PartitionResult:
    return PartitionResult(
        data.topic, data.topic_id, data.partition, code, record_errors=record_errors, error_message=message
    )


API = Api(
    key=0,
    name="Produce",
    versions=(3, 13),
    advertised_min=0,  # librdkafka takes a broker without version 0 for one without Produce (KAFKA-18659)
    handle=_handle,
    decode=_decode,
    pipelined=True,
    carries_records=True,
    kips=(98, 467, 516, 951),
    gaps=("Transactional batches are refused until the transaction coordinator exists.",),
)
