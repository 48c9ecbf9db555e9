"""A worker's processes, as its event loop sees them: started by the fork server, spoken to over a socket
each.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from ottla.connect.errors import ConnectError
from ottla.connect.worker.frames import Decoder, FrameError, Message, encode

_log: Final = logging.getLogger(__name__)

_SERVER_END_S: Final = 5.0

Handler = Callable[[str, Message], Awaitable[object]]
"""Answers what a process asks: the name of the call, and the message"""


class ProcessError(ConnectError):
    """A process of the worker ended, or did not answer."""


class RemoteError(ConnectError):
    """What a process raised: `kind` is the exception's class, `trace` its traceback."""

    def __init__(self, text: str, kind: str, trace: str | None) -> None:
        super().__init__(text)
        self.kind = kind
        self.trace = trace


class _Link(asyncio.Protocol):
    """Frames over a transport."""

    def __init__(self, on_message: Callable[[Message], None], on_lost: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._decoder = Decoder()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._decoder.feed(data):
                self._on_message(message)
        except FrameError as error:
            _log.error("a process of the worker speaks rubbish: %s", error)
            if self.transport is not None:
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._on_lost()


class Process:
    """One process: calls to it and from it. `ended` is set when it is gone, with its exit status."""

    def __init__(self, handler: Handler, on_event: Callable[[str, Message], None]) -> None:
        self._handler = handler
        self._on_event = on_event
        self._link = _Link(self._received, self._lost)
        self._numbers = 0
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._answers: dict[asyncio.Task[None], None] = {}
        self._is_lost = False
        self.pid = 0
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def attach(self, sock: socket.socket) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self._link, sock=sock)

    def tell(self, event: str, /, **content: object) -> None:
        self._send({"event": event, **content})

    async def call(self, name: str, /, *, timeout_s: float | None = None, **content: object) -> Any:
        """RemoteError for what it raised, ProcessError where it ended or did not answer in time."""
        if self._is_lost:
            raise ProcessError("the process has ended")
        self._numbers += 1
        number = self._numbers
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        self._send({"call": name, "id": number, **content})
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise ProcessError(f"the process did not answer {name} within {timeout_s:g} s") from None
        finally:
            self._calls.pop(number, None)

    def kill(self) -> None:
        if self.pid and not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def end(self, timeout_s: float) -> bool:
        """Close its socket, at which it ends; kill it after `timeout_s`. Whether it ended by itself."""
        self.close()
        await asyncio.wait([self.ended], timeout=timeout_s)
        if self.ended.done():
            return True
        self.kill()
        await asyncio.wait([self.ended], timeout=5)
        return False

    def close(self) -> None:
        if self._link.transport is not None:
            self._link.transport.close()

    def unwanted(self, made: asyncio.Future[Process]) -> None:
        """Whoever had it made does not wait for it any more."""
        if not made.cancelled() and made.exception() is None:
            self.close()

    def exited(self, status: int) -> None:
        if not self.ended.done():
            self.ended.set_result(status)
        self._fail_calls()

    def _send(self, message: Mapping[str, object]) -> None:
        transport = self._link.transport
        if transport is not None and not transport.is_closing():
            transport.write(encode(message))

    def _received(self, message: Message) -> None:
        if "event" in message:
            self._on_event(message["event"], message)
        elif "call" in message:
            task = asyncio.ensure_future(self._answer(message))
            self._answers[task] = None
            task.add_done_callback(self._answers.pop)
        elif (waiting := self._calls.get(message.get("id", 0))) is not None and not waiting.done():
            if "error" in message:
                waiting.set_exception(RemoteError(message["error"], message["kind"], message.get("trace")))
            else:
                waiting.set_result(message.get("result"))

    async def _answer(self, message: Message) -> None:
        try:
            result = await self._handler(message["call"], message)
            self._send({"id": message["id"], "result": result})
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the process that asked is told
            self._send({"id": message["id"], "error": str(error), "kind": type(error).__name__})

    def _lost(self) -> None:
        self._is_lost = True
        self._fail_calls()
        for task in self._answers:
            task.cancel()

    def _fail_calls(self) -> None:
        for waiting in self._calls.values():
            if not waiting.done():
                waiting.set_exception(ProcessError("the process ended"))


