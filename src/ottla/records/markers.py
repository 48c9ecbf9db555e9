"""What a transaction's end looks like in a log: a control batch with one record (KIP-98)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import BatchHeader, Buffer
from ottla.records.codec import (
    ControlType,
    decode_batch,
    decode_control_type,
    encode_end_transaction_marker,
)

__all__ = ["ControlMarker", "EndMarker", "parse_control_marker"]

_VALUE: Final = struct.Struct(">hi")  # version, coordinator epoch
_MAX_CONTROL_BATCH: Final = 1 << 16  # bytes; a real one takes 78


class ControlMarker(NamedTuple):
    """The one record of a control batch: how a transaction ended, under which coordinator epoch, and when in
    milliseconds.
    """

    is_commit: bool
    coordinator_epoch: int
    timestamp: int


def parse_control_marker(header: BatchHeader, batch: Buffer) -> ControlMarker | None:
    """The marker in a control batch; None when compaction emptied it or the control record is another.

    Raises KafkaError(corrupt_message) when the batch does not decode.
    """
    if header.record_count == 0:
        return None
    record = decode_batch(batch, max_bytes=_MAX_CONTROL_BATCH)[0]
    control_type = decode_control_type(record.key)
    if control_type is None:
        return None
    if record.value is None or len(record.value) < _VALUE.size:
        raise KafkaError(ErrorCode.corrupt_message, "a transaction marker without a coordinator epoch")
    _, coordinator_epoch = _VALUE.unpack_from(record.value)
    return ControlMarker(control_type is ControlType.commit, coordinator_epoch, record.timestamp)


class EndMarker(NamedTuple):
    """How a transaction is to be ended in a partition. `transaction_version` decides which epochs may follow
    those of the transaction's records (KIP-890, KIP-1228).
    """

    producer_id: int
    producer_epoch: int
    committed: bool
    coordinator_epoch: int
    transaction_version: int

    def encode(self, timestamp: int) -> bytes:
        """The control batch, at offset 0; `timestamp` in milliseconds."""
        return encode_end_transaction_marker(
            ControlType.commit if self.committed else ControlType.abort,
            base_offset=0,
            timestamp=timestamp,
            producer_id=self.producer_id,
            producer_epoch=self.producer_epoch,
            coordinator_epoch=self.coordinator_epoch,
        )
