"""What compaction keeps of a batch: pure, batch in and batch out.

- Of each key the newest record survives; records without a key cannot (the broker refuses them on produce).
- A tombstone (null value) survives for `delete.retention.ms` after the first cleaning that saw it, so that a
  consumer that began before sees the deletion. That moment is noted in the batch as its delete horizon
  (KIP-534). A transaction marker is held in the same way, and at least while records of its transaction
  remain.
- Aborted records go at once; nobody reads them.
- Offsets never change, and a thinned batch keeps its first and last offset and sequence number. The last
  batch of a known producer stays, if need be empty, for it carries the producer's sequence number.
- Where the last batch of a segment goes, an empty one keeps its offsets, so that the segment still ends where
  the next one begins: after a crash a hole there tells of lost records (`local/recovery.py`).
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from ottla.records.batch import BatchHeader
from ottla.records.codec import Record, decode_batch, encode_batch
from ottla.records.markers import ControlMarker, parse_control_marker
from ottla.storage.local.txn_index import AbortedTxn
from ottla.storage.producer_state import LastRecord

__all__ = [
    "BatchFilter",
    "CleanedTransactions",
    "FilterContext",
    "OffsetMap",
]


class CleanedTransactions:
    """Tells aborted records from committed ones and when a marker has nothing left to speak about.

    `retained` collects the aborted transactions whose marker stays because batches of theirs were still seen;
    they make up the cleaned segment's transaction index.
    """

    __slots__ = ("_aborted", "_ongoing_aborted", "_ongoing_committed", "_seen", "retained")

    def __init__(self, aborted: Iterable[AbortedTxn]) -> None:
        self._aborted = deque(sorted(set(aborted), key=lambda txn: txn.first_offset))
        self._ongoing_aborted: dict[int, AbortedTxn] = {}
        self._ongoing_committed: set[int] = set()
        self._seen: set[int] = set()  # producers of ongoing aborted transactions with a batch in the log
        self.retained: list[AbortedTxn] = []

    def on_batch(self, header: BatchHeader) -> bool:
        """Pass a data batch; True when it was aborted, so that its records are nobody's."""
        self._begin_up_to(header.last_offset)
        if not header.is_transactional:
            return False
        if header.producer_id in self._ongoing_aborted:
            self._seen.add(header.producer_id)
            return True
        self._ongoing_committed.add(header.producer_id)
        return False

    def on_control_batch(self, header: BatchHeader, marker: ControlMarker | None) -> bool:
        """Pass a control batch; True when nothing of its transaction was left in the log before it."""
        self._begin_up_to(header.last_offset)
        if header.record_count == 0:
            return True
        if marker is None:
            return False
        if marker.is_commit:
            is_needed = header.producer_id in self._ongoing_committed
            self._ongoing_committed.discard(header.producer_id)
            return not is_needed
        txn = self._ongoing_aborted.pop(header.producer_id, None)
        if txn is not None and header.producer_id in self._seen:
            self._seen.discard(header.producer_id)
            self.retained.append(txn)
            return False
        return True

    def take_retained(self) -> list[AbortedTxn]:
        retained, self.retained = self.retained, []
        return retained

    def _begin_up_to(self, offset: int) -> None:
        while self._aborted and self._aborted[0].first_offset <= offset:
            txn = self._aborted.popleft()
            self._ongoing_aborted.setdefault(txn.producer_id, txn)


_DIGEST_SIZE = 20
# What an entry takes apart from the key: the key's object, the offset's, and its share of a dict just after
# it grew.
_ENTRY_OVERHEAD = sys.getsizeof(b"") + sys.getsizeof(2**40) + 90


class OffsetMap:
    """Key -> offset. Keys of 20 bytes and more are kept as digests, longer than any key kept as it is.

    `latest_offset` is the end (inclusive) of what has been mapped: a key's absence means something up to
    there only.
    """

    __slots__ = ("_budget", "_offsets", "_used", "latest_offset")

    def __init__(self, buffer_bytes: int) -> None:
        self._budget = buffer_bytes
        self._offsets: dict[bytes, int] = {}
        self._used = 0
        self.latest_offset = -1

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def is_full(self) -> bool:
        """Whether to stop mapping. Asked between batches, so that even a tiny buffer gets on by one batch."""
        return self._used >= self._budget

    def put(self, key: bytes, offset: int) -> None:
        """Note that `offset` is the newest one of the key. Keys come in log order."""
        if len(key) >= _DIGEST_SIZE:
            key = blake2b(key, digest_size=_DIGEST_SIZE).digest()
        if key not in self._offsets:
            self._used += _ENTRY_OVERHEAD + len(key)
        self._offsets[key] = offset

    def get(self, key: bytes) -> int:
        """The newest offset of the key; -1 when it was not seen."""
        if len(key) >= _DIGEST_SIZE:
            key = blake2b(key, digest_size=_DIGEST_SIZE).digest()
        return self._offsets.get(key, -1)


class FilterContext(NamedTuple):
    """What stays the same during a cleaning.

    Times in milliseconds, `max_decompressed_bytes` for one batch.
    """

    last_records: Mapping[int, LastRecord]
    now_ms: int
    delete_retention_ms: int
    max_decompressed_bytes: int


class BatchFilter:
    """Decides batch by batch, in log order, over one cleaning."""

    def __init__(self, context: FilterContext, offsets: OffsetMap, transactions: CleanedTransactions) -> None:
        self._context = context
        self._offsets = offsets
        self._transactions = transactions

    def filter(self, header: BatchHeader, batch: bytes, *, ends_segment: bool = False) -> bytes | None:
        """What is left of the batch: its very bytes, a thinner one, an empty one, or None.

        One that `ends_segment` leaves something. Raises KafkaError(corrupt_message) when it does not decode.
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
            if self._is_last_of_producer(header):
                return self._empty(header)
            return self._placeholder(header) if ends_segment else None
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

    def _is_last_of_producer(self, header: BatchHeader) -> bool:
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
    def _placeholder(header: BatchHeader) -> bytes:
        """Has the batch's offsets and leader epoch, and is of no producer and no transaction."""
        return encode_batch(
            [],
            base_offset=header.base_offset,
            last_offset=header.last_offset,
            timestamp_type=header.timestamp_type,
            max_timestamp=header.max_timestamp,
            leader_epoch=header.leader_epoch,
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
