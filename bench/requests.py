"""Single-record produce requests over raw connections: how many a second, and the latency of a single one."""

from __future__ import annotations

import asyncio
import statistics
import struct
import time
from collections.abc import Callable

import google_crc32c
import uvloop

API_VERSION = 9
_SIZE = struct.Struct(">i")


def _batch(value: bytes) -> bytes:
    record = b"\0" + b"\0" + b"\0" + b"\x01" + _zigzag(len(value)) + value + b"\0"
    payload = _zigzag(len(record)) + record
    now_ms = int(time.time() * 1000)
    body = struct.pack(">hiqqqhii", 0, 0, now_ms, now_ms, -1, -1, -1, 1) + payload
    return struct.pack(">qiibI", 0, len(body) + 9, -1, 2, google_crc32c.value(body)) + body


def _zigzag(value: int) -> bytes:
    return _uvarint(value << 1)


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def produce_request(topic: str, partition: int, record_bytes: int) -> bytes:
    """A whole Produce v9 frame with one record."""
    batch = _batch(b"x" * record_bytes)
    name = topic.encode()
    body = (
        b"\0" + struct.pack(">hi", 1, 30_000) + b"\2" + _uvarint(len(name) + 1) + name
        + b"\2" + struct.pack(">i", partition) + _uvarint(len(batch) + 1) + batch + b"\0\0\0"
    )  # fmt: skip
    frame = struct.pack(">hhih", 0, API_VERSION, 7, 5) + b"bench" + b"\0" + body
    return _SIZE.pack(len(frame)) + frame


class _Client(asyncio.Protocol):
    """Keeps `in_flight` requests going until `count` answers have come."""

    def __init__(self, request: bytes, count: int, in_flight: int, done: Callable[[], None]) -> None:
        self._request, self._left, self._in_flight, self._done = request, count, in_flight, done
        self._unsent = count
        self._buffer = b""
        self.latencies_us: list[float] = []
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def start(self) -> None:
        self._send(self._in_flight)

    def _send(self, number: int) -> None:
        number = min(number, self._unsent)
        self._unsent -= number
        self._sent_at = time.perf_counter()
        if number:
            self.transport.write(self._request * number)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        position, answers = 0, 0
        while len(data) - position >= 4:
            size = _SIZE.unpack_from(data, position)[0] + 4
            if len(data) - position < size:
                break
            position += size
            answers += 1
        self._buffer = data[position:]
        self._left -= answers
        if self._in_flight == 1 and answers:
            self.latencies_us.append((time.perf_counter() - self._sent_at) * 1e6)
        if self._left <= 0:
            self._done()
        else:
            self._send(answers)


async def _run(
    address: str, request: bytes, connections: int, count: int, in_flight: int
) -> tuple[float, list[float]]:
    loop = asyncio.get_running_loop()
    host, port = address.rsplit(":", 1)
    open_clients = connections
    finished = loop.create_future()

    def one_done() -> None:
        nonlocal open_clients
        open_clients -= 1
        if not open_clients and not finished.done():
            finished.set_result(None)

    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: _Client(request, count // connections, in_flight, one_done), host, int(port)
        )
        clients.append(client)
    began = time.perf_counter()
    for client in clients:
        client.start()
    await asyncio.wait_for(finished, 120)
    elapsed = time.perf_counter() - began
    for client in clients:
        client.transport.abort()
    return count / elapsed, [each for client in clients for each in client.latencies_us]


def drive(
    address: str, request: bytes, connections: int, count: int, *, in_flight: int = 1
) -> tuple[float, list[float]]:
    """Send the same request `count` times; answers a second, and with one in flight their latencies in us."""
    return uvloop.run(_run(address, request, connections, count, in_flight))


def requests_per_second(
    address: str, topic: str, *, connections: int = 16, count: int = 160_000, in_flight: int = 8
) -> float:
    """Answers a second to single-record produce requests of 100 bytes."""
    return drive(address, produce_request(topic, 0, 100), connections, count, in_flight=in_flight)[0]


def latency_us(address: str, topic: str, *, count: int = 5_000) -> tuple[float, float]:
    """Median and 99th percentile, in microseconds, of one produce request at a time on one connection."""
    _, samples = drive(address, produce_request(topic, 0, 100), 1, count)
    return statistics.median(samples), statistics.quantiles(samples, n=100)[98]
