"""Joins of streams with tables over whole chunks: the table is asked once for each key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.expressions.inference import Bound
from ottla.streams.processors.stream_table_joins import ExpressionJoiner, StreamTableJoin
from ottla.streams.processors.table_store import value_of
from ottla.streams.processors.views import FromStore
from ottla.streams.state.key_value import KeyValue

if TYPE_CHECKING:
    import pyarrow as pa

    from ottla.streams.columnar.chunk import Chunk
    from ottla.streams.columnar.composed import Taken

__all__ = ["ChunkedStreamTableJoin"]

_UNCHANGING: Final = frozenset({str, bytes, int, float, bool, type(None)})


class ChunkedStreamTableJoin(StreamTableJoin):
    def process_chunk(self, chunk: Chunk) -> None:
        table = self._table
        if self._buffer is not None or self._key_mapper is not None or not isinstance(table, FromStore):
            raise NotColumnar("what is joined is found for each record")
        store: Any = table.store
        if not isinstance(store, KeyValue):
            raise NotColumnar("versions are found by time")
        kept = chunk.without_nulls(values=True)
        if self._is_left and kept.keys.length < chunk.without_nulls(values=True, keys=False).keys.length:
            raise NotColumnar("records without a key, which nothing is joined with")
        if len(kept):
            matched, right = self._matched(kept, store)
        self.drop(len(chunk) - len(kept))
        if len(kept):
            self._join_all(matched, right, store)

    def _matched(self, chunk: Chunk, store: KeyValue[Any, Any]) -> tuple[Chunk, Taken]:
        """The rows that have somebody to be joined with, and what the table has for them."""
        import pyarrow as pa

        from ottla.streams.columnar.column import Column
        from ottla.streams.columnar.composed import Taken
        from ottla.streams.columnar.groups import codes_of

        codes, keys = codes_of(chunk.keys)
        try:
            others = [value_of(found) for found in store.get_many(keys)]
        except Exception as error:  # what a store holds may be unreadable: the record will say it
            raise NotColumnar(str(error)) from error
        if not self._is_left and None in others:
            is_there = pa.array([other is not None for other in others], pa.bool_()).take(codes)
            chunk, codes = chunk.where(is_there), codes.filter(is_there)
        return chunk, Taken(Column.of_objects(others), codes)

    def _join_all(self, chunk: Chunk, right: Taken, store: KeyValue[Any, Any]) -> None:
        from ottla.streams.columnar.column import Column
        from ottla.streams.columnar.composed import Sides

        joiner = self._joiner
        if isinstance(joiner, ExpressionJoiner):
            try:
                made = _evaluated(joiner.bound, chunk.with_values(Sides(chunk.values, right)))
            except NotColumnar:
                pass
            else:
                self.step.forward_chunk(chunk.with_values(Column.of_array(made)))
                return
        if isinstance(joiner, ExpressionJoiner):
            self.step.process_one_by_one(chunk)  # it may ask for more of a record than its key and value
            return
        others = right.objects()
        if not _UNCHANGING.issuperset(map(type, right.few())):
            # A joiner may change what it is given: each row has an object of its own.
            others = [value_of(found) for found in store.get_many(chunk.keys.objects())]
        results: list[Any] = []
        try:
            results.extend(map(joiner, *chunk.pairs(), others))
        except Exception:  # noqa: BLE001 # it may raise anything, and will raise it again for the record
            self.step.forward_chunk(chunk.slice(0, len(results)).with_value_objects(results))
            self.step.process_one_by_one(chunk.slice(len(results), len(chunk)))
            return
        self.step.forward_chunk(chunk.with_value_objects(results))


def _evaluated(bound: Bound, chunk: Chunk) -> pa.Array:
    from ottla.streams.expressions.arrow import evaluate

    return evaluate(bound, chunk)
