"""A source's task: poll, transform, convert, produce; offsets are committed when their records are in their
topics.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

from ottla.client.columns.binary import BinaryColumn, HeadersColumn
from ottla.client.columns.columns import Columns
from ottla.client.errors import ClientError
from ottla.client.producer.delivery import Delivery
from ottla.client.producer.producer import AsyncProducer
from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.process.kafka import Kafka
from ottla.connect.process.lifecycle import Lifecycle
from ottla.connect.process.parent import Parent
from ottla.connect.process.pipeline import Outgoing, SourcePipeline
from ottla.connect.process.submitted import Batch, Submitted
from ottla.connect.process.tolerance import Failure, Skipped, Stage, Tolerance
from ottla.connect.process.topics import Topics
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import Offset, Produced, SourceTask, TransactionContext

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

_RETRY_MS: Final = 1_000
"""Between attempts to make a topic"""
_PATIENCE_S: Final = 10.0
"""What the client does not take for so long is told of, and again each time"""


class SourceContext:
    """`SourceTaskContext`, by asking the worker."""

    def __init__(
        self, parent: Parent, lifecycle: Lifecycle, transactions: TransactionContext | None = None
    ) -> None:
        self._parent = parent
        self._lifecycle = lifecycle
        self._transactions = transactions

    def offset(self, partition: Offset) -> Offset | None:
        return self.offsets([partition])[0]

    def offsets(self, partitions: Iterable[Offset]) -> list[Offset | None]:
        found: list[Offset | None] = self._parent.call(
            "offsets", partitions=[dict(each) for each in partitions]
        )
        return found

    @property
    def is_stopping(self) -> bool:
        return self._lifecycle.is_stopping

    @property
    def transactions(self) -> TransactionContext | None:
        return self._transactions


class Delivering(Protocol):
    """How records get into topics and offsets to where they are kept: at least once, or exactly once."""

    def prepare(self) -> None:
        """Before the task starts: nobody else is this task any more. ClientError."""

    def start(self) -> None:
        """The task has started."""

    def send(self, records: Sequence[SourceRecord]) -> None: ...

    def idle(self) -> None:
        """There was nothing to send."""

    def commit(self, *, is_last: bool) -> None:
        """Wait for what is on its way if it is the last time, and commit the offsets of what is over."""

    def rest(self) -> None:
        """The task is paused."""

    def abandon(self) -> None:
        """The task has failed."""

    def close(self) -> None: ...


class Sender:
    """Puts records into topics; what becomes of them is told to a `Batch`."""

    def __init__(
        self,
        kafka: Kafka,
        producer: AsyncProducer,
        pipeline: SourcePipeline,
        topics: Topics,
        parent: Parent | None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._kafka = kafka
        self._producer = producer
        self._pipeline = pipeline
        self._topics = topics
        self._parent = parent
        self._patience_s = patience_s
        self._used: dict[str, None] = {}

    def send(self, records: Sequence[SourceRecord], batch: Batch, *, one_by_one: bool) -> None:
        """ClientError where a topic cannot be asked for or made, and nothing was sent; ConnectError for what
        the error policy does not take. What the producer does not take, or not within `max.block.ms`, is the
        batch's error, as with Kafka's.
        """
        outgoing: list[Outgoing] = []
        for record in records:
            try:
                converted = self._pipeline.convert(record)
            except Skipped:
                converted = None
            if converted is None:
                batch.outcomes.append((record, None))
            else:
                outgoing.append(converted)
        for topic in dict.fromkeys(each.topic for each in outgoing):
            self._prepare(topic)
        if one_by_one:
            self._send_each(outgoing, batch)
        else:
            self._write(outgoing, batch)

    def _prepare(self, topic: str) -> None:
        self._topics.prepare(topic)
        if topic not in self._used:
            self._used[topic] = None
            if self._parent is not None:
                self._parent.tell("topic", topic=topic)

    def _write(self, outgoing: Sequence[Outgoing], batch: Batch) -> None:
        """Runs of one topic as columns."""
        run: list[Outgoing] = []
        for each in outgoing:
            if run and (each.topic != run[0].topic or each.partition != run[0].partition):
                self._write_run(run, batch)
                run = []
            run.append(each)
        if run:
            self._write_run(run, batch)

    def _write_run(self, run: Sequence[Outgoing], batch: Batch) -> None:
        batch.expect(len(run))
        topic = run[0].topic
        try:
            written = self._taken(
                topic, self._producer.write(topic, _columns(run), partition=run[0].partition)
            )
        except ClientError as error:
            batch.settled(len(run), error)
        else:
            self._kafka.portal.soon(lambda: written.on_batch(batch.settled))

    def _taken(self, topic: str, work: Coroutine[Any, Any, T]) -> T:
        """What the producer gives; `max.block.ms` has no end where nobody says so."""
        waiting = self._kafka.begin(work)
        while concurrent.futures.wait([waiting], self._patience_s).not_done:
            code = self._kafka.client("producer").cluster.metadata.errors.get(topic)
            why = "buffer.memory is full" if code is None else code.name
            _log.warning("the producer does not take records for topic %s yet: %s", topic, why)
        return waiting.result()

    def _send_each(self, outgoing: Sequence[Outgoing], batch: Batch) -> None:
        """For tasks that want to know where each record went."""

        async def send(each: Outgoing) -> None:
            delivery = await self._producer.send(
                each.topic,
                each.value,
                key=each.key,
                headers=each.headers,
                timestamp=each.timestamp,
                partition=each.partition,
            )
            delivery.on_done(lambda done: _settled(done, each.record, batch))

        for each in outgoing:
            batch.expect(1)
            try:
                self._taken(each.topic, send(each))
            except ClientError as error:
                batch.failed.append(each.record)
                batch.settled(1, error)

    def flush(self) -> None:
        self._kafka.call(self._producer.flush())


def _columns(run: Sequence[Outgoing]) -> Columns:
    from array import array

    count = len(run)
    times = array("q", [-1 if each.timestamp is None else each.timestamp for each in run])
    return Columns(
        memoryview(array("i", bytes(4 * count))),
        memoryview(array("q", bytes(8 * count))),
        memoryview(times),
        memoryview(array("b", bytes(count))),
        BinaryColumn.of([each.key for each in run]),
        BinaryColumn.of([each.value for each in run]),
        HeadersColumn.of([[(name.encode(), value) for name, value in each.headers] for each in run]),
    )


def _settled(done: Delivery, record: SourceRecord, batch: Batch) -> None:
    try:
        went = done.result()
    except ClientError as error:
        batch.failed.append(record)
        batch.settled(1, error)
        return
    batch.outcomes.append((record, Produced(went.topic, went.partition, went.offset, went.timestamp)))
    batch.settled(1, None)


def tell_task(call: Callable[..., None], *arguments: object) -> None:
    """What a task does when its records or offsets are kept: they are, whatever becomes of that."""
    try:
        call(*arguments)
    except Exception:  # noqa: BLE001 - the task's
        _log.exception("the task's %s failed", call.__name__)


class AtLeastOnce:
    """The worker commits offsets, every `offset.flush.interval.ms`, for a thread beside the task's."""

    def __init__(
        self,
        task: SourceTask,
        parent: Parent,
        kafka: Kafka,
        sender: Callable[[AsyncProducer], Sender],
        tolerance: Tolerance,
        flush_interval_ms: int,
    ) -> None:
        self._task = task
        self._parent = parent
        self._kafka = kafka
        self._make_sender = sender
        self._tolerance = tolerance
        self._flush_interval_ms = flush_interval_ms
        self._submitted = Submitted()
        self._committing = threading.Lock()
        self._ended = threading.Event()
        self._one_by_one = type(task).commit_record is not SourceTask.commit_record
        self._failure: Exception | None = None

    def prepare(self) -> None:
        self._sender = self._make_sender(self._kafka.producer())

    def start(self) -> None:
        threading.Thread(target=self._commit_regularly, name="ottla-offsets", daemon=True).start()

    def send(self, records: Sequence[SourceRecord]) -> None:
        batch = self._submitted.begin(records)
        try:
            self._sender.send(records, batch, one_by_one=self._one_by_one)
        except BaseException:
            self._submitted.forget(batch)  # nothing of it may be committed
            raise
        batch.sent()
        self.idle()

    def idle(self) -> None:
        with self._committing:
            self._settle()

    def _settle(self) -> None:
        if self._failure is not None:
            raise self._failure
        while (batch := self._submitted.next_over()) is not None:
            for record, produced in batch.outcomes:
                tell_task(self._task.commit_record, record, produced)
            if batch.error is not None:
                try:
                    self._tolerance.failed(Failure(Stage.KAFKA_PRODUCE, "ottla.client", batch.error, 1, None))
                except ConnectError as error:
                    self._failure = ConnectError(
                        f"Unrecoverable exception from producer send callback: {batch.error}"
                    )
                    raise self._failure from error
                for record in batch.failed:
                    tell_task(self._task.commit_record, record, None)
            self._submitted.may_commit(batch)

    def commit(self, *, is_last: bool) -> None:
        if is_last:
            self._sender.flush()
        with self._committing:
            try:
                self._settle()
            finally:  # what is before the failure counts
                self._commit()

    def _commit(self) -> None:
        offsets = self._submitted.take()
        if offsets:
            try:
                self._parent.call("commit", offsets=[[dict(p), dict(o)] for p, o in offsets.values()])
            except ConnectError as error:
                self._submitted.give_back(offsets)
                _log.error("offsets were not committed: %s", error)
                return
            tell_task(self._task.commit_offsets, list(offsets.values()))
        tell_task(self._task.commit)

    def _commit_regularly(self) -> None:
        while not self._ended.wait(self._flush_interval_ms / 1000):
            try:
                self.commit(is_last=False)
            except Exception:  # noqa: BLE001 - the task's thread finds it; offsets come with the next round
                _log.exception("offsets were not committed")

    def rest(self) -> None:
        self.commit(is_last=True)

    def abandon(self) -> None:
        """What is in its topic is not read again, if that can be said."""
        with contextlib.suppress(ConnectError, ClientError):
            self.commit(is_last=True)

    def close(self) -> None:
        self._ended.set()


