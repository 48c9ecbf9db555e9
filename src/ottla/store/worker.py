"""The thread that a store's disk work is done in."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class BriefThread(Executor):
    """One thread that is there only while there is work, so that an idle broker has none."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._work: deque[tuple[Future[Any], Callable[[], None]]] = deque()
        self._thread: threading.Thread | None = None
        self._is_shut = False

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        future: Future[_T] = Future()

        def perform() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._is_shut:
                raise RuntimeError("the thread takes no more work")
            self._work.append((future, perform))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name)
                self._thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more; what was submitted is done, unless `cancel_futures` drops what has not begun."""
        with self._lock:
            self._is_shut = True
            thread = self._thread
            while cancel_futures and self._work:
                self._work.pop()[0].cancel()
        if wait and thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._work:
                    self._thread = None
                    return
                _, perform = self._work.popleft()
            perform()
            del perform, _  # it holds the work's arguments and result
