"""What the cache of an aggregate's store writes through, which goes down the topology as one chunk."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ottla.client.columns.binary import BinaryColumn
from ottla.client.columns.columns import Columns
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.processors.table_store import TableProcessor
from ottla.streams.state.key_value import KeyValue
from ottla.streams.state.stores import RecordContext
from ottla.streams.state.window import WindowValues

if TYPE_CHECKING:
    from ottla.streams.columnar.chunk import Chunk
    from ottla.streams.columnar.column import Column

__all__ = ["TellsInChunks"]


class TellsInChunks(TableProcessor):
    """A table whose cached store tells of what it writes through together, once there have been chunks."""

    has_had_chunks = False

    def tell_in_chunks(self, store: Any) -> None:
        if isinstance(store, KeyValue | WindowValues) and store.cached is not None:
            store.cached.set_listener_of_many(lambda *flushed: self._flushed_chunk(store, *flushed))

    def _flushed_chunk(
        self,
        store: KeyValue[Any, Any] | WindowValues[Any, Any],
        places: Sequence[bytes],
        new: Sequence[bytes],
        old: Sequence[bytes | None] | None,
        contexts: Sequence[RecordContext | None],
    ) -> Callable[[], None] | None:
        """What writes and forwards them; None where that has to be done one by one."""
        if not self.has_had_chunks:
            return None
        try:
            chunk, log = _chunk(store, places, new, old, contexts, self.step.task.stream_time)
        except NotColumnar:
            return None

        def write_and_tell() -> None:
            store.write_through(zip(places, new, strict=True), log)
            self.step.forward_chunk(chunk)

        return write_and_tell


def _chunk(
    store: KeyValue[Any, Any] | WindowValues[Any, Any],
    places: Sequence[bytes],
    new: Sequence[bytes],
    old: Sequence[bytes | None] | None,
    contexts: Sequence[RecordContext | None],
    stream_time: int,
) -> tuple[Chunk, Columns]:
    """What is forwarded, and what goes to the changelog. Raises NotColumnar."""
    import pyarrow as pa

    from ottla.streams.columnar.chunk import Chunk, Origin
    from ottla.streams.columnar.column import Column
    from ottla.streams.columnar.composed import ChangedValues, WindowedKeys, window_places
    from ottla.streams.columnar.objects import int64s

    def column(data: BinaryColumn) -> Column:
        return Column.of_bytes(data, store.value_serde, store.topic)

    origin = Origin(*_origin(contexts), stream_time)
    if max(origin.columns.timestamp) > stream_time:
        raise NotColumnar("records of times that the task has not come to")
    times = pa.array([int.from_bytes(each[:8], signed=True) for each in new], pa.int64())
    values = BinaryColumn.of([each[8:] for each in new])
    if isinstance(store, KeyValue):
        held = BinaryColumn.of(places)
        keys = Column.of_bytes(held, store.key_serde, store.topic)
    else:
        split = [store.split(place) for place in places]
        held = BinaryColumn.of([key for key, _ in split])
        starts = pa.array([start for _, start in split], pa.int64())
        keys = WindowedKeys(Column.of_bytes(held, store.key_serde, store.topic), starts, store.window_size_ms)
        held = window_places(held, starts)
    before = None if old is None else BinaryColumn.of([each and each[8:] for each in old])
    changes = ChangedValues(column(values), None if before is None else column(before))
    return Chunk(origin, keys, changes, times), Columns.unsent(held, values, int64s(times))


def _origin(contexts: Sequence[RecordContext | None]) -> tuple[str, Columns]:
    """Where records come from, without what they were. Raises NotColumnar where these are several partitions,
    or some have headers."""
    first = contexts[0]
    if first is None:
        raise NotColumnar("from nowhere")
    offsets, times = [], []
    for each in contexts:
        if each is None or each.headers or each[:2] != first[:2]:
            raise NotColumnar("from several partitions, or with headers")
        offsets.append(each.offset)
        times.append(each.timestamp)
    nothing = BinaryColumn.of([None] * len(offsets))
    made = Columns.unsent(nothing, nothing, memoryview(array("q", times)), partition=first.partition)
    return first.topic, Columns(
        made.partition,
        memoryview(array("q", offsets)),
        made.timestamp,
        made.timestamp_type,
        nothing,
        nothing,
        made.headers,
    )
