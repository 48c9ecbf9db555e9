"""Tables that are read from topics, a whole chunk at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ottla.client.columns.columns import Columns
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.processors.table_store import value_of
from ottla.streams.processors.tables import TableSource
from ottla.streams.state.key_value import KeyValue

if TYPE_CHECKING:
    from ottla.streams.columnar.chunk import Chunk
    from ottla.streams.columnar.column import Column
    from ottla.streams.columnar.groups import Groups

__all__ = ["ChunkedTableSource"]


class ChunkedTableSource(TableSource):
    def process_chunk(self, chunk: Chunk) -> None:
        from ottla.streams.columnar.composed import ChangedValues
        from ottla.streams.columnar.groups import Groups, codes_of

        kept = chunk.without_nulls(values=False)
        dropped = len(chunk) - len(kept)
        store: Any = None if self._store_name is None else self.store(self._store_name)
        if store is None or not len(kept):
            self.drop(dropped)
            self.step.forward_chunk(kept.with_values(ChangedValues(kept.values, None)))
            return
        if not isinstance(store, KeyValue):
            raise NotColumnar("a versioned store")
        codes, keys = codes_of(kept.keys)
        groups = Groups(codes, len(keys))
        each = not store.is_cached
        old = self._old(kept, groups, keys, store) if each and self.send_old else None
        self._put(kept, groups, store)
        self.drop(dropped)
        if each:
            self.step.forward_chunk(kept.with_values(ChangedValues(kept.values, old)))

    def _old(self, chunk: Chunk, groups: Groups, keys: list[Any], store: KeyValue[Any, Any]) -> Column:
        """What each key had before each row."""
        from ottla.streams.columnar.column import Column
        from ottla.streams.columnar.objects import objects_of

        try:
            before = [value_of(found) for found in store.get_many(keys)]
        except Exception as error:  # what a store holds may be unreadable: the record will say it
            raise NotColumnar(str(error)) from error
        values, order = chunk.values.objects(), objects_of(groups.order)
        old: list[Any] = [None] * len(values)
        for (start, end), first in zip(groups.spans, before, strict=True):
            for row in order[start:end]:
                old[row], first = first, values[row]  # the next one's
        return Column.of_objects(old)

    def _put(self, chunk: Chunk, groups: Groups, store: KeyValue[Any, Any]) -> None:
        from ottla.client.columns.implementation import IMPLEMENTATION
        from ottla.streams.columnar.objects import int64s, longs_of

        keys = chunk.keys.encode(store.key_serde, store.topic, as_keys=True)
        values = chunk.values.encode(store.value_serde, store.topic)
        rows = groups.last if not store.is_cached else sorted(groups.last)
        all_keys = IMPLEMENTATION.strings(keys.raw)
        all_values = IMPLEMENTATION.strings(values.raw)
        times = IMPLEMENTATION.strings(longs_of(chunk.timestamps).raw)
        data = [all_keys[row] for row in rows]
        if None in data:
            raise NotColumnar("a key is nothing")
        latest = [None if (value := all_values[row]) is None else (times[row] or b"") + value for row in rows]
        contexts = chunk.contexts(rows) if store.is_cached else [None] * len(rows)
        store.put_together(
            data,  # type: ignore[arg-type] # no key is None
            latest,
            contexts,
            lambda: Columns.unsent(keys, values, int64s(chunk.timestamps)),
        )
