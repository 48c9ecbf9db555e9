"""ListTransactions: request and response.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ottla.protocol.structs import Struct, array, field


class ListTransactionsRequest(Struct, key=66, versions="0-2", flexible="0+"):
    state_filters: Sequence[str] = array("string", "0+")
    producer_id_filters: Sequence[int] = array("int64", "0+")
    duration_filter: int = field("int64", "1+", default=-1)
    transactional_id_pattern: str | None = field("string", "2+", nullable="2+")


class TransactionState(Struct):
    transactional_id: str = field("string", "0+")
    producer_id: int = field("int64", "0+")
    transaction_state: str = field("string", "0+")


class ListTransactionsResponse(Struct, key=66, versions="0-2", flexible="0+"):
    throttle_time_ms: int = field("int32", "0+")
    error_code: int = field("int16", "0+")
    unknown_state_filters: Sequence[str] = array("string", "0+")
    transaction_states: Sequence[TransactionState] = array(TransactionState, "0+")
