"""Those who come to listeners with TLS and SASL to do harm: slowly, by the thousand, with rubbish, or asking
for answers that they do not read. What the broker holds for them is bounded, and others are served meanwhile.
"""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
from collections.abc import Iterator
from typing import Any, Final

import pytest
from tests.certificates import Authority
from tests.key_updates import ask_for_keys
from tests.raw_client import request_frame

from ottla.testing.cluster import free_ports

from .broker_process import BrokerProcess
from .clients import Clients
from .hostile import MIB, SMALL_LIMITS, Target, call, receive_all
from .test_hostile_memory import raise_open_files

KIB: Final = 1024
API_VERSIONS: Final = 18
OF_ONE: Final = 96 * KIB
"""What one connection with TLS may take, of which OpenSSL has most"""
PATIENCE_S: Final = 60.0
_LINE: Final = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="pass";'
AUTHORITY: Final = Authority()


class Secured(Target):
    """With listeners SSL and SASL_PLAINTEXT."""

    ports: dict[str, int]

    def come(self, listener: str, timeout_s: float = PATIENCE_S) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[listener]), timeout_s)

    def come_by_tls(self) -> ssl.SSLSocket:
        return TRUSTING.wrap_socket(self.come("SSL"), server_hostname="localhost")

    def assert_others_are_served(self) -> None:
        with self.come_by_tls() as other:
            assert call(other, API_VERSIONS, 0, {})["error_code"] == 0
        with self.come("SASL_PLAINTEXT") as other:
            assert call(other, 17, 1, {"mechanism": "PLAIN"})["error_code"] == 0
            assert call(other, 36, 2, {"auth_bytes": b"\0ann\0pass"})["error_code"] == 0
            assert call(other, API_VERSIONS, 0, {})["error_code"] == 0


TRUSTING: Final = ssl.create_default_context(cadata=AUTHORITY.pem)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("hostile-tls")
    plain, tls, sasl = free_ports(3)
    settings = {
        **SMALL_LIMITS,
        "listeners": f"PLAINTEXT://127.0.0.1:{plain},SSL://127.0.0.1:{tls},SASL_PLAINTEXT://127.0.0.1:{sasl}",
        "ssl.keystore.location": AUTHORITY.give_to("localhost").write(folder / "server.pem"),
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": _LINE,
        "connection.failed.authentication.delay.ms": "1",
        "ottla.tls.handshake.timeout.ms": "2000",
        "ottla.authentication.timeout.ms": "2000",
        "socket.listen.backlog.size": "1000",
    }
    broker = BrokerProcess(folder, settings)
    broker.start()
    made = Secured(broker, Clients(broker.bootstrap))
    made.ports = {"SSL": tls, "SASL_PLAINTEXT": sasl}
    made.assert_others_are_served()
    yield made
    made.assert_real_clients_work()
    assert broker.stop() == 0, broker.stderr


@pytest.fixture
def target(running: Secured) -> Iterator[Secured]:
    running.rss_at_rest = running.rss_bytes()
    running.new_log()
    yield running
    running.assert_others_are_served()
    running.assert_unharmed()


