"""A task: takes records in, has the nodes process the one with the lowest time, calls punctuations, says what
to commit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from ottla.client.columns.columns import Columns
from ottla.streams.errors import RecordError, TopologyError
from ottla.streams.expressions.errors import NotColumnar
from ottla.streams.state.stack import StoreEnvironment
from ottla.streams.state.stores import StateStore
from ottla.streams.task.chunks import Columnar
from ottla.streams.task.context import Collector, TaskContext
from ottla.streams.task.errors import Handlers
from ottla.streams.task.input import PartitionGroup, RawRecord, RecordQueue, TopicPartition, raw_records
from ottla.streams.task.punctuation import PunctuationQueue, Schedule
from ottla.streams.task.steps import (
    ProcessorStep,
    Punctuations,
    SinkStep,
    SourceStep,
    Step,
    record_timestamp,
)
from ottla.streams.topology.nodes import (
    ProcessorNode,
    SinkNode,
    SourceNode,
    TimestampExtractor,
)
from ottla.streams.topology.topology import Topology

__all__ = ["Committable", "Task", "TaskSettings"]


@dataclass(frozen=True)
class TaskSettings:
    """What an application's tasks have in common. `wall_clock` gives milliseconds since 1970."""

    application_id: str
    wall_clock: Callable[[], int]
    timestamp_extractor: TimestampExtractor = record_timestamp
    max_task_idle_ms: int = 0
    emit_interval_ms: int = 1000
    """By the wall clock, between looks for windows that have closed."""
    handlers: Handlers = field(default_factory=Handlers)
    environment: StoreEnvironment | None = None
    """Where stores are, and what they may cache; None: in memory, nothing."""
    columnar: Columnar | None = None
    """None: records go one at a time."""


class Committable(NamedTuple):
    """How far a partition was processed: the offset to go on from, and the greatest time seen in it."""

    offset: int
    partition_time: int


