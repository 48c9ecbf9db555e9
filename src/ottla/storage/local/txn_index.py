"""Aborted transactions of a segment: `<base offset>.txnindex` in Kafka's format (AbortedTxn.json, version 0).

34 bytes for each transaction whose abort marker lies in the segment, big-endian: version i16, producer id,
first offset, last offset (of the marker) and the last stable offset after it, i64 each. Consumers that read
committed records get those that overlap with what they fetch (KIP-98).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ottla.storage.fs import FileSystem

__all__ = [
    "ENTRY_SIZE",
    "AbortedTxn",
    "CorruptTransactionIndexError",
    "TransactionIndex",
    "decode_aborted",
    "encode_aborted",
]

_ENTRY: Final = struct.Struct(">hqqqq")
_VERSION: Final = 0
ENTRY_SIZE: Final = _ENTRY.size


class CorruptTransactionIndexError(Exception):
    """An index that contradicts its segment or its format; it is to be rebuilt from the log."""


class AbortedTxn(NamedTuple):
    """A transaction that was rolled back: offsets of its first record and of its marker, both inclusive."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


def encode_aborted(txn: AbortedTxn) -> bytes:
    return _ENTRY.pack(_VERSION, *txn)


def decode_aborted(data: bytes, source: str = "transaction index") -> Iterator[AbortedTxn]:
    """Yield the entries; an incomplete one at the end is a torn write and ignored.

    Raises CorruptTransactionIndexError.
    """
    for pos in range(0, len(data) - ENTRY_SIZE + 1, ENTRY_SIZE):
        version, *fields = _ENTRY.unpack_from(data, pos)
        if version != _VERSION:
            raise CorruptTransactionIndexError(f"{source}: version {version} at byte {pos}")
        yield AbortedTxn(*fields)


class TransactionIndex:
    """The index of one segment. Most segments have none: the file appears with the first entry.

    Entries are kept in memory once read; a segment has few. `path` is public because the segment renames its
    files.
    """

    __slots__ = ("_entries", "_fs", "path")

    def __init__(self, fs: FileSystem, path: str) -> None:
        self._fs = fs
        self.path = path
        self._entries: list[AbortedTxn] | None = None

    def _loaded(self) -> list[AbortedTxn]:
        if self._entries is None:
            try:
                data = self._fs.read_bytes(self.path)
            except FileNotFoundError:
                data = b""
            self._entries = list(decode_aborted(data, self.path))
        return self._entries

    @property
    def entries(self) -> tuple[AbortedTxn, ...]:
        return tuple(self._loaded())

    def append(self, txn: AbortedTxn) -> None:
        """Add a transaction whose marker lies after all others. Raises ValueError when it does not."""
        entries = self._loaded()
        if entries and entries[-1].last_offset >= txn.last_offset:
            raise ValueError(f"{txn} is not after {entries[-1]} in {self.path}")
        file = self._fs.open(self.path)
        try:
            # By position: what an earlier short write left behind is overwritten.
            written = file.write([encode_aborted(txn)], len(entries) * ENTRY_SIZE)
        finally:
            file.close()
        if written != ENTRY_SIZE:
            raise OSError(f"{written} of {ENTRY_SIZE} bytes written to {self.path}")
        entries.append(txn)

    def collect(self, fetch_offset: int, upper_bound_offset: int) -> tuple[list[AbortedTxn], bool]:
        """The transactions that overlap with [fetch_offset, upper_bound_offset), and whether these are all.

        Later segments may hold the marker of a transaction that began in this range, until an entry says that
        everything below the bound was decided.
        """
        found = []
        for txn in self._loaded():
            if txn.last_offset >= fetch_offset and txn.first_offset < upper_bound_offset:
                found.append(txn)
            if txn.last_stable_offset >= upper_bound_offset:
                return found, True
        return found, False

    def truncate(self, offset: int) -> None:
        """Drop the transactions whose marker is at `offset` or after it."""
        entries = self._loaded()
        kept = [txn for txn in entries if txn.last_offset < offset]
        if len(kept) < len(entries):
            self._rewrite(kept)

    def reset(self) -> None:
        """Drop everything, readable or not, before a rebuild."""
        self._entries = []
        if self._fs.exists(self.path):
            self._rewrite([])

    def _rewrite(self, entries: list[AbortedTxn]) -> None:
        file = self._fs.open(self.path)
        try:
            file.truncate(len(entries) * ENTRY_SIZE)
        finally:
            file.close()
        self._entries = entries

    def sanity_check(self, base_offset: int) -> None:
        """Raises CorruptTransactionIndexError when an entry's marker lies before the segment."""
        for txn in self._loaded():
            if txn.last_offset < base_offset:
                raise CorruptTransactionIndexError(f"{self.path}: {txn} lies before offset {base_offset}")

    def flush(self) -> None:
        if self._entries:
            self._fs.sync_file(self.path)
