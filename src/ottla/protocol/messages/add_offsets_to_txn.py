"""AddOffsetsToTxn: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from ottla.protocol.structs import Struct, field


class AddOffsetsToTxnRequest(Struct, key=25, versions="0-4", flexible="3+"):
    transactional_id: str = field("string", "0+")
    producer_id: int = field("int64", "0+")
    producer_epoch: int = field("int16", "0+")
    group_id: str = field("string", "0+")


class AddOffsetsToTxnResponse(Struct, key=25, versions="0-4", flexible="3+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
