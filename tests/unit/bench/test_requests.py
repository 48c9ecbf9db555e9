"""The raw client sends what it was asked to, and counts answers however they come."""

from __future__ import annotations

import functools
import itertools
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from bench import requests
from bench.load import Task, together

from ottla.records.batch import parse_header


class _Server(threading.Thread):
    """Answers every request of one connection with a frame, sent in pieces."""

    def __init__(self, answer: bytes, piece: int) -> None:
        super().__init__(daemon=True)
        self._answer, self._piece = answer, piece
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.got: list[bytes] = []

    def run(self) -> None:
        client, _ = self._listener.accept()
        with client, client.makefile("rb") as stream:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while head := stream.read(4):
                self.got.append(stream.read(struct.unpack(">i", head)[0]))
                for start in range(0, len(self._answer), self._piece):
                    client.sendall(self._answer[start : start + self._piece])

    def close(self) -> None:
        self.join(10)
        self._listener.close()


@pytest.fixture(params=[1, 3, 7, 1000])
def server(request: pytest.FixtureRequest) -> Iterator[_Server]:
    found = _Server(struct.pack(">i", 20) + b"a" * 20, request.param)
    found.start()
    yield found
    found.close()


def _frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


@pytest.mark.parametrize("in_flight", [1, 5])
def test_every_request_is_sent_once_and_answered(server: _Server, in_flight: int) -> None:
    rate, latencies = requests.drive(server.address, _frame(b"hello"), 1, 50, in_flight=in_flight)
    server.close()
    assert server.got == [b"hello"] * 50
    assert rate > 0
    assert len(latencies) == (50 if in_flight == 1 else 0)


def test_client_process_sends_its_requests_in_turn_and_counts_bytes(server: _Server) -> None:
    frames = [_frame(b"one"), _frame(b"two"), _frame(b"three")]
    job = functools.partial(requests.send, requests=frames, connections=1)
    done = together((job, Task(server.address, "t", 1, 6)))
    server.close()
    assert sorted(server.got) == [b"one", b"one", b"three", b"three", b"two", b"two"]
    assert done.records == 6 * 24
    assert done.elapsed_s > 0
    assert done.row().keys() == {"client cores", "client thread"}


def test_closed_connection_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            listener.accept()[0].close()

        closing = threading.Thread(target=accept)
        closing.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConnectionError):
            requests.drive(address, _frame(b"hello"), 1, 10)
        closing.join(10)


def test_batch_holds_its_records() -> None:
    header = parse_header(bytes(requests.batch([b"a" * 100, b"b" * 100, b"c"])))
    assert (header.record_count, header.last_offset_delta) == (3, 2)


@pytest.mark.parametrize("record_bytes", [100, 1024, 10_240, 50_000])
def test_batches_are_as_large_as_a_client_makes_them(record_bytes: int) -> None:
    values = itertools.repeat(b"x" * record_bytes, requests.batched(record_bytes))
    size = len(requests.batch(list(values)))
    assert size <= 16_384 or requests.batched(record_bytes) == 1
    assert size > 16_384 - 2 * record_bytes
