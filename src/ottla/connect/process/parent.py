"""The worker, as one of its processes sees it: calls that wait for an answer, and events.

A thread reads what the worker says. When the worker is gone, the process ends at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from ottla.connect.errors import ConnectError
from ottla.connect.worker.frames import Decoder, FrameError, Message, encode

_log: Final = logging.getLogger(__name__)

_READ: Final = 1 << 16

Handler = Callable[[Message], object]


class WorkerError(ConnectError):
    """The worker refused, or could not do, what was asked."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


class _Answer:
    __slots__ = ("is_there", "message")

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.message: Message = {}


class Parent:
    """`handlers` answer the worker's calls, each in a thread of its own; `on_event` is called in the reading
    thread, so it must not wait; `on_close` where the worker closes the connection: the process is to end.
    """

    def __init__(
        self,
        sock: socket.socket,
        handlers: Mapping[str, Handler],
        on_event: Callable[[str, Message], None],
        on_close: Callable[[], None],
    ) -> None:
        self._socket = sock
        self._handlers = handlers
        self._on_event = on_event
        self._on_close = on_close
        self._sending = threading.Lock()
        self._numbers = 0
        self._calls: dict[int, _Answer] = {}
        threading.Thread(target=self._read, name="ottla-worker", daemon=True).start()

    def tell(self, event: str, /, **content: object) -> None:
        self._send({"event": event, **content})

    def call(self, name: str, /, **content: object) -> Any:
        """The answer. WorkerError."""
        answer = _Answer()
        with self._sending:
            self._numbers += 1
            number = self._numbers
            self._calls[number] = answer
        self._send({"call": name, "id": number, **content})
        answer.is_there.wait()
        if "error" in answer.message:
            raise WorkerError(answer.message["error"], answer.message["kind"])
        return answer.message.get("result")

    def _send(self, message: Mapping[str, object]) -> None:
        data = encode(message)
        with self._sending, contextlib.suppress(OSError):  # the worker is gone: the reading thread sees it
            self._socket.sendall(data)

    def _read(self) -> None:
        decoder = Decoder()
        try:
            while data := self._socket.recv(_READ):
                for message in decoder.feed(data):
                    self._received(message)
        except (OSError, FrameError):
            pass
        for answer in list(self._calls.values()):
            answer.message = {"error": "the worker is gone", "kind": "ConnectionError"}
            answer.is_there.set()
        self._on_close()

    def _received(self, message: Message) -> None:
        if "event" in message:
            try:
                self._on_event(message["event"], message)
            except Exception:  # noqa: BLE001 - the worker is heard on
                _log.exception("what the worker said was not dealt with: %s", message["event"])
        elif "call" in message:
            threading.Thread(target=self._answer, args=(message,), daemon=True).start()
        elif (answer := self._calls.pop(message["id"], None)) is not None:
            answer.message = message
            answer.is_there.set()

    def _answer(self, message: Message) -> None:
        try:
            result = self._handlers[message["call"]](message)
            self._send({"id": message["id"], "result": result})
        except BaseException as error:  # noqa: BLE001 - the worker is told
            self._send({"id": message["id"], **described(error)})


def described(error: BaseException) -> Message:
    """An exception, for the other side."""
    kind = getattr(type(error), "kafka_name", None) or f"{type(error).__module__}.{type(error).__qualname__}"
    return {"error": str(error), "kind": kind, "trace": trace_of(error)}


def trace_of(error: BaseException) -> str:
    """For a status: what it is, then where, as Python prints it."""
    return "".join(traceback.format_exception(error))


def leave(status: int) -> None:
    """End this process from any thread, without what the interpreter does at its end."""
    os._exit(status)