class SourceRunner:
    """`started` is called when the task has started, `paused` and `resumed` as it does so."""

    def __init__(
        self, task: SourceTask, lifecycle: Lifecycle, delivering: Delivering, tell: Callable[[str], None]
    ) -> None:
        self._task = task
        self._lifecycle = lifecycle
        self._delivering = delivering
        self._tell = tell

    def run(self) -> None:
        """Until it is told to stop. Raises what fails it."""
        delivering, lifecycle = self._delivering, self._lifecycle
        delivering.start()
        try:
            while not lifecycle.is_stopping:
                if lifecycle.is_paused:
                    self._tell("paused")
                    delivering.rest()
                    lifecycle.wait_while_paused()
                    if not lifecycle.is_stopping:
                        self._tell("running")
                    continue
                self._once()
        except BaseException:
            delivering.abandon()
            raise
        else:
            delivering.commit(is_last=True)
        finally:
            delivering.close()

    def _once(self) -> None:
        try:
            given = self._task.poll()
        except RetriableError as error:
            _log.warning("the source could not be read, and is asked again: %s", error)
            return
        if not given:
            self._delivering.idle()
            return
        while True:
            try:
                self._delivering.send(given)
                return
            except ClientError as error:
                if not error.retriable:
                    raise
                _log.warning("records are sent again: %s", error)
                if not self._lifecycle.wait_ms(_RETRY_MS):
                    return
