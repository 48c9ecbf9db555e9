"""Which transactions the cleaner is in the middle of, as it walks a log from its start."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ottla.records.batch import BatchHeader
from ottla.storage.control_marker import ControlMarker
from ottla.storage.txn_index import AbortedTxn

__all__ = ["CleanedTransactions"]


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
