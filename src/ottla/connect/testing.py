"""Connectors tried without a broker: a source is polled, a sink is given records, offsets are kept between
runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from ottla.connect.data.schema import Value
from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.records import SinkRecord, SourceRecord
from ottla.connect.sdk import (
    Config,
    Connector,
    ErrantRecordReporter,
    Offset,
    SinkConnector,
    SinkTask,
    SourceConnector,
    SourceTask,
    TopicPartition,
    TransactionContext,
)

__all__ = ["RunningTask", "SinkKit", "SourceKit"]


def _key(partition: Offset) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(partition.items()))


class _Offsets:
    def __init__(self) -> None:
        self.known: dict[tuple[tuple[str, Value], ...], Offset] = {}

    def offset(self, partition: Offset) -> Offset | None:
        return self.known.get(_key(partition))

    def offsets(self, partitions: Iterable[Offset]) -> list[Offset | None]:
        return [self.offset(each) for each in partitions]


class _ConnectorContext(_Offsets):
    def __init__(self, offsets: _Offsets) -> None:
        self.known = offsets.known
        self.reconfigurations = 0

    def request_task_reconfiguration(self) -> None:
        self.reconfigurations += 1

    def raise_error(self, error: Exception) -> None:
        raise error


class _SourceContext(_Offsets):
    def __init__(self, offsets: _Offsets) -> None:
        self.known = offsets.known
        self.is_stopping = False
        self.transactions: TransactionContext | None = None


def _started(connector: Connector, config: Config, offsets: _Offsets) -> None:
    """ConnectError for a configuration that is wrong, with all that is."""
    wrong = [f"{each.name}: {error}" for each in connector.validate(config) for error in each.errors]
    if wrong:
        raise ConnectError("; ".join(wrong))
    connector.context = _ConnectorContext(offsets)
    connector.start(config)


class SourceKit:
    """Runs a source's tasks one after the other. Offsets of what `run` gave count as committed."""

    def __init__(self, source: type[SourceConnector], config: Config, *, max_tasks: int = 1) -> None:
        self._source = source
        self._config = config
        self._max_tasks = max_tasks
        self._offsets = _Offsets()

    @property
    def offsets(self) -> Mapping[tuple[tuple[str, Value], ...], Offset]:
        """By the parts of a partition."""
        return self._offsets.known

    def run(self, *, polls: int = 1) -> list[SourceRecord]:
        """Start the connector and its tasks, poll each so often, and stop them. What they raise is raised."""
        connector = self._source()
        _started(connector, self._config, self._offsets)
        records: list[SourceRecord] = []
        try:
            for config in connector.task_configs(self._max_tasks):
                records += self._run_task(connector.task_class()(), config, polls)
        finally:
            connector.stop()
        return records

    def _run_task(self, task: SourceTask, config: Config, polls: int) -> list[SourceRecord]:
        with self._running(task, config) as running:
            records = running.poll(polls=polls)
            running.commit()
            return records

    @contextmanager
    def running(self) -> Iterator[RunningTask]:
        """The first task, for those that are told of things while they run."""
        connector = self._source()
        _started(connector, self._config, self._offsets)
        try:
            with self._running(connector.task_class()(), connector.task_configs(1)[0]) as running:
                yield running
        finally:
            connector.stop()

    @contextmanager
    def _running(self, task: SourceTask, config: Config) -> Iterator[RunningTask]:
        task.context = _SourceContext(self._offsets)
        try:
            task.start(config)
            yield RunningTask(task, self._offsets)
        finally:
            task.stop()


class RunningTask:
    """A source's task between its start and its stop."""

    def __init__(self, task: SourceTask, offsets: _Offsets) -> None:
        self.task: Any = task
        self._offsets = offsets
        self._polled: list[SourceRecord] = []

    def poll(self, *, polls: int = 1) -> list[SourceRecord]:
        """What so many polls give."""
        records = [record for _ in range(polls) for record in self.task.poll() or ()]
        self._polled += records
        return records

    def commit(self) -> None:
        """All that was polled is in its topic, and its offsets are committed."""
        kept: dict[tuple[tuple[str, Value], ...], Offset] = {}
        for record in self._polled:
            kept[_key(record.source_partition)] = record.source_offset
            self.task.commit_record(record, None)
        self._polled = []
        self._offsets.known |= kept
        self.task.commit_offsets([(dict(key), offset) for key, offset in kept.items()])
        self.task.commit()


class _SinkContext:
    def __init__(self, kit: SinkKit) -> None:
        self._kit = kit
        self.assignment: Sequence[TopicPartition] = ()
        self.timeout_ms: int | None = None
        self.rewound: dict[TopicPartition, int] = {}
        self.paused: dict[TopicPartition, None] = {}

    def offset(self, partition: TopicPartition, offset: int) -> None:
        self.rewound[partition] = offset

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused |= dict.fromkeys(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        for each in partitions:
            self.paused.pop(each, None)

    def timeout(self, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms

    def request_commit(self) -> None:
        self._kit.commit()

    @property
    def errant_record_reporter(self) -> ErrantRecordReporter | None:
        return self._kit if self._kit.tolerant else None


class SinkKit:
    """One task of a sink, started with `with`. `committed` are the offsets that it said are in its target,
    `errant` the records that it reported; one that is not `tolerant` has no place for these.
    """

    def __init__(self, sink: type[SinkConnector], config: Config, *, tolerant: bool = True) -> None:
        self.tolerant = tolerant
        self._connector = sink()
        self._config = config
        self._task: SinkTask
        self._next: dict[TopicPartition, int] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.errant: list[tuple[SinkRecord, Exception]] = []

    def __enter__(self) -> Self:
        _started(self._connector, self._config, _Offsets())
        self._task = self._connector.task_class()()
        self.context = _SinkContext(self)
        self._task.context = self.context
        self._task.start(self._connector.task_configs(1)[0])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.commit()
                self._task.close(self.context.assignment)
        finally:
            self._task.stop()
            self._connector.stop()

    def report(self, record: SinkRecord, error: Exception) -> None:
        self.errant.append((record, error))

    def put(
        self, topic: str, values: Iterable[Value | SinkRecord], *, partition: int = 0, tries: int = 1
    ) -> None:
        """Values, or whole records; what raises RetriableError is put again, `tries` times in all."""
        where = TopicPartition(topic, partition)
        if where not in self.context.assignment:
            self.context.assignment = (*self.context.assignment, where)
            self._task.open([where])
        records: list[SinkRecord] = []
        for value in values:
            offset = self._next.get(where, 0)
            made = (
                value if isinstance(value, SinkRecord) else SinkRecord(topic, partition, offset, value=value)
            )
            self._next[where] = made.original_offset + 1
            records.append(made)
        for left in reversed(range(tries)):
            try:
                self._task.put(records)
                return
            except RetriableError:
                if not left:
                    raise

    def commit(self) -> None:
        """As workers do every minute."""
        self.committed |= self._task.pre_commit(dict(self._next))
