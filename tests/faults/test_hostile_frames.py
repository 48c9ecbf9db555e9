"""Bytes that are no requests: refused with one line in the log, and nobody else notices."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time
from collections.abc import Iterator

import pytest
from tests.raw_client import request_frame

from .hostile import MIB, RSS_SLACK_BYTES, Target, receive_all

API_VERSIONS_REQUEST = request_frame(18, 0, 1, {})
METADATA_REQUEST = request_frame(3, 12, 1, {"topics": None})


def send_for_ever(connection: socket.socket, data: bytes) -> None:
    """Send until it takes longer than the socket's timeout."""
    while True:
        connection.sendall(data)


@pytest.fixture
def target(module_target: Target) -> Iterator[Target]:
    yield module_target
    module_target.assert_unharmed()


def refused(target: Target, sent: bytes) -> None:
    """The broker closes a connection over what was sent, with exactly one line."""
    before = target.refusals()
    with target.connect() as connection:
        connection.sendall(sent)
        receive_all(connection)
    target.wait_for_refusals(before + 1)
    assert target.refusals() == before + 1


def test_random_bytes(target: Target, pytestconfig: pytest.Config) -> None:
    chance = random.Random(1)
    for _ in range(2000 if pytestconfig.getoption("--full") else 200):
        with target.connect() as connection:
            connection.sendall(chance.randbytes(chance.choice([1, 4, 8, 20, 300, 70_000])))
            with contextlib.suppress(OSError):  # the broker may have hung up already
                connection.shutdown(1)
            receive_all(connection)


@pytest.mark.parametrize("size", [-(1 << 31), -1, 0, 1, 7, 4 * MIB + 1, (1 << 31) - 1])
def test_impossible_sizes(target: Target, size: int) -> None:
    refused(target, struct.pack(">ihh", size, 0, 8) + bytes(100))


def test_a_frame_too_large_for_its_api(target: Target) -> None:
    refused(target, struct.pack(">ihh", MIB + 1, 3, 8) + bytes(100))


@pytest.mark.parametrize("whole", [API_VERSIONS_REQUEST, METADATA_REQUEST])
def test_frames_cut_anywhere(target: Target, whole: bytes) -> None:
    for cut in range(len(whole)):
        with target.connect() as connection:
            connection.sendall(whole[:cut])
            connection.shutdown(1)
            assert receive_all(connection) == b""


def test_frames_that_say_less_than_they_need(target: Target) -> None:
    body = METADATA_REQUEST[4:]
    for size in range(8, len(body)):
        refused(target, struct.pack(">i", size) + body)


@pytest.mark.parametrize("api_key", [-1, -(1 << 15), 4, 5, 6, 7, 93, 999, (1 << 15) - 1])
def test_apis_that_are_not_served(target: Target, api_key: int) -> None:
    refused(target, struct.pack(">ihhih", 30, api_key, 0, 1, -1) + bytes(20))


@pytest.mark.parametrize("version", [-1, -(1 << 15), 14, 99, (1 << 15) - 1])
def test_versions_that_are_not_served(target: Target, version: int) -> None:
    refused(target, struct.pack(">ihhih", 30, 3, version, 1, -1) + bytes(20))


def test_client_ids_that_do_not_fit(target: Target) -> None:
    for length in (-2, -(1 << 15), 1000, (1 << 15) - 1):
        refused(target, struct.pack(">ihhih", 30, 18, 0, 1, length) + bytes(20))
    refused(target, struct.pack(">ihhih", 12, 18, 0, 1, 2) + b"\xff\xff")


@pytest.mark.parametrize(
    ("sent", "guess"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), "looks like TLS"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "looks like HTTP"),
        (b"POST /topics HTTP/1.1\r\n\r\n", "looks like HTTP"),
    ],
)
def test_clients_of_other_protocols_are_named_in_the_log(target: Target, sent: bytes, guess: str) -> None:
    refused(target, sent)
    assert guess in target.broker.stderr.splitlines()[-1]


def test_a_bad_frame_behind_good_ones(target: Target) -> None:
    refused(target, API_VERSIONS_REQUEST * 50 + struct.pack(">i", -1) + bytes(50))


def test_requests_on_and_on_without_reading_an_answer(target: Target) -> None:
    """The answers' buffer fills, and with it the client's: the broker stops reading."""
    with target.connect(timeout_s=1.0, receive_buffer_bytes=4096) as connection:
        with pytest.raises(TimeoutError):
            send_for_ever(connection, API_VERSIONS_REQUEST * 100)
        assert target.rss_bytes() < target.rss_at_rest + RSS_SLACK_BYTES


def test_frames_that_stop_in_the_middle(target: Target) -> None:
    before = target.refusals()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(target.connect()) for _ in range(50)]
        for number, connection in enumerate(connections):
            connection.sendall(METADATA_REQUEST[: 1 + number % (len(METADATA_REQUEST) - 1)])
        for connection in connections:
            assert receive_all(connection) == b""
    target.wait_for_refusals(before + 50)
    assert target.broker.stderr.count("a request stopped in the middle") >= 50


def test_frames_that_trickle_in_are_cut_off(target: Target) -> None:
    """Slowloris: a byte now and then. A request may take ten times `ottla.request.stalled.ms` (300 here)."""
    trickling = [target.connect() for _ in range(50)]
    for connection in trickling:
        connection.setblocking(False)
    frame = request_frame(3, 12, 1, {"topics": [{"name": "x" * 200}]})
    started = time.monotonic()
    for position in range(len(frame) - 1):
        for connection in list(trickling):
            try:
                connection.send(frame[position : position + 1])
                if connection.recv(1) == b"":
                    raise ConnectionError
            except BlockingIOError:
                pass
            except ConnectionError:
                connection.close()
                trickling.remove(connection)
        if not trickling:
            break
        time.sleep(0.1)
    assert trickling == []
    assert 2.5 < time.monotonic() - started < 10
    assert target.broker.stderr.count("a request came in too slowly") == 50