class Task:
    """Some nodes of a topology at work on some partitions, all of one number."""

    def __init__(
        self,
        topology: Topology,
        nodes: Collection[str],
        task_id: str,
        partitions: Iterable[TopicPartition],
        settings: TaskSettings,
        collector: Collector,
        stores: Mapping[str, StateStore] = {},
    ) -> None:
        """`partitions` by their topics' real names, internal ones with the application's id in front;
        `stores` are the global ones."""
        self._topology = topology
        self._settings = settings
        number = int(task_id.rpartition("_")[2])
        self.context = TaskContext(
            settings.application_id,
            task_id,
            collector,
            settings.wall_clock,
            topology.changelogs(settings.application_id),
            settings.handlers,
            number,
            settings.emit_interval_ms,
        )
        self.context.stores.update(stores)
        self.context.global_stores = frozenset(stores)
        self.stores: list[StateStore] = []
        """Its own, in the order in which they were made."""
        self.commit_needed = False
        self._punctuations = Punctuations()
        self._steps: dict[str, ProcessorStep] = {}
        self._sources: list[tuple[SourceNode, SourceStep]] = []
        children: dict[str, Step] = {}
        for name, node in topology.nodes.items():
            if name in nodes:
                self._add(node, children)
        self._group = PartitionGroup(
            (self._queue(partition) for partition in partitions), settings.max_task_idle_ms
        )
        self._source_of = {partition: self._source(partition[0]) for partition in self._group.queues}
        self._consumed: dict[TopicPartition, int] = {}

    def initialize(self) -> None:
        """Have the processors begin. The stores are there, and restored."""
        for step in self._steps.values():
            step.processor.init(step)

    @property
    def stream_time(self) -> int:
        return self._group.stream_time

    @property
    def buffered(self) -> int:
        """How many records wait."""
        return len(self._group)

    @property
    def commit_requested(self) -> bool:
        return self.context.commit_requested

    def buffered_of(self, partition: TopicPartition) -> int:
        return len(self._group.queues[partition])

    def add_topic(self, topic: str) -> None:
        """Begin with a topic that a pattern matches, as it is found."""
        partition = (topic, self.context.partition)
        if partition not in self._group.queues:
            self._group.queues[partition] = self._queue(partition)
            self._group.lags[partition] = 0
            self._source_of[partition] = self._source(topic)

    def add_records(self, partition: TopicPartition, records: Iterable[RawRecord]) -> None:
        self._group.add(partition, records)

    def add_columns(self, partition: TopicPartition, columns: Columns) -> None:
        """Records of one partition, which go through the topology together where that makes no difference."""
        source = self._source_of[partition]
        is_timed = source.timestamp_extractor is record_timestamp and min(columns.timestamp, default=0) >= 0
        if self._settings.columnar is None or not is_timed:
            topic = partition[0]
            self._group.add(partition, raw_records(topic, columns))
        else:
            self._group.add_columns(partition, columns)

    def set_lag(self, partition: TopicPartition, lag: int) -> None:
        """How many records of a partition have not been fetched; max.task.idle.ms needs it."""
        self._group.lags[partition] = lag

    def go_on_from(self, partition: TopicPartition, time: int, noted: Mapping[str, int]) -> None:
        """Go on from what was committed with a partition: its time, and what processors had noted by then."""
        self._group.set_partition_time(partition, time)
        self.context.stream_time = self._group.stream_time
        metadata = self.context.metadata
        metadata.update({name: max(number, metadata.get(name, number)) for name, number in noted.items()})

    def is_processable(self) -> bool:
        return len(self._group) > 0 and self._group.is_ready(self._settings.wall_clock())

    def process(self, limit: int | None = None) -> int:
        """Process the record with the lowest time, or a run of records from there on, of up to `limit` where
        that is worth it; there must be one (`is_processable`). Gives how many it was."""
        count = self._process_run(limit)
        if count is not None:
            return count
        if not self._group:
            return 0
        record = self._group.pop()
        context = self.context
        raw = record.raw
        partition = (raw.topic, raw.partition)
        context.raw = raw
        context.stream_time = self._group.stream_time
        self.commit_needed = True
        try:
            self._source_of[partition].process_head(record)
        finally:
            context.raw = None
        self._consumed[partition] = raw.offset + 1
        return 1

    def _process_run(self, limit: int | None) -> int | None:
        """Process what is next as columns, up to where another partition's records are earlier; None where
        it is none. A run that cannot be read comes once more, one record at a time."""
        columnar = self._settings.columnar
        if columnar is None or self._punctuations.stream_time.next_time() is not None:
            return None
        most, least = columnar.max_records, columnar.min_records
        run = self._group.begin_run(most if limit is None else max(least, min(limit, most)), least)
        if run is None:
            return None
        queue, columns = run
        partition = queue.partition
        source = self._source_of[partition]
        try:
            chunk = source.read_run(columnar, partition[0], columns)
        except NotColumnar:
            self._group.end_run(queue, columns, is_done=False)
            return 0
        self._group.end_run(queue, columns, is_done=True)
        self.context.stream_time = self._group.stream_time
        self.commit_needed = True
        source.forward_chunk(chunk)
        self._consumed[partition] = columns.offset[-1] + 1
        return len(columns)

    def punctuate_stream_time(self) -> bool:
        """Call what is due by stream time; whether anything was."""
        time = self._group.stream_time
        return time >= 0 and self._punctuate(self._punctuations.stream_time, time)

    def punctuate_wall_clock_time(self) -> bool:
        return self._punctuate(self._punctuations.wall_clock_time, self._settings.wall_clock())

    def next_wall_clock_punctuation(self) -> int | None:
        return self._punctuations.wall_clock_time.next_time()

    def flush(self) -> None:
        """Write through what the stores' caches hold; their updates go down the topology."""
        for store in self.stores:
            store.flush()

    def committable(self) -> dict[TopicPartition, Committable]:
        """What was processed since the last commit."""
        result = {}
        for partition, offset in self._consumed.items():
            queue = self._group.queues[partition]
            if queue.head is not None:
                offset = queue.head.raw.offset
            elif queue.skipped_to is not None:
                offset = queue.skipped_to
            result[partition] = Committable(offset, queue.partition_time)
        return result

    def committed(self) -> None:
        """What was committable is committed."""
        self._consumed.clear()
        self.commit_needed = False
        self.context.commit_requested = False

    def close(self) -> None:
        """Have the processors end, and close the stores: all, whatever one raises, which is raised then."""
        closings = [step.processor.close for step in self._steps.values()]
        closings += [store.close for store in self.stores]
        with ExitStack() as stack:
            for close in reversed(closings):
                stack.callback(close)
        self._group.clear()
        self._punctuations.stream_time.clear()
        self._punctuations.wall_clock_time.clear()

    def _punctuate(self, queue: PunctuationQueue[ProcessorStep], now: int) -> bool:
        called = queue.punctuate(now, self._call)
        self.commit_needed |= called
        return called

    def _call(self, schedule: Schedule[ProcessorStep], now: int) -> None:
        try:
            schedule.callback(now)
        except RecordError:
            raise
        except Exception as error:  # noqa: BLE001 # a punctuator may raise anything
            self.context.processing_failed(schedule.node.name, None, error)

    def _add(self, node: SourceNode | ProcessorNode | SinkNode, steps: dict[str, Step]) -> None:
        settings = self._settings
        step: Step
        if isinstance(node, SourceNode):
            source = SourceStep(
                node.name,
                self.context,
                self._punctuations,
                self._topology.key_of(node),
                self._topology.value_of(node),
                node.timestamp_extractor or settings.timestamp_extractor,
            )
            self._sources.append((node, source))
            step = self._steps[node.name] = source
        elif isinstance(node, ProcessorNode):
            for store in node.stores:
                self._open(store)
            step = self._steps[node.name] = ProcessorStep(
                node.name, node.supplier(), node.stores, self.context, self._punctuations
            )
        else:
            step = SinkStep(
                node.name,
                self.context,
                self._topology.real_name(node.topic, settings.application_id)
                if isinstance(node.topic, str)
                else node.topic,
                self._topology.key_of(node),
                self._topology.value_of(node),
                node.partitioner,
            )
        steps[node.name] = step
        for parent in () if isinstance(node, SourceNode) else node.parents:
            self._steps[parent].add_child(step)

    def _open(self, name: str) -> None:
        if name in self.context.stores:
            return
        builder = self._topology.stores.get(name) or self._topology.global_stores[name]
        store = self.context.stores[name] = builder.build(self.context, self._settings.environment)
        self.stores.append(store)

    def _source(self, topic: str) -> SourceStep:
        for node, step in self._sources:
            names = (self._topology.real_name(name, self._settings.application_id) for name in node.topics)
            if topic in names or node.matches(topic):
                return step
        raise TopologyError(f"No source of the task {self.context.task_id} reads the topic {topic}")

    def _queue(self, partition: TopicPartition) -> RecordQueue:
        return RecordQueue(partition, self._source(partition[0]).read)
