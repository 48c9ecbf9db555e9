"""Requests made beforehand, over raw connections: the least client, so that a broker is what is measured."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import statistics
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import google_crc32c

from bench.load import TIMEOUT_S, Done, Task, values
from bench.processes import OwnCpu

API_VERSION = 9
_SIZE = struct.Struct(">i")
_RECEIVE_BYTES = 1 << 20
_BATCH_OVERHEAD, _RECORD_OVERHEAD = 61, 10
_FILLING = 4
"""Connections that fill a topic."""


def batch(values: Sequence[bytes]) -> bytes:
    """A batch of records with these values."""
    now_ms, count = int(time.time() * 1000), len(values)
    body = bytearray(struct.pack(">hiqqqhii", 0, count - 1, now_ms, now_ms, -1, -1, -1, count))
    for offset, value in enumerate(values):
        record = b"\0\0" + _zigzag(offset) + b"\x01" + _zigzag(len(value)) + value + b"\0"
        body += _zigzag(len(record)) + record
    return struct.pack(">qiibI", 0, len(body) + 9, -1, 2, google_crc32c.value(bytes(body))) + body


def _zigzag(value: int) -> bytes:
    return _uvarint(value << 1)


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def produce_request(topic: str, partition: int, record_bytes: int, records: int = 1) -> bytes:
    """A whole Produce v9 frame with one batch, acks 1."""
    data = batch(list(itertools.islice(itertools.cycle(values(record_bytes)), records)))
    name = topic.encode()
    body = (
        b"\0" + struct.pack(">hi", 1, 30_000) + b"\2" + _uvarint(len(name) + 1) + name
        + b"\2" + struct.pack(">i", partition) + _uvarint(len(data) + 1) + data + b"\0\0\0"
    )  # fmt: skip
    frame = struct.pack(">hhih", 0, API_VERSION, 7, 5) + b"bench" + b"\0" + body
    return _SIZE.pack(len(frame)) + frame


class _Client:
    """A connection that keeps `in_flight` requests going until `count` answers have come."""

    def __init__(self, address: str, requests: Sequence[bytes], count: int, in_flight: int) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests, self._in_flight = requests, in_flight
        self._unsent = self.left = count
        self._head, self._rest = b"", 0
        self.received = 0
        self.latencies_us: list[float] = []
        self._sent_at = 0.0

    def start(self) -> None:
        self._send(self._in_flight)

    def _send(self, number: int) -> None:
        requests, unsent = self._requests, self._unsent
        self._sent_at = time.perf_counter()
        for _ in range(min(number, unsent)):
            unsent -= 1
            self.socket.sendall(requests[unsent % len(requests)])
        self._unsent = unsent

    def receive(self, buffer: memoryview) -> None:
        """Take what has come, and send a request for each answer that is whole."""
        size = self.socket.recv_into(buffer)
        if not size:
            raise ConnectionError("the broker closed the connection")
        answers = self._answers(buffer[:size])
        if answers:
            if self._in_flight == 1:
                self.latencies_us.append((time.perf_counter() - self._sent_at) * 1e6)
            self.left -= answers
            self._send(answers)

    def _answers(self, data: memoryview) -> int:
        self.received += len(data)
        answers, position, end = 0, 0, len(data)
        while position < end:
            if not self._rest:
                head = self._head + data[position : position + 4 - len(self._head)]
                position += len(head) - len(self._head)
                if len(head) < 4:
                    self._head = head
                    break
                self._head, self._rest = b"", _SIZE.unpack(head)[0]
            step = min(self._rest, end - position)
            position += step
            self._rest -= step
            answers += not self._rest
        return answers


def _drive(clients: list[_Client]) -> None:
    buffer = memoryview(bytearray(_RECEIVE_BYTES))
    by_file = {client.socket.fileno(): client for client in clients}
    with select.epoll() as poll:
        for file in by_file:
            poll.register(file, select.EPOLLIN)
        for client in clients:
            client.start()
        left = len(clients)
        while left:
            ready = poll.poll(TIMEOUT_S)
            if not ready:
                raise RuntimeError("answers did not come")
            for file, _ in ready:
                client = by_file[file]
                client.receive(buffer)
                if not client.left:
                    left -= 1
                    poll.unregister(file)


@contextlib.contextmanager
def _connected(
    address: str, requests: Sequence[bytes], connections: int, count: int, in_flight: int
) -> Iterator[list[_Client]]:
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(connections):
            clients.append(_Client(address, requests, count // connections, in_flight))
            stack.enter_context(clients[-1].socket)
        yield clients


def drive(
    address: str, request: bytes, connections: int, count: int, *, in_flight: int = 1
) -> tuple[float, list[float]]:
    """Send the same request `count` times from this process; answers a second, and with one in flight their
    latencies in us."""
    with _connected(address, [request], connections, count, in_flight) as clients:
        began = time.perf_counter()
        _drive(clients)
        elapsed = time.perf_counter() - began
    return count / elapsed, [each for client in clients for each in client.latencies_us]


def send(
    task: Task,
    ready: Callable[[], object],
    _left: Any,
    *,
    requests: Sequence[bytes],
    connections: int,
    in_flight: int = 1,
) -> Done:
    """A client for `bench.load.together`: sends as many requests as the task has records, in turn; the
    records of `Done` are the bytes that came back."""
    with _connected(task.address, requests, connections, task.records, in_flight) as clients:
        ready()
        began, cpu = time.monotonic(), OwnCpu()
        _drive(clients)
        ended, used_s = time.monotonic(), cpu.used_s()
    return Done(began, ended, sum(client.received for client in clients), used_s)


def fill(address: str, topic: str, partitions: int, total_bytes: int, record_bytes: int) -> int:
    """Write so many bytes or a few more, in batches of 16 KB to all partitions; how many records."""
    records = batched(record_bytes)
    requests = [produce_request(topic, index, record_bytes, records) for index in range(partitions)]
    each = -(-total_bytes // (records * record_bytes * _FILLING))
    with _connected(address, requests, _FILLING, each * _FILLING, in_flight=2) as clients:
        _drive(clients)
    return each * _FILLING * records


def batched(record_bytes: int, batch_bytes: int = 16_384) -> int:
    """How many records of that size a batch holds; at least 1."""
    return max(1, (batch_bytes - _BATCH_OVERHEAD) // (record_bytes + _RECORD_OVERHEAD))


def requests_per_second(
    address: str, topic: str, *, connections: int = 16, count: int = 160_000, in_flight: int = 8
) -> float:
    """Answers a second to single-record produce requests of 100 bytes."""
    return drive(address, produce_request(topic, 0, 100), connections, count, in_flight=in_flight)[0]


def latency_us(address: str, topic: str, *, count: int = 5_000) -> tuple[float, float]:
    """Median and 99th percentile, in microseconds, of one produce request at a time on one connection."""
    _, samples = drive(address, produce_request(topic, 0, 100), 1, count)
    return statistics.median(samples), statistics.quantiles(samples, n=100)[98]
