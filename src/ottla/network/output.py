"""Answers on their way out: those of one turn of the event loop together, large ones from their files.

An answer that is written at once wakes its reader, which sleeps again by the time the next connection's is
written. Written together at the end of the turn they cost one wake-up for many: half as many requests a
second again over 64 connections of one client. A connection alone waits for nothing.

A fetch of many megabytes is never in memory as a whole: sendfile hands the kernel's pages of the file to the
socket. Against reading into one buffer that was used again and again it takes a third less CPU. It cannot be
used under TLS. What the page cache lacks is brought there by a thread first: sendfile would wait for the
disk, and everybody with it.
"""

from __future__ import annotations

import asyncio
import os  # noqa: TID251 - of a descriptor that it is given
import socket  # noqa: TID251 - likewise
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Protocol, TypeAlias

from ottla.storage.fs import Source

Piece: TypeAlias = bytes | memoryview | Source
"""A part of an answer, in memory or wherever its source has it: in a file, say."""

Frame: TypeAlias = bytes | list[Piece]
"""A whole encoded response, in one piece, or in pieces of which some may still be in files."""

CONNECTIONS_TOGETHER = 32
"""As many wait for each other at most."""
TURN_BYTES = 2 * 1024 * 1024
"""After as many others get their turn of the event loop."""
_PACE_BYTES = 128 * 1024
_MORE_FOLLOWS = getattr(socket, "MSG_MORE", 0)
"""Keeps the few bytes before records from a packet of their own."""


class Sender(Protocol):
    """A connection with answers to write."""

    def flush_output(self) -> None:
        """Hand them to the transport."""


