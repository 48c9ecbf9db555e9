"""A few requests by hand, over one blocking connection: what no client library lets us time on its own.

Versions are the oldest that both brokers serve and that have no tagged fields, so that a frame is a handful
of struct calls. Bodies follow Kafka's message schemas.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from typing import Any, Self

PRODUCE, FETCH, LIST_OFFSETS, METADATA, JOIN_GROUP, SYNC_GROUP = 0, 1, 2, 3, 11, 14
_I16, _I32 = struct.Struct(">h"), struct.Struct(">i")
_POLL_S = 0.005


class RefusedError(Exception):
    """The broker answered with an error code."""


def string(value: str) -> bytes:
    """A STRING."""
    data = value.encode()
    return _I16.pack(len(data)) + data


def frame(api_key: int, version: int, body: bytes, correlation_id: int = 7) -> bytes:
    """A request with header version 1."""
    request = struct.pack(">hhi", api_key, version, correlation_id) + string("bench") + body
    return _I32.pack(len(request)) + request


class Reader:
    """Reads the fields of a response in their order."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def take(self, layout: str) -> tuple[Any, ...]:
        """The next fields, by a struct layout without its byte order."""
        values = struct.unpack_from(">" + layout, self._data, self._position)
        self._position += struct.calcsize(">" + layout)
        return values

    def one(self, layout: str) -> Any:
        """The next field."""
        return self.take(layout)[0]

    def sized(self, layout: str = "h") -> bytes:
        """A STRING or BYTES."""
        size = max(0, self.one(layout))
        self._position += size
        return self._data[self._position - size : self._position]

    def array(self) -> range:
        """As many turns as the array that begins here has elements."""
        return range(self.one("i"))


class Connection:
    """One request at a time."""

    def __init__(self, address: str, *, timeout_s: float = 60) -> None:
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, api_key: int, version: int, body: bytes) -> None:
        """Send without waiting for the answer."""
        self._socket.sendall(frame(api_key, version, body))

    def receive(self) -> Reader:
        """The next answer, after its correlation id."""
        size = _I32.unpack(self._exactly(4))[0]
        return Reader(self._exactly(size)[4:])

    def ask(self, api_key: int, version: int, body: bytes) -> Reader:
        """One request and its answer."""
        self.send(api_key, version, body)
        return self.receive()

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            if not more:
                raise ConnectionError("the broker closed the connection")
            data += more
        return bytes(data)


def brokers_and_leaders(connection: Connection, topics: list[str]) -> tuple[int, dict[tuple[str, int], bool]]:
    """Metadata v1: how many brokers there are, and which partitions of the topics have a leader."""
    body = _I32.pack(len(topics)) + b"".join(map(string, topics))
    reader = connection.ask(METADATA, 1, body)
    brokers = 0
    for _ in reader.array():
        reader.take("i")
        reader.sized()
        reader.take("i")
        reader.sized()
        brokers += 1
    reader.take("i")
    led: dict[tuple[str, int], bool] = {}
    for _ in reader.array():
        reader.take("h")
        name = reader.sized().decode()
        reader.take("?")
        for _ in reader.array():
            error, index, leader = reader.take("hii")
            for _ in range(2):
                reader.take(f"{reader.one('i')}i")
            led[name, index] = error == 0 and leader >= 0
    return brokers, led


def end_offsets(connection: Connection, topic: str, partitions: int) -> list[int]:
    """ListOffsets v1: the high watermark of every partition. Raises `RefusedError` on any error code."""
    asked = b"".join(struct.pack(">iq", index, -1) for index in range(partitions))
    body = struct.pack(">ii", -1, 1) + string(topic) + _I32.pack(partitions) + asked
    reader = connection.ask(LIST_OFFSETS, 1, body)
    found = [0] * partitions
    for _ in reader.array():
        reader.sized()
        for _ in reader.array():
            index, error, _, offset = reader.take("ihqq")
            if error:
                raise RefusedError(f"ListOffsets for {topic}-{index}: error {error}")
            found[index] = offset
    return found


def fetch_request(topic: str, *, max_bytes: int, partitions: int = 1, offset: int = 0) -> bytes:
    """A whole Fetch v4 frame for what is at one offset of the first partitions, `max_bytes` of each."""
    body = struct.pack(">iiiib", -1, 0, 1, max_bytes * partitions, 0) + _I32.pack(1) + string(topic)
    asked = (struct.pack(">iqi", index, offset, max_bytes) for index in range(partitions))
    return frame(FETCH, 4, body + _I32.pack(partitions) + b"".join(asked))


def join_request(group: str, member_id: str, topic: str) -> bytes:
    """A JoinGroup v2 body that subscribes to one topic; v2 does not send a new member back for its id."""
    subscription = struct.pack(">hi", 0, 1) + string(topic) + _I32.pack(0)
    protocol = string("range") + _I32.pack(len(subscription)) + subscription
    return (
        string(group) + struct.pack(">ii", 30_000, 60_000) + string(member_id)
        + string("consumer") + _I32.pack(1) + protocol
    )  # fmt: skip


@contextlib.contextmanager
def _retried(deadline: float, process: subprocess.Popen[Any] | None) -> Iterator[None]:
    try:
        yield
    except (OSError, RefusedError) as error:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"the broker ended with {process.returncode}") from error
        if time.perf_counter() > deadline:
            raise RuntimeError(f"the broker is not ready: {error}") from error
        time.sleep(_POLL_S)


def wait_ready(address: str, process: subprocess.Popen[Any], *, timeout_s: float) -> None:
    """Return once the broker lists itself in Metadata: the same test of readiness for every broker."""
    deadline = time.perf_counter() + timeout_s
    while True:
        with _retried(deadline, process), Connection(address, timeout_s=timeout_s) as connection:
            while not brokers_and_leaders(connection, [])[0]:
                if time.perf_counter() > deadline:
                    raise RuntimeError("the broker does not list itself")
                time.sleep(_POLL_S)
            return


def wait_topic(address: str, topic: str, partitions: int, *, timeout_s: float = 60) -> None:
    """Return once every partition of the topic has a leader that answers ListOffsets."""
    deadline = time.perf_counter() + timeout_s
    while True:
        with _retried(deadline, None), Connection(address, timeout_s=timeout_s) as connection:
            _, led = brokers_and_leaders(connection, [topic])
            if sum(led.values()) < partitions:
                raise RefusedError(f"{sum(led.values())} of {partitions} partitions of {topic} have a leader")
            end_offsets(connection, topic, partitions)
            return
