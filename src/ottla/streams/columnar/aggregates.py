"""Aggregates of streams over whole chunks: what they do is what the operators of `processors` do, which take
over wherever values are no columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ottla.client.columns.columns import Columns
from ottla.streams.columnar.flushing import TellsInChunks
from ottla.streams.expressions.aggregates import Aggregates
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.processors.aggregates import StreamAggregate, StreamReduce
from ottla.streams.processors.table_store import TableProcessor
from ottla.streams.processors.windowed import TimeWindowAggregate
from ottla.streams.records import ValueAndTimestamp
from ottla.streams.serdes import Serde
from ottla.streams.state.key_value import KeyValue
from ottla.streams.state.window import WindowValues

if TYPE_CHECKING:
    import pyarrow as pa

    from ottla.streams.columnar.chunk import Chunk
    from ottla.streams.columnar.column import Column
    from ottla.streams.columnar.folding import Fold, Folded
    from ottla.streams.columnar.groups import Groups

__all__ = ["ChunkedStreamAggregate", "ChunkedStreamReduce", "ChunkedTimeWindowAggregate", "plus_one"]

Found = ValueAndTimestamp[Any] | None


def plus_one(key: object, value: object, count: int) -> int:  # noqa: ARG001
    """The aggregator of `count()`."""
    return count + 1


def _fold_of(initializer: Callable[[], Any], aggregator: object, store: Any) -> Fold:
    """How a store's values are aggregated. Raises NotColumnar where the store's serde does not keep them."""
    from ottla.streams.columnar import folding
    from ottla.streams.serdes import Json, Long

    serde: Serde[Any] = store.value_serde
    if isinstance(aggregator, Aggregates):
        if type(serde) is not Json:
            raise NotColumnar("aggregates of expressions that are kept as something else than JSON")
        return folding.ExpressionFold(aggregator)
    if aggregator is plus_one and initializer is int and type(serde) is Long:
        return folding.CountFold()
    assert callable(aggregator)
    return folding.FunctionFold(initializer, aggregator, serde)


class _Result:
    """What becomes of a chunk's groups: rows of updates, and where the last of each group stands."""

    def __init__(
        self, chunk: Chunk, groups: Groups, found: Sequence[Found], fold: Fold, *, each: bool, with_old: bool
    ) -> None:
        """`each`: an update for each row, else one for each group, in the order of their last rows. Raises
        NotColumnar."""
        try:
            before = [fold.initial() if one is None else one.value for one in found]
            self.folded: Folded = fold.run(chunk, groups, before, each=each, with_old=with_old)
        except Exception as error:  # a state may be what another program left: the record will say it
            raise NotColumnar(str(error)) from error
        self.groups = groups
        self.is_each = each
        self.sequence = list(range(groups.count)) if each else groups.by_last_row()
        """The groups as they are put."""
        self.last = [groups.last[group] for group in self.sequence]
        """The last row of each of them."""
        self.times = _newest(chunk, groups, found)
        """Of each row."""

    def latest(self, values: Any) -> list[bytes]:
        """The last value of each group as a store has it: its time in front."""
        import pyarrow as pa

        from ottla.client.columns.arrow import as_column, as_strings
        from ottla.client.columns.implementation import IMPLEMENTATION
        from ottla.streams.columnar.objects import longs_of

        last = pa.array(self.last, pa.int64())
        times = IMPLEMENTATION.strings(longs_of(self.times.take(last)).raw)
        held = as_column(as_strings(values).take(last)) if self.is_each else values
        data = IMPLEMENTATION.strings(held.raw)
        if None in data:
            raise NotColumnar("an aggregate is nothing")
        return [time + value for time, value in zip(times, data, strict=True)]  # type: ignore[operator]


def _newest(chunk: Chunk, groups: Groups, found: Sequence[Found]) -> pa.Array:
    """The greatest time of each row's group up to it, and before."""
    from itertools import accumulate

    import pyarrow as pa
    import pyarrow.compute as pc

    from ottla.streams.columnar.objects import int64s, objects_of

    times = chunk.timestamps
    before = [-1 if each is None else each.timestamp for each in found]
    if len(times) < 2 or _goes_up(int64s(times)):
        floor = pa.array(before, pa.int64()).take(
            pa.Array.from_buffers(pa.int32(), len(times), [None, pa.py_buffer(groups.ids)])
        )
        return pc.max_element_wise(times, floor)
    values = objects_of(times.take(groups.order))
    newest: list[int] = []
    for (start, end), first in zip(groups.spans, before, strict=True):
        run = accumulate(values[start:end], max, initial=first)
        next(run)
        newest.extend(run)
    return groups.in_row_order(pa.array(newest, pa.int64()))


def _goes_up(times: memoryview) -> bool:
    listed = times.tolist()
    return listed == sorted(listed)


def _serialized(serde: Serde[Any], topic: str, keys: Sequence[Any]) -> list[bytes]:
    try:
        data = [serde.serialize(topic, key) for key in keys]
    except Exception as error:
        raise NotColumnar(str(error)) from error
    if None in data:
        raise NotColumnar("a key is nothing")
    return data  # type: ignore[return-value]


def _read(fetch: Callable[[], Sequence[Found]]) -> Sequence[Found]:
    try:
        return fetch()
    except Exception as error:  # what a store holds may be unreadable: the record will say it
        raise NotColumnar(str(error)) from error


