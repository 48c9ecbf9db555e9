"""TLS connections that have to wait, or that fail: without a network, and on uvloop, which brokers run on."""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import Authority
from tests.key_updates import ask_for_keys
from tests.raw_client import METADATA, RawClient

from ottla.network.secured import SecuredTransport
from ottla.testing import run_broker

from .transport import FakeTransport

AUTHORITY = Authority()
SERVER = AUTHORITY.give_to("localhost")


class Above(asyncio.BufferedProtocol):
    """What is made once the handshake is done: keeps what it reads."""

    def __init__(self, reads: Callable[[asyncio.Transport], None] = lambda _transport: None) -> None:
        self.reads = reads
        self.buffer = bytearray(1 << 16)
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.reads(transport)  # type: ignore[arg-type]

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self.buffer[:nbytes]


class Ends:
    """A client in memory, and a secured connection on a transport that remembers."""

    def __init__(
        self,
        folder: Path,
        above: Above | None,
        admit: Callable[[SecuredTransport], None] = lambda _secured: None,
        timeout_s: float = 60,
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(SERVER.write(folder / "server.pem"))
        self.beneath, self.buffer = FakeTransport(), memoryview(bytearray(1 << 16))
        self.secured = SecuredTransport(
            context, "SSL", self.buffer, admit, lambda _: above, lambda _: None, timeout_s
        )
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        trusting = ssl.create_default_context(cadata=AUTHORITY.pem)
        self.client = trusting.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.secured.connection_made(self.beneath)

    def deliver(self, data: bytes) -> None:
        """As uvloop does, whether or not reading was paused."""
        self.buffer[: len(data)] = data
        self.secured.buffer_updated(len(data))

    def step(self, work: Callable[[], Any]) -> None:
        """Have the client go on, and the other side get what it says."""
        while self.beneath.written:
            self.incoming.write(self.beneath.written.pop(0))
        try:
            work()
        except ssl.SSLWantReadError:
            pass
        if self.outgoing.pending:
            self.deliver(self.outgoing.read())

    def shake_hands(self) -> None:
        for _ in range(2):
            self.step(self.client.do_handshake)


async def test_nothing_of_a_muted_connection_is_looked_at(tmp_path: Path) -> None:
    above = Above()
    ends = Ends(tmp_path, above, lambda secured: secured.mute(60_000))
    assert not ends.beneath.reading
    ends.beneath.reading = True  # uvloop, behind `connection_made`
    ends.step(ends.client.do_handshake)
    assert not ends.beneath.reading, "what comes behind that waits in the kernel"
    assert ends.beneath.written == []
    ends.secured._unmute()
    assert ends.beneath.reading
    ends.shake_hands()
    ends.step(lambda: ends.client.write(b"request"))
    assert above.received == b"request"


async def test_the_end_of_a_wait_does_not_wake_who_may_not_be_read_from(tmp_path: Path) -> None:
    above = Above(lambda transport: transport.pause_reading())
    ends = Ends(tmp_path, above)
    ends.shake_hands()
    ends.secured._unmute()
    assert not ends.beneath.reading


@pytest.mark.usefixtures("no_collection")
async def test_what_tls_holds_goes_with_the_connection(tmp_path: Path) -> None:
    """Though protocol and transport know each other, as they do in a connection."""
    above = Above()
    above.reads = lambda transport: setattr(above, "transport", transport)
    ends = Ends(tmp_path, above)
    ends.shake_hands()
    held = weakref.ref(ends.secured.get_extra_info("ssl_object"))
    above.connection_lost = lambda exc: None  # type: ignore[method-assign]
    ends.secured.connection_lost(None)
    assert held() is None
    ends.secured.write(b"late")
    ends.secured.close()
    ends.secured.resume_reading()


@pytest.mark.parametrize("is_paused", [False, True])
async def test_who_asks_for_new_keys_and_does_not_read_is_not_read_from(
    tmp_path: Path, is_paused: bool
) -> None:
    above = Above()
    ends = Ends(tmp_path, above)
    ends.shake_hands()
    ends.step(lambda: ends.client.read(1))  # the tickets
    ends.step(lambda: ask_for_keys(ends.client))
    ends.secured.pause_writing()
    assert ends.beneath.reading, "he may send requests, whose answers wait"
    ends.step(lambda: ends.client.write(b"first"))
    assert ends.beneath.reading
    ends.step(lambda: ask_for_keys(ends.client))
    assert not ends.beneath.reading
    if is_paused:
        ends.secured.pause_reading()
        ends.secured.resume_reading()
        assert not ends.beneath.reading
        ends.secured.pause_reading()
    ends.secured.resume_writing()
    assert ends.beneath.reading is not is_paused
    ends.secured.resume_reading()
    ends.step(lambda: ends.client.write(b"second"))
    assert above.received == b"firstsecond"


@pytest.mark.parametrize("wait_ms", [0, 1_000_000])
async def test_the_time_of_a_handshake_begins_after_the_wait(tmp_path: Path, wait_ms: int) -> None:
    began = asyncio.get_running_loop().time()
    ends = Ends(tmp_path, Above(), lambda secured: secured.mute(wait_ms), timeout_s=60)
    timer = ends.secured._timer
    assert timer is not None
    assert timer.when() >= began + 60 + wait_ms / 1000
    ends.beneath.abort()
    ends.secured.connection_lost(None)


@pytest.mark.parametrize("is_tls", [False, True], ids=["no TLS", "nobody"])
async def test_who_is_not_let_in_is_gone_soon_whether_or_not_he_reads(tmp_path: Path, is_tls: bool) -> None:
    ends = Ends(tmp_path, None, timeout_s=0.01)
    if is_tls:
        ends.shake_hands()
    else:
        ends.deliver(b"GET / HTTP/1.1\r\n\r\n")
    assert ends.beneath.closing
    assert not ends.beneath.aborted
    async with asyncio.timeout(10):
        while not ends.beneath.aborted:
            await asyncio.sleep(0.01)


async def test_an_address_that_comes_too_fast_is_refused(tmp_path: Path) -> None:
    settings = {
        "listeners": "SSL://127.0.0.1:0",
        "ssl.keystore.location": SERVER.write(tmp_path / "server.pem"),
        "quota.window.num": "2",
    }
    trusting = ssl.create_default_context(cadata=AUTHORITY.pem)
    with run_broker(settings) as broker:

        async def connected() -> RawClient:
            return RawClient(*await asyncio.open_connection(broker.host, broker.port, ssl=trusting))

        first = await connected()
        entity = [{"entity_type": "ip", "entity_name": "127.0.0.1"}]
        ops = [{"key": "connection_creation_rate", "value": 1.0, "remove": False}]
        answer = await first.call(49, 1, {"entries": [{"entity": entity, "ops": ops}]})
        assert answer["entries"][0]["error_code"] == 0
        # A reset, or an end in the handshake.
        others = await asyncio.gather(*(connected() for _ in range(8)), return_exceptions=True)
        let_in = [each for each in others if isinstance(each, RawClient)]
        refused = [each for each in others if isinstance(each, OSError)]
        assert len(let_in) + len(refused) == 8
        assert refused
        assert (await first.call(METADATA, 9, {"topics": []}))["brokers"]
        for each in (first, *let_in):
            each.writer.close()
