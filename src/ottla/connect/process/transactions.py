"""A source's records and offsets in transactions (KIP-618): each record once, whatever is killed.

Offsets go into the offsets topic with the records that they are of. The next task of the same transactional
id fences this one.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ottla.client.errors import ClientError
from ottla.client.producer.producer import AsyncProducer
from ottla.connect.errors import ConnectError
from ottla.connect.process.kafka import Kafka
from ottla.connect.process.lifecycle import now_ms
from ottla.connect.process.source import Sender, tell_task
from ottla.connect.process.submitted import Batch, PartitionOffset, offsets_of
from ottla.connect.process.tolerance import Failure, Stage, Tolerance
from ottla.connect.records import SourceRecord
from ottla.connect.sdk import SourceTask
from ottla.connect.worker.json_records import dump

_log: Final = logging.getLogger(__name__)


class Transactions(NamedTuple):
    boundary: str
    """poll, interval or connector"""
    interval_ms: int
    offsets_topic: str


class Boundaries:
    """`TransactionContext`: where the task says that transactions end."""

    def __init__(self) -> None:
        self._commits: dict[int, SourceRecord] = {}
        self._aborts: dict[int, SourceRecord] = {}
        self._commits_batch = False
        self._aborts_batch = False

    def commit_transaction(self, record: SourceRecord | None = None) -> None:
        if record is None:
            self._check(other=self._aborts_batch)
            self._commits_batch = True
        else:
            self._check(other=id(record) in self._aborts)
            self._commits[id(record)] = record

    def abort_transaction(self, record: SourceRecord | None = None) -> None:
        if record is None:
            self._check(other=self._commits_batch)
            self._aborts_batch = True
        else:
            self._check(other=id(record) in self._commits)
            self._aborts[id(record)] = record

    def _check(self, *, other: bool) -> None:
        if other:
            raise ConnectError("a transaction cannot be committed and aborted at the same place")

    def after(self, record: SourceRecord) -> bool | None:
        """Whether a transaction is committed (True) or aborted (False) behind a record."""
        if self._commits.pop(id(record), None) is not None:
            return True
        return False if self._aborts.pop(id(record), None) is not None else None

    def after_batch(self) -> bool | None:
        commits, aborts = self._commits_batch, self._aborts_batch
        self._commits_batch = self._aborts_batch = False
        return True if commits else False if aborts else None


class ExactlyOnce:
    """`Delivering`. Any failure ends the task: what was not committed is read again by the next."""

    def __init__(
        self,
        task: SourceTask,
        kafka: Kafka,
        sender: Callable[[AsyncProducer], Sender],
        transactions: Transactions,
        tolerance: Tolerance,
        connector: str,
    ) -> None:
        self._task = task
        self._kafka = kafka
        self._make_sender = sender
        self._transactions = transactions
        self._tolerance = tolerance
        self._connector = connector
        self.boundaries = Boundaries() if transactions.boundary == "connector" else None
        self._lock = threading.Lock()
        self._offsets: dict[bytes, PartitionOffset] = {}
        self._open: list[Batch] = []
        self._is_open = False
        self._began_ms = 0

    def prepare(self) -> None:
        """Fences whoever was this task before, so that what the task reads of its offsets is their end.
        ClientError.
        """
        self._producer = self._kafka.producer()
        self._sender = self._make_sender(self._producer)

    def start(self) -> None:
        """Commits go with what is sent."""

    def send(self, records: Sequence[SourceRecord]) -> None:
        if self.boundaries is None:
            self._send(records)
            if self._transactions.boundary == "poll" or self._is_due():
                self._commit()
            return
        run: list[SourceRecord] = []
        for record in records:
            run.append(record)
            if (ending := self.boundaries.after(record)) is not None:
                self._send(run)
                run = []
                self._end(committed=ending)
        if run:
            self._send(run)
        if (ending := self.boundaries.after_batch()) is not None:
            self._end(committed=ending)

    def _end(self, *, committed: bool) -> None:
        if committed:
            self._commit()
        else:
            self._abort()

    def _send(self, records: Sequence[SourceRecord]) -> None:
        if not self._is_open:
            self._kafka.call(self._producer.begin_transaction())
            self._is_open = True
            self._began_ms = now_ms()
        batch = Batch(offsets_of(records), self._lock)
        self._open.append(batch)
        one_by_one = type(self._task).commit_record is not SourceTask.commit_record
        self._sender.send(records, batch, one_by_one=one_by_one)
        batch.sent()
        self._check([batch])
        self._offsets |= batch.offsets

    def _is_due(self) -> bool:
        return self._is_open and now_ms() - self._began_ms >= self._transactions.interval_ms

    def idle(self) -> None:
        if self._transactions.boundary == "interval" and self._is_due():
            self._commit()

    def _commit(self) -> None:
        """Records, then their offsets, then all of it. ConnectError, ClientError."""
        if not self._is_open:
            return
        offsets, self._offsets = self._offsets, {}
        topic = self._transactions.offsets_topic

        async def write() -> None:
            for partition, offset in offsets.values():
                key = dump([self._connector, dict(partition)])
                await self._producer.send(topic, dump(dict(offset)), key=key)
            await self._producer.flush()

        self._kafka.call(write())
        self._check(self._open)
        self._kafka.call(self._producer.commit_transaction())
        tell_task(self._task.commit_offsets, list(offsets.values()))
        self._ended(committed=True)

    def _check(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            if (error := batch.error) is not None:
                with contextlib.suppress(ConnectError):  # tolerated or not, the transaction is lost
                    self._tolerance.failed(Failure(Stage.KAFKA_PRODUCE, "ottla.client", error, 1, None))
                raise ConnectError(f"Unrecoverable exception from producer send callback: {error}") from error

    def _abort(self) -> None:
        """What the task threw away is not read again: its offsets are committed alone."""
        if not self._is_open:
            return
        self._kafka.call(self._producer.abort_transaction())
        offsets, self._offsets = self._offsets, {}
        self._ended(committed=False)
        self._kafka.call(self._producer.begin_transaction())
        self._is_open, self._offsets = True, offsets
        self._commit()

    def _ended(self, *, committed: bool) -> None:
        self._is_open = False
        batches, self._open = self._open, []
        for batch in batches:
            for record, produced in batch.outcomes:
                tell_task(self._task.commit_record, record, produced if committed else None)
        if committed:
            tell_task(self._task.commit)

    def rest(self) -> None:
        """A transaction of which the task says the end stays open: it goes on with it."""
        if self.boundaries is None:
            self._commit()

    def commit(self, *, is_last: bool) -> None:
        """At the end what is open is committed, unless the task says where transactions end: then aborted."""
        if not is_last or not self._is_open:
            return
        if self.boundaries is not None:
            self._kafka.call(self._producer.abort_transaction())
            self._is_open = False
            return
        self._commit()

    def abandon(self) -> None:
        """The task has failed: nothing of what is open counts."""
        if self._is_open:
            try:
                self._kafka.call(self._producer.abort_transaction())
            except ClientError as error:
                _log.debug("the transaction was not aborted: %s", error)
            self._is_open = False

    def close(self) -> None:
        """Nothing is left."""
