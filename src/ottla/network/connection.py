"""One client connection: bytes in, frames to the router, responses out in request order.

The receive buffer is shared by all connections of the loop: a read callback consumes what it got before it
returns, and only a frame that has not arrived whole gets memory of its own, grown as its bytes come in. So an
idle connection costs no buffer, and a size that a client claims costs nothing until it is sent.

A request is handled before the next one of its connection is looked at, as in Kafka, except that the second
stage of a pipelined API (a produce waiting for its durability) lets the next requests go on.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

from ottla.network.dispatcher import SMALLEST_REQUEST, Dispatcher, guess
from ottla.network.memory import ConnectionLimits, RequestMemory, UnsentOutput, keep_freed_memory
from ottla.network.output import Frame, Outbox, Piece, StreamedOutput, in_memory, streamed_output
from ottla.network.session import Session
from ottla.protocol.errors import KafkaError, MalformedRequest
from ottla.security.principal import ANONYMOUS

log = logging.getLogger(__name__)

_SIZE: Final = struct.Struct(">i")
_PREFIX: Final = struct.Struct(">ih")
_PREFIX_BYTES: Final = 8
"""Frame size, API key and version: what decides whether a frame may come in."""
_FIRST_GRANT_BYTES: Final = 64 * 1024
_ANSWERS_TOGETHER: Final = 64
_SMALL_ANSWER_BYTES: Final = 16 * 1024
_GENEROUS_GRANT_BYTES: Final = 1024 * 1024
"""Most frames fit, and need not be moved as they grow."""


class Shared:
    """What the connections of one server have in common."""

    __slots__ = (
        "connections",
        "limits",
        "memory",
        "outbox",
        "reader",
        "receive_buffer",
        "received",
        "router",
        "unsent",
    )

    def __init__(
        self,
        router: Dispatcher,
        limits: ConnectionLimits,
        memory: RequestMemory,
        unsent: UnsentOutput,
        receive_buffer_bytes: int,
        reader: Executor,
    ) -> None:
        """`reader` has the threads that wait for the disk while an answer is sent from a file."""
        self.router = router
        self.limits = limits
        self.memory = memory
        self.unsent = unsent
        self.reader = reader
        self.receive_buffer = memoryview(bytearray(receive_buffer_bytes))
        self.received = self.receive_buffer.toreadonly()
        self.outbox = Outbox()
        self.connections: dict[Connection, None] = {}  # in the order in which they came


class _Answer:
    """A place in the queue of responses."""

    __slots__ = ("frame", "pending")

    def __init__(self, pending: asyncio.Future[Any]) -> None:
        self.pending: asyncio.Future[Any] | None = pending
        self.frame: Frame | None = None


class Connection(asyncio.BufferedProtocol):
    """The protocol object of one accepted socket."""

    __slots__ = (
        "_acceptable_bytes",
        "_admit",
        "_answers",
        "_authenticate",
        "_backlog",
        "_filled",
        "_frame",
        "_is_refused",
        "_leave",
        "_mute_timer",
        "_muted_until_s",
        "_need",
        "_output",
        "_reserved",
        "_router",
        "_serial",
        "_shared",
        "_smallest_frame",
        "_streamed",
        "_transport",
        "_waits_for_memory",
        "_writable",
        "active",
        "peer_host",
        "quiet_rounds",
        "request_rounds",
        "session",
        "unsent_bytes_before",
    )

    def __init__(
        self,
        shared: Shared,
        listener: str,
        admit: Callable[[Connection], str | None],
        authenticate: Callable[[Connection], Callable[[], None]] | None = None,
    ) -> None:
        """`listener` is the name of the one that it came to; `admit` says why it may not stay. `authenticate`
        has requests routed to whoever finds out who the client is; what it gives is called at the end.
        """
        self._admit = admit
        self._authenticate = authenticate
        self._leave: Callable[[], None] | None = None
        self.session = Session(ANONYMOUS, listener, "")
        self._shared = shared
        if authenticate is None:
            self.route_to(shared.router)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._frame: bytearray | None = None
        self._filled = 0
        self._need = 0
        self._reserved = 0
        self._waits_for_memory = False
        self._backlog: memoryview | None = None
        self._output: list[bytes] = []
        self._answers: deque[_Answer] = deque()
        self._serial = False
        self._writable = True
        self._is_refused = False
        self._mute_timer: asyncio.TimerHandle | None = None
        self._muted_until_s = 0.0
        self.session.mute = self.mute
        self._streamed: StreamedOutput | None = None
        # What the server's sweeps remember of this connection.
        self.active = True
        self.quiet_rounds = 0
        self.request_rounds = 0
        self.unsent_bytes_before = 0
        self.peer_host = ""

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        if peer:
            self.peer_host = self.session.peer_host = peer[0]
            self.session.peer_port = peer[1]
        self._transport.set_write_buffer_limits(high=self._shared.limits.response_buffer_max_bytes)
        self._shared.connections[self] = None
        refusal = self._admit(self)
        if refusal is not None:
            self.refuse(refusal)
        elif self._authenticate is not None:
            try:
                self._leave = self._authenticate(self)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody is let in over it
                self.refuse(f"nobody can find out who it is: {error}")

    def route_to(self, router: Dispatcher, smallest_frame: int = SMALLEST_REQUEST) -> None:
        """Have the requests that come from now on handled by another, who may take smaller ones."""
        self._router = router
        self._acceptable_bytes = min(self._shared.limits.frame_max_bytes, router.least_frame_limit)
        self._smallest_frame = smallest_frame

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._leave is not None:
            self._leave()
        self._shared.connections.pop(self, None)
        self._shared.unsent.discard(self)
        self._release_frame()
        self._backlog = None
        self._output = []
        for answer in self._answers:
            # A waiting fetch is dropped; a task goes on: what it changes is not the client's to stop.
            if answer.pending is not None and not isinstance(answer.pending, asyncio.Task):
                answer.pending.cancel()
        self._answers.clear()
        self._serial = True
        if self._mute_timer is not None:
            self._mute_timer.cancel()
            self._mute_timer = None
        if self._streamed is not None:
            self._streamed.close()
            self._streamed = None

    def get_buffer(self, _sizehint: int) -> memoryview:
        if self._frame is None:
            return self._shared.receive_buffer
        if self._reserved > len(self._frame):
            # Not before: in `buffer_updated` the loop still holds the last view, and the frame cannot move.
            self._frame.extend(bytes(self._reserved - len(self._frame)))
        return memoryview(self._frame)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self.active = True
        if self._frame is None:
            self._consume(self._shared.received[:nbytes])
            return
        self._filled += nbytes
        if self._filled < self._need:
            self._ask_for_room()
            return
        whole = memoryview(self._frame).toreadonly()
        self._release_frame()
        self._consume(whole)
        # Others do not wait for the next one as large.
        self.flush_output()

    def eof_received(self) -> bool:
        self.flush_output()
        return False

    def pause_writing(self) -> None:
        self._writable = False
        self._shared.unsent.add(self)

    def resume_writing(self) -> None:
        self._writable = True
        self._shared.unsent.discard(self)
        if self._streamed is not None:
            self._streamed.resume()
        self._go_on()

    # -- frames in

    def _consume(self, data: memoryview) -> None:
        """Handle every whole frame in `data` and keep the rest."""
        position, end = 0, len(data)
        while position < end:
            if self._must_wait():
                self._backlog = memoryview(bytes(data[position:]))
                self._transport.pause_reading()
                return
            size: int
            api_key: int
            if end - position < _PREFIX_BYTES:
                if end - position >= 4:
                    (size,) = _SIZE.unpack_from(data, position)
                    if size < self._smallest_frame:
                        self.refuse(f"a frame of {size} bytes{guess(size)}")
                        return
                    if 4 + size <= end - position:
                        if not self._handle(data[position + 4 : position + 4 + size]):
                            return
                        position += 4 + size
                        continue
                    self._begin(data[position:], min(_PREFIX_BYTES, 4 + size))
                    return
                self._begin(data[position:], 4 if self._smallest_frame < 4 else _PREFIX_BYTES)
                return
            size, api_key = _PREFIX.unpack_from(data, position)
            if not self._acceptable(size, api_key):
                return
            next_position = position + 4 + size
            if next_position > end:
                self._begin(data[position:], 4 + size)
                return
            if not self._handle(data[position + 4 : next_position]):
                return
            position = next_position

    def _must_wait(self) -> bool:
        return (
            self._serial
            or not self._writable
            or self._mute_timer is not None
            or (self._streamed is not None and self._streamed.is_busy)
            or len(self._answers) >= self._shared.limits.requests_in_flight_max
        )

    def _acceptable(self, size: int, api_key: int) -> bool:
        if self._smallest_frame <= size <= self._acceptable_bytes:
            return True
        limit = self._router.frame_limit(api_key, self._shared.limits.frame_max_bytes)
        if self._smallest_frame <= size <= limit:
            return True
        self.refuse(f"a frame of {size} bytes for API {api_key} (limit {limit}){guess(size)}")
        return False

    def _begin(self, data: memoryview, need: int) -> None:
        """Keep the start of a frame that has not come in whole."""
        if need > len(self._shared.receive_buffer):
            keep_freed_memory()
        memory = self._shared.memory
        grant = _GENEROUS_GRANT_BYTES if memory.is_plentiful else _FIRST_GRANT_BYTES
        frame = bytearray(min(need, max(grant, len(data))))
        frame[: len(data)] = data
        self._frame, self._filled, self._need, self._reserved = frame, len(data), need, len(frame)
        memory.take_first(len(frame))
        self._ask_for_room()

    def _ask_for_room(self) -> None:
        """When what there is of the frame is full: room for as much again."""
        if self._filled < self._reserved:
            return
        more = min(self._need, 2 * self._reserved) - self._reserved
        self._waits_for_memory = not self._shared.memory.take(self, more)
        self._reserved += more
        if self._waits_for_memory:
            self._transport.pause_reading()

    def memory_granted(self) -> None:
        """The request memory has room again."""
        self._waits_for_memory = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _release_frame(self) -> None:
        if self._frame is not None:
            waits, self._waits_for_memory = self._waits_for_memory, False
            given = len(self._frame) if waits else self._reserved
            self._frame, self._filled, self._need, self._reserved = None, 0, 0, 0
            self.request_rounds = 0
            self._shared.memory.give_back(self, given)

    def _handle(self, request: memoryview) -> bool:
        """Route one request; False when the connection was closed over it."""
        try:
            outcome, pipelined = self._router.dispatch(self.session, request)
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this connection alone
            self._fail(error)
            return False
        if outcome is None:
            return True
        if type(outcome) is bytes and not self._answers:
            self._send(outcome)
        elif isinstance(outcome, asyncio.Future):
            answer = _Answer(outcome)
            self._answers.append(answer)
            self._serial = not pipelined
            outcome.add_done_callback(lambda done: self._answered(answer, done, pipelined))
        elif self._answers:
            answer = _Answer(outcome)  # type: ignore[arg-type]
            answer.pending, answer.frame = None, outcome
            self._answers.append(answer)
        else:
            self._send(outcome)
        return True

    def mute(self, wait_ms: int) -> None:
        """Handle no more requests for so long: the client has taken more than it may (KIP-219)."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_ms / 1000
        if until_s <= self._muted_until_s:
            return
        self._muted_until_s = until_s
        if self._mute_timer is not None:
            self._mute_timer.cancel()
        self._mute_timer = loop.call_at(until_s, self._unmute)

    def _unmute(self) -> None:
        self._mute_timer = None
        self._go_on()

    def refuse(self, why: str) -> None:
        """Close over bad input, with one line in the log: it is still here until the turn's end."""
        if self._is_refused:
            return
        self._is_refused = True
        log.warning("closed connection from %s: %s", self.peer_host, why)
        self.flush_output()
        self._transport.abort()
        self._serial = True

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, MalformedRequest | KafkaError | OSError):
            log.error("a request from %s failed", self.peer_host, exc_info=error)
        self.refuse(str(error))

    def close(self) -> None:
        """Close after what is written has been sent, but for records on their way from a file."""
        self._serial = True
        self.flush_output()
        self._transport.close()

    # -- responses out

    def _answered(self, answer: _Answer, done: asyncio.Future[Any], pipelined: bool) -> None:
        answer.pending = None
        if done.cancelled() or self._transport.is_closing():
            return
        error = done.exception()
        if error is not None:
            self._fail(error)
            return
        answer.frame = done.result()
        while self._answers and self._answers[0].pending is None:
            frame = self._answers.popleft().frame
            if frame is not None:
                self._send(frame)
        if not pipelined:
            self._serial = False
        self._go_on()

    def _send(self, frame: Frame) -> None:
        if isinstance(frame, list):
            self._stream(frame)
        elif self._streamed is not None and self._streamed.is_busy:
            self._streamed.send((frame,))
        else:
            output = self._output
            if not output:
                self._shared.outbox.add(self)
            output.append(frame)
            if len(output) >= _ANSWERS_TOGETHER or len(frame) > _SMALL_ANSWER_BYTES:
                self.flush_output()

    def _stream(self, frame: list[Piece]) -> None:
        """Send records from their files, behind the answers that are not written yet."""
        streamed = self._streamed
        if streamed is None:
            high, reader = self._shared.limits.response_buffer_max_bytes, self._shared.reader
            streamed = streamed_output(self._transport, high, self._go_on, self._stream_failed, reader)
            self._streamed = streamed
        if self._transport.get_write_buffer_size() and type(streamed) is StreamedOutput:
            # Not past what the transport has: then in memory, within the bound on unsent output.
            self.flush_output()
            try:
                self._transport.writelines(in_memory(frame))
            except OSError as error:
                self._stream_failed(error)
            return
        if self._output:
            frame = [*self._output, *frame]
            self._output = []
        streamed.send(frame)

    def _stream_failed(self, error: OSError) -> None:
        if isinstance(error, ConnectionError):
            self._transport.abort()
        else:
            self.refuse(f"cannot send records: {error}")

    def flush_output(self) -> None:
        """Write the answers that were held back until the end of the turn, with one system call."""
        output = self._output
        if output:
            self._output = []
            self._transport.write(output[0] if len(output) == 1 else b"".join(output))

    def _go_on(self) -> None:
        """Take up the frames that had to wait."""
        if self._backlog is None or self._must_wait() or self._transport.is_closing():
            return
        backlog, self._backlog = self._backlog, None
        self._consume(backlog)
        if not self._is_held_up() and not self._transport.is_closing():
            self._transport.resume_reading()

    def _is_held_up(self) -> bool:
        # Not within `_go_on`, where the compiler holds what `_consume` may have set to be None still.
        return self._backlog is not None or self._waits_for_memory

    @property
    def listener(self) -> str:
        """The name of the listener that it came to."""
        return self.session.listener

    @property
    def is_muted(self) -> bool:
        return self._mute_timer is not None

    @property
    def idle(self) -> bool:
        """Nothing outstanding and nothing half received."""
        return not self._answers and self._frame is None and self._backlog is None

    @property
    def half_received(self) -> bool:
        """A request has begun to come in, and nothing of ours keeps it from going on."""
        return self._frame is not None and not self._waits_for_memory

    @property
    def unsent_bytes(self) -> int:
        """Output that the client has not taken yet."""
        streamed = self._streamed.unsent_bytes if self._streamed is not None else 0
        return streamed + self._transport.get_write_buffer_size()
