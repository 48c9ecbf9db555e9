"""InitProducerId: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from ottla.protocol.structs import Struct, field


class InitProducerIdRequest(Struct, key=22, versions="0-6", flexible="2+"):
    transactional_id: str | None = field("string", "0+", nullable="0+")
    transaction_timeout_ms: int = field("int32", "0+")
    producer_id: int = field("int64", "3+", default=-1)
    producer_epoch: int = field("int16", "3+", default=-1)
    enable2_pc: bool = field("bool", "6+")
    keep_prepared_txn: bool = field("bool", "6+")


class InitProducerIdResponse(Struct, key=22, versions="0-6", flexible="2+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    producer_id: int = field("int64", "0+", default=-1)
    producer_epoch: int = field("int16", "0+")
    ongoing_txn_producer_id: int = field("int64", "6+", default=-1)
    ongoing_txn_producer_epoch: int = field("int16", "6+", default=-1)
