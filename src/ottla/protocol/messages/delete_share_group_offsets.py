"""DeleteShareGroupOffsets: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ottla.protocol.structs import Struct, array, field


class DeleteShareGroupOffsetsRequestTopic(Struct):
    topic_name: str = field("string", "0+")


class DeleteShareGroupOffsetsRequest(Struct, key=92, versions="0", flexible="0+"):
    group_id: str = field("string", "0+")
    topics: Sequence[DeleteShareGroupOffsetsRequestTopic] = array(DeleteShareGroupOffsetsRequestTopic, "0+")


class DeleteShareGroupOffsetsResponseTopic(Struct):
    topic_name: str = field("string", "0+")
    topic_id: UUID | None = field("uuid", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")


class DeleteShareGroupOffsetsResponse(Struct, key=92, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    error_message: str | None = field("string", "0+", nullable="0+")
    responses: Sequence[DeleteShareGroupOffsetsResponseTopic] = array(
        DeleteShareGroupOffsetsResponseTopic, "0+"
    )
