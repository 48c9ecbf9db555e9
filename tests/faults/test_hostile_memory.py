"""Clients that would have the broker hold much: what it holds is bounded by settings, and measured here."""

from __future__ import annotations

import contextlib
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest
from tests.raw_client import frame, request_body, request_frame
from tests.sample_requests import FETCH_DEFAULTS

from ottla.records.codec import Record, encode_batch

from .broker_process import BrokerProcess
from .clients import Clients
from .hostile import MIB, RSS_SLACK_BYTES, SMALL_LIMITS, Target, call, produce, receive_all

KIB = 1024
REQUEST_MEMORY = int(SMALL_LIMITS["ottla.request.memory.max.bytes"])
LARGEST_FRAME = int(SMALL_LIMITS["socket.request.max.bytes"])
FIRST_PIECE = 256 * KIB
"""What a connection may have of a request beside the budget: one read's worth."""


@pytest.fixture
def target(start_broker: Callable[..., BrokerProcess]) -> Iterator[Target]:
    settings = {"ottla.request.stalled.ms": "60000", "socket.listen.backlog.size": "1000"}
    broker = start_broker({**SMALL_LIMITS, **settings})
    made = Target(broker, Clients(broker.bootstrap))
    yield made
    made.assert_unharmed(grown_by_bytes=8 * MIB)
    made.assert_real_clients_work()
    assert broker.stop() == 0


def raise_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        if hard < wanted:
            pytest.skip(f"{wanted} open files are needed and {hard} are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def test_five_thousand_idle_connections(target: Target) -> None:
    count = 5000
    raise_open_files(count + 1000)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(target.connect()) for _ in range(count)]
        for connection in connections[::50]:
            assert call(connection, 18, 0, {})["error_code"] == 0
        grown = target.rss_bytes() - target.rss_at_rest
        assert grown < count * 8 * KIB, f"{grown / count:.0f} bytes for each connection"
        target.assert_unharmed(grown_by_bytes=count * 8 * KIB)


def test_a_flood_of_large_half_sent_frames(target: Target) -> None:
    """200 connections that each send 3 MiB of 4: 600 MiB in all."""
    count = 200
    bound = REQUEST_MEMORY + LARGEST_FRAME + count * FIRST_PIECE
    piece = bytes(64 * KIB)
    target.reset_peak()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(target.connect()) for _ in range(count)]
        for connection in connections:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * KIB)
            connection.send(struct.pack(">ihh", 4 * MIB - 16, 0, 8))
        for _ in range(48):
            for connection in connections:
                with contextlib.suppress(BlockingIOError):
                    connection.send(piece)
        time.sleep(0.2)
        assert target.peak_rss_bytes() < target.rss_at_rest + bound + RSS_SLACK_BYTES
        # Another client's small requests still come in; so does a large one, when its turn comes.
        with target.connect() as other:
            assert produce(other, batch_of(10))["error_code"] == 0
        target.assert_unharmed(grown_by_bytes=bound)
    with target.connect() as other:
        assert produce(other, batch_of(1_000_000))["error_code"] == 0


def batch_of(value_bytes: int) -> bytes:
    return encode_batch([Record(0, int(time.time() * 1000), None, b"x" * value_bytes)])


def test_fetches_whose_answers_are_never_read(target: Target) -> None:
    """Each of 50 connections asks for 2 MiB a hundred times and reads nothing: 10 GiB in all."""
    count = 50
    buffer_bytes = int(SMALL_LIMITS["ottla.response.buffer.max.bytes"])
    fetch_bytes = int(SMALL_LIMITS["fetch.max.bytes"])
    with target.connect() as connection:
        for _ in range(6):
            assert produce(connection, batch_of(900_000))["error_code"] == 0
    response_memory = int(SMALL_LIMITS["ottla.response.memory.max.bytes"])
    bound = response_memory + fetch_bytes + count * (buffer_bytes + MIB)
    asked = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 100 * MIB}
    request = {
        **FETCH_DEFAULTS,
        "max_bytes": 100 * MIB,
        "topics": [{"topic": "victim", "partitions": [asked]}],
    }
    flood = request_frame(1, 11, 1, request) * 100
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(target.connect(receive_buffer_bytes=4096))
            connection.sendall(flood)
        time.sleep(0.5)
        target.assert_unharmed(grown_by_bytes=bound)
    target.assert_unharmed(grown_by_bytes=bound)


def test_a_flood_of_pipelined_requests_behind_a_long_poll(target: Target) -> None:
    """What comes in behind a parked request waits in the sockets, but for one read."""
    count = 200
    asked = {"partition": 0, "fetch_offset": 1, "partition_max_bytes": MIB}
    poll = {**FETCH_DEFAULTS, "max_wait_ms": 60_000, "min_bytes": MIB}
    parked = request_frame(1, 11, 1, {**poll, "topics": [{"topic": "victim", "partitions": [asked]}]})
    flood = request_frame(3, 12, 1, {"topics": [{"name": "x" * 200}]}) * 10_000
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(target.connect())
            connection.setblocking(False)
            connection.send(parked)
            with contextlib.suppress(BlockingIOError):
                connection.send(flood)
        target.assert_unharmed(grown_by_bytes=count * FIRST_PIECE)


@pytest.mark.parametrize("elements", [90_000, MIB // 2 - 100])
def test_requests_of_the_smallest_elements(target: Target, elements: int) -> None:
    """Half a million topics with empty names have room in a request, but are more than it may have; what it
    may have takes a multiple of its bytes.
    """
    count = elements + 1
    encoded_count = bytes([count & 0x7F | 0x80, count >> 7 & 0x7F | 0x80, count >> 14 & 0x7F])
    header = request_body(3, 9, 1, {"topics": None})[:14]
    target.reset_peak()
    with target.connect() as connection:
        connection.sendall(frame(header + encoded_count + b"\x01\0" * elements + b"\x01\0\0\0"))
        connection.shutdown(socket.SHUT_WR)
        answered = bool(receive_all(connection))
    assert answered == (elements < 100_000)
    assert ("MetadataRequest: more than 100000 elements" in target.broker.stderr) != answered
    assert target.peak_rss_bytes() < target.rss_at_rest + 120 * MIB


REPEATED = {
    "Metadata": (3, 12, {"topics": [{"name": "wide"}] * 20_000}),
    "DescribeConfigs": (32, 4, {"resources": [{"resource_type": 4, "resource_name": "1"}] * 20_000}),
    "DescribeTopicPartitions": (75, 0, {"topics": [{"name": "wide"}] * 20_000}),
    "DescribeLogDirs": (35, 4, {"topics": [{"topic": "wide", "partitions": [0]}] * 20_000}),
    "DescribeProducers": (61, 0, {"topics": [{"name": "victim", "partition_indexes": [0] * 50_000}]}),
    "ListConfigResources": (74, 1, {"resource_types": [2] * 90_000}),
}


@pytest.mark.parametrize("name", REPEATED)
def test_one_thing_asked_for_many_times(target: Target, name: str) -> None:
    """An answer may not be a large multiple of its request."""
    api_key, version, repeated = REPEATED[name]
    target.clients.create_topic("wide", partitions=200)
    target.reset_peak()
    with target.connect(timeout_s=30) as connection:
        call(connection, api_key, version, repeated)
    assert target.peak_rss_bytes() < target.rss_at_rest + 100 * MIB
