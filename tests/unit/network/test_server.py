"""Which connections a server closes when it looks at them, and how many it takes."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest
from tests.raw_client import connect

from ottla.config.broker import default_view
from ottla.config.listeners import Listener, SecurityProtocol
from ottla.config.network import NetworkConfig
from ottla.network.server import SaslListeners, Server, _sweep_one
from ottla.network.sockets import addresses_of, bind_tcp
from ottla.testing import run_broker_async

from .transport import Wire, request

IDLE_ROUNDS = 3


def no_sasl() -> SaslListeners:
    raise AssertionError


def sweep(wire: Wire, rounds: int, *, idle_rounds: int | None = IDLE_ROUNDS) -> int:
    """Look at a connection this many times, or until it is closed; gives how many times it took."""
    for number in range(rounds):
        if wire.transport.is_closing():
            return number
        _sweep_one(wire.connection, idle_rounds)
    return rounds


def test_an_idle_connection_is_closed_after_its_time() -> None:
    wire = Wire()
    assert sweep(wire, 10) == 1 + IDLE_ROUNDS, "the first round sees that it was active"
    assert wire.transport.closing
    assert not wire.transport.aborted


def test_a_negative_idle_time_is_for_ever() -> None:
    wire = Wire()
    assert sweep(wire, 100, idle_rounds=None) == 100


def test_a_client_that_asks_now_and_then_stays() -> None:
    wire = Wire()
    for _ in range(10):
        sweep(wire, IDLE_ROUNDS)
        wire.receive(request(b"x"))
    assert not wire.transport.is_closing()


async def test_a_parked_request_is_not_idle() -> None:
    wire = Wire()
    wire.router.planned[b"poll"] = asyncio.get_running_loop().create_future()
    wire.receive(request(b"poll"))
    assert sweep(wire, 100) == 100


def test_a_request_that_stops_in_the_middle_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire()
    wire.receive(request(b"x" * 100)[:50])
    assert sweep(wire, 10) == 2
    assert wire.transport.aborted
    assert "stopped in the middle" in caplog.text


def test_who_is_too_late_for_two_reasons_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A transport says that it is lost in the next turn, and a sweep may come before."""
    wire = Wire()
    wire.receive(request(b"x" * 100)[:50])
    wire.connection.refuse("it has not said who it is within 2 s")
    for _ in range(12):
        _sweep_one(wire.connection, IDLE_ROUNDS)
    assert caplog.messages == ["closed connection from 192.0.2.1: it has not said who it is within 2 s"]


async def test_who_is_closed_and_does_not_read_is_cut_off_all_the_same() -> None:
    wire = Wire()
    wire.connection.close()
    wire.transport.unsent_bytes = 1000
    for _ in range(2 + IDLE_ROUNDS):
        _sweep_one(wire.connection, IDLE_ROUNDS)
    assert wire.transport.aborted


def test_a_request_that_trickles_in_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire()
    frame = request(b"x" * 1000)
    wire.receive(frame[:8])
    for position in range(8, 100):
        wire.receive(frame[position : position + 1])
        if sweep(wire, 1) == 0:
            break
    assert position == 8 + 11
    assert "too slowly" in caplog.text


def test_each_request_has_its_own_time() -> None:
    wire = Wire()
    frame = request(b"x" * 20)
    for _ in range(5):
        for byte in range(0, len(frame), 4):
            wire.receive(frame[byte : byte + 4])
            sweep(wire, 1)
    assert not wire.transport.is_closing()


async def test_who_does_not_read_is_cut_off_and_who_reads_slowly_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = Wire()
    wire.connection.pause_writing()
    wire.receive(request(b"1") + request(b"2"))
    for unsent_bytes in range(1000, 900, -10):
        wire.transport.unsent_bytes = unsent_bytes
        sweep(wire, IDLE_ROUNDS)
    assert not wire.transport.is_closing()
    sweep(wire, IDLE_ROUNDS)
    assert wire.transport.aborted
    assert "910 bytes of answers are not read" in caplog.text


@pytest.mark.parametrize(
    "settings",
    [
        {"max.connections": 2},
        {"listener.name.plaintext.max.connections": 2, "listener.name.other.max.connections": 0},
    ],
    ids=["in all", "of the listener"],
)
async def test_no_more_connections_than_allowed(
    settings: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with run_broker_async(settings) as broker:
        async with connect(broker.host, broker.port) as first, connect(broker.host, broker.port) as second:
            assert (await first.call(18, 0, {}))["error_code"] == 0
            assert (await second.call(18, 0, {}))["error_code"] == 0
            async with connect(broker.host, broker.port) as third:
                assert await third.is_closed()
            assert (await first.call(18, 0, {}))["error_code"] == 0
        async with connect(broker.host, broker.port) as again:
            assert (await again.call(18, 0, {}))["error_code"] == 0
    assert caplog.text.count("more than max.connections=2 connections") == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "0.0.0.0"])
async def test_addresses_and_names_to_listen_on(host: str) -> None:
    if host == "[::1]" and not _has_ipv6():
        pytest.skip("no IPv6 here")
    settings = {"listeners": f"PLAINTEXT://{host}:0"}
    if host == "0.0.0.0":
        settings["advertised.listeners"] = "PLAINTEXT://127.0.0.1:0"
    async with run_broker_async(settings) as broker, connect(broker.host, broker.port) as client:
        assert (await client.call(18, 0, {}))["error_code"] == 0


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not hasattr(socket, "TCP_CONGESTION"), reason="the system has one congestion control")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_only_loopback_is_never_paced(host: str) -> None:
    with socket.socket() as other:
        of_the_system = _congestion_control(other)
    shared = Wire().shared
    shared.connections.clear()
    server = Server(shared, default_view(NetworkConfig), bind_tcp, addresses_of, no_sasl)
    ((_, port),) = (await server.start([Listener("PLAINTEXT", SecurityProtocol.PLAINTEXT, host, 0)])).values()
    await server.serve()
    async with connect("127.0.0.1", port):
        while not shared.connections:
            await asyncio.sleep(0)
        (accepted,) = shared.connections
        used = _congestion_control(accepted._transport.get_extra_info("socket"))
    await server.stop()
    assert used == (b"reno" if host == "127.0.0.1" else of_the_system)


def _congestion_control(of: socket.socket) -> bytes:
    return of.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_in_use_is_named_with_the_reason(host: str) -> None:
    async with run_broker_async() as broker:
        with pytest.raises(OSError, match=f"^cannot listen on {host}:{broker.port}: address already in use$"):
            async with run_broker_async({"listeners": f"PLAINTEXT://{host}:{broker.port}"}):
                pass


async def test_every_interface_is_advertised_as_this_machine() -> None:
    async with run_broker_async({"listeners": "PLAINTEXT://:0"}) as broker:
        assert broker.host == socket.getfqdn()


async def test_an_ipv6_listener_leaves_ipv4_alone() -> None:
    if not _has_ipv6():
        pytest.skip("no IPv6 here")
    settings = {"listeners": "PLAINTEXT://[::]:0", "advertised.listeners": "PLAINTEXT://[::1]:0"}
    async with run_broker_async(settings) as broker:
        with socket.create_server(("127.0.0.1", broker.port)):
            pass
