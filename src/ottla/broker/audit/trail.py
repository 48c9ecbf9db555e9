"""Entries of the audit on their way to where they are kept: gathered for a moment, written beside the
requests. What is not written yet is bounded; how many entries were lost is itself an entry.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from ottla.broker.audit import events
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.structs import Struct

if TYPE_CHECKING:
    from ottla.broker.request import BoundHandler, RequestContext, Result
    from ottla.security.access import Denial

log = logging.getLogger("ottla.audit")

_GATHERED_S: Final = 0.5
"""Denials of the same within this time are one entry."""
_DIFFERENT_MAX: Final = 10_000
"""Of them that are told apart within that time"""
_UNWRITTEN_MAX: Final = 8 << 20
"""Bytes that wait for each outlet"""
_TOGETHER_MAX: Final = 512 << 10
"""Bytes that an outlet is given at a time, or one entry"""
_RETRY_S: Final = 1.0
_LAST_S: Final = 5.0
"""For what is left when the broker stops"""


class OutletError(Exception):
    """What was given to an outlet is not written; it is given again."""


class Outlet(Protocol):
    """Where entries are kept."""

    name: str

    async def write(self, lines: Sequence[bytes]) -> None:
        """Keep these, in order. Raises OutletError."""

    def close(self) -> None:
        """There are no more."""


class Trail:
    """The audit of one broker."""

    def __init__(self, node_id: int, now_ms: Callable[[], int], outlets: Sequence[Outlet]) -> None:
        self._node_id = node_id
        self._now_ms = now_ms
        self._queues = [_Queue(each, self._encode) for each in outlets]
        self._denials: dict[Denial, int] = {}
        self._failures: dict[tuple[str, str, str], int] = {}
        self._uncounted = 0
        self._gathering: asyncio.TimerHandle | None = None

    def denied(self, denial: Denial) -> None:
        """Somebody was not allowed something."""
        if denial in self._denials or len(self._denials) < _DIFFERENT_MAX:
            self._denials[denial] = self._denials.get(denial, 0) + 1
        else:
            self._uncounted += 1
        self._gather()

    def failed(self, host: str, listener: str, reason: str) -> None:
        """Somebody could not prove who he is."""
        failure = host, listener, reason
        if failure in self._failures or len(self._failures) < _DIFFERENT_MAX:
            self._failures[failure] = self._failures.get(failure, 0) + 1
        else:
            self._uncounted += 1
        self._gather()

    def changed(self, context: RequestContext, message: Struct, outcome: Struct | ErrorCode) -> None:
        """Somebody has had something changed, or wanted to."""
        self._flush()  # in the order in which it was
        self._add(events.change(context, message, outcome))

    def watch(self, handle: BoundHandler) -> BoundHandler:
        """The handler of an API that changes something."""

        def watched(context: RequestContext, message: Struct) -> Result | Awaitable[Result]:
            try:
                result = handle(context, message)
            except Exception as error:
                self.changed(context, message, _code_of(error))
                raise
            if isinstance(result, Awaitable):
                return self._eventually(context, message, result)
            self._answered(context, message, result)
            return result

        return watched

    async def _eventually(
        self, context: RequestContext, message: Struct, result: Awaitable[Result]
    ) -> Result:
        try:
            answer = await result
        except Exception as error:
            self.changed(context, message, _code_of(error))
            raise
        self._answered(context, message, answer)
        return answer

    def _answered(self, context: RequestContext, message: Struct, answer: Result) -> None:
        if isinstance(answer, Struct) and not getattr(message, "validate_only", False):
            self.changed(context, message, answer)

    def _gather(self) -> None:
        if self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(_GATHERED_S, self._flush)

    def _flush(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        denials, self._denials = self._denials, {}
        failures, self._failures = self._failures, {}
        for denial, times in denials.items():
            self._add(events.denial(denial, times))
        for failure, times in failures.items():
            self._add(events.failed_authentication(*failure, times))
        if self._uncounted:
            self._add({"event": "lost", "entries": self._uncounted})
            self._uncounted = 0

    def _add(self, event: events.Event) -> None:
        line = self._encode(event)
        for queue in self._queues:
            queue.add(line)

    def _encode(self, event: events.Event) -> bytes:
        return events.encode(event, self._node_id, self._now_ms())

    async def stop(self) -> None:
        """Write what is left, as long as that does not take long."""
        self._flush()
        await asyncio.gather(*[each.stop() for each in self._queues])


def _code_of(error: Exception) -> ErrorCode:
    """What a request was refused with, or failed with: then it may have changed something all the same."""
    return error.code if isinstance(error, KafkaError) else ErrorCode.unknown_server_error


class _Queue:
    """What one outlet has not written yet."""

    def __init__(self, outlet: Outlet, encode: Callable[[events.Event], bytes]) -> None:
        self._outlet = outlet
        self._encode = encode
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._lost = 0
        self._writing: asyncio.Task[None] | None = None

    def add(self, line: bytes) -> None:
        if self._bytes + len(line) > _UNWRITTEN_MAX:
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            log.error("%d entries of the audit did not fit before %s took them", lost, self._outlet.name)
            self._append(self._encode({"event": "lost", "entries": lost}))
        self._append(line)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    def _append(self, line: bytes) -> None:
        self._lines.append(line)
        self._bytes += len(line)

    async def _write(self) -> None:
        is_failing = False
        while self._lines:
            lines = self._next()
            try:
                await self._outlet.write(lines)
            except Exception as error:  # or nothing would be written any more
                if not is_failing:
                    log.error(
                        "the audit cannot be written to %s, which is tried again: %s",
                        self._outlet.name,
                        error,
                        exc_info=None if isinstance(error, OutletError) else error,
                    )
                is_failing = True
                await asyncio.sleep(_RETRY_S)
                continue
            is_failing = False
            for line in lines:
                self._lines.popleft()
                self._bytes -= len(line)
        self._writing = None

    def _next(self) -> list[bytes]:
        lines: list[bytes] = []
        size = 0
        for line in self._lines:
            size += len(line)
            if lines and size > _TOGETHER_MAX:
                break
            lines.append(line)
        return lines

    async def stop(self) -> None:
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=_LAST_S)
        if self._writing is not None:
            self._writing.cancel()
            log.error(
                "%d entries of the audit are not in %s", len(self._lines) + self._lost, self._outlet.name
            )
        self._outlet.close()
