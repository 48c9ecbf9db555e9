"""Group commit: an `acks=all` answer waits for fdatasync, and one fdatasync serves all that wait.

While one round of syncs runs in the worker thread, the appends that arrive collect for the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ottla.storage.log import Log

log = logging.getLogger(__name__)


class GroupCommit:
    """Syncs logs in rounds (`ottla.acks.all.flush`)."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._dirty: dict[Log, None] = {}
        self._waiting: list[tuple[asyncio.Future[Any], Any]] = []
        self._round: asyncio.Task[None] | None = None

    def when_durable(self, logs: Sequence[Log], outcome: Any) -> asyncio.Future[Any]:
        """A future of `outcome`, done once everything appended to `logs` so far is on the disk."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._dirty.update(dict.fromkeys(logs))
        self._waiting.append((future, outcome))
        if self._round is None:
            self._round = loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            logs, waiting = list(self._dirty), self._waiting
            self._dirty, self._waiting = {}, []
            try:
                for each in logs:
                    flush = each.prepare_flush()
                    each.complete_flush(await loop.run_in_executor(self._executor, flush))
            except Exception as error:  # noqa: BLE001 - the producers must hear of it, whatever it is
                log.error("cannot flush: %s", error)
                for future, _ in waiting:
                    if not future.done():
                        future.set_exception(error)
                continue
            for future, outcome in waiting:
                if not future.done():
                    future.set_result(outcome)
        self._round = None
