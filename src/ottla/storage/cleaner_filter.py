"""What compaction keeps of a batch: pure, batch in and batch out.

- Of each key the newest record survives; records without a key cannot (the broker refuses them on produce).
- A tombstone (null value) survives for `delete.retention.ms` after the first cleaning that saw it, so that a
  consumer that began before sees the deletion. That moment is noted in the batch as its delete horizon
  (KIP-534). A transaction marker is held in the same way, and at least while records of its transaction
  remain.
- Aborted records go at once; nobody reads them.
- Offsets never change, and a thinned batch keeps its first and last offset and sequence number. The last
  batch of a known producer stays, if need be empty, for it carries the producer's sequence number; so does
  the last batch below the high watermark, for it carries the log's offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ottla.records.batch import BatchHeader
from ottla.records.codec import Record, decode_batch, encode_batch
from ottla.storage.cleaner_offset_map import OffsetMap
from ottla.storage.cleaner_transactions import CleanedTransactions
from ottla.storage.control_marker import parse_control_marker
from ottla.storage.producer_state import LastRecord

__all__ = ["BatchFilter", "FilterContext"]


class FilterContext(NamedTuple):
    """What stays the same during a cleaning.

    Times in milliseconds, `max_decompressed_bytes` for one batch.
    """

    last_records: Mapping[int, LastRecord]
    high_watermark: int
    now_ms: int
    delete_retention_ms: int
    max_decompressed_bytes: int


class BatchFilter:
    """Decides batch by batch, in log order, over one cleaning."""

    def __init__(self, context: FilterContext, offsets: OffsetMap, transactions: CleanedTransactions) -> None:
        self._context = context
        self._offsets = offsets
        self._transactions = transactions

    def filter(self, header: BatchHeader, batch: bytes) -> bytes | None:
        """What is left of the batch: its very bytes, a thinner one, an empty one, or None.

        Raises KafkaError(corrupt_message) when it does not decode.
        """
        is_discardable = self._is_discardable(header, batch)
        discards_records = is_discardable
        if header.is_control:
            horizon = header.delete_horizon_ms
            discards_records = is_discardable and horizon is not None and horizon <= self._context.now_ms
        records: list[Record] = []
        if not discards_records and header.record_count:
            records = decode_batch(batch, max_bytes=self._context.max_decompressed_bytes)
        retained = records if header.is_control else [r for r in records if self._retains(header, r)]
        if not retained:
            return self._empty(header) if self._is_kept_empty(header) else None
        has_tombstone = not header.is_control and any(record.value is None for record in retained)
        sets_horizon = header.delete_horizon_ms is None and (
            has_tombstone or (header.is_control and is_discardable)
        )
        if len(retained) == header.record_count and not sets_horizon:
            return batch
        horizon = header.delete_horizon_ms
        if sets_horizon:
            horizon = self._context.now_ms + self._context.delete_retention_ms
        return self._rebuild(header, retained, horizon)

    def _is_discardable(self, header: BatchHeader, batch: bytes) -> bool:
        if header.is_control:
            return self._transactions.on_control_batch(header, parse_control_marker(header, batch))
        return self._transactions.on_batch(header)

    def _retains(self, header: BatchHeader, record: Record) -> bool:
        if record.offset > self._offsets.latest_offset:
            return True
        if record.key is None or record.offset < self._offsets.get(record.key):
            return False
        horizon = header.delete_horizon_ms
        return record.value is not None or horizon is None or self._context.now_ms < horizon

    def _is_kept_empty(self, header: BatchHeader) -> bool:
        if header.next_offset == self._context.high_watermark:
            return True
        last = self._context.last_records.get(header.producer_id) if header.has_producer_id else None
        if last is None:
            return False
        if last.last_data_offset is not None:
            return header.last_offset == last.last_data_offset
        return header.is_control and header.producer_epoch == last.producer_epoch

    @staticmethod
    def _empty(header: BatchHeader) -> bytes:
        return encode_batch(
            [],
            base_offset=header.base_offset,
            last_offset=header.last_offset,
            timestamp_type=header.timestamp_type,
            max_timestamp=header.max_timestamp,
            leader_epoch=header.leader_epoch,
            producer_id=header.producer_id,
            producer_epoch=header.producer_epoch,
            base_sequence=header.base_sequence,
            is_transactional=header.is_transactional,
            is_control=header.is_control,
        )

    @staticmethod
    def _rebuild(header: BatchHeader, records: list[Record], delete_horizon_ms: int | None) -> bytes:
        return encode_batch(
            records,
            base_offset=header.base_offset,
            last_offset=header.last_offset,
            codec=header.codec,
            timestamp_type=header.timestamp_type,
            max_timestamp=header.max_timestamp if header.timestamp_type else None,
            leader_epoch=header.leader_epoch,
            producer_id=header.producer_id,
            producer_epoch=header.producer_epoch,
            base_sequence=header.base_sequence,
            is_transactional=header.is_transactional,
            is_control=header.is_control,
            delete_horizon_ms=delete_horizon_ms,
        )
