"""A broker with small limits, plain sockets to misbehave with, and the proof that it does not mind."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.raw_client import frame, read_response, request_body
from tests.sample_requests import FETCH_DEFAULTS

from ottla.records.codec import Record, decode_batch, encode_batch

from .broker_process import BrokerProcess
from .clients import Clients

MIB = 1 << 20

SMALL_LIMITS = {
    "socket.request.max.bytes": str(4 * MIB),
    "ottla.request.max.bytes": str(MIB),
    "ottla.response.memory.max.bytes": str(16 * MIB),
    "ottla.request.memory.max.bytes": str(8 * MIB),
    "ottla.request.stalled.ms": "300",
    "ottla.response.buffer.max.bytes": str(MIB),
    "ottla.decompressed.batch.max.bytes": str(4 * MIB),
    "fetch.max.bytes": str(2 * MIB),
    "log.segment.bytes": str(16 * MIB),
}
RSS_SLACK_BYTES = 32 * MIB
"""What a broker may grow by over what its limits say: what the allocator keeps, caches, logs of the tests."""


class Target:
    """A broker under attack. `assert_unharmed` is what every test ends with."""

    def __init__(self, broker: BrokerProcess, clients: Clients) -> None:
        self.broker = broker
        self.clients = clients
        clients.create_topic("victim")
        self._produced = 0
        self._log_read = 0
        self._log_judged = 0
        self._produce_and_consume()
        self.rss_at_rest = self.rss_bytes()

    def rss_bytes(self) -> int:
        return self._status("VmRSS")

    def peak_rss_bytes(self) -> int:
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.broker.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) * 1024  # type: ignore[index]

    def reset_peak(self) -> None:
        """Start to measure the peak of resident memory anew."""
        Path(f"/proc/{self.broker.pid}/clear_refs").write_text("5")

    def connect(self, timeout_s: float = 10.0, receive_buffer_bytes: int | None = None) -> socket.socket:
        made = socket.socket()
        if receive_buffer_bytes is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        made.settimeout(timeout_s)
        made.connect(("127.0.0.1", self.broker.port))
        return made

    def refusals(self) -> int:
        """How many connections the log says were closed."""
        return self.broker.stderr.count("closed connection from")

    def new_log(self) -> str:
        """What was logged since the last call."""
        with (self.broker.folder / f"{self.broker.starts}.stderr").open() as log:
            log.seek(self._log_read)
            new = log.read()
            self._log_read = log.tell()
        return new

    def wait_for_refusals(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while self.refusals() < count:
            assert time.monotonic() < deadline, f"{self.refusals()} refusals, {count} are to be"
            time.sleep(0.01)

    def _produce_and_consume(self) -> None:
        value = b"record %d" % self._produced
        batch = encode_batch([Record(0, int(time.time() * 1000), b"key", value)])
        with self.connect() as connection:
            produced = produce(connection, batch)
            assert produced["error_code"] == 0, produced
            (record,) = decode_batch(fetch(connection, produced["base_offset"]), max_bytes=MIB)
        assert record.value == value
        self._produced += 1

    def assert_real_clients_work(self) -> None:
        """librdkafka produces, and reads all that was produced in the meantime."""
        self.clients.produce("victim", [(b"key", b"last")], acks="all")
        values = [message.value() for message in self.clients.read("victim")]
        assert values[-1] == b"last"
        assert len(values) > self._produced

    def assert_unharmed(self, grown_by_bytes: int = 0) -> None:
        """Others still produce and consume, memory is what it was, and nothing failed unexpectedly."""
        self._produce_and_consume()
        bound = self.rss_at_rest + grown_by_bytes + RSS_SLACK_BYTES
        deadline = time.monotonic() + 5
        while self.rss_bytes() >= bound and time.monotonic() < deadline:
            time.sleep(0.02)  # closed connections give their memory back when the broker has noticed
        assert self.rss_bytes() < bound, f"{self.rss_bytes()} bytes; at rest {self.rss_at_rest}"
        log, self._log_judged = self.broker.stderr[self._log_judged :], len(self.broker.stderr)
        assert "Traceback" not in log, log[-3000:]
        assert " ERROR " not in log, log[-3000:]


def receive_all(connection: socket.socket) -> bytes:
    """Everything until the broker closes; it must, within the socket's timeout."""
    parts = []
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionError("the broker closed the connection")
        parts += part
    return bytes(parts)


def call(connection: socket.socket, api_key: int, version: int, request: Mapping[str, Any]) -> dict[str, Any]:
    """One request, and its response."""
    connection.sendall(frame(request_body(api_key, version, 1, request)))
    (size,) = struct.unpack(">i", receive_exactly(connection, 4))
    return read_response(api_key, version, receive_exactly(connection, size))[1]


def produce(connection: socket.socket, records: bytes | None, topic: str = "victim") -> dict[str, Any]:
    """What the broker says to one batch for partition 0."""
    data = {"name": topic, "partition_data": [{"index": 0, "records": records}]}
    response = call(connection, 0, 8, {"acks": -1, "timeout_ms": 1000, "topic_data": [data]})
    return dict(response["responses"][0]["partition_responses"][0])


def fetch(connection: socket.socket, offset: int, topic: str = "victim") -> bytes:
    """The batches of partition 0 from an offset on."""
    asked = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": MIB}
    topics = [{"topic": topic, "partitions": [asked]}]
    response = call(connection, 1, 11, {**FETCH_DEFAULTS, "topics": topics})
    return bytes(response["responses"][0]["partitions"][0]["records"])
