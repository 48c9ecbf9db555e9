"""A topology at work without a broker, record by record, as Kafka's `TopologyTestDriver` does it.

with TopologyTest(topology) as t:
    t.input("words").pipe("k", "hello", ts=0)
    assert t.output("counts").read() == [Record("hello", 1, 0)]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ottla.client.columns.columns import Columns
from ottla.client.columns.columns import Record as Row
from ottla.streams.errors import StreamsError
from ottla.streams.records import Headers, Record
from ottla.streams.serdes import Serde
from ottla.streams.state.stack import InMemory
from ottla.streams.state.stores import StateStore
from ottla.streams.task.chunks import Columnar
from ottla.streams.task.errors import Handlers
from ottla.streams.task.input import RawRecord, raw_records
from ottla.streams.task.steps import record_timestamp
from ottla.streams.task.task import Task, TaskSettings
from ottla.streams.topology.nodes import AnySerde, SinkNode, SourceNode, serde_of
from ottla.streams.topology.topology import Topology
from ottla.streams.windows import Duration, instant, milliseconds

__all__ = ["InputTopic", "OutputTopic", "TopologyTest"]

K = TypeVar("K")
V = TypeVar("V")

_TASK = "0_0"
_SETTINGS = {
    "application_id",
    "default_timestamp_extractor",
    "max_task_idle_ms",
    "handlers",
    "deserialization_exception_handler",
    "processing_exception_handler",
    "production_exception_handler",
    "errors_dead_letter_queue_topic_name",
    "statestore_cache_max_bytes",
    "columnar_max_records",
}


class TopologyTest:
    """All sub-topologies as one task, each topic with one partition. A record is processed, and all that
    follows from it, before `pipe` returns; caches are flushed after each record.

    `config`: `application_id`, `default_timestamp_extractor`, `max_task_idle_ms`,
    `statestore_cache_max_bytes` (0 by default), the exception handlers ("fail", "continue", a function),
    `errors_dead_letter_queue_topic_name`, and `columnar_max_records`: how many records of a `pipe_batch` are
    processed together, as columns (0, by default: one at a time, without columns).
    """

    def __init__(self, topology: Topology, config: Mapping[str, Any] = {}, *, wall_clock_ms: int = 0) -> None:
        unknown = sorted(set(config) - _SETTINGS)
        if unknown:
            raise StreamsError(f"TopologyTest knows no setting {unknown[0]}; {', '.join(sorted(_SETTINGS))}")
        topology.check()
        self._topology = topology
        self._now = wall_clock_ms
        self._settings = TaskSettings(
            application_id=config.get("application_id", "topology-test"),
            wall_clock=lambda: self._now,
            timestamp_extractor=config.get("default_timestamp_extractor") or record_timestamp,
            max_task_idle_ms=config.get("max_task_idle_ms", 0),
            emit_interval_ms=0,
            environment=InMemory(config.get("statestore_cache_max_bytes", 0)),
            handlers=_handlers(config),
            columnar=_columnar(config.get("columnar_max_records", 0)),
        )
        self._collected: list[RawRecord] = []
        self._outputs: dict[str, list[RawRecord]] = {}
        self._offsets: dict[str, int] = {}
        groups = topology.node_groups()
        self._in_columns = self._topics_in_columns()
        local = {name for group in groups if not group.is_global for name in group.names}
        self._global = self._make_task({name for group in groups if group.is_global for name in group.names})
        stores = self._global.context.stores if self._global is not None else {}
        self._task = self._make_task(local, stores)

    def input(
        self, topic: str, key: Serde[Any] | None = None, value: Serde[Any] | None = None
    ) -> InputTopic[Any, Any]:
        """A topic to write records to; serdes are those of its source where none are given."""
        source = next(
            (node for node in self._nodes(SourceNode) if topic in node.topics or node.matches(topic)), None
        )
        if source is None:
            raise StreamsError(f"No source of the topology reads the topic {topic}")
        return InputTopic(
            self,
            topic,
            key or self._topology.key_of(source),
            value or self._topology.value_of(source),
        )

    def output(
        self, topic: str, key: Serde[Any] | None = None, value: Serde[Any] | None = None
    ) -> OutputTopic[Any, Any]:
        """A topic to read from; serdes are those of its sink where none are given. The real name of an
        internal topic begins with the application's id."""
        sink = next(
            (
                node
                for node in self._nodes(SinkNode)
                if isinstance(node.topic, str) and self._real(node.topic) == topic
            ),
            None,
        )
        given_key: AnySerde = key or (sink.key if sink is not None else None)
        given_value: AnySerde = value or (sink.value if sink is not None else None)
        return OutputTopic(
            self._outputs.setdefault(topic, []),
            serde_of(given_key, self._topology.default_key, f"The output {topic}", "key"),
            serde_of(given_value, self._topology.default_value, f"The output {topic}", "value"),
        )

    @property
    def produced(self) -> list[str]:
        """The names of all topics that have been written to."""
        return [topic for topic in self._outputs if topic in self._offsets or self._outputs[topic]]

    def store(self, name: str) -> Any:  # what kind of store it is the caller knows
        """A state store, to read from and to write to."""
        for task in (self._task, self._global):
            if task is not None and name in task.context.stores:
                return task.context.stores[name]
        raise StreamsError(f"The topology has no store {name}")

    def advance_wall_clock(self, duration: Duration) -> None:
        """Let time pass: what is due by the wall clock is called once."""
        self._now += milliseconds(duration)
        if self._task is not None:
            self._task.punctuate_wall_clock_time()
            self._commit(self._task)
        self._run()

    def pipe_raw(
        self, topic: str, key: bytes | None, value: bytes | None, timestamp: int, headers: Headers = ()
    ) -> None:
        """Write a record of bytes to a topic, and process it."""
        self._enqueue(topic, key, value, timestamp, headers)
        self._run()

    def pipe_raw_batch(
        self, topic: str, records: Iterable[tuple[bytes | None, bytes | None, int, Headers]]
    ) -> None:
        """Write records of bytes to a topic, then process them."""
        written = [RawRecord(topic, 0, -1, at, key, value, headers) for key, value, at, headers in records]
        self._enqueue_all(topic, written)
        self._run()

    @property
    def wall_clock_ms(self) -> int:
        return self._now

    def close(self) -> None:
        for task in (self._task, self._global):
            if task is not None:
                task.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The collector's part.

    def send(
        self,
        topic: str,
        partition: int | None,  # noqa: ARG002 # there is one
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers,
    ) -> None:
        self._collected.append(RawRecord(topic, 0, -1, timestamp, key, value, headers))

    def send_columns(self, topic: str, columns: Columns) -> None:
        self._collected.extend(each._replace(partition=0) for each in raw_records(topic, columns))

    def partitions(self, topic: str) -> int:  # noqa: ARG002
        return 1

    def _run(self) -> None:
        self._deliver()
        task = self._task
        while task is not None and task.is_processable():
            task.process()
            task.punctuate_stream_time()
            self._commit(task)
            self._deliver()

    def _commit(self, task: Task) -> None:
        if task.commit_needed:
            task.flush()
            task.committed()

    def _deliver(self) -> None:
        collected, self._collected = self._collected, []
        for topic, records in groupby(collected, lambda record: record.topic):
            written = list(records)
            self._outputs.setdefault(topic, []).extend(written)
            if self._reads(topic):
                self._enqueue_all(topic, written)

    def _enqueue_all(self, topic: str, records: Sequence[RawRecord]) -> None:
        if topic not in self._in_columns:
            for each in records:
                self._enqueue(topic, each.key, each.value, each.timestamp, each.headers)
            return
        assert self._task is not None
        self._task.add_topic(topic)
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + len(records)
        rows = (
            Row(topic, 0, at, each.timestamp, 0, each.key, each.value, each.headers)
            for at, each in enumerate(records, offset)
        )
        self._task.add_columns((topic, 0), Columns.of(rows))

    def _enqueue(
        self, topic: str, key: bytes | None, value: bytes | None, timestamp: int, headers: Headers
    ) -> None:
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + 1
        record = RawRecord(topic, 0, offset, timestamp, key, value, headers)
        if topic in self._topology.global_topics:
            assert self._global is not None
            self._global.add_records((topic, 0), (record,))
            if self._global.buffered:
                self._global.process()
            self._global.flush()
        else:
            assert self._task is not None
            self._task.add_topic(topic)
            self._task.add_records((topic, 0), (record,))

    def _topics_in_columns(self) -> dict[str, None]:
        """The topics whose records may be processed together: what they lead to comes together nowhere.

        Each sub-topology would take its records in its own time; here all that follows from a record is done
        before the next, and where two ways meet that can be told.
        """
        if self._settings.columnar is None:
            return {}
        groups = [group.names for group in self._topology.node_groups() if not group.is_global]
        found: dict[str, None] = {}
        for names in groups:
            ways = [names]
            for way in ways:
                ways += [
                    other
                    for sink in self._nodes(SinkNode)
                    if sink.name in way
                    for other in self._readers(sink, groups)
                ]
                if len(ways) > len(groups):
                    break
            else:
                if len(ways) == len(dict.fromkeys(map(tuple, ways))):
                    found |= dict.fromkeys(self._topics_of(names))
        return found

    def _readers(self, sink: SinkNode, groups: list[list[str]]) -> list[list[str]]:
        """The sub-topologies that read what a sink writes."""
        topic = sink.topic
        return [
            names
            for names in groups
            for source in self._nodes(SourceNode)
            if source.name in names
            if not isinstance(topic, str) or topic in source.topics or source.matches(self._real(topic))
        ]

    def _topics_of(self, names: list[str]) -> list[str]:
        sources = [node for node in self._nodes(SourceNode) if node.name in names]
        return [self._real(topic) for node in sources for topic in node.topics]

    def _reads(self, topic: str) -> bool:
        return any(
            topic in map(self._real, node.topics) or node.matches(topic) for node in self._nodes(SourceNode)
        )

    def _nodes(self, kind: type[Any]) -> Iterable[Any]:
        return (node for node in self._topology.nodes.values() if isinstance(node, kind))

    def _real(self, topic: str) -> str:
        return self._topology.real_name(topic, self._settings.application_id)

    def _make_task(self, nodes: set[str], stores: Mapping[str, StateStore] = {}) -> Task | None:
        sources = [node for node in self._nodes(SourceNode) if node.name in nodes]
        if not sources:
            return None
        topics = [self._real(topic) for node in sources for topic in node.topics]
        task = Task(
            self._topology, nodes, _TASK, [(topic, 0) for topic in topics], self._settings, self, stores
        )
        task.initialize()
        for topic in topics:
            task.set_lag((topic, 0), 0)
        return task


