"""What all operators have: the way to their children, and the stores that are theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ottla.streams.expressions.aggregates import Aggregates
from ottla.streams.processor import Processor, ProcessorContext
from ottla.streams.records import Record
from ottla.streams.task.chunks import Chunk, InChunks
from ottla.streams.task.steps import ProcessorStep

__all__ = ["AnyRecord", "Operator", "adding"]

AnyRecord = Record[Any, Any]


class Operator(InChunks, Processor[Any, Any, Any, Any]):
    """A processor of Ottla's own. Keys and values have types in the DSL; here a record is any record."""

    forward: Callable[[AnyRecord], None]
    step: ProcessorStep
    is_observed = False
    """Whether it is there for what it does beside forwarding, so that the order of its calls can be seen."""

    def init(self, context: ProcessorContext[Any, Any]) -> None:
        assert isinstance(context, ProcessorStep)
        self.step = context
        self.forward = context.forward_all
        self.prepare()

    def prepare(self) -> None:
        """Get stores and the like; the context is there."""

    def store(self, name: str) -> Any:  # the operator made the store and knows what it is
        return self.step.store(name)

    def each(
        self,
        chunk: Chunk,
        function: Callable[[Any, Any], Any],
        made: Callable[[Chunk, list[Any]], Chunk],
    ) -> None:
        """Forward what is `made` of a chunk by a function of each key and value. From a record on that it
        fails for, they are processed one at a time."""
        results: list[Any] = []
        try:
            results.extend(map(function, *chunk.pairs()))
        except Exception:  # noqa: BLE001 # it may raise anything, and will raise it again for the record
            self.step.forward_chunk(made(chunk.slice(0, len(results)), results))
            self.step.process_one_by_one(chunk.slice(len(results), len(chunk)))
            return
        self.step.forward_chunk(made(chunk, results))

    def drop(self, count: int = 1) -> None:
        """Count records that nobody will see any more."""
        self.step.task.record_dropped(count=count)


def adding(
    aggregator: Callable[[Any, Any, Any], Any] | Aggregates, step: ProcessorStep
) -> Callable[[AnyRecord, Any], Any]:
    """What adds a record to an aggregate: a function of key, value and aggregate, or aggregates of
    expressions."""
    if isinstance(aggregator, Aggregates):
        return lambda record, so_far: aggregator.add(record, step.record_metadata, so_far)
    return lambda record, so_far: aggregator(record.key, record.value, so_far)
