"""The floor: the same bytes over loopback TCP and `writev` to a file, by the least program that can do it.

One process receives into a buffer and writes it to a file, sends a file from the page cache, or answers small
requests, each written before its answer; the other side is this process. No protocol, no checksum, no index:
what is left is what the machine itself takes. Like Ottla it sends unpaced over loopback; its client sends as
the system's default is, like every client.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import select
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from bench import requests

_SEND_BYTES = 1 << 20
_PRODUCED, _CONSUMED, _ANSWERED = 300_000_000, 600_000_000, 60_000
_ANSWER = struct.pack(">i", 60) + bytes(60)


@functools.cache
def produce_rate(chunk: int, _round: int) -> dict[str, float]:
    """MB/s of `produce` in chunks; measured once in each round, as rows share it."""
    return {"MB/s": produce(_PRODUCED, chunk)}


@functools.cache
def consume_rate(_round: int) -> dict[str, float]:
    """MB/s of `consume`; measured once in each round, as rows share it."""
    return {"MB/s": consume(_CONSUMED)}


@functools.cache
def answer_rate(connections: int, _round: int) -> dict[str, float]:
    """Requests a second of `answer`; measured once in each round, as rows share it."""
    return {"requests/s": answer(_ANSWERED if connections > 1 else _ANSWERED // 4, connections)}


def produce(total: int, chunk: int) -> float:
    """MB/s of `total` bytes sent in chunks, each written to a file before the next is received."""
    with _serving(_write_all, chunk) as address, socket.create_connection(address, 60) as client:
        data = os.urandom(chunk)
        began = time.perf_counter()
        for _ in range(total // chunk):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        if client.recv(1) != b"\0":
            raise ConnectionError("the floor's server ended early")
        return total // chunk * chunk / 1e6 / (time.perf_counter() - began)


def consume(total: int) -> float:
    """MB/s of `total` bytes of a file, sent from the page cache."""
    with _serving(_send_all, total) as address, socket.create_connection(address, 60) as client:
        buffer = bytearray(_SEND_BYTES)
        client.recv_into(buffer, 1)  # the file is written, and the first byte is under way
        began, got = time.perf_counter(), 1
        while size := client.recv_into(buffer):
            got += size
        if got != total:
            raise ConnectionError(f"the floor's server sent {got} of {total} bytes")
        return total / 1e6 / (time.perf_counter() - began)


def answer(count: int, connections: int) -> float:
    """Requests a second, one at a time on each connection, each written to a file before it is answered."""
    request = requests.produce_request("floor", 0, 100)
    with _serving(_answer_all, connections) as (host, port):
        return requests.drive(f"{host}:{port}", request, connections, count // connections * connections)[0]


@contextlib.contextmanager
def _serving(serve: Callable[[socket.socket, str, int], None], number: int) -> Iterator[tuple[str, int]]:
    """The address of a process that serves one measurement."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="floor-bench-") as folder:
        process = context.Process(target=_listen, args=(serve, theirs, f"{folder}/data", number))
        process.start()
        try:
            if not ours.poll(60):
                raise ConnectionError("the floor's server did not start")
            yield "127.0.0.1", ours.recv()
            process.join(30)
        finally:
            process.kill()
            process.join(30)


def _listen(
    serve: Callable[[socket.socket, str, int], None], parent: Connection, path: str, number: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if hasattr(socket, "TCP_CONGESTION"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        parent.send(listener.getsockname()[1])
        serve(listener, path, number)


def _write_all(listener: socket.socket, path: str, chunk: int) -> None:
    buffer = memoryview(bytearray(chunk))
    client, _ = listener.accept()
    with client, Path(path).open("wb", buffering=0) as file:
        while size := client.recv_into(buffer):
            os.writev(file.fileno(), [buffer[:size]])
        client.sendall(b"\0")


def _send_all(listener: socket.socket, path: str, total: int) -> None:
    data = os.urandom(_SEND_BYTES)
    client, _ = listener.accept()
    with open(path, "wb") as out:
        out.writelines(data[: total - start] for start in range(0, total, _SEND_BYTES))
    with client, open(path, "rb") as source:
        sent = 0
        while sent < total:
            sent += os.sendfile(client.fileno(), source.fileno(), sent, min(_SEND_BYTES, total - sent))


def _answer_all(listener: socket.socket, path: str, connections: int) -> None:
    buffer = memoryview(bytearray(1 << 16))
    with Path(path).open("wb", buffering=0) as file, select.epoll() as poll:
        clients = {client.fileno(): client for client, _ in (listener.accept() for _ in range(connections))}
        for client in clients.values():
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            poll.register(client, select.EPOLLIN)
        while clients:
            for number, _ in poll.poll():
                if size := clients[number].recv_into(buffer):
                    os.writev(file.fileno(), [buffer[:size]])
                    clients[number].send(_ANSWER)
                else:
                    clients.pop(number).close()
