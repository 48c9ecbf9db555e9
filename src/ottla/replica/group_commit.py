"""Group commit: an answer waits for fdatasync, and one fdatasync serves all that wait.

Answers wait where `ottla.acks.all.flush` or `flush.messages` says so; closed segments are synced here, too,
with nobody waiting. While one round of syncs runs in the worker thread, the appends that arrive collect for
the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ottla.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from ottla.storage.local.log import Flush, FlushResult
    from ottla.storage.log import Log

log = logging.getLogger(__name__)

Failures: TypeAlias = "Mapping[Log, KafkaError]"
"""The logs that could not be synced, and why."""


class _Waiting(NamedTuple):
    future: asyncio.Future[Any]
    logs: Sequence[Log]
    answer: Callable[[Failures], Any]


class GroupCommit:
    """Syncs logs in rounds."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._dirty: dict[Log, None] = {}
        self._waiting: list[_Waiting] = []
        self._round: asyncio.Task[None] | None = None

    def when_durable(self, logs: Sequence[Log], answer: Callable[[Failures], Any]) -> asyncio.Future[Any]:
        """A future of `answer(failures)`, done once everything appended to `logs` so far is on the disk.

        `failures` has those of `logs` that the disk refused, and is empty when all is well.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._dirty.update(dict.fromkeys(logs))
        self._waiting.append(_Waiting(future, logs, answer))
        self._begin()
        return future

    def sync_soon(self, log: Log) -> None:
        """Have everything appended to `log` so far synced, though nobody waits for it."""
        self._dirty[log] = None
        self._begin()

    async def finish(self) -> None:
        """Wait for what is under way."""
        while self._round is not None:
            await asyncio.wait([self._round])

    def _begin(self) -> None:
        if self._round is None:
            self._round = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._dirty or self._waiting:
                logs, waiting = list(self._dirty), self._waiting
                self._dirty, self._waiting = {}, []
                failures = dict.fromkeys(logs, KafkaError(ErrorCode.kafka_storage_error))
                try:
                    failures = await self._sync(logs)
                except Exception:  # whatever it is, others still wait
                    log.exception("cannot sync %d logs", len(logs))
                finally:
                    for each in waiting:
                        _settle(each, failures)
        finally:
            self._round = None

    async def _sync(self, logs: Sequence[Log]) -> dict[Log, KafkaError]:
        failures: dict[Log, KafkaError] = {}
        flushes: list[tuple[Log, Flush]] = []
        for each in logs:
            try:
                flushes.append((each, each.prepare_flush()))
            except KafkaError as error:
                failures[each] = error
        loop = asyncio.get_running_loop()
        results = await loop.run_in_executor(self._executor, _call_all, [flush for _, flush in flushes])
        for (each, _), result in zip(flushes, results, strict=True):
            try:
                each.complete_flush(result)
            except KafkaError as error:
                log.error("%s", error)
                failures[each] = error
        return failures


def _call_all(flushes: Sequence[Flush]) -> list[FlushResult]:
    return [flush() for flush in flushes]


def _settle(waiting: _Waiting, failures: Failures) -> None:
    if waiting.future.done():
        return
    try:
        mine = {each: failures[each] for each in waiting.logs if each in failures} if failures else failures
        waiting.future.set_result(waiting.answer(mine))
    except Exception as error:  # noqa: BLE001 - it reaches the connection through the future
        waiting.future.set_exception(error)
