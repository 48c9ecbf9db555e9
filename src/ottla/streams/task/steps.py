"""The nodes of a running task. Each hands a record to its children, one after the other, down to the
sinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from ottla.client.columns.columns import Columns
from ottla.client.columns.partitioner import PARTITIONERS
from ottla.streams.errors import RecordError, StreamsError
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.processor import PunctuationType
from ottla.streams.records import Record, RecordMetadata
from ottla.streams.serdes import Serde, SessionWindowedSerde, TimeWindowedSerde
from ottla.streams.state.stores import StateStore
from ottla.streams.task.chunks import Chunk, Columnar, InChunks, Reach, are_apart
from ottla.streams.task.context import TaskContext
from ottla.streams.task.input import HeadRecord, RawRecord
from ottla.streams.task.punctuation import PunctuationQueue, Schedule
from ottla.streams.topology.nodes import AnyProcessor, Partitioner, TimestampExtractor, TopicNameExtractor
from ottla.streams.windows import Duration, milliseconds

__all__ = ["AnyRecord", "ProcessorStep", "Punctuations", "SinkStep", "SourceStep", "Step", "record_timestamp"]

AnyRecord = Record[Any, Any]
_HASHED: Final = PARTITIONERS["murmur2_random"]


class Step(Protocol):
    """A node that takes records."""

    name: str

    def process(self, record: AnyRecord) -> None: ...
    def process_chunk(self, chunk: Chunk) -> None:
        """Process records together, with the outcome that they have one after the other."""

    @property
    def reach(self) -> Reach:
        """What records get to from here."""


class Punctuations:
    """The schedules of a task."""

    def __init__(self) -> None:
        self.stream_time: PunctuationQueue[ProcessorStep] = PunctuationQueue()
        self.wall_clock_time: PunctuationQueue[ProcessorStep] = PunctuationQueue()


class ProcessorStep:
    """A processor at work, and the context that it sees."""

    def __init__(
        self,
        name: str,
        processor: AnyProcessor,
        stores: Sequence[str],
        task: TaskContext,
        punctuations: Punctuations,
    ) -> None:
        self.name = name
        self.processor = processor
        self.task = task
        self.children: list[Step] = []
        self.forward_all: Callable[[AnyRecord], None] = self._forward_each
        """`forward` to all children, for processors that forward much: with one child it is that child
        itself."""
        self._stores = stores
        self._punctuations = punctuations
        self._process = processor.process
        self._process_chunk: Callable[[Chunk], None] | None = (
            getattr(processor, "process_chunk", None) if isinstance(processor, InChunks) else None
        )
        self._are_children_apart: bool | None = None
        self._is_alone: bool | None = None
        if stores:
            self.process = self._process_with_stores  # type: ignore[method-assign]

    def add_child(self, child: Step) -> None:
        self.children.append(child)
        self.forward_all = child.process if len(self.children) == 1 else self._forward_each

    def process(self, record: AnyRecord) -> None:
        try:
            self._process(record)
        except Exception as error:  # noqa: BLE001 # a processor may raise anything
            self.task.processing_failed(self.name, record, error)

    def _process_with_stores(self, record: AnyRecord) -> None:
        """Stores ask the task for the time and the headers of the record that they are written for."""
        task = self.task
        outer = task.record
        task.record = record
        try:
            self._process(record)
        except Exception as error:  # noqa: BLE001
            task.processing_failed(self.name, record, error)
        finally:
            task.record = outer

    def process_chunk(self, chunk: Chunk) -> None:
        """By the processor's own `process_chunk`, if it has one and does not raise NotColumnar, which it does
        before it has done anything."""
        if self._process_chunk is not None and self._is_alone_with_its_stores():
            try:
                self._process_chunk(chunk)
                return
            except NotColumnar:
                pass
            except Exception as error:  # noqa: BLE001 # some of it may be done: no handler can go on without it
                self.task.chunk_failed(self.name, chunk, error)
        self.process_one_by_one(chunk)

    def _is_alone_with_its_stores(self) -> bool:
        """Whether nobody below sees its stores, who would see them as they are after all records."""
        if self._is_alone is None:
            below = dict.fromkeys(each for child in self.children for each in child.reach)
            self._is_alone = not any(("store", name) in below for name in self._stores)
        return self._is_alone

    def process_one_by_one(self, chunk: Chunk) -> None:
        one_by_one(self.task, chunk, self.process)

    def forward_chunk(self, chunk: Chunk) -> None:
        """Hand records to all children."""
        if not len(chunk):
            return
        if self._are_children_apart is None:
            self._are_children_apart = are_apart(child.reach for child in self.children)
        if self._are_children_apart:
            for child in self.children:
                child.process_chunk(chunk)
        else:
            one_by_one(self.task, chunk, self._forward_each)

    @property
    def reach(self) -> Reach:
        found = {("node", self.name): None, **{("store", name): None for name in self._stores}}
        if getattr(self.processor, "is_observed", True):
            found["function", ""] = None
        for child in self.children:
            found.update(child.reach)
        return found

    @property
    def application_id(self) -> str:
        return self.task.application_id

    @property
    def task_id(self) -> str:
        return self.task.task_id

    @property
    def record_metadata(self) -> RecordMetadata | None:
        return self.task.record_metadata

    @property
    def stream_time_ms(self) -> int:
        return self.task.stream_time

    @property
    def wall_clock_ms(self) -> int:
        return self.task.wall_clock()

    def forward(self, record: AnyRecord, to: str | None = None) -> None:
        if to is None:
            self.forward_all(record)
            return
        for child in self.children:
            if child.name == to:
                child.process(record)
                return
        raise StreamsError(f"{self.name} forwards to {to}, which is none of its children")

    def store(self, name: str) -> StateStore:
        store = self.task.stores.get(name)
        if store is None:
            raise StreamsError(f"{self.name} asks for the store {name}, which is not there")
        if name not in self._stores and name not in self.task.global_stores:
            raise StreamsError(
                f"{self.name} has no access to the store {name}: name it where the processor is added"
            )
        return store

    def schedule(
        self, interval: Duration, kind: PunctuationType, callback: Callable[[int], None]
    ) -> Schedule[ProcessorStep]:
        interval_ms = milliseconds(interval, "interval")
        if interval_ms < 1:
            raise StreamsError(f"{self.name}: an interval of {interval_ms} ms; the shortest is 1 ms")
        if kind == "stream_time":
            return self._punctuations.stream_time.add(Schedule(self, 0, interval_ms, callback))
        if kind == "wall_clock_time":
            first = self.task.wall_clock() + interval_ms
            return self._punctuations.wall_clock_time.add(Schedule(self, first, interval_ms, callback))
        raise StreamsError(f"{self.name}: {kind!r} is no time; stream_time and wall_clock_time are")

    def commit(self) -> None:
        self.task.commit_requested = True

    def _forward_each(self, record: AnyRecord) -> None:
        for child in self.children:
            child.process(record)


def one_by_one(task: TaskContext, chunk: Chunk, process: Callable[[AnyRecord], None]) -> None:
    """Process the records of a chunk, each as if it had come by itself."""
    raw, stream_time = task.raw, task.stream_time
    try:
        for source, time, record in chunk.rows():
            task.raw, task.stream_time = source, time
            process(record)
    finally:
        task.raw, task.stream_time = raw, stream_time


def record_timestamp(record: Any, partition_time: int) -> int:  # noqa: ARG001
    """The time that the record has in its topic (Java: FailOnInvalidTimestamp). Raises StreamsError for
    none."""
    timestamp: int = record.timestamp
    if timestamp < 0:
        raise StreamsError(
            f"{record.topic}-{record.partition} at offset {record.offset} has the timestamp {timestamp}:"
            " a timestamp_extractor could give it one"
        )
    return timestamp


class _InputRecord:
    __slots__ = ("headers", "key", "offset", "partition", "timestamp", "topic", "value")

    def __init__(self, raw: RawRecord, key: Any, value: Any) -> None:
        self.topic, self.partition, self.offset, self.timestamp = raw[:4]
        self.headers = raw.headers
        self.key = key
        self.value = value


class SourceStep(ProcessorStep):
    """Reads keys and values, and hands the records to its children."""

    def __init__(
        self,
        name: str,
        task: TaskContext,
        punctuations: Punctuations,
        key: Serde[Any],
        value: Serde[Any],
        timestamp_extractor: TimestampExtractor,
    ) -> None:
        super().__init__(name, AnyProcessor(), (), task, punctuations)
        self._key = key
        self._value = value
        self.timestamp_extractor = timestamp_extractor

    def read(self, raw: RawRecord, partition_time: int) -> HeadRecord | None:
        """A record of the input with key, value and time; None where it is dropped."""
        try:
            key = self._key.deserialize(raw.topic, raw.key)
            value = self._value.deserialize(raw.topic, raw.value)
        except Exception as error:  # noqa: BLE001 # serdes may be the user's
            self.task.deserialization_failed(self.name, raw, error)
            return None
        if self.timestamp_extractor is record_timestamp and raw.timestamp >= 0:
            return HeadRecord(raw, key, value, raw.timestamp)
        timestamp = self.timestamp_extractor(_InputRecord(raw, key, value), partition_time)
        if timestamp < 0:
            self.task.record_dropped()
            return None
        return HeadRecord(raw, key, value, timestamp)

    def read_run(self, columnar: Columnar, topic: str, columns: Columns) -> Chunk:
        """Records of the input together. Raises NotColumnar."""
        return columnar.read(topic, columns, self._key, self._value, self.task.stream_time)

    def process_head(self, head: HeadRecord) -> None:
        raw, key, value, timestamp = head
        self.forward_all(Record(key, value, timestamp, raw.headers))


class SinkStep:
    """Writes keys and values to a topic."""

    def __init__(
        self,
        name: str,
        task: TaskContext,
        topic: str | TopicNameExtractor,
        key: Serde[Any],
        value: Serde[Any],
        partitioner: Partitioner | None,
    ) -> None:
        self.name = name
        self._task = task
        self._topic = topic
        self._key = key
        self._value = value
        self._partitioner = partitioner
        self._inner_key: Serde[Any] | None = None
        if partitioner is None and isinstance(key, TimeWindowedSerde | SessionWindowedSerde):
            self._inner_key = key.inner
            self._partitioner = _by_inner_key(key.inner)

    def process(self, record: AnyRecord) -> None:
        task = self._task
        if record.timestamp < 0:
            raise StreamsError(f"{self.name}: a record with the negative timestamp {record.timestamp}")
        topic = self._topic
        if not isinstance(topic, str):
            topic = topic(record, task.record_metadata)
        try:
            key = self._key.serialize(topic, record.key)
            value = self._value.serialize(topic, record.value)
            partitions = self._partitions(topic, record)
        except RecordError:
            raise
        except Exception as error:  # noqa: BLE001 # serdes and partitioners may be the user's
            task.production_failed(self.name, record, error)
            return
        for partition in partitions:
            task.collector.send(topic, partition, key, value, record.timestamp, record.headers)

    def process_chunk(self, chunk: Chunk) -> None:
        topic = self._topic
        if isinstance(topic, str) and (self._partitioner is None or self._inner_key is not None):
            try:
                columns = chunk.encode(topic, self._key, self._value)
                if self._inner_key is not None:
                    columns = columns.to_partitions(self._inner_partitions(chunk, topic, self._inner_key))
            except NotColumnar:
                pass
            else:
                self._task.collector.send_columns(topic, columns)
                return
        one_by_one(self._task, chunk, self.process)

    @property
    def reach(self) -> Reach:
        return {("topic", self._topic if isinstance(self._topic, str) else ""): None}

    def _inner_partitions(self, chunk: Chunk, topic: str, inner: Serde[Any]) -> memoryview:
        """As `_by_inner_key`. Raises NotColumnar."""
        keys = chunk.encode_keys(topic, inner)
        return _HASHED.of_column(keys, self._task.collector.partitions(topic))

    def _partitions(self, topic: str, record: AnyRecord) -> tuple[int | None, ...]:
        if self._partitioner is None:
            return (None,)
        count = self._task.collector.partitions(topic)
        chosen = self._partitioner(topic, record.key, record.value, count)
        if chosen is None or isinstance(chosen, int):
            return (chosen,)
        return tuple(chosen)


def _by_inner_key(inner: Serde[Any]) -> Partitioner:
    """All windows of a key go where the key itself goes."""

    def partition(topic: str, key: Any, value: Any, partitions: int, /) -> int | None:  # noqa: ARG001
        return None if key is None else _HASHED.of_key(inner.serialize(topic, key.key), partitions)

    return partition
