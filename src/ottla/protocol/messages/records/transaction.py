"""Records in `__transaction_state`.

Written by tools.wire from Apache Kafka's message definitions: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ottla.protocol.structs import Struct, array, field


class TransactionLogKey(Struct, key=0, versions="0", flexible="none"):
    transactional_id: str = field("string", "0")


class PartitionsSchema(Struct):
    topic: str = field("string", "0+")
    partition_ids: Sequence[int] = array("int32", "0+")


class TransactionLogValue(Struct, key=0, versions="0-1", flexible="1+"):
    producer_id: int = field("int64", "0+")
    previous_producer_id: int = field("int64", "1+", default=-1, tag=0)
    next_producer_id: int = field("int64", "1+", default=-1, tag=1)
    producer_epoch: int = field("int16", "0+")
    next_producer_epoch: int = field("int16", "1+", default=-1, tag=3)
    transaction_timeout_ms: int = field("int32", "0+")
    transaction_status: int = field("int8", "0+")
    transaction_partitions: Sequence[PartitionsSchema] | None = array(PartitionsSchema, "0+", nullable="0+")
    transaction_last_update_timestamp_ms: int = field("int64", "0+")
    transaction_start_timestamp_ms: int = field("int64", "0+")
    client_transaction_version: int = field("int16", "1+", tag=2)


RECORDS: Final[dict[int, tuple[type[Struct], type[Struct]]]] = {
    0: (TransactionLogKey, TransactionLogValue),
}
"""Key and value by the type of the record."""
