"""A connection without a network: a transport that remembers, and a router that answers as told."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ottla.network.connection import Connection, Shared
from ottla.network.memory import ConnectionLimits, RequestMemory, UnsentOutput
from ottla.network.output import Outbox
from ottla.network.session import Session
from ottla.protocol.errors import KafkaError, MalformedRequest

API = 3
PIPELINED_API = 0


class FakeTransport(asyncio.Transport):
    """What a connection tells its transport."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 4711)})
        self.written: list[bytes] = []
        self.reading = True
        self.aborted = False
        self.closing = False
        self.unsent_bytes = 0

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.written.append(b"".join(list_of_data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing or self.aborted

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True


class FakeRouter:
    """Answers a request with its own bytes, or with what was planned for it.

    A request's body says which one it is; `planned` maps it to a frame, a future, None or an exception.
    """

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.planned: dict[bytes, Any] = {}
        self.limits: dict[int, int] = {}
        self.least_frame_limit = 0

    def frame_limit(self, api_key: int, general_limit: int) -> int:
        return min(self.limits.get(api_key, general_limit), general_limit)

    def refuse(self, session: Session, frame: memoryview, error: KafkaError) -> bytes:
        return str(error).encode()

    def dispatch(self, session: Session, frame: memoryview) -> tuple[Any, bool]:
        assert (session.peer_host, session.listener) == ("192.0.2.1", "PLAINTEXT")
        (api_key,) = struct.unpack_from(">h", frame)
        body = bytes(frame[8:])
        self.received.append(body)
        outcome = self.planned.get(body, body)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome, api_key == PIPELINED_API


class Wire:
    """One connection, its transport and its router."""

    def __init__(
        self,
        *,
        frame_max_bytes: int = 1 << 30,
        in_flight_max: int = 100,
        memory: RequestMemory | None = None,
        receive_buffer_bytes: int = 64 * 1024,
        refusal: str | None = None,
    ) -> None:
        self.router = FakeRouter()
        self.memory = memory or RequestMemory(1 << 30)
        self.unsent = UnsentOutput(1 << 20)
        limits = ConnectionLimits(
            frame_max_bytes=frame_max_bytes,
            requests_in_flight_max=in_flight_max,
            response_buffer_max_bytes=1000,
        )
        self.shared = Shared(
            self.router, limits, self.memory, self.unsent, receive_buffer_bytes, ThreadPoolExecutor(1)
        )
        self._scheduled: list[Callable[[], None]] = []
        self.shared.outbox = Outbox(self._scheduled.append)
        self.transport = FakeTransport()
        self.connection = Connection(self.shared, "PLAINTEXT", lambda _connection: refusal)
        self.connection.connection_made(self.transport)

    @property
    def written(self) -> list[bytes]:
        """All that was written, also at the end of this turn of the loop."""
        while self._scheduled:
            self._scheduled.pop()()
        return self.transport.written

    def receive(self, data: bytes) -> int:
        """Bring data in as a loop does, as long as the connection reads; gives how much it took.

        The view stays alive over `buffer_updated`, as it does in asyncio and in uvloop.
        """
        position = 0
        while position < len(data) and self.transport.reading and not self.transport.is_closing():
            buffer = self.connection.get_buffer(-1)
            assert len(buffer) > 0
            size = min(len(buffer), len(data) - position)
            buffer[:size] = data[position : position + size]
            self.connection.buffer_updated(size)
            position += size
            del buffer
        return position

    def lose(self) -> None:
        self.connection.connection_lost(None)


def request(body: bytes, api_key: int = API) -> bytes:
    """A frame that FakeRouter understands."""
    return struct.pack(">ihhi", len(body) + 8, api_key, 0, 0) + body


malformed = MalformedRequest("this is malformed")
