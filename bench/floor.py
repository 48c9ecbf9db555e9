"""The floor: the same bytes over loopback TCP and `writev` to a file, by the least program that can do it.

One process receives into a buffer and writes it to a file, or sends a file from the page cache; the other
side is this process. No protocol, no checksum, no index: what is left is what the machine itself takes.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import socket
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

_SEND_BYTES = 1 << 20
_PRODUCED, _CONSUMED = 300_000_000, 600_000_000


@functools.cache
def produce_rate(chunk: int, _round: int) -> float:
    """MB/s of `produce` in chunks; measured once in each round, as rows share it."""
    return produce(_PRODUCED, chunk)


@functools.cache
def consume_rate(_round: int) -> float:
    """MB/s of `consume`; measured once in each round, as rows share it."""
    return consume(_CONSUMED)


def produce(total: int, chunk: int, folder: str | None = None) -> float:
    """MB/s of `total` bytes sent in chunks, each written to a file before the next is received."""
    with _Server(_write_all, folder, total, chunk) as client:
        data = os.urandom(chunk)
        began = time.perf_counter()
        for _ in range(total // chunk):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        if client.recv(1) != b"\0":
            raise ConnectionError("the floor's server ended early")
        return total // chunk * chunk / 1e6 / (time.perf_counter() - began)


def consume(total: int, folder: str | None = None) -> float:
    """MB/s of `total` bytes of a file, sent from the page cache."""
    with _Server(_send_all, folder, total, _SEND_BYTES) as client:
        buffer = bytearray(_SEND_BYTES)
        client.recv_into(buffer, 1)  # the file is written, and the first byte is under way
        began, got = time.perf_counter(), 1
        while size := client.recv_into(buffer):
            got += size
        if got != total:
            raise ConnectionError(f"the floor's server sent {got} of {total} bytes")
        return total / 1e6 / (time.perf_counter() - began)


class _Server:
    def __init__(self, serve: object, folder: str | None, total: int, chunk: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._folder = tempfile.TemporaryDirectory(prefix="floor-bench-", dir=folder)
        self._ours, theirs = context.Pipe()
        path = str(Path(self._folder.name) / "data")
        self._process = context.Process(target=_listen, args=(serve, theirs, path, total, chunk))

    def __enter__(self) -> socket.socket:
        self._process.start()
        if not self._ours.poll(60):
            raise ConnectionError("the floor's server did not start")
        self._socket = socket.create_connection(("127.0.0.1", self._ours.recv()), 60)
        return self._socket

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.join(30)
        self._process.kill()
        self._folder.cleanup()


def _listen(serve: object, parent: Connection, path: str, total: int, chunk: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        parent.send(listener.getsockname()[1])
        client, _ = listener.accept()
    with client:
        assert callable(serve)
        serve(client, path, total, chunk)


def _write_all(client: socket.socket, path: str, _total: int, chunk: int) -> None:
    buffer = memoryview(bytearray(chunk))
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while size := client.recv_into(buffer):
        os.writev(file, [buffer[:size]])
    os.close(file)
    client.sendall(b"\0")


def _send_all(client: socket.socket, path: str, total: int, chunk: int) -> None:
    data = os.urandom(chunk)
    with open(path, "wb") as out:
        out.writelines(data[: total - start] for start in range(0, total, chunk))
    with open(path, "rb") as source:
        sent = 0
        while sent < total:
            sent += os.sendfile(client.fileno(), source.fileno(), sent, min(chunk, total - sent))
