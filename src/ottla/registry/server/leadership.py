"""Writes in their order: by this instance while it leads, and handed on to the leader while another does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

from ottla.client.errors import ClientError, FencedError
from ottla.registry.server.log import SchemasLog, Writer
from ottla.registry.settings import RegistrySettings
from ottla.registry.state.election import Identity
from ottla.registry.state.errors import RegistryError
from ottla.registry.state.records import Write

T = TypeVar("T")
Decide = Callable[[], tuple[Sequence[Write], T]]

_log: Final = logging.getLogger(__name__)

_RETRY_S: Final = 0.3


class NotLeadingError(Exception):
    """Another instance leads, or begins to."""


class Leadership:
    """Told of elections. `again` is called with a reason for another one."""

    def __init__(
        self,
        settings: RegistrySettings,
        log: SchemasLog,
        writer: Writer,
        executor: Executor,
        again: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._log = log
        self._writer = writer
        self._executor = executor
        self._again = again
        self._leader: Identity | None = None
        self._leads = False
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    def elected(self, leader: Identity | None, leads: bool) -> None:
        if leader != self._leader or leads != self._leads:
            _log.info("the leader is %s", "this instance" if leads else leader.url if leader else "nobody")
        self._leader, self._leads = leader, leads
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def leader(self) -> Identity | None:
        """Who is to be asked for writes; None if it is this instance. RegistryError where none comes up."""
        try:
            async with asyncio.timeout(self._settings.ottla_registry_leader_wait_ms / 1000):
                while self._leader is None:
                    await self._changed.wait()
        except TimeoutError:
            raise RegistryError(50004, "Leader not known.") from None
        return None if self._leads else self._leader

    async def changed_from(self, leader: Identity) -> None:
        """Until that is not the leader any more."""
        while self._leader is not None and self._leader.url == leader.url:
            await self._changed.wait()

    async def keep_ready(self) -> None:
        """Take the right to write whenever this instance is elected, without end."""
        while True:
            changed = self._changed
            if self._leads and not self._writer.is_ready:
                try:
                    async with self._turn:
                        if self._leads and not self._writer.is_ready:
                            await self._writer.begin()
                            _log.info("this instance writes from offset %d on", self._log.next_offset)
                except (ClientError, TimeoutError) as error:
                    _log.warning("this instance leads, but cannot write yet: %s", error)
                    self._fenced_by(error)
                    await asyncio.sleep(_RETRY_S)
                continue
            if not self._leads and self._writer.is_ready:
                async with self._turn:
                    await self._writer.end()
            await changed.wait()

    async def write(self, decide: Decide[T]) -> tuple[T, int]:
        """What `decide` answers, once its records are in the log, and the offset of the last one (-1 where
        there are none). It is called with the state as it is after all earlier writes, in another thread.

        NotLeadingError before anything was written; RegistryError where it is not known what was.
        """
        if len(self._tasks) >= self._settings.ottla_registry_writes_waiting_max:
            raise RegistryError(429, "too many writes are waiting")
        # A task of its own: whoever asked may be gone before the log has answered.
        task = asyncio.get_running_loop().create_task(self._in_turn(decide), name="ottla-registry-write")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked was told, if still there

    async def _in_turn(self, decide: Decide[T]) -> tuple[T, int]:
        try:
            async with asyncio.timeout(self._settings.ottla_registry_leader_wait_ms / 1000):
                await self._turn.acquire()
        except TimeoutError:
            raise RegistryError(50002, "The write did not get its turn in time") from None
        try:
            return await self._write(decide)
        finally:
            self._turn.release()

    async def _write(self, decide: Decide[T]) -> tuple[T, int]:
        if not self._leads:
            raise NotLeadingError
        try:
            if not self._writer.is_ready:
                await self._writer.begin()
            writes, answer = await self.frozen(decide)
            if not writes:
                return answer, -1
            return answer, await self._writer.append(writes)
        except (ClientError, TimeoutError) as error:
            _log.warning("a write failed: %s", error or type(error).__name__)
            await self._writer.end()
            self._fenced_by(error)
            self._tell()  # so that it begins anew
            code = 50002 if isinstance(error, TimeoutError) else 50001
            raise RegistryError(code, f"Write failed, or is not known to have been done: {error}") from error

    def _fenced_by(self, error: Exception) -> None:
        """Somebody else writes: lead only when elected again."""
        if isinstance(error, FencedError):
            self._leader, self._leads = None, False
            self._again("another instance writes")

    async def frozen(self, call: Callable[[], T]) -> T:
        """What `call` gives in another thread, with a state that does not change meanwhile."""
        async with self._log.frozen:
            return await asyncio.get_running_loop().run_in_executor(self._executor, call)