def _at_end_of_turn(callback: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(callback)


class Outbox:
    """The connections that have answers to write."""

    __slots__ = ("_is_scheduled", "_schedule", "_senders")

    def __init__(self, schedule: Callable[[Callable[[], None]], None] = _at_end_of_turn) -> None:
        self._schedule = schedule
        self._senders: list[Sender] = []
        self._is_scheduled = False

    def add(self, sender: Sender) -> None:
        """It has an answer to write, and had none before."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._schedule(self._end_turn)
        elif len(self._senders) >= CONNECTIONS_TOGETHER:
            self._flush()
        self._senders.append(sender)

    def _end_turn(self) -> None:
        self._is_scheduled = False
        self._flush()

    def _flush(self) -> None:
        senders, self._senders = self._senders, []
        for sender in senders:
            sender.flush_output()


def in_memory(pieces: Iterable[Piece]) -> list[bytes | memoryview]:
    """The pieces read now, for a transport that cannot be passed by. Raises OSError."""
    return [piece if isinstance(piece, bytes | memoryview) else bytes(piece) for piece in pieces]


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """With one piece of memory between files: of thousands of partitions most have nothing but a head."""
    memory: list[bytes | memoryview] = []
    for piece in pieces:
        if isinstance(piece, bytes | memoryview):
            memory.append(piece)
        else:
            yield b"".join(memory)
            memory.clear()
            yield piece
    yield b"".join(memory)


class StreamedOutput:
    """Sends over a plain socket beside its transport, which must have nothing to send meanwhile."""

    __slots__ = (
        "_at_hand",
        "_failed",
        "_finished",
        "_is_late",
        "_is_waiting",
        "_loading",
        "_pieces",
        "_reader",
        "_sent",
        "_socket",
        "unsent_bytes",
    )

    def __init__(
        self,
        descriptor: int,
        finished: Callable[[], None],
        failed: Callable[[OSError], None],
        reader: Executor,
    ) -> None:
        """`finished` is called when all was sent after a wait, `failed` once when it cannot be. `reader` has
        the threads that wait for the disk.
        """
        if descriptor >= 0:
            # Its own descriptor, as the event loop watches one for one purpose.
            self._socket = socket.socket(fileno=os.dup(descriptor))
            self._socket.setblocking(False)
        self._finished = finished
        self._failed = failed
        self._pieces: deque[Piece] = deque()
        self._reader = reader
        self._sent = 0  # of the first piece
        self._at_hand = 0  # of it, when it is in a file: up to here it is in the page cache
        self._is_waiting = False  # for the client to take more
        self._loading: asyncio.Future[None] | None = None
        self._is_late = False  # `finished` is to be called
        self.unsent_bytes = 0

    @property
    def is_busy(self) -> bool:
        """Something is left to be sent."""
        return bool(self._pieces)

    def send(self, pieces: Sequence[Piece]) -> None:
        """Send them, after what is still to be sent."""
        for piece in _joined(pieces):
            if len(piece):
                self._pieces.append(piece)
                self.unsent_bytes += len(piece)
        if not self._is_waiting and self._loading is None:
            self._go_on()

    def close(self) -> None:
        """Drop what is left."""
        self._stop_waiting()
        if self._loading is not None:
            self._loading.cancel()
        self._pieces.clear()
        self.unsent_bytes = 0
        self._close_socket()

    def _close_socket(self) -> None:
        self._socket.close()

    def _go_on(self) -> None:
        left = TURN_BYTES
        try:
            while self._pieces and left > 0:
                if not self._is_first_at_hand():
                    return
                wanted, sent = self._send_first(left)
                self._drop(sent)
                left -= sent
                if sent < wanted:
                    break
        except BlockingIOError:
            pass
        except OSError as error:
            self.close()
            self._failed(error)
            return
        if self._pieces:
            if not self._is_waiting:
                self._is_waiting = self._is_late = True
                self._wait()
            return
        self._stop_waiting()
        if self._is_late:
            self._is_late = False
            self._finished()

    def resume(self) -> None:
        """The transport has little left to send."""

    def _wait(self) -> None:
        """Have `_go_on` called when more can be sent."""
        asyncio.get_running_loop().add_writer(self._socket.fileno(), self._go_on)

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            asyncio.get_running_loop().remove_writer(self._socket.fileno())

    def _is_first_at_hand(self) -> bool:
        """Whether what comes next can be sent without waiting for the disk. If not, a thread reads it."""
        first, start = self._pieces[0], self._sent
        if isinstance(first, bytes | memoryview) or start < self._at_hand:
            return True
        size = min(len(first) - start, TURN_BYTES)
        if first.is_at_hand(start, size):
            self._at_hand = start + size
            return True
        self._stop_waiting()
        self._is_late = True
        self._loading = asyncio.get_running_loop().run_in_executor(self._reader, first.load, start, size)
        self._loading.add_done_callback(lambda done: self._loaded(done, start + size))
        return False

    def _loaded(self, done: asyncio.Future[None], end: int) -> None:
        """The first piece is in the page cache up to `end`, unless it could not be read."""
        self._loading = None
        if not done.cancelled():
            done.exception()  # which the sending meets again
            self._at_hand = end
            self._go_on()

    def _send_first(self, most: int) -> tuple[int, int]:
        """How many bytes of the first piece were tried, and sent; raises OSError."""
        pieces, start = self._pieces, self._sent
        first = pieces[0]
        if isinstance(first, bytes | memoryview):
            left = memoryview(first)[start:]
            return len(left), self._socket.send(left, _MORE_FOLLOWS if len(pieces) > 1 else 0)
        wanted = min(self._at_hand - start, most)
        return wanted, first.send_to(self._socket.fileno(), start, wanted)

    def _drop(self, sent: int) -> None:
        """Forget what was sent."""
        self.unsent_bytes -= sent
        sent += self._sent
        while self._pieces and sent >= len(self._pieces[0]):
            sent -= len(self._pieces.popleft())
            self._at_hand = 0
        self._sent = sent


class PacedOutput(StreamedOutput):
    """Sends through the transport, which is no plain socket: piece by piece, so that neither what is still in
    files nor what is encrypted of it is in memory as a whole.
    """

    __slots__ = ("_high", "_transport")

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        high: int,
        finished: Callable[[], None],
        failed: Callable[[OSError], None],
        reader: Executor,
    ) -> None:
        """`high` is the transport's limit of unsent bytes, above which it tells when it has sent them."""
        super().__init__(-1, finished, failed, reader)
        self._transport = transport
        self._high = high

    def resume(self) -> None:
        """The transport has little left to send."""
        if self._is_waiting and self._transport.get_write_buffer_size() <= self._high:
            self._is_waiting = False
            self._go_on()

    def _wait(self) -> None:
        if self._transport.get_write_buffer_size() <= self._high:  # it is only others' turn
            asyncio.get_running_loop().call_soon(self.resume)

    def _stop_waiting(self) -> None:
        self._is_waiting = False

    def _close_socket(self) -> None:
        """There is none."""

    def _send_first(self, most: int) -> tuple[int, int]:
        if self._transport.get_write_buffer_size() > self._high:
            raise BlockingIOError
        first, start = self._pieces[0], self._sent
        wanted = min(len(first) - start, most, _PACE_BYTES)
        if isinstance(first, bytes | memoryview):
            self._transport.write(memoryview(first)[start : start + wanted])
        else:
            wanted = min(wanted, self._at_hand - start)
            self._transport.write(first.read(start, wanted))
        return wanted, wanted


def streamed_output(
    transport: asyncio.Transport,
    high: int,
    finished: Callable[[], None],
    failed: Callable[[OSError], None],
    reader: Executor,
) -> StreamedOutput:
    """Beside the transport of a plain socket; through any other, which nobody may pass by (TLS)."""
    plain = transport.get_extra_info("socket")
    if plain is None or transport.get_extra_info("sslcontext") is not None:
        return PacedOutput(transport, high, finished, failed, reader)
    return StreamedOutput(plain.fileno(), finished, failed, reader)
