"""Which partitions a Fetch request asks for: those that it names, or those of its session (KIP-227); and
whether it may have what they give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ottla.broker.request import RequestContext
from ottla.broker.services import RecordServices
from ottla.network.output import Frame
from ottla.protocol import fetch as wire
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.fetch_request import FetchRequest
from ottla.replica.fetch_sessions import (
    FINAL_EPOCH,
    INITIAL_EPOCH,
    NO_SESSION,
    FetchedPartition,
    FetchKey,
    FetchSession,
)

if TYPE_CHECKING:
    from ottla.protocol.fetch_request import AskedTopic, ForgottenTopic

_NO_TOPIC_ID: Final = UUID(int=0)
_RESPONSE_BYTES: Final = 40
_PARTITION_BYTES: Final = 48
"""About what is around records in a response, as quotas count it"""


def resolve_session(
    services: RecordServices, context: RequestContext, message: FetchRequest
) -> tuple[dict[FetchKey, FetchedPartition], FetchSession | None]:
    """The partitions to serve, and the session they belong to if there is one (KIP-227)."""
    sessions, now_ms = services.sessions, context.received_ms
    limit, is_follower = services.config.value.ottla_request_max_partitions, message.replica_id >= 0
    uses_topic_ids = context.api_version >= wire.FIRST_WITH_TOPIC_IDS
    if message.session_epoch in {INITIAL_EPOCH, FINAL_EPOCH}:
        if message.session_id != NO_SESSION:
            sessions.close(message.session_id)
        asked: dict[FetchKey, FetchedPartition] = {}
        _ask(asked, message, uses_topic_ids)
        if not is_follower and len(asked) > limit:
            raise KafkaError(ErrorCode.invalid_request)
        if message.session_epoch == FINAL_EPOCH:
            return asked, None
        created = sessions.create(asked, now_ms, uses_topic_ids=uses_topic_ids, is_follower=is_follower)
        if created is not None:
            created.isolation_level = message.isolation_level
        return asked, created
    session = sessions.resume(
        message.session_id, message.session_epoch, now_ms, uses_topic_ids=uses_topic_ids
    )
    for topic in message.forgotten_topics_data:
        name = _name_of(topic, uses_topic_ids=uses_topic_ids)
        for index in topic.partitions:
            session.forget((name, index))
    _ask(session.partitions, message, uses_topic_ids)
    for asked_topic in message.topics:
        name = _name_of(asked_topic, uses_topic_ids=uses_topic_ids)
        for each in asked_topic.partitions:
            session.look_at((name, each.partition))
    session.read_at(message.isolation_level)
    if not is_follower and len(session.partitions) > limit:
        sessions.close(session.session_id)
        raise KafkaError(ErrorCode.invalid_request)
    return session.partitions, session


def _ask(partitions: dict[FetchKey, FetchedPartition], message: FetchRequest, uses_topic_ids: bool) -> None:
    """Take over what a request says of each partition that it names."""
    for topic in message.topics:
        name = _name_of(topic, uses_topic_ids=uses_topic_ids)
        for index, leader_epoch, offset, last_epoch, log_start, max_bytes in topic.partitions:
            key = (name, index)
            known = partitions.get(key)
            if known is None:
                partitions[key] = known = FetchedPartition(key, offset, max_bytes, leader_epoch, last_epoch)
                known.log_start_offset = log_start
            else:
                known.ask(offset, max_bytes, leader_epoch, last_epoch)
                known.log_start_offset = log_start


def _name_of(topic: AskedTopic | ForgottenTopic, *, uses_topic_ids: bool) -> str | UUID:
    if uses_topic_ids:
        return topic.topic_id or _NO_TOPIC_ID
    assert topic.topic is not None
    return topic.topic


def throttled(
    services: RecordServices,
    context: RequestContext,
    session: FetchSession | None,
    found: Sequence[tuple[FetchedPartition, wire.FetchedPartition]],
) -> Frame | None:
    """An empty response where the consumer has taken more than it may, after which it asks for the same
    again; no session begins with it. None where it may have what was found.
    """
    told = [each for _, each in found if session is None or len(each.records) or each.error_code]
    size = _RESPONSE_BYTES + sum(_PARTITION_BYTES + len(each.records) for each in told)
    wait_ms = services.quotas.fetched(context, size)
    if not wait_ms:
        return None
    session_id = NO_SESSION if session is None else session.session_id
    if session is not None and session.epoch == 1:
        services.sessions.close(session_id)
        session_id = NO_SESSION
    return wire.encode_fetch_response(
        context.api_version, context.correlation_id, (), session_id=session_id, throttle_time_ms=wait_ms
    )
