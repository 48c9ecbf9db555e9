"""What a producer sends, and sends again, together: a batch of one partition, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ottla.client.columns.encode import finish, seal
from ottla.client.columns.implementation import Builder
from ottla.client.errors import ClientError
from ottla.records.batch import NO_SEQUENCE
from ottla.records.codec import decode_batch
from ottla.records.compression import Codec

UNKNOWN_OFFSET = -1
"""Of records that nobody answers for (acks=0), or that were in the log already."""

_SEQUENCES = 1 << 31


class Identity(NamedTuple):
    """A producer's id and epoch; each epoch numbers its records of a partition from 0 on."""

    producer_id: int
    epoch: int


NO_IDENTITY = Identity(-1, -1)


class RecordMetadata(NamedTuple):
    """Where a record went. `offset` is -1 where that is not known (acks=0)."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class Compression(NamedTuple):
    """`level` None is the codec's own."""

    codec: Codec
    level: int | None = None


class Batch:
    """Made open, with a builder that takes records, or whole, with its data. It has `count` records and holds
    `reserved` bytes of memory until it is over: delivered with `base_offset`, failed with `error`, or split
    into `parts`.
    """

    __slots__ = (
        "append_time",
        "attempts",
        "base_offset",
        "builder",
        "callbacks",
        "count",
        "created",
        "data",
        "error",
        "identity",
        "is_done",
        "is_due",
        "is_uncertain",
        "last_error",
        "order",
        "partition",
        "parts",
        "reserved",
        "sequence",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        partition: int,
        created: float,
        reserved: int,
        builder: Builder | None = None,
        data: bytearray | None = None,
        count: int = 0,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.created = created
        self.reserved = reserved
        self.builder = builder
        self.data = data
        self.count = count
        self.is_due = False
        """To be sent without waiting for more."""
        self.order = -1
        """Its place among what was ever sent; -1 before it was."""
        self.identity = NO_IDENTITY
        self.sequence = NO_SEQUENCE
        self.attempts = 0
        self.is_uncertain = False
        """An attempt went without an answer: it may be in the log."""
        self.last_error: ClientError | None = None
        self.is_done = False
        self.base_offset = UNKNOWN_OFFSET
        self.append_time = -1
        self.error: ClientError | None = None
        self.parts: tuple[Batch, ...] = ()
        self.callbacks: list[Callable[[Batch], object]] = []

    @property
    def name(self) -> str:
        return f"{self.topic}-{self.partition}"

    def freeze(self, compression: Compression) -> None:
        """Take no more records."""
        if self.builder is not None:
            self.count = self.builder.count
            self.data = finish(self.builder, compression.codec, compression.level)
            self.builder = None

    def number(self, identity: Identity, sequence: int, *, is_transactional: bool) -> None:
        """Say who sends it and from which sequence number on, under its checksum."""
        assert self.data is not None
        self.identity = identity
        self.sequence = sequence
        seal(
            self.data,
            producer_id=identity.producer_id,
            producer_epoch=identity.epoch,
            base_sequence=sequence,
            is_transactional=is_transactional,
        )

    def succeed(self, base_offset: int, append_time: int = -1) -> None:
        self.base_offset = base_offset
        self.append_time = append_time
        self._end()

    def fail(self, error: ClientError) -> None:
        self.error = error
        self._end()

    def split(
        self, compression: Compression, make_builder: Callable[[int], Builder], *, is_transactional: bool
    ) -> tuple[Batch, Batch]:
        """Two of half the records each, in its place; what it was asked for they answer."""
        assert self.data is not None
        records = decode_batch(self.data, max_bytes=_LARGEST_INFLATED)
        middle = len(records) // 2
        halves = []
        for rows in (records[:middle], records[middle:]):
            builder = make_builder(_LARGEST_INFLATED)
            for row in rows:
                builder.append(row.timestamp, row.key, row.value, row.headers)
            half = Batch(self.topic, self.partition, self.created, 0, builder)
            half.freeze(compression)
            half.is_due = True
            half.order = self.order
            half.is_uncertain = self.is_uncertain
            half.last_error = self.last_error
            halves.append(half)
        first, second = halves
        first.reserved = self.reserved // 2
        second.reserved = self.reserved - first.reserved
        if self.sequence != NO_SEQUENCE:
            first.number(self.identity, self.sequence, is_transactional=is_transactional)
            after = next_sequence(self.sequence, first.count)
            second.number(self.identity, after, is_transactional=is_transactional)
        self.parts = (first, second)
        self._end()
        return first, second

    def whereabouts(self, index: int, timestamp: int) -> RecordMetadata:
        """Of the record with this index, in a batch that is over; raises the error of one that failed."""
        if self.parts:
            first, second = self.parts
            if index < first.count:
                return first.whereabouts(index, timestamp)
            return second.whereabouts(index - first.count, timestamp)
        if self.error is not None:
            raise self.error.again()
        offset = UNKNOWN_OFFSET if self.base_offset < 0 else self.base_offset + index
        told = timestamp if self.append_time < 0 else self.append_time
        return RecordMetadata(self.topic, self.partition, offset, told)

    def part_of(self, index: int) -> tuple[Batch, int]:
        """The batch that a record is in after splits, and its index there."""
        batch = self
        while batch.parts:
            first, second = batch.parts
            batch, index = (first, index) if index < first.count else (second, index - first.count)
        return batch, index

    def _end(self) -> None:
        self.is_done = True
        self.data = None
        callbacks, self.callbacks = self.callbacks, []
        for each in callbacks:
            each(self)


_LARGEST_INFLATED = (1 << 31) - 1


def next_sequence(sequence: int, count: int) -> int:
    """Behind so many records; numbers begin again with 0 after 2^31 - 1."""
    return (sequence + count) % _SEQUENCES