def _columnar(max_records: int) -> Columnar | None:
    if not max_records:
        return None
    from ottla.streams.columnar.chunks import Chunks

    return Chunks(max_records)


def _handlers(config: Mapping[str, Any]) -> Handlers:
    given = config.get("handlers")
    if given is not None:
        assert isinstance(given, Handlers)
        return given
    return Handlers.chosen(
        config.get("deserialization_exception_handler", "fail"),
        config.get("processing_exception_handler", "fail"),
        config.get("production_exception_handler", "fail"),
        config.get("errors_dead_letter_queue_topic_name"),
    )


class InputTopic(Generic[K, V]):
    """Where a test writes records."""

    def __init__(self, test: TopologyTest, topic: str, key: Serde[K], value: Serde[V]) -> None:
        self._test = test
        self._topic = topic
        self._key = key
        self._value = value

    def pipe(
        self, key: K | None, value: V | None, ts: int | datetime | None = None, headers: Headers = ()
    ) -> None:
        """Write a record at `ts`, milliseconds or an aware datetime (the wall clock's time where it is left
        out)."""
        timestamp = self._test.wall_clock_ms if ts is None else instant(ts, "ts")
        self._test.pipe_raw(
            self._topic,
            self._key.serialize(self._topic, key),
            self._value.serialize(self._topic, value),
            timestamp,
            tuple(headers),
        )

    def pipe_batch(self, records: Iterable[Record[K | None, V | None]]) -> None:
        """Write records; all are there before the first is processed."""
        self._test.pipe_raw_batch(
            self._topic,
            (
                (
                    self._key.serialize(self._topic, record.key),
                    self._value.serialize(self._topic, record.value),
                    record.timestamp,
                    record.headers,
                )
                for record in records
            ),
        )


class OutputTopic(Generic[K, V]):
    """Where a test reads records."""

    def __init__(self, records: list[RawRecord], key: Serde[K], value: Serde[V]) -> None:
        self._records = records
        self._key = key
        self._value = value

    def read(self) -> list[Record[K | None, V | None]]:
        """All that was written since the last `read`."""
        return [
            Record(
                self._key.deserialize(raw.topic, raw.key),
                self._value.deserialize(raw.topic, raw.value),
                raw.timestamp,
                raw.headers,
            )
            for raw in self.read_raw()
        ]

    def read_raw(self) -> list[RawRecord]:
        """The same as bytes."""
        records = self._records[:]
        self._records.clear()
        return records