def _log(keys: Any, values: Any, times: pa.Array) -> Columns:
    from ottla.streams.columnar.objects import int64s

    return Columns.unsent(keys, values, int64s(times))


def _forward(operator: TableProcessor, chunk: Chunk, keys: Column, result: _Result) -> None:
    from ottla.streams.columnar.composed import ChangedValues

    changed = ChangedValues(*result.folded)
    operator.step.forward_chunk(chunk.with_keys(keys).with_values(changed).with_timestamps(result.times))


class _ByKeyInChunks(TellsInChunks):
    """What an aggregate by key does with a chunk."""

    _name: str

    def prepare(self) -> None:
        super().prepare()
        self.tell_in_chunks(self.store(self._name))

    def fold(self, store: Any) -> Fold:
        raise NotImplementedError

    def process_chunk(self, chunk: Chunk) -> None:
        from ottla.streams.columnar.groups import Groups, codes_of

        self.has_had_chunks = True
        store = self.store(self._name)
        if not isinstance(store, KeyValue):
            raise NotColumnar("a versioned store")
        fold = self.fold(store)
        kept = chunk.without_nulls(values=True)
        dropped = len(chunk) - len(kept)
        if not len(kept):
            self.drop(dropped)
            return
        codes, keys = codes_of(kept.keys)
        groups = Groups(codes, len(keys))
        found = _read(partial(store.get_many, keys))
        each = not store.is_cached
        result = _Result(kept, groups, found, fold, each=each, with_old=each and self.send_old)
        data = _serialized(store.key_serde, store.topic, keys)
        values = result.folded.new.encode(store.value_serde, store.topic)
        latest = result.latest(values)
        all_keys = kept.keys.encode(store.key_serde, store.topic, as_keys=True) if each else None
        contexts = [None] * groups.count if each else kept.contexts(result.last)
        self.drop(dropped)
        store.put_together(
            [data[group] for group in result.sequence],
            latest,
            contexts,
            lambda: _log(all_keys, values, result.times),
        )
        if each:
            _forward(self, kept, kept.keys, result)


class ChunkedStreamAggregate(_ByKeyInChunks, StreamAggregate):
    def fold(self, store: Any) -> Fold:
        return _fold_of(self.initializer, self.aggregator, store)


class ChunkedStreamReduce(_ByKeyInChunks, StreamReduce):
    def fold(self, store: Any) -> Fold:
        reducer = self.reducer

        def reduce(key: Any, value: Any, so_far: Any) -> Any:  # noqa: ARG001
            return value if so_far is None else reducer(so_far, value)

        return _fold_of(_nothing, reduce, store)


def _nothing() -> None:
    return None


class ChunkedTimeWindowAggregate(TellsInChunks, TimeWindowAggregate):
    def prepare(self) -> None:
        super().prepare()
        if not self._on_close:
            self.tell_in_chunks(self._store)

    def process_chunk(self, chunk: Chunk) -> None:
        self.has_had_chunks = True
        from ottla.streams.columnar.groups import Groups, codes_of, combined
        from ottla.streams.columnar.windows import in_windows

        store = self._store
        assert isinstance(store, WindowValues)
        kept = chunk.without_nulls(values=False)
        if self._on_close or not len(kept):
            raise NotColumnar("windows that are told when they close, or nothing")
        if store.observed_ms > max(self._stream_time, kept.first_timestamp()):
            raise NotColumnar("records that may be too late for the store alone")
        fold = _fold_of(self.initializer, self.aggregator, store)
        codes, keys = codes_of(kept.keys)
        rows, starts, late, stream_time = in_windows(self.windows, kept.timestamps, self._stream_time)
        dropped = len(chunk) - len(kept) + late
        if not len(starts):
            self._stream_time = stream_time
            self.drop(dropped)
            return
        spread = kept.repeat(rows)
        pairs, group_keys, group_starts = combined(codes if rows is None else codes.take(rows), starts)
        groups = Groups(pairs, len(group_keys))
        windows = [(keys[key], start) for key, start in zip(group_keys, group_starts, strict=True)]
        found = _read(partial(store.fetch_many, windows))
        each = not store.is_cached
        result = _Result(spread, groups, found, fold, each=each, with_old=each and self.send_old)
        data = _serialized(store.key_serde, store.topic, keys)
        values = result.folded.new.encode(store.value_serde, store.topic)
        latest = result.latest(values)
        all_keys = spread.keys.encode(store.key_serde, store.topic, as_keys=True) if each else None
        contexts = [None] * groups.count if each else spread.contexts(result.last)
        self._stream_time = stream_time
        self.drop(dropped)
        store.put_together(
            [(data[group_keys[group]], group_starts[group]) for group in result.sequence],
            latest,
            contexts,
            lambda: self._log(all_keys, starts, values, result),
        )
        if each:
            from ottla.streams.columnar.composed import WindowedKeys

            _forward(self, spread, WindowedKeys(spread.keys, starts, self.windows.size_ms), result)

    def _log(self, keys: Any, starts: pa.Array, values: Any, result: _Result) -> Columns:
        from ottla.streams.columnar.composed import window_places

        return _log(window_places(keys, starts), values, result.times)
