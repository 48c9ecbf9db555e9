"""Frames in and answers out, whatever the pieces they come in, and within which bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from ottla.network.connection import Connection
from ottla.network.memory import RequestMemory

from .transport import API, PIPELINED_API, FakeTransport, Wire, malformed, request

KIB = 1024


def pending() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def settle() -> None:
    """Let callbacks of futures run."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_a_frame_cut_at_every_boundary() -> None:
    frame = request(b"hello")
    for cut in range(1, len(frame)):
        wire = Wire()
        wire.receive(frame[:cut])
        assert wire.written == []
        wire.receive(frame[cut:])
        assert wire.written == [b"hello"]
        assert wire.memory.used_bytes == 0


def test_a_frame_byte_by_byte() -> None:
    wire = Wire()
    for byte in request(b"one") + request(b"two"):
        wire.receive(bytes([byte]))
    assert wire.written == [b"one", b"two"]


def test_several_frames_in_one_read_and_the_start_of_another() -> None:
    bodies = [b"%d" % number for number in range(20)]
    data = b"".join(map(request, bodies))
    for cut in range(len(data)):
        wire = Wire()
        wire.receive(data[:cut])
        wire.receive(data[cut:])
        assert b"".join(wire.written) == b"".join(bodies)


@pytest.mark.parametrize("size", [64 * KIB - 12, 64 * KIB, 1024 * KIB, 9_000_000])
@pytest.mark.parametrize("first", [1, 12, 64 * KIB, 200 * KIB])
def test_a_large_frame_grows_with_what_comes_in(size: int, first: int) -> None:
    wire = Wire(memory=RequestMemory(64 << 20), receive_buffer_bytes=256 * KIB)
    frame = request(bytes(range(256)) * (size // 256))
    first = min(first, len(frame))
    wire.receive(frame[:first])
    assert wire.memory.used_bytes <= max(1024 * KIB, first)
    wire.receive(frame[first:])
    assert wire.written == [frame[12:]]
    assert wire.memory.used_bytes == 0


def test_a_claimed_size_costs_nothing_until_it_is_sent() -> None:
    wire = Wire()
    wire.receive(request(bytes(100 << 20))[:5000])
    assert wire.memory.used_bytes <= 1024 * KIB
    wire.lose()
    assert wire.memory.used_bytes == 0


@pytest.mark.parametrize("size", [-(1 << 31), -1, 0, 7, 101, 0x7FFFFFFF])
def test_an_impossible_size_closes_with_one_line(size: int, caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(frame_max_bytes=100)
    wire.receive(request(b"good") + size.to_bytes(4, "big", signed=True) + bytes(200))
    assert wire.transport.aborted
    assert wire.written == [b"good"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"a frame of {size} bytes" in caplog.text
    assert "192.0.2.1" in caplog.text


def test_an_api_has_its_own_limit() -> None:
    wire = Wire(frame_max_bytes=100)
    wire.router.limits[API] = 50
    wire.receive(request(b"x" * 80, PIPELINED_API))
    assert not wire.transport.aborted
    wire.receive(request(b"x" * 80, API))
    assert wire.transport.aborted


@pytest.mark.parametrize(
    ("sent", "guess"),
    [(b"\x16\x03\x01\x02\x00\x01\x00\x01", "looks like TLS"), (b"GET / HTTP/1.1\r\n", "looks like HTTP")],
)
def test_what_is_no_kafka_client_is_named(sent: bytes, guess: str, caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(frame_max_bytes=100 << 20)
    wire.receive(sent)
    assert wire.transport.aborted
    assert guess in caplog.text


@pytest.mark.parametrize("end", ["eof_received", "close"])
def test_answers_of_this_turn_are_written_before_the_connection_ends(end: str) -> None:
    wire = Wire()
    wire.receive(request(b"one") + request(b"two"))
    assert wire.transport.written == []  # until the end of the turn
    getattr(wire.connection, end)()
    assert wire.transport.written == [b"onetwo"]
    wire.lose()
    assert wire.written == [b"onetwo"]


def test_the_answer_to_a_large_request_does_not_wait_for_other_connections() -> None:
    wire = Wire(receive_buffer_bytes=1000)
    wire.receive(request(b"x" * 2000))
    assert wire.transport.written == [b"x" * 2000]


def test_a_malformed_request_closes_and_nothing_after_it_is_handled() -> None:
    wire = Wire()
    wire.router.planned[b"bad"] = malformed
    wire.receive(request(b"good") + request(b"bad") + request(b"after"))
    assert wire.written == [b"good"]
    assert wire.transport.aborted
    assert wire.router.received == [b"good", b"bad"]


def test_an_unexpected_failure_closes_one_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire()
    wire.router.planned[b"bad"] = ZeroDivisionError("a defect")
    wire.receive(request(b"bad"))
    assert wire.transport.aborted
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert caplog.records[0].exc_info is not None


async def test_a_failed_answer_closes_the_connection() -> None:
    wire = Wire()
    answer = wire.router.planned[b"parked"] = pending()
    wire.receive(request(b"parked"))
    answer.set_exception(malformed)
    await settle()
    assert wire.transport.aborted


def test_a_refused_connection_is_closed_at_once(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(refusal="more than max.connections=0 connections")
    assert wire.transport.aborted
    assert caplog.messages == ["closed connection from 192.0.2.1: more than max.connections=0 connections"]


def test_no_answer_where_there_is_none() -> None:
    wire = Wire()
    wire.router.planned[b"silent"] = None
    wire.receive(request(b"silent") + request(b"next"))
    assert wire.written == [b"next"]


def test_buffers_are_written_as_one_answer() -> None:
    wire = Wire()
    wire.router.planned[b"fetch"] = [b"head", memoryview(b"records"), b"tail"]
    wire.receive(request(b"fetch"))
    assert wire.written == [b"headrecordstail"]


async def test_a_parked_request_holds_the_next_ones_back() -> None:
    wire = Wire()
    parked = wire.router.planned[b"parked"] = pending()
    frames = request(b"parked") + request(b"next") + request(b"last")
    wire.receive(frames[: len(frames) - 3])
    assert wire.router.received == [b"parked"]
    assert not wire.transport.reading
    parked.set_result(b"parked answer")
    await settle()
    assert b"".join(wire.written) == b"parked answernext"
    assert wire.transport.reading
    wire.receive(frames[-3:])
    assert b"".join(wire.written) == b"parked answernextlast"


async def test_a_second_parked_request_in_the_backlog() -> None:
    wire = Wire()
    first, second = wire.router.planned[b"1"], wire.router.planned[b"2"] = pending(), pending()
    wire.receive(request(b"1") + request(b"2") + request(b"3"))
    first.set_result(b"one")
    await settle()
    assert wire.router.received == [b"1", b"2"]
    assert not wire.transport.reading
    second.set_result(b"two")
    await settle()
    assert b"".join(wire.written) == b"onetwo3"
    assert wire.transport.reading


async def test_pipelined_answers_keep_the_order_of_their_requests() -> None:
    wire = Wire()
    first, second = wire.router.planned[b"1"], wire.router.planned[b"2"] = pending(), pending()
    wire.receive(request(b"1", PIPELINED_API) + request(b"2", PIPELINED_API) + request(b"3") + request(b"4"))
    assert wire.router.received == [b"1", b"2", b"3", b"4"]
    assert wire.written == []
    second.set_result(b"two")
    await settle()
    assert wire.written == []
    first.set_result(b"one")
    await settle()
    assert b"".join(wire.written) == b"onetwo34"


async def test_a_parked_request_behind_a_pipelined_one() -> None:
    wire = Wire()
    produce, fetch = wire.router.planned[b"p"], wire.router.planned[b"f"] = pending(), pending()
    wire.receive(request(b"p", PIPELINED_API) + request(b"f") + request(b"next"))
    assert wire.router.received == [b"p", b"f"]
    produce.set_result(b"produced")
    await settle()
    assert wire.written == [b"produced"]
    assert wire.router.received == [b"p", b"f"]
    fetch.set_result(b"fetched")
    await settle()
    assert b"".join(wire.written) == b"producedfetchednext"


async def test_a_pipelined_request_with_no_answer_takes_its_place_in_the_order() -> None:
    wire = Wire()
    first, silent = wire.router.planned[b"1"], wire.router.planned[b"s"] = pending(), pending()
    wire.receive(request(b"1", PIPELINED_API) + request(b"s", PIPELINED_API) + request(b"3"))
    silent.set_result(None)
    first.set_result(b"one")
    await settle()
    assert b"".join(wire.written) == b"one3"


async def test_no_more_requests_in_flight_than_the_limit() -> None:
    wire = Wire(in_flight_max=3)
    bodies = [b"%d" % number for number in range(6)]
    answers = {body: pending() for body in bodies}
    wire.router.planned.update(answers)
    wire.receive(b"".join(request(body, PIPELINED_API) for body in bodies))
    assert wire.router.received == bodies[:3]
    assert not wire.transport.reading
    for number, body in enumerate(bodies):
        answers[body].set_result(body)
        await settle()
        assert len(wire.router.received) == min(6, number + 4)
    assert b"".join(wire.written) == b"".join(bodies)
    assert wire.transport.reading


async def test_a_client_that_does_not_read_is_not_read() -> None:
    wire = Wire()
    assert wire.transport.high == 1000
    wire.connection.pause_writing()
    wire.receive(request(b"1") + request(b"2"))
    assert wire.router.received == []
    assert not wire.transport.reading
    wire.connection.resume_writing()
    assert wire.router.received == [b"1", b"2"]
    assert b"".join(wire.written) == b"12"
    assert wire.transport.reading


async def test_writing_pauses_in_the_middle_of_a_read() -> None:
    wire = Wire()
    write = wire.transport.write

    def write_and_pause(data: bytes) -> None:
        write(data)
        wire.connection.pause_writing()

    wire.transport.write = write_and_pause  # type: ignore[method-assign]
    wire.router.planned |= {body: [body] for body in (b"1", b"2", b"3")}
    wire.receive(request(b"1") + request(b"2") + request(b"3"))
    assert wire.written == [b"1"]
    wire.connection.resume_writing()
    assert wire.written == [b"1", b"2"]
    assert not wire.transport.reading
    wire.connection.resume_writing()
    assert wire.written == [b"1", b"2", b"3"]


def test_small_answers_to_one_read_are_written_together_and_before_records() -> None:
    wire = Wire()
    wire.router.planned[b"fetch"] = [b"head", b"records"]
    wire.receive(b"".join(map(request, (b"1", b"2", b"fetch", b"3"))))
    assert wire.written == [b"12headrecords", b"3"]


async def test_a_lost_connection_drops_waiting_fetches_and_keeps_tasks() -> None:
    wire = Wire()
    fetch = pending()
    changed = asyncio.Event()

    async def change() -> bytes:
        await asyncio.sleep(0)
        changed.set()
        return b"done"

    task = asyncio.get_running_loop().create_task(change())
    wire.router.planned |= {b"p": task, b"f": fetch}
    wire.receive(request(b"p", PIPELINED_API) + request(b"f") + request(b"next"))
    wire.lose()
    await settle()
    assert fetch.cancelled()
    assert changed.is_set()
    assert wire.written == []
    assert wire.router.received == [b"p", b"f"]
    assert not wire.shared.connections


async def test_an_answer_after_the_connection_was_closed_is_dropped() -> None:
    wire = Wire()
    parked = wire.router.planned[b"parked"] = pending()
    wire.receive(request(b"parked") + request(b"next"))
    wire.connection.close()
    parked.set_result(b"late")
    await settle()
    assert wire.written == []
    assert wire.router.received == [b"parked"]


async def test_half_received_and_idle() -> None:
    wire = Wire()
    assert wire.connection.idle
    frame = request(bytes(100))
    wire.receive(frame[:50])
    assert wire.connection.half_received
    assert not wire.connection.idle
    wire.receive(frame[50:])
    assert wire.connection.idle
    parked = wire.router.planned[b"parked"] = pending()
    wire.receive(request(b"parked") + frame[:50])
    assert not wire.connection.half_received, "it is the broker that waits"
    assert not wire.connection.idle
    parked.set_result(b"")
    await settle()
    assert wire.connection.half_received


def test_nobody_is_let_in_where_it_cannot_be_found_out_who_it_is(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_connection: Connection) -> Callable[[], None]:
        raise ValueError("the keys cannot be read")

    wire = Wire()
    transport = FakeTransport()
    connection = Connection(wire.shared, "PLAINTEXT", lambda _connection: None, fail)
    connection.connection_made(transport)
    assert transport.aborted
    assert "192.0.2.1: nobody can find out who it is: the keys cannot be read" in caplog.text
    frame = request(b"a")
    connection.get_buffer(-1)[: len(frame)] = frame
    connection.buffer_updated(len(frame))
    connection.connection_lost(None)
    assert wire.router.received == []
    assert transport.written == []
