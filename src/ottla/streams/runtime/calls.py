"""Calls from one thread into another's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

T = TypeVar("T")
_ANSWER_S: Final = 30


def called_in(loop: asyncio.AbstractEventLoop, function: Callable[[], T]) -> T:
    """What `function` gives, called in another thread's loop. TimeoutError where that does not get to it in
    time: then it is not called any more."""
    future: Future[T] = Future()

    def call() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(function())
        except Exception as error:  # noqa: BLE001 # it is raised where it was asked
            future.set_exception(error)

    loop.call_soon_threadsafe(call)
    try:
        return future.result(_ANSWER_S)
    except TimeoutError:
        future.cancel()
        raise
