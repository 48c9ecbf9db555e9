"""DescribeTransactions: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class DescribeTransactionsRequest(Struct, key=65, versions="0", flexible="0+"):
    transactional_ids: Sequence[str] = array("string", "0+")


class TopicData(Struct):
    topic: str = field("string", "0+")
    partitions: Sequence[int] = array("int32", "0+")


class TransactionState(Struct):
    error_code: int = field("int16", "0+")
    transactional_id: str = field("string", "0+")
    transaction_state: str = field("string", "0+")
    transaction_timeout_ms: int = field("int32", "0+")
    transaction_start_time_ms: int = field("int64", "0+")
    producer_id: int = field("int64", "0+")
    producer_epoch: int = field("int16", "0+")
    topics: Sequence[TopicData] = array(TopicData, "0+")


class DescribeTransactionsResponse(Struct, key=65, versions="0", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    transaction_states: Sequence[TransactionState] = array(TransactionState, "0+")
