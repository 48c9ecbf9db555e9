"""What was handed to the application, and what comes next: by batches, or by records."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ottla.client.columns.columns import Columns, Record
from ottla.client.columns.implementation import Sink
from ottla.client.consumer.errors import UnreadableRecordsError
from ottla.client.consumer.fetching import Fetching, Piece
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.positions import PartitionState, Position


class Delivered(NamedTuple):
    """Rows of one topic; `ends` is where the reader of each partition stands behind them."""

    topic: str
    rows: Columns
    ends: Mapping[TopicPartition, Position]
    states: Mapping[TopicPartition, PartitionState]


class Cursor:
    """A run of records of one partition that the application takes one by one. `last` is the last that it
    has; the rest is void once `version` is not the partition's any more.
    """

    __slots__ = ("before", "is_finished", "last", "records", "rows", "state", "version")

    def __init__(self, rows: Columns, state: PartitionState, before: Position) -> None:
        self.rows = rows
        self.state = state
        self.version = state.version
        self.before = before
        self.last: Record | None = None
        self.is_finished = False
        """The application has all of them"""
        self.records: Iterator[Record] = rows.records(state.partition.topic)

    def __iter__(self) -> Iterator[Record]:
        """The records that are left; it may be left and taken up again. Any thread may do this."""
        for record in self.records:
            self.last = record
            yield record
            if self.version != self.state.version:
                break
        self.is_finished = True

    @property
    def is_void(self) -> bool:
        """Nothing of it counts any more: all was given, or the reader stands elsewhere now."""
        return self.is_finished or self.version != self.state.version

    def position(self) -> Position:
        return self.before if self.last is None else Position(self.last.offset + 1, self.state.position.epoch)

    def rest(self) -> Columns:
        """The rows that the application does not have."""
        if self.last is None:
            return self.rows
        return self.rows[bisect_right(self.rows.offset, self.last.offset) :]


class Delivery:
    """One at a time: either a batch, or a cursor's next record."""

    def __init__(self, fetching: Fetching) -> None:
        self._fetching = fetching
        self._cursor: Cursor | None = None

    def positions(self) -> dict[TopicPartition, Position]:
        """Behind what was delivered, of all partitions that have a position."""
        states = self._fetching.positions.states
        positions = {each: state.position for each, state in states.items() if state.position.offset >= 0}
        cursor = self._cursor
        if cursor is not None and not cursor.is_void:
            positions[cursor.state.partition] = cursor.position()
        return positions

    def batch(self, max_records: int) -> Delivered | None:
        """What there is of one topic, at most so many rows; None where there is nothing."""
        sink = self._fetching.sink()
        parts: list[Columns] = []  # of what is not in the sink
        ends: dict[TopicPartition, Position] = {}
        states: dict[TopicPartition, PartitionState] = {}
        room = max_records
        topic = None
        while sink.count < room:
            try:
                piece = self._next(sink, room, topic)
            except UnreadableRecordsError:
                if topic is None:
                    raise
                break  # told by the next call, which gets nothing before it
            if piece is None:
                break
            topic = piece.partition.topic
            ends[piece.partition] = piece.end
            states[piece.partition] = self._fetching.positions.states[piece.partition]
            if piece.rows is None:
                continue
            if sink.count:
                parts.append(Columns.from_raw(sink.take()))
            parts.append(piece.rows)
            room = max_records - sum(map(len, parts))
        if topic is None:
            return None
        if sink.count:
            parts.append(Columns.from_raw(sink.take()))
        return Delivered(topic, Columns.concat(parts), ends, states)

    def cursor(self, max_records: int) -> Cursor | None:
        """The one that is not at its end, else one over the next rows; None where there are none."""
        cursor = self._cursor
        if cursor is not None:
            if not cursor.is_void:
                return cursor
            self._cursor = None
        while True:
            piece = self._fetching.read(max_records, None)
            if piece is None:
                return None
            if piece.rows is not None:
                break
        state = self._fetching.positions.states[piece.partition]
        self._cursor = Cursor(piece.rows, state, piece.start)
        return self._cursor

    def _next(self, sink: Sink, room: int, topic: str | None) -> Piece | None:
        """Rows that are in the sink, of which there may be `room`, or apart from it."""
        cursor = self._cursor
        if cursor is not None and (cursor.is_void or topic is None):
            self._cursor = None
            rest = cursor.rest()
            if not cursor.is_void and len(rest):
                return self._of_cursor(cursor, rest, room)
        while (piece := self._fetching.gather(sink, room, topic)) is not None:
            if piece.length:
                return piece
        return None

    def _of_cursor(self, cursor: Cursor, rest: Columns, room: int) -> Piece:
        """What a loop over records has left behind, for who goes on with batches."""
        state = cursor.state
        start = cursor.position()
        if len(rest) <= room:
            return Piece(state.partition, len(rest), rest, start, state.position)
        end = Position(rest.offset[room - 1] + 1, state.position.epoch)
        self._cursor = Cursor(rest[room:], state, end)
        return Piece(state.partition, room, rest[:room], start, end)
