"""A sink's task: consume, convert, transform, put; offsets are committed when what was put is in the "
"target."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import queue
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from ottla.client.columns.columns import Record
from ottla.client.consumer.batch import Batch
from ottla.client.consumer.consumer import AsyncConsumer
from ottla.client.consumer.membership import RebalanceListener
from ottla.client.core.metadata import TopicPartition as ClientPartition
from ottla.client.core.offsets import CommittedOffset
from ottla.client.errors import ClientError
from ottla.client.sync.portal import in_thread
from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.process.kafka import Kafka
from ottla.connect.process.letters import DeadLetters
from ottla.connect.process.lifecycle import Lifecycle, now_ms
from ottla.connect.process.pipeline import SinkPipeline, class_name
from ottla.connect.process.tolerance import Failure, Skipped, Stage, Tolerance
from ottla.connect.records import SinkRecord
from ottla.connect.sdk import SinkTask, TopicPartition

_log: Final = logging.getLogger(__name__)

_POLL_MS: Final = 250
"""How long the worker may have to wait until a task sees what it wants"""
_REDELIVERY_MS: Final = 1_000
"""Unless the task says how long to wait"""

Positions = dict[TopicPartition, int]


class Reporter:
    """KIP-610: what a sink says of records that it cannot deal with."""

    def __init__(self, tolerance: Tolerance, task: SinkTask) -> None:
        self._tolerance = tolerance
        self._name = class_name(task)
        self.originals: Mapping[tuple[TopicPartition, int], Record] = {}
        """Of the batch that is being put"""

    def report(self, record: SinkRecord, error: Exception) -> None:
        partition = TopicPartition(record.original_topic, record.original_partition or 0)
        original = self.originals.get((partition, record.original_offset))
        self._tolerance.failed(Failure(Stage.TASK_PUT, self._name, error, 1, original or record))


class SinkContext:
    """`SinkTaskContext`; what is asked of it is done before the next `put`."""

    def __init__(self, reporter: Reporter | None) -> None:
        self._reporter = reporter
        self.held: list[TopicPartition] = []
        self.rewound: Positions = {}
        self.paused: dict[TopicPartition, None] = {}
        self.pauses_changed = False
        self.timeout_ms: int | None = None
        self.wants_commit = False

    @property
    def assignment(self) -> Sequence[TopicPartition]:
        return tuple(self.held)

    def offset(self, partition: TopicPartition, offset: int) -> None:
        self.rewound[TopicPartition(*partition)] = offset

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._check(partitions := [TopicPartition(*each) for each in partitions])
        self.paused |= dict.fromkeys(partitions)
        self.pauses_changed = True

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._check(partitions := [TopicPartition(*each) for each in partitions])
        for each in partitions:
            self.paused.pop(each, None)
        self.pauses_changed = True

    def _check(self, partitions: Sequence[TopicPartition]) -> None:
        for each in partitions:
            if each not in self.held:
                raise ConnectError(f"{each.topic}-{each.partition} is not assigned to this task")

    def timeout(self, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms

    def request_commit(self) -> None:
        self.wants_commit = True

    @property
    def errant_record_reporter(self) -> Reporter | None:
        return self._reporter


class _Turns(RebalanceListener):
    """Has what a rebalance means done in the task's thread, which waits for records meanwhile."""

    def __init__(self, runner: SinkRunner) -> None:
        self._runner = runner

    async def on_assigned(self, partitions: list[ClientPartition]) -> None:
        await in_thread(partial(self._runner.in_turn, partial(self._runner.opened, _ours(partitions))))

    async def on_revoked(self, partitions: list[ClientPartition]) -> None:
        await in_thread(
            partial(self._runner.in_turn, partial(self._runner.closed, _ours(partitions), is_lost=False))
        )

    async def on_lost(self, partitions: list[ClientPartition]) -> None:
        await in_thread(
            partial(self._runner.in_turn, partial(self._runner.closed, _ours(partitions), is_lost=True))
        )


def _ours(partitions: Iterable[ClientPartition]) -> list[TopicPartition]:
    return [TopicPartition(each.topic, each.partition) for each in partitions]


