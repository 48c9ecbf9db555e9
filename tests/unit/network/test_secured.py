"""Listeners with TLS: who is let in, what goes over the wire, certificates that change."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from tests.certificates import Authority, Identity
from tests.raw_client import FETCH, METADATA, PRODUCE, RawClient
from tests.running_broker import create_topic

from ottla.config.broker import broker_config
from ottla.config.definition import ConfigError
from ottla.config.layers import BrokerLayers
from ottla.config.tls import TlsSettings
from ottla.network.tls import ServerTls, client_context, server_context
from ottla.records.codec import Record, encode_batch
from ottla.testing import InProcessBroker, run_broker, run_broker_async

AUTHORITY, ELSEWHERE = Authority(), Authority("Another Authority")
SERVER = AUTHORITY.give_to("localhost")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    SERVER.write(folder / "server.pem")
    AUTHORITY.write(folder / "ca.pem")
    return folder


def batch(value: bytes) -> bytes:
    return encode_batch([Record(0, 0, None, value, ())])


def listening(folder: Path, **changes: str) -> dict[str, str]:
    common = {
        "listeners": "SSL://127.0.0.1:0",
        "ssl.keystore.location": str(folder / "server.pem"),
        "ssl.truststore.location": str(folder / "ca.pem"),
    }
    return common | {name.replace("_", "."): value for name, value in changes.items()}


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[InProcessBroker]:
    with run_broker(listening(folder, ssl_client_auth="requested")) as running:
        yield running


def context(identity: Identity | None = None, folder: Path | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cadata=AUTHORITY.pem)
    if identity is not None:
        assert folder is not None
        made.load_cert_chain(identity.write(folder / f"client-{os.urandom(4).hex()}.pem"))
    return made


@contextlib.asynccontextmanager
async def connected(broker: InProcessBroker, how: ssl.SSLContext) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection(broker.host, broker.port, ssl=how, limit=1 << 26)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class Tap:
    """Between a client and a broker: all that the broker sends, as it is on the wire."""

    def __init__(self, broker: InProcessBroker) -> None:
        self.broker = broker
        self.sent = bytearray()
        self.is_over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(self.broker.host, self.broker.port)

        async def forward(source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray) -> None:
            while data := await source.read(1 << 16):
                kept += data
                sink.write(data)
                await sink.drain()
            sink.close()

        try:
            with contextlib.suppress(OSError):
                await asyncio.gather(forward(reader, ours, bytearray()), forward(theirs, writer, self.sent))
        finally:
            ours.close()
            writer.close()
            self.is_over.set()


async def test_nothing_of_records_is_readable_on_the_wire(broker: InProcessBroker) -> None:
    tap = Tap(broker)
    server = await asyncio.start_server(tap.serve, "127.0.0.1", 0)
    tapped = InProcessBroker(*server.sockets[0].getsockname(), "")
    mark = b"readable " * 8
    async with server, connected(tapped, context()) as client:
        topic = await create_topic(client)
        whole = mark * 12_000
        for _ in range(3):
            assert (await topic.produce(batch(whole)))["error_code"] == 0
        fetched = await topic.fetch(max_bytes=1 << 25, partition_max_bytes=1 << 25)
        assert fetched["records"].count(whole) == 3
    await asyncio.wait_for(tap.is_over.wait(), 20)
    position = 0
    while position < len(tap.sent):  # all of it is records of TLS
        assert tap.sent[position] in (20, 21, 22, 23)
        assert tap.sent[position + 1] == 3
        position += 5 + int.from_bytes(tap.sent[position + 3 : position + 5], "big")
    assert position == len(tap.sent)
    assert len(tap.sent) > 3 * len(whole)
    assert mark not in bytes(tap.sent)


async def test_a_reader_that_stops_costs_no_more_than_its_share(broker: InProcessBroker) -> None:
    async with connected(broker, context()) as client:
        topic = await create_topic(client)
        for _ in range(8):
            await topic.produce(batch(os.urandom(900_000)))
        asked = topic.fetch_request(max_bytes=1 << 25, partition_max_bytes=1 << 25)
        for _ in range(4):
            client.send(FETCH, 12, asked)
        await asyncio.sleep(0.2)
        async with connected(broker, context()) as other:
            assert (await other.call(METADATA, 9, {"topics": []}))["brokers"]
        sizes = [len(await client.receive_frame()) for _ in range(4)]
        assert min(sizes) == max(sizes) > 7_000_000


@pytest.mark.parametrize("how", ["none", "good"])
async def test_a_certificate_may_be_shown_where_it_is_asked_for(
    broker: InProcessBroker, folder: Path, how: str
) -> None:
    identity = AUTHORITY.give_to("ann") if how == "good" else None
    async with connected(broker, context(identity, folder)) as client:
        assert (await client.call(METADATA, 9, {"topics": []}))["brokers"]


@pytest.mark.parametrize(
    ("identity", "line"),
    [
        (ELSEWHERE.give_to("ann"), "unable to get local issuer certificate"),
        (AUTHORITY.give_to("ann", expired=True), "certificate has expired"),
    ],
    ids=["foreign", "expired"],
)
async def test_a_certificate_that_is_not_believed_is_told_so(
    broker: InProcessBroker, folder: Path, identity: Identity, line: str, caplog: Any
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        async with connected(broker, context(identity, folder)) as client:
            await client.call(METADATA, 9, {"topics": []})
    lines = [each.getMessage() for each in caplog.records if each.name == "ottla.authentication"]
    assert lines == [f"failed TLS handshake of 127.0.0.1 on listener SSL: {line}"]


async def test_without_a_certificate_none_is_let_in_where_it_is_required(folder: Path) -> None:
    async with run_broker_async(listening(folder, ssl_client_auth="required")) as broker:
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
            async with connected(broker, context()) as client:
                await client.call(METADATA, 9, {"topics": []})
        async with connected(broker, context(AUTHORITY.give_to("ann"), folder)) as client:
            assert (await client.call(METADATA, 9, {"topics": []}))["brokers"]


@pytest.mark.filterwarnings("ignore:ssl:DeprecationWarning")
async def test_old_versions_are_not_spoken(broker: InProcessBroker) -> None:
    old = context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol"):
        async with connected(broker, old):
            pass


@pytest.mark.parametrize(
    "data", [b"\0\0\0\x20\0\x12\0\0" + b"x" * 40, b"GET / HTTP/1.1\r\n\r\n", os.urandom(300)]
)
async def test_what_is_no_tls_is_one_line(broker: InProcessBroker, data: bytes, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    reader, writer = await asyncio.open_connection(broker.host, broker.port)
    writer.write(data)
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 10)
    writer.close()
    lines = [each.getMessage() for each in caplog.records if "TLS" in each.getMessage()]
    assert len(lines) == 1
    assert "failed TLS handshake of 127.0.0.1" in lines[0]


async def test_handshakes_have_their_time_and_their_number(folder: Path, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    settings = listening(folder, ottla_tls_handshake_timeout_ms="200", max_connections="3")
    async with run_broker_async(settings) as broker:
        silent = [await asyncio.open_connection(broker.host, broker.port) for _ in range(4)]
        reader, _ = silent[3]
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        assert "more than max.connections=3" in caplog.text
        for reader, _ in silent[:3]:
            assert await asyncio.wait_for(reader.read(), 10) == b""
        assert caplog.text.count("it was not done within 0.2 s") == 3
        async with connected(broker, context()) as client:
            assert (await client.call(METADATA, 9, {"topics": []}))["brokers"]
        for _, writer in silent:
            writer.close()


async def test_a_broken_record_ends_the_connection(broker: InProcessBroker, caplog: Any) -> None:
    async with connected(broker, context()) as client:
        assert (await client.call(METADATA, 9, {"topics": []}))["brokers"]
        plain = client.writer.transport.get_extra_info("socket")
        os.write(plain.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with contextlib.suppress(OSError):
            assert await asyncio.wait_for(client.reader.read(), 10) == b""
    assert "TLS" in caplog.text


async def test_small_requests_and_large_ones_come_as_they_are_cut(broker: InProcessBroker) -> None:
    async with connected(broker, context()) as client:
        topic = await create_topic(client)
        for size in (1, 16_000, 16_384, 16_385, 300_000, 900_000):
            assert (await topic.produce(batch(os.urandom(size))))["error_code"] == 0
        waiting = [client.send(METADATA, 9, {"topics": []}) for _ in range(200)]
        for _ in waiting:
            assert (await client.receive(METADATA, 9))["brokers"]
        assert PRODUCE == 0


async def served_serial(broker: InProcessBroker, authority: Authority = AUTHORITY) -> int:
    made = ssl.create_default_context(cadata=authority.pem)
    async with connected(broker, made) as client:
        shown = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(shown).serial_number


async def test_a_file_that_changes_is_taken_up(tmp_path: Path, caplog: Any) -> None:
    first, second = AUTHORITY.give_to("first"), AUTHORITY.give_to("second")
    file = tmp_path / "server.pem"
    first.write(file)
    AUTHORITY.write(tmp_path / "ca.pem")
    async with run_broker_async(listening(tmp_path, ottla_tls_files_check_ms="20")) as broker:
        assert await served_serial(broker) == first.certificate.serial_number
        async with connected(broker, context()) as client:
            file.write_text("nonsense")
            async with asyncio.timeout(10):
                while "stay as they were" not in caplog.text:
                    await asyncio.sleep(0.02)
            assert await served_serial(broker) == first.certificate.serial_number
            second.write(file)
            async with asyncio.timeout(10):
                while await served_serial(broker) != second.certificate.serial_number:
                    await asyncio.sleep(0.02)
            assert (await client.call(METADATA, 9, {"topics": []}))["brokers"], "what is connected stays"


def settings(**changes: Any) -> TlsSettings:
    static = {"listeners": "SSL://127.0.0.1:1", "ssl.keystore.location": "x"}
    found = broker_config(BrokerLayers(static=static)).listener_security["SSL"].tls
    assert found is not None
    values = {name: getattr(found, name) for name in TlsSettings.__dataclass_fields__}
    return TlsSettings(**values | changes)


def store(file: Path, identity: Identity, password: bytes) -> str:
    authorities = [AUTHORITY.certificate]
    encryption = BestAvailableEncryption(password)
    file.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x", identity.key, identity.certificate, authorities, encryption
        )
    )
    return str(file)


def test_keys_come_in_every_form(tmp_path: Path) -> None:
    encrypted = SERVER.write(tmp_path / "encrypted.pem", "hush")
    forms: list[dict[str, Any]] = [
        {"keystore_location": encrypted, "key_password": "hush"},
        {"keystore_location": store(tmp_path / "a.p12", SERVER, b"hush"), "keystore_password": "hush"},
        {
            "keystore_location": None,
            "keystore_key": SERVER.key_pem("hush"),
            "keystore_certificate_chain": SERVER.chain_pem,
            "key_password": "hush",
        },
    ]
    for form in forms:
        server_context(settings(**form))
        client_context(settings(**form, truststore_certificates=AUTHORITY.pem))
    trusted = client_context(
        settings(**forms[0], truststore_location=str(tmp_path / "a.p12"), truststore_password="hush")
    )
    assert trusted.get_ca_certs()


@pytest.mark.parametrize(
    ("content", "password", "message"),
    [
        (b"\xfe\xed\xfe\xed\0\0\0\2", "hush", "keytool -importkeystore"),
        (b"nonsense", "hush", "neither PEM nor PKCS12"),
        (None, "wrong", "neither PEM nor PKCS12, or the password is wrong"),
        (SERVER.key_pem().encode(), None, "no key with its certificate"),
        (SERVER.chain_pem.encode(), None, "no key with its certificate"),
        ((SERVER.key_pem("hush") + SERVER.chain_pem).encode(), "wrong", "the password is wrong"),
        ((SERVER.key_pem("hush") + SERVER.chain_pem).encode(), None, "the password is wrong"),
        ((SERVER.key_pem() + ELSEWHERE.pem).encode(), None, "no key with its certificate"),
    ],
)
def test_keys_that_cannot_be_used_are_refused(
    tmp_path: Path, content: bytes | None, password: str | None, message: str
) -> None:
    file = tmp_path / "keys"
    if content is None:
        store(file, SERVER, b"hush")
    else:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as refused:
        server_context(settings(keystore_location=str(file), keystore_password=password))
    assert "hush" not in refused.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"keystore\.location=.*absent: no such file"):
        server_context(settings(keystore_location=str(tmp_path / "absent")))
    here = SERVER.write(tmp_path / "keys")
    with pytest.raises(ConfigError, match=r"truststore\.location=.*absent: no such file"):
        client_context(settings(keystore_location=here, truststore_location=str(tmp_path / "absent")))
    with pytest.raises(ConfigError, match="Invalid rule: nonsense"):
        ServerTls(settings(keystore_location=here, principal_mapping_rules="nonsense"))


@pytest.mark.parametrize(
    ("suites", "names", "versions"),
    [
        (
            ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
            {"ECDHE-ECDSA-AES128-GCM-SHA256"},
            ("TLSv1_2", "TLSv1_3"),
        ),
        (
            ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
            {"ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES256-SHA384"},
            ("TLSv1_2", "TLSv1_2"),
        ),
        (("TLS_RSA_WITH_AES_128_GCM_SHA256",), {"AES128-GCM-SHA256"}, ("TLSv1_2", "TLSv1_2")),
        (("DHE-RSA-AES256-GCM-SHA384",), {"DHE-RSA-AES256-GCM-SHA384"}, ("TLSv1_2", "TLSv1_2")),
        (("TLS_AES_256_GCM_SHA384",), None, ("TLSv1_3", "TLSv1_3")),
    ],
)
def test_suites_have_javas_names(
    tmp_path: Path, suites: tuple[str, ...], names: set[str] | None, versions: tuple[str, str]
) -> None:
    made = server_context(settings(keystore_location=SERVER.write(tmp_path / "keys"), cipher_suites=suites))
    assert (made.minimum_version.name, made.maximum_version.name) == versions
    if names is not None:
        found = {each["name"] for each in made.get_ciphers() if each["protocol"] != "TLSv1.3"}
        assert found == names


def test_a_suite_that_there_is_not_is_refused(tmp_path: Path) -> None:
    keys = SERVER.write(tmp_path / "keys")
    with pytest.raises(ConfigError, match="there is none of these"):
        server_context(settings(keystore_location=keys, cipher_suites=("TLS_X_WITH_Y",)))
    with pytest.raises(ConfigError, match="none is for a version of ssl.enabled.protocols"):
        server_context(
            settings(
                keystore_location=keys,
                cipher_suites=("TLS_AES_256_GCM_SHA384",),
                enabled_protocols=("TLSv1.2",),
            )
        )


def test_whatever_is_wrong_with_a_store_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TypeError("Password was given but private key is not encrypted")

    monkeypatch.setattr(pkcs12, "load_pkcs12", fail)
    with pytest.raises(ConfigError, match="neither PEM nor PKCS12"):
        server_context(settings(keystore_location=store(tmp_path / "a.p12", SERVER, b"hush")))


async def test_the_watch_of_certificates_survives_what_nobody_thought_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    SERVER.write(tmp_path / "server.pem")
    AUTHORITY.write(tmp_path / "ca.pem")
    async with run_broker_async(listening(tmp_path, ottla_tls_files_check_ms="10")) as broker:
        with monkeypatch.context() as patched:
            patched.setattr("ottla.network.tls.server_context", lambda _settings: 1 / 0)
            AUTHORITY.give_to("second").write(tmp_path / "server.pem")
            async with asyncio.timeout(10):
                while "stay as they were" not in caplog.text:
                    await asyncio.sleep(0.01)
        third = AUTHORITY.give_to("third")
        third.write(tmp_path / "server.pem")
        async with asyncio.timeout(10):
            while await served_serial(broker) != third.certificate.serial_number:
                await asyncio.sleep(0.02)