class Processes:
    """The fork server, and what it made."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        """`variables` of the environment are for all of them, beside the worker's own."""
        self._variables = dict(variables or {})
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._link: _Link
        self._is_lost = False
        self._spawning = asyncio.Lock()
        self._pid: asyncio.Future[int] | None = None
        self._ready: asyncio.Future[int]
        self._running: dict[int, Process] = {}
        self._early: dict[int, int] = {}
        """Exit statuses that came before the process was known"""

    async def start(self) -> None:
        """Returns at once; the first `spawn` waits until the server has imported what it needs. OSError."""
        self._is_lost = False
        self._link = _Link(self._received, self._lost)
        self._ready = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(lambda done: done.cancelled() or done.exception())  # if nobody asks
        ours, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(  # noqa: S603 - our own
                [sys.executable, "-m", "ottla.connect.process.forkserver", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self._variables},
            )
        ours.setblocking(False)
        self._control = ours
        reader = ours.dup()
        await asyncio.get_running_loop().create_connection(lambda: self._link, sock=reader)

    async def spawn(self, what: Mapping[str, object], process: Process) -> Process:
        """A process that is what `what` says (`ottla.connect.process.main.run`). ProcessError."""
        making = asyncio.ensure_future(self._spawn(what, process))
        try:
            return await asyncio.shield(making)
        except OSError as error:
            raise ProcessError(f"a process cannot be started: {error}") from error
        except asyncio.CancelledError:  # the server answers all the same: what it made ends at once
            making.add_done_callback(process.unwanted)
            raise

    async def _spawn(self, what: Mapping[str, object], process: Process) -> Process:
        async with self._spawning:
            if self._is_lost:
                await self._end_server()
                await self.start()
            await self._ready
            assert self._control is not None
            ours, theirs = socket.socketpair()
            self._pid = asyncio.get_running_loop().create_future()
            try:
                with theirs:
                    await self._send(encode({"spawn": what}), theirs.fileno())
                process.pid = await self._pid
            except BaseException:
                ours.close()
                raise
        self._running[process.pid] = process
        if process.pid in self._early:
            process.exited(self._early.pop(process.pid))
        ours.setblocking(False)
        await process.attach(ours)
        return process

    async def _send(self, data: bytes, fd: int) -> None:
        """The descriptor goes with the first byte; what the buffer does not take goes behind it."""
        assert self._control is not None
        sent = socket.send_fds(self._control, [data], [fd])
        if sent < len(data):
            await asyncio.get_running_loop().sock_sendall(self._control, data[sent:])

    def _received(self, message: Message) -> None:
        if "ready" in message:
            self._ready.set_result(message["ready"])
        elif "pid" in message and self._pid is not None and not self._pid.done():
            self._pid.set_result(message["pid"])
        elif "refused" in message and self._pid is not None and not self._pid.done():
            self._pid.set_exception(ProcessError(f"a process cannot be started: {message['refused']}"))
        elif "exited" in message:
            process = self._running.pop(message["exited"], None)
            if process is None:
                self._early[message["exited"]] = message["status"]
            else:
                process.exited(message["status"])

    def _lost(self) -> None:
        """The fork server ended: so do its children, and the next process is another server's."""
        self._is_lost = True
        error = ProcessError("the process that starts tasks has ended")
        for waiting in (self._ready, self._pid):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)
        for process in self._running.values():
            process.kill()
            process.exited(-signal.SIGKILL)
        self._running.clear()

    async def close(self) -> None:
        """Kills whatever is still there."""
        if self._server is not None:
            await self._end_server()

    async def _end_server(self) -> None:
        """It ends when its socket is closed, and kills what it made."""
        if self._control is not None:
            self._control.close()
        if self._link.transport is not None:
            self._link.transport.close()
        if self._server is not None:
            server, self._server = self._server, None
            await asyncio.get_running_loop().run_in_executor(None, _wait_or_kill, server)


def _wait_or_kill(server: subprocess.Popen[bytes]) -> None:
    try:
        server.wait(_SERVER_END_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
