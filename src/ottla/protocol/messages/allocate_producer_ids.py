"""AllocateProducerIds: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from ottla.protocol.structs import Struct, field


class AllocateProducerIdsRequest(Struct, key=67, versions="0", flexible="0+"):
    broker_id: int = field("int32", "0+")
    broker_epoch: int = field("int64", "0+", default=-1)


class AllocateProducerIdsResponse(Struct, key=67, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    producer_id_start: int = field("int64", "0+")
    producer_id_len: int = field("int32", "0+")
