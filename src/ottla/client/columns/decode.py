"""The records of a fetch response to columns, a bounded piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ottla.client.columns.binary import ROW_BYTES
from ottla.client.columns.columns import Columns, Record
from ottla.client.columns.implementation import IMPLEMENTATION, Implementation, Sink
from ottla.client.columns.legacy import is_legacy, read_message
from ottla.client.errors import ClientError
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.batch import Buffer

__all__ = ["MAX_BATCH_BYTES", "MAX_BYTES", "MAX_RECORDS", "CorruptRecordsError", "FetchedRecords"]

MAX_BATCH_BYTES: Final = 1 << 28
"""What the records of one batch may inflate to, unless told otherwise."""

MAX_BYTES: Final = 1 << 26
"""Where the columns of one piece end, unless told otherwise; they exceed it by a batch at most."""

MAX_RECORDS: Final = 1 << 20
"""How many records a piece has, unless told otherwise; it exceeds that by a batch at most."""

_LARGEST: Final = (1 << 30) - 1  # of a piece and of a batch, so that int32 numbers every byte of both


class CorruptRecordsError(ClientError):
    """A batch that cannot be read: `code` says why. Its reader stays before it; `offset` is the first that
    the batch holds, as far as it can be believed."""

    def __init__(self, code: ErrorCode, message: str, partition: int, offset: int) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.partition = partition
        self.offset = offset


class FetchedRecords:
    """The records of one partition in a fetch response, of which the last batch may be cut off.

    Records before `fetch_offset`, control batches, and batches of the transactions in `aborted`, pairs of
    (producer id, first offset) as the response has them, are left out. Nothing is copied until it is read.
    """

    def __init__(
        self,
        data: Buffer,
        *,
        partition: int = 0,
        fetch_offset: int = 0,
        aborted: Sequence[tuple[int, int]] = (),
        check_crcs: bool = True,
        max_batch_bytes: int = MAX_BATCH_BYTES,
        implementation: Implementation = IMPLEMENTATION,
    ) -> None:
        if not 0 < max_batch_bytes <= _LARGEST:
            raise ValueError(f"max_batch_bytes is {max_batch_bytes}, not 1 to {_LARGEST}")
        self._data = data
        self._partition = partition
        self._fetch_offset = fetch_offset
        self._aborted = sorted(((offset, producer) for producer, offset in aborted), reverse=True)
        self._active: set[int] = set()
        self._check_crcs = check_crcs
        self._max_batch_bytes = max_batch_bytes
        self._implementation = implementation
        self._position = 0
        self.next_offset = fetch_offset
        """What is to be fetched next once all that was read is dealt with."""
        self.leader_epoch = -1
        """The leader epoch of the last batch that was read, -1 before the first."""

    @property
    def left(self) -> int:
        """The bytes that have not been read yet; at the end, those of the batch that is cut off."""
        return len(self._data) - self._position

    def gather(self, sink: Sink, *, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES) -> int:
        """Add the next records to `sink`, as many whole batches as it may have rows and bytes, but one at
        least where it is empty; how many rows came. Messages of magic 0 and 1 are left to `read`.

        Raises CorruptRecordsError for a batch that cannot be read (corrupt_message, message_too_large,
        unsupported_compression_type), once what comes before it has been read.
        """
        before = sink.count
        self._position, next_offset, self.leader_epoch, fault = self._implementation.decode(
            sink,
            self._data,
            self._position,
            self._partition,
            self._fetch_offset,
            (self.next_offset, self.leader_epoch),
            self._aborted,
            self._active,
            self._check_crcs,
            (max_records, min(max_bytes, _LARGEST), self._max_batch_bytes),
        )
        self.next_offset = max(next_offset, self.next_offset)
        added = sink.count - before
        if not added and fault is not None:
            raise self._error(fault)
        return added  # what is wrong behind them is found again by the next call

    @property
    def is_legacy(self) -> bool:
        """Whether what comes next is of magic 0 or 1."""
        return is_legacy(self._data, self._position)

    def read(self, *, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES) -> Columns | None:
        """The next records as columns of their own, as `gather` has them; None at the end."""
        while True:
            begin = self._position
            sink = self._implementation.Sink(0)
            if self.gather(sink, max_records=max_records, max_bytes=max_bytes):
                return Columns.from_raw(sink.take())
            columns = self._read_legacy(max_records, max_bytes)
            if columns is not None or self._position == begin:
                return columns

    def detach(self) -> None:
        """Keep what is left in memory of its own, so that a response of which it is a part can go."""
        self._data = bytes(self._data[self._position :])
        self._position = 0

    def _read_legacy(self, max_records: int, max_bytes: int) -> Columns | None:
        """The next records as far as they are in messages of magic 0 and 1."""
        rows: list[Record] = []
        used = 0
        while is_legacy(self._data, self._position) and len(rows) < max_records and used < max_bytes:
            try:
                message = read_message(
                    self._data,
                    self._position,
                    self._partition,
                    check_crcs=self._check_crcs,
                    max_bytes=self._max_batch_bytes,
                )
            except KafkaError as fault:
                if rows:
                    break
                raise self._error(fault) from None
            if message is None:
                break
            records, self._position, last_offset = message
            self.next_offset = max(self.next_offset, last_offset + 1)
            for record in records:
                if record.offset >= self._fetch_offset:
                    rows.append(record)
                    used += ROW_BYTES + len(record.key or b"") + len(record.value or b"")
        return Columns.of(rows) if rows else None

    def __iter__(self) -> Iterator[Columns]:
        """All that is left, in pieces of the usual size."""
        while (columns := self.read()) is not None:
            yield columns

    def _error(self, fault: KafkaError) -> CorruptRecordsError:
        offset = int.from_bytes(self._data[self._position : self._position + 8], "big", signed=True)
        message = (
            f"partition {self._partition}, the batch at offset {offset}: {fault.message or fault.code.name}"
        )
        return CorruptRecordsError(fault.code, message, self._partition, offset)