def many(config: pytest.Config, short: int, full: int) -> int:
    count = full if config.getoption("--full") else short
    raise_open_files(count + 1000)
    return count


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thousands_of_connections_that_do_nothing(target: Secured, pytestconfig: pytest.Config) -> None:
    """All of them known to TLS, and each can still ask."""
    count = many(pytestconfig, 300, 10_000)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(target.come_by_tls()) for _ in range(count)]
        grown = target.rss_bytes() - target.rss_at_rest
        assert grown < count * OF_ONE, f"{grown / count:.0f} bytes for each connection"
        target.assert_others_are_served()
        for connection in connections[:: count // 100]:
            assert call(connection, API_VERSIONS, 0, {})["error_code"] == 0
    target.rss_at_rest += count * OF_ONE // 2  # the allocator keeps what was in use in pieces


SLOW: Final = {
    "a handshake of TLS": ("SSL", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(400)),
    "nothing for TLS": ("SSL", b""),
    "a handshake of SASL": ("SASL_PLAINTEXT", struct.pack(">ihhih", 1000, 17, 1, 1, -1) + bytes(400)),
    "nothing for SASL": ("SASL_PLAINTEXT", b""),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_those_who_say_it_byte_by_byte(target: Secured, pytestconfig: pytest.Config) -> None:
    """A slowloris: each connection is closed in its time, however it begins, and however many there are."""
    count = many(pytestconfig, 50, 1000)
    with contextlib.ExitStack() as stack:
        slow = [
            (stack.enter_context(target.come(listener)), said)
            for _ in range(count)
            for listener, said in SLOW.values()
        ]
        for position in range(4):
            for connection, said in slow:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(said[position : position + 1])
            target.assert_others_are_served()
        assert target.rss_bytes() - target.rss_at_rest < len(slow) * OF_ONE
        for connection, _ in slow:
            receive_all(connection)
    log = target.new_log()
    assert log.count("failed TLS handshake") == 2 * count
    assert log.count("it has not said who it is within") + log.count("stopped in the middle") == 2 * count


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_flood_of_handshakes_that_are_begun(target: Secured, pytestconfig: pytest.Config) -> None:
    """Whole greetings, for whose answers nobody waits: the broker has worked in vain, and keeps nothing."""
    count = many(pytestconfig, 200, 10_000)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        TRUSTING.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    hello = outgoing.read()
    target.reset_peak()
    for number in range(count):
        with target.come("SSL") as connection:
            connection.sendall(hello)
            if number % 2:
                connection.recv(1)
        if number % (count // 4) == 0:
            target.assert_others_are_served()
    assert target.peak_rss_bytes() < target.rss_at_rest + 16 * MIB


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rubbish_for_tls_and_sasl(target: Secured, pytestconfig: pytest.Config) -> None:
    """It ends each connection, with one line in the log."""
    count = many(pytestconfig, 100, 5000)
    chance = random.Random(1)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        TRUSTING.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    hello = outgoing.read()
    for number in range(count):
        listener = ("SSL", "SASL_PLAINTEXT")[number % 2]
        rubbish = bytearray(
            hello if number % 4 == 0 else chance.randbytes(chance.choice((1, 10, 1000, 50_000)))
        )
        for _ in range(chance.randrange(1, 5)):
            rubbish[chance.randrange(len(rubbish))] = chance.randrange(256)
        with target.come(listener) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(rubbish)
                connection.shutdown(socket.SHUT_WR)
            receive_all(connection)
        if number % (count // 4) == 0:
            target.assert_others_are_served()
    log = target.new_log()
    assert log.count("failed TLS handshake") == count // 2
    assert len(log.splitlines()) <= count
    assert "Traceback" not in log


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_those_who_ask_for_new_keys_and_do_not_read(target: Secured, pytestconfig: pytest.Config) -> None:
    """TLS answers them by itself, whoever they are: what they do not read is bounded."""
    if not pytestconfig.getoption("--full"):
        pytest.skip("it takes many: only with --full")
    wanted = 48 * MIB
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = TRUSTING.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with target.come("SSL", 2.0) as connection:

        def step(work: Any) -> None:
            with contextlib.suppress(ssl.SSLWantReadError):
                work()
            connection.sendall(outgoing.read())

        step(client.do_handshake)
        while not client.version() or not outgoing.pending:
            incoming.write(connection.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
            if outgoing.pending:
                break
        connection.sendall(outgoing.read())
        sent = 0
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sent < wanted:
                for _ in range(2000):
                    ask_for_keys(client)
                flood = outgoing.read()
                connection.sendall(flood)
                sent += len(flood)
        assert sent < wanted
        assert target.rss_bytes() < target.rss_at_rest + 8 * MIB
        target.assert_others_are_served()


@pytest.mark.slow
def test_passwords_by_the_hundred(target: Secured, pytestconfig: pytest.Config) -> None:
    """Guessing is one line each time, and keeps nothing."""
    count = many(pytestconfig, 100, 5000)
    guess = request_frame(17, 1, 1, {"mechanism": "PLAIN"})
    guess += request_frame(36, 2, 2, {"auth_bytes": b"\0ann\0guessed"})
    for _ in range(count):
        with target.come("SASL_PLAINTEXT") as connection:
            connection.sendall(guess)
            assert b"Invalid username or password" in receive_all(connection)
    log = target.new_log()
    assert log.count("failed authentication") == len(log.splitlines()) == count
    assert "guessed" not in log