class SinkRunner:
    def __init__(
        self,
        task: SinkTask,
        context: SinkContext,
        kafka: Kafka,
        lifecycle: Lifecycle,
        pipeline: SinkPipeline,
        letters: DeadLetters,
        tell: Callable[..., None],
        flush_interval_ms: int,
    ) -> None:
        self._task = task
        self._context = context
        self._kafka = kafka
        self._lifecycle = lifecycle
        self._pipeline = pipeline
        self._letters = letters
        self._tell = tell
        self._flush_interval_ms = flush_interval_ms
        self._turns: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._pending: list[SinkRecord] = []
        """Converted, and not put yet"""
        self._read: Positions = {}
        """Behind what was read"""
        self._put: Positions = {}
        """Behind what was put"""
        self._committed: Positions = {}
        self._is_redelivering = False
        self._is_paused = False
        self._next_commit_ms = now_ms() + flush_interval_ms
        self._topics: dict[str, None] = {}
        self._consumer: AsyncConsumer
        self._failure: BaseException | None = None
        self._is_over = False

    def subscribe(self, topics: Sequence[str], pattern: str | None) -> None:
        """ClientError."""
        self._consumer = self._kafka.consumer()
        listener = _Turns(self)
        wanted = None if pattern is None else re.compile(rf"(?:{pattern})\Z")
        self._kafka.portal.run(self._consumer.subscribe, topics, pattern=wanted, listener=listener)

    def run(self) -> None:
        """Until it is told to stop. Raises what fails it."""
        failed = True
        try:
            while not self._lifecycle.is_stopping:
                self._iterate()
            failed = False
        finally:
            held = list(self._context.held)
            with contextlib.suppress(Exception) if failed else contextlib.nullcontext():
                if held:
                    self.closed(held, is_lost=False)
            self._is_over = True
            with contextlib.suppress(ClientError):
                self._kafka.call(self._consumer.close(commit=False))

    def _iterate(self) -> None:
        if now_ms() >= self._next_commit_ms or self._context.wants_commit:
            self._context.wants_commit = False
            self._next_commit_ms = now_ms() + self._flush_interval_ms
            self._commit(self._context.held, is_closing=False)
        self._pause_or_resume()
        self._rewind()
        wait_ms = max(self._next_commit_ms - now_ms(), 0)
        if self._context.timeout_ms is not None:
            wait_ms = min(wait_ms, self._context.timeout_ms)
            self._context.timeout_ms = None
        batch = self._poll(wait_ms)
        if batch is not None:
            self._convert(batch)
        if not self._is_paused:
            self._deliver()

    # In the task's thread, while the client waits.

    def in_turn(self, work: Callable[[], None]) -> None:
        """Called in another thread: have the task's do it, and wait. At its end nothing is left to do."""
        if self._is_over:
            return
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def do() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - the task fails with it, in its own thread
                self._failure = error
            done.set_result(None)

        self._turns.put(do)
        done.result()

    def _poll(self, wait_ms: int) -> Batch | None:
        """The next records; None when none came, or something else is to be done first."""
        lifecycle, end_ms = self._lifecycle, now_ms() + wait_ms
        while True:
            left_ms = min(end_ms - now_ms(), _POLL_MS)
            batch = self._poll_once(max(left_ms, 0) / 1000)
            is_wanted = (
                lifecycle.is_stopping or lifecycle.is_paused != self._is_paused or self._context.wants_commit
            )
            if batch is not None or is_wanted or now_ms() >= end_ms:
                return batch

    def _poll_once(self, wait_s: float) -> Batch | None:
        coming = self._kafka.begin(self._consumer.poll(timeout_s=wait_s))
        coming.add_done_callback(lambda _: self._turns.put(None))
        while (turn := self._turns.get()) is not None:
            turn()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return coming.result()

    def opened(self, partitions: Sequence[TopicPartition]) -> None:
        for each in partitions:
            if each not in self._context.held:
                self._context.held.append(each)
        for each in partitions:
            position = self._kafka.call(self._consumer.position(each))
            self._read[each] = self._put[each] = self._committed[each] = position
        if self._is_paused or self._is_redelivering:
            self._consumer_pause(partitions)
        self._task.open(partitions)
        self._rewind()  # before anything of them is put
        if self._context.pauses_changed:
            self._consumer_pause(list(self._context.paused))

    def closed(self, partitions: Sequence[TopicPartition], *, is_lost: bool) -> None:
        gone = frozenset(partitions)
        try:
            if is_lost:
                self._task.close(partitions)
            else:
                self._commit(partitions, is_closing=True)
        finally:
            self._context.held = [each for each in self._context.held if each not in gone]
            for each in partitions:
                for positions in (self._read, self._put, self._committed, self._context.rewound):
                    positions.pop(each, None)
                self._context.paused.pop(each, None)
            self._pending = [
                each
                for each in self._pending
                if TopicPartition(each.original_topic, each.original_partition or 0) not in gone
            ]
            if self._is_redelivering and not self._pending:
                self._delivered()

    # What the task and the worker want.

    def _pause_or_resume(self) -> None:
        context = self._context
        if self._lifecycle.is_paused and not self._is_paused:
            self._is_paused = True
            self._consumer_pause(context.held)
            self._tell("paused")
            context.wants_commit = True
        elif not self._lifecycle.is_paused and self._is_paused:
            self._is_paused = False
            context.pauses_changed = True
            self._tell("running")
        if context.pauses_changed and not self._is_paused and not self._is_redelivering:
            context.pauses_changed = False
            self._consumer_resume([each for each in context.held if each not in context.paused])
            self._consumer_pause(list(context.paused))

    def _consumer_pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._kafka.portal.run(self._consumer.pause, partitions)

    def _consumer_resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._kafka.portal.run(self._consumer.resume, partitions)

    def _rewind(self) -> None:
        wanted, self._context.rewound = self._context.rewound, {}
        for partition, offset in wanted.items():
            self._kafka.portal.run(self._consumer.seek, partition, offset)
            self._read[partition] = self._put[partition] = self._committed[partition] = offset

    # Records.

    def _convert(self, batch: Batch) -> None:
        if batch.topic not in self._topics:
            self._topics[batch.topic] = None
            self._tell("topic", topic=batch.topic)
        originals = dict(self._originals())
        for record in batch.records():
            partition = TopicPartition(record.topic, record.partition)
            try:
                made = self._pipeline.convert(record)
            except Skipped:
                made = None
            if made is not None:
                self._pending.append(made)
                originals[partition, record.offset] = record
        for each, end in batch.offsets.items():
            self._read[TopicPartition(each.topic, each.partition)] = end.offset
        if self._context.errant_record_reporter is not None:
            self._context.errant_record_reporter.originals = originals

    def _originals(self) -> Mapping[tuple[TopicPartition, int], Record]:
        reporter = self._context.errant_record_reporter
        return {} if reporter is None or not self._pending else reporter.originals

    def _deliver(self) -> None:
        try:
            self._task.put(list(self._pending))
        except RetriableError as error:
            _log.warning("the sink will be given the same records again: %s", error)
            if not self._is_redelivering:
                self._is_redelivering = True
                self._consumer_pause(self._context.held)
            if self._context.timeout_ms is None:
                self._context.timeout_ms = _REDELIVERY_MS
            return
        except Exception as error:
            raise ConnectError(f"Exiting WorkerSinkTask due to unrecoverable exception: {error}") from error
        self._pending = []
        self._put |= self._read
        if self._is_redelivering:
            self._delivered()

    def _delivered(self) -> None:
        """Nothing is left that is to be given again: what was held up for that goes on."""
        self._is_redelivering = False
        self._context.pauses_changed = True

    # Offsets.

    def _commit(self, partitions: Sequence[TopicPartition], *, is_closing: bool) -> None:
        """What the task says is in its target. Where it cannot say so, go on behind what was committed "
        "last."""
        put = {each: self._put[each] for each in partitions if each in self._put}
        before = {each: self._committed[each] for each in put}
        try:
            self._letters.settle()
            stored = self._task.pre_commit(dict(put))
        except Exception as error:  # noqa: BLE001 - the task's
            if not is_closing:
                _log.exception(
                    "offsets are not committed; records are read again from the last ones that were"
                )
                self._context.rewound |= before
                self._pending = []
                return
            _log.warning("offsets are not committed while partitions are given up: %s", error)
            return
        finally:
            if is_closing:
                self._task.close(partitions)
        safe = {
            TopicPartition(*each): offset
            for each, offset in stored.items()
            if TopicPartition(*each) in put and offset <= put[TopicPartition(*each)]
        }
        changed = {each: offset for each, offset in safe.items() if offset != before[each]}
        if not changed:
            return
        offsets = {
            ClientPartition(each.topic, each.partition): CommittedOffset(offset)
            for each, offset in changed.items()
        }
        try:
            self._kafka.call(self._consumer.commit(offsets))
        except (ClientError, TimeoutError) as error:
            _log.warning("offsets were not committed: %s", error)
            return
        self._committed |= changed
