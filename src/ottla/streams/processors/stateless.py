"""Operators that remember nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ottla.streams.errors import StreamsError
from ottla.streams.processor import Processor, ProcessorContext
from ottla.streams.processors.base import AnyRecord, Operator
from ottla.streams.records import Record
from ottla.streams.task.chunks import Chunk

__all__ = [
    "Branch",
    "Filter",
    "FilterNot",
    "FlatMap",
    "FlatMapValues",
    "ForEach",
    "Map",
    "MapValues",
    "PassThrough",
    "Peek",
    "ProcessValues",
    "SelectKey",
]

Function = Callable[[Any, Any], Any]
"""Of a key and a value."""


class PassThrough(Operator):
    def process(self, record: AnyRecord) -> None:
        self.forward(record)

    def process_chunk(self, chunk: Chunk) -> None:
        self.step.forward_chunk(chunk)


class Filter(Operator):
    def __init__(self, predicate: Function) -> None:
        self.predicate = predicate

    def process(self, record: AnyRecord) -> None:
        if self.predicate(record.key, record.value):
            self.forward(record)

    def process_chunk(self, chunk: Chunk) -> None:
        self.each(chunk, self.predicate, lambda part, found: part.keep([bool(each) for each in found]))


class FilterNot(Operator):
    def __init__(self, predicate: Function) -> None:
        self.predicate = predicate

    def process(self, record: AnyRecord) -> None:
        if not self.predicate(record.key, record.value):
            self.forward(record)

    def process_chunk(self, chunk: Chunk) -> None:
        self.each(chunk, self.predicate, lambda part, found: part.keep([not each for each in found]))


class Map(Operator):
    """`mapper` gives the new key and value."""

    def __init__(self, mapper: Function) -> None:
        self.mapper = mapper

    def process(self, record: AnyRecord) -> None:
        key, value = self.mapper(record.key, record.value)
        self.forward(Record(key, value, record.timestamp, record.headers))

    def process_chunk(self, chunk: Chunk) -> None:
        self.each(chunk, self._pair, lambda part, found: part.with_pairs(found))

    def _pair(self, key: Any, value: Any) -> tuple[Any, Any]:
        key, value = self.mapper(key, value)
        return key, value


class SelectKey(Operator):
    def __init__(self, mapper: Function) -> None:
        self.mapper = mapper

    def process(self, record: AnyRecord) -> None:
        value = record.value
        self.forward(Record(self.mapper(record.key, value), value, record.timestamp, record.headers))

    def process_chunk(self, chunk: Chunk) -> None:
        self.each(chunk, self.mapper, lambda part, found: part.with_key_objects(found))


class MapValues(Operator):
    def __init__(self, mapper: Function) -> None:
        self.mapper = mapper

    def process(self, record: AnyRecord) -> None:
        key = record.key
        self.forward(Record(key, self.mapper(key, record.value), record.timestamp, record.headers))

    def process_chunk(self, chunk: Chunk) -> None:
        self.each(chunk, self.mapper, lambda part, found: part.with_value_objects(found))


class FlatMap(Operator):
    """`mapper` gives pairs of keys and values."""

    def __init__(self, mapper: Callable[[Any, Any], Iterable[tuple[Any, Any]]]) -> None:
        self.mapper = mapper

    def process(self, record: AnyRecord) -> None:
        for key, value in self.mapper(record.key, record.value):
            self.forward(Record(key, value, record.timestamp, record.headers))


class FlatMapValues(Operator):
    def __init__(self, mapper: Callable[[Any, Any], Iterable[Any]]) -> None:
        self.mapper = mapper

    def process(self, record: AnyRecord) -> None:
        key = record.key
        for value in self.mapper(key, record.value):
            self.forward(Record(key, value, record.timestamp, record.headers))


class Peek(Operator):
    is_observed = True

    def __init__(self, action: Function) -> None:
        self.action = action

    def process(self, record: AnyRecord) -> None:
        self.action(record.key, record.value)
        self.forward(record)


class ForEach(Operator):
    is_observed = True

    def __init__(self, action: Function) -> None:
        self.action = action

    def process(self, record: AnyRecord) -> None:
        self.action(record.key, record.value)


class Branch(Operator):
    """Hands a record to the child of the first predicate that takes it, else to the one after the last, if
    any."""

    def __init__(self, predicates: Sequence[Function], children: Sequence[str]) -> None:
        """Both grow until the topology is built; children are the names of the nodes."""
        self.predicates = predicates
        self.children = children

    def process(self, record: AnyRecord) -> None:
        children = self.children
        for number, predicate in enumerate(self.predicates):
            if predicate(record.key, record.value):
                self.step.forward(record, children[number])
                return
        if len(children) > len(self.predicates):
            self.step.forward(record, children[-1])


_NO_KEY = object()
"""No record is being processed."""


class ProcessValues(Processor[Any, Any, Any, Any]):
    """A processor of the user that may not change keys, so that records stay where they are."""

    def __init__(self, processor: Processor[Any, Any, Any, Any]) -> None:
        self._processor = processor
        self._key: Any = _NO_KEY

    def init(self, context: ProcessorContext[Any, Any]) -> None:
        self._processor.init(_FixedKeyContext(context, self))

    def process(self, record: AnyRecord) -> None:
        outer, self._key = self._key, record.key
        try:
            self._processor.process(record)
        finally:
            self._key = outer

    def close(self) -> None:
        self._processor.close()

    def check(self, record: AnyRecord) -> None:
        key = self._key
        if key is not _NO_KEY and record.key is not key and record.key != key:
            raise StreamsError(
                f"process_values forwards the key {record.key!r} for {self._key!r}: process() may change keys"
            )


class _FixedKeyContext:
    """A context whose `forward` refuses another key."""

    def __init__(self, context: ProcessorContext[Any, Any], processor: ProcessValues) -> None:
        self._context = context
        self._processor = processor

    def __getattr__(self, name: str) -> Any:  # all else is the context's
        return getattr(self._context, name)

    def forward(self, record: AnyRecord, to: str | None = None) -> None:
        self._processor.check(record)
        self._context.forward(record, to)
