"""The last record of each key, of pieces of a topic that come one after the other."""

from __future__ import annotations

from typing import Final, NamedTuple

from ottla.client.columns.columns import Columns
from ottla.client.tables.rows import take

_SLACK: Final = 1 << 18
"""Rows that may be kept although something later has replaced them, beside as many as there are keys."""


class _Place(NamedTuple):
    piece: int
    row: int
    partition: int
    timestamp: int


class Latest:
    """Memory is that of the keys and their last values, and of about as much again."""

    def __init__(self) -> None:
        self._pieces: list[Columns] = []
        self._places: dict[bytes, _Place] = {}
        self._kept = 0

    def __len__(self) -> int:
        return len(self._places)

    def add(self, rows: Columns) -> None:
        """Rows of one partition, which follow those of it that were added before."""
        last: dict[bytes | None, int] = dict(zip(rows.key, range(len(rows)), strict=True))
        last.pop(None, None)
        if not last:
            return
        taken = take(rows, sorted(last.values()))
        piece = len(self._pieces)
        self._pieces.append(taken)
        self._kept += len(taken)
        for row, (key, partition, timestamp) in enumerate(
            zip(taken.key, taken.partition, taken.timestamp, strict=True)
        ):
            assert key is not None
            old = self._places.get(key)
            if old is None or old.partition == partition or timestamp >= old.timestamp:
                self._places[key] = _Place(piece, row, partition, timestamp)
        if self._kept > 2 * len(self._places) + _SLACK:
            self._compact()

    def rows(self, *, tombstones: bool) -> Columns:
        """By key; with a null value only where `tombstones` are wanted."""
        self._compact()
        if not self._pieces:
            return Columns.of(())
        (rows,) = self._pieces
        order = [self._places[key].row for key in sorted(self._places)]
        if not tombstones:
            values = list(rows.value)
            order = [row for row in order if values[row] is not None]
        return take(rows, order)

    def _compact(self) -> None:
        """Drop what was replaced."""
        wanted: list[list[int]] = [[] for _ in self._pieces]
        for place in self._places.values():
            wanted[place.piece].append(place.row)
        taken = [take(piece, sorted(rows)) for piece, rows in zip(self._pieces, wanted, strict=True) if rows]
        if not taken:
            return
        whole = Columns.concat(taken)
        self._pieces = [whole]
        self._kept = len(whole)
        self._places = {
            key: _Place(0, row, partition, timestamp)
            for row, (key, partition, timestamp) in enumerate(
                zip(whole.key, whole.partition, whole.timestamp, strict=True)
            )
            if key is not None
        }
