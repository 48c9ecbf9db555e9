"""What a consumer hands out: rows of one topic, which can be committed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ottla.client.columns.columns import Columns, Record
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.offsets import CommittedOffset, Identity

if TYPE_CHECKING:
    import pyarrow as pa

ToArrow = Callable[[str, Columns], "pa.RecordBatch"]


class Batch:
    """Rows of one topic as columns; those of a partition are in order, and follow the batch before.

    `offsets` are what a commit of it says: for each partition the offset behind its last row. `identity` is
    as whom, None where there is no group or the member is out of it.
    """

    __slots__ = ("_commit", "_letters", "_to_arrow", "columns", "identity", "offsets", "topic")

    def __init__(
        self,
        topic: str,
        columns: Columns,
        offsets: Mapping[TopicPartition, CommittedOffset],
        identity: Identity | None,
        commit: Callable[[Batch], Awaitable[None]],
        to_arrow: ToArrow,
        letters: Callable[[], Awaitable[None]],
    ) -> None:
        self.topic = topic
        self.columns = columns
        self.offsets = MappingProxyType(dict(offsets))
        self.identity = identity
        self._commit = commit
        self._to_arrow = to_arrow
        self._letters = letters

    def __len__(self) -> int:
        return len(self.columns)

    def records(self) -> Iterator[Record]:
        """Each row as a record, made when it is asked for, with key and value as bytes."""
        return self.columns.records(self.topic)

    def __iter__(self) -> Iterator[Record]:
        return self.records()

    async def commit(self) -> None:
        """Done when the coordinator has it. CommitFailedError where the group went on without this member, or
        one of the partitions has been given up since. Dead letters that `to_arrow` sent are delivered before;
        DeadLetterError where one is not.
        """
        await self._commit(self)

    async def letters_delivered(self) -> None:
        """Once the dead letters that `to_arrow` sent are there; DeadLetterError where one is lost."""
        await self._letters()

    def to_arrow(self) -> pa.RecordBatch:
        """Columns partition, offset, timestamp, timestamp_type, key, value and headers; key and value as the
        consumer was told to read them. Needs the extra `arrow`.
        """
        return self._to_arrow(self.topic, self.columns)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Arrow's PyCapsule interface, which Polars, pandas and DuckDB speak."""
        import pyarrow as pa

        table: Any = pa.Table.from_batches([self.to_arrow()])
        return table.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} records of {self.topic}>"
