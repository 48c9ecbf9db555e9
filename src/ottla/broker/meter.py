"""How long the event loop is busy with a request, whatever it waits for meanwhile."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Meter:
    """The time that the event loop is busy with one request."""

    __slots__ = ("_now_s", "_since_s", "_spent_s")

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._spent_s = 0.0
        self._since_s: float | None = now_s()

    def pause(self) -> None:
        """The request waits for something, or is answered."""
        if self._since_s is not None:
            self._spent_s += self._now_s() - self._since_s
            self._since_s = None

    def resume(self) -> None:
        if self._since_s is None:
            self._since_s = self._now_s()

    def seconds(self) -> float:
        """What was spent since this was asked last."""
        was_running = self._since_s is not None
        self.pause()
        spent, self._spent_s = self._spent_s, 0.0
        if was_running:
            self.resume()
        return spent

    @types.coroutine
    def counted(self, work: Awaitable[T]) -> Generator[Any, Any, T]:
        """What is awaited, each of its steps being counted, and not what lies between them."""
        steps = work.__await__()
        sent: Any = None
        raised: BaseException | None = None
        while True:
            self.resume()
            try:
                waits_for = steps.send(sent) if raised is None else steps.throw(raised)
            except StopIteration as done:
                result: T = done.value
                return result
            finally:
                self.pause()
            sent = raised = None
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 - it is for the one who waits
                raised = error
