"""DeleteTopics: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class DeleteTopicState(Struct):
    name: str | None = field("string", "6+", nullable="6+")
    topic_id: UUID | None = field("uuid", "6+")


class DeleteTopicsRequest(Struct, key=20, versions="1-6", flexible="4+"):
    topics: Sequence[DeleteTopicState] = array(DeleteTopicState, "6+")
    topic_names: Sequence[str] = array("string", "0-5")
    timeout_ms: int = field("int32", "0+")


class DeletableTopicResult(Struct):
    name: str | None = field("string", "0+", nullable="6+")
    topic_id: UUID | None = field("uuid", "6+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "5+", nullable="5+")


class DeleteTopicsResponse(Struct, key=20, versions="1-6", flexible="4+"):
    throttle_time_ms: int = field("int32", "1+")
    responses: Sequence[DeletableTopicResult] = array(DeletableTopicResult, "0+")
