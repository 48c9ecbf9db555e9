"""What all nodes and stores of a task share: which record is at work, time, stores and the way out."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

from ottla.client.columns.columns import Columns
from ottla.streams.errors import DeserializationError, ProcessingError, ProductionError, RecordError
from ottla.streams.records import Headers, Record, RecordMetadata
from ottla.streams.state.stores import RecordContext, StateStore
from ottla.streams.task.chunks import Chunk
from ottla.streams.task.errors import ErrorContext, ErrorHandler, Handlers
from ottla.streams.task.input import RawRecord

__all__ = ["Collector", "TaskContext"]


class Collector(Protocol):
    """Takes what a task writes."""

    def send(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers,
    ) -> None:
        """Write a record; without a partition, where Kafka's producer would put it."""

    def send_columns(self, topic: str, columns: Columns) -> None:
        """Write records to the partitions that they name; where that is -1, where Kafka's producer would put
        them. They name all of them one, or none."""

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""


class TaskContext:
    """One task's. `raw` is the record of the input that is at work, None in a punctuation."""

    def __init__(
        self,
        application_id: str,
        task_id: str,
        collector: Collector,
        wall_clock: Callable[[], int],
        changelogs: Mapping[str, str],
        handlers: Handlers,
        partition: int = 0,
        emit_interval_ms: int = 1000,
    ) -> None:
        """`changelogs` has the topic of each store that has one. Wall clock in milliseconds."""
        self.application_id = application_id
        self.task_id = task_id
        self.partition = partition
        self.collector = collector
        self.wall_clock = wall_clock
        self.handlers = handlers
        self.stores: dict[str, StateStore] = {}
        self.global_stores: frozenset[str] = frozenset()
        """Those among `stores` that every instance has in whole, and every processor may read."""
        self.stream_time = -1
        self.commit_requested = False
        self.shared: dict[str, object] = {}
        """What the processors of an operator share, under the operator's name."""
        self.metadata: dict[str, int] = {}
        """What processors note to find it after a restart: it is committed with the offsets, and only
        grows."""
        self.emit_interval_ms = emit_interval_ms
        """By the wall clock, between looks for windows that have closed."""
        self.dropped = 0
        """Records that were dropped: late, without a key, refused by a handler."""
        self.raw: RawRecord | None = None
        self.record: Record[Any, Any] | None = None
        """What is at work in the node that uses stores and is innermost."""
        self._changelogs = changelogs
        self._flushing: RecordContext | None = None
        self._flushed_within: Record[Any, Any] | None = None

    @property
    def flushing(self) -> RecordContext | None:
        return self._flushing

    @flushing.setter
    def flushing(self, context: RecordContext | None) -> None:
        self._flushing = context
        self._flushed_within = self.record

    @property
    def record_metadata(self) -> RecordMetadata | None:
        if self._flushing is not None:
            return RecordMetadata(self._flushing.topic, self._flushing.partition, self._flushing.offset)
        raw = self.raw
        return None if raw is None else RecordMetadata(raw.topic, raw.partition, raw.offset)

    @property
    def record_context(self) -> RecordContext | None:
        """Where the record comes from that stores are written for, with the time and headers that it has by
        now."""
        raw, record = self.raw, self.record
        flushing = self._flushing
        if flushing is not None:
            if record is None or record is self._flushed_within:
                return flushing
            place = flushing.topic, flushing.partition, flushing.offset
        elif record is None:
            return None if raw is None else RecordContext(*raw[:4], headers=raw.headers)
        else:
            place = ("", -1, -1) if raw is None else raw[:3]
        return RecordContext(*place, record.timestamp, record.headers)

    def log_change(
        self, store: str, key: bytes, value: bytes | None, timestamp: int, headers: Headers = ()
    ) -> None:
        topic = self._changelogs.get(store)
        if topic is not None:
            self.collector.send(topic, self.partition, key, value, timestamp, headers)

    def log_columns(self, store: str, columns: Columns) -> None:
        topic = self._changelogs.get(store)
        if topic is not None:
            own = memoryview(array("i", [self.partition]) * len(columns))
            self.collector.send_columns(topic, columns.to_partitions(own))

    def record_dropped(self, store: str = "", count: int = 1) -> None:  # noqa: ARG002
        self.dropped += count

    def deserialization_failed(self, node: str, raw: RawRecord, error: Exception) -> None:
        self._failed(DeserializationError, self.handlers.deserialization, node, None, error, raw)

    def processing_failed(self, node: str, record: Record[Any, Any] | None, error: Exception) -> None:
        if isinstance(error, RecordError):
            raise error  # from a node below, which has asked already
        self._failed(ProcessingError, self.handlers.processing, node, record, error, self.raw)

    def chunk_failed(self, node: str, chunk: Chunk, error: Exception) -> NoReturn:
        """Raises what says where the chunk began."""
        if isinstance(error, RecordError):
            raise error  # which says what and where already
        raw, _ = chunk.source(0)
        what = f"{type(error).__name__}: {error}, in records from there on"
        raise ProcessingError(
            what, topic=raw.topic, partition=raw.partition, offset=raw.offset, node=node
        ) from error

    def production_failed(self, node: str, record: Record[Any, Any], error: Exception) -> None:
        self._failed(ProductionError, self.handlers.production, node, record, error, self.raw)

    def _failed(
        self,
        kind: type[RecordError],
        handler: ErrorHandler,
        node: str,
        record: Record[Any, Any] | None,
        error: Exception,
        raw: RawRecord | None,
    ) -> None:
        timestamp = record.timestamp if record is not None else -1 if raw is None else raw.timestamp
        headers = record.headers if record is not None else () if raw is None else raw.headers
        topic, partition, offset = (None, -1, -1) if raw is None else raw[:3]
        raw_key, raw_value = (None, None) if raw is None else (raw.key, raw.value)
        context = ErrorContext(
            topic, partition, offset, timestamp, headers, node, self.task_id, raw_key, raw_value
        )
        response = handler(context, record, error)
        for letter in response.dead_letters:
            time = timestamp if letter.timestamp is None else letter.timestamp
            self.collector.send(letter.topic, None, letter.key, letter.value, time, letter.headers)
        if response.result != "continue":
            what = f"{type(error).__name__}: {error}"
            raise kind(what, topic=topic, partition=partition, offset=offset, node=node) from error
        self.record_dropped()
