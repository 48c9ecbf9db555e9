"""TLS: who the broker is gets checked, and so do the files that are given."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.scripted_broker import api_versions, metadata, scripted

from ottla.client.errors import AuthenticationError, BrokerUnreachableError, ClientError, ConfigurationError
from ottla.client.net.cluster import Cluster
from ottla.client.net.tls import context_of
from ottla.client.settings import ClientSettings
from ottla.protocol import wire
from ottla.protocol.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from ottla.protocol.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@dataclasses.dataclass(frozen=True)
class Certificate:
    certificate: str
    key: str


def certificate(folder: Path, name: str, *, password: str | None = None) -> Certificate:
    """Signed by itself, for this name and address."""
    made = Certificate(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    secrecy = ["-nodes"] if password is None else ["-passout", f"pass:{password}"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", *secrecy, "-days", "2"]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName={name}"]
    command += ["-out", made.certificate, "-keyout", made.key]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def here(folder: Path) -> Certificate:
    return certificate(folder, "IP:127.0.0.1")


@pytest.fixture(scope="module")
def elsewhere(folder: Path) -> Certificate:
    return certificate(folder, "DNS:elsewhere.example")


@contextlib.asynccontextmanager
async def tls_broker(own: Certificate, clients: Certificate | None = None) -> AsyncIterator[str]:
    """Which wants its clients' certificates where it is given whose."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.certificate)

    def answer(key: int, version: int, correlation_id: int, _: memoryview) -> bytes:
        port = int(address.rpartition(":")[2])
        return api_versions(version, correlation_id) if key == 18 else metadata(version, correlation_id, port)

    async with scripted(answer, context) as address:
        yield address


async def connect(address: str, **settings: Any) -> None:
    given = {"security_protocol": "SSL", "socket_connection_setup_timeout_ms": 3000, **settings}
    cluster = Cluster(ClientSettings(bootstrap_servers=(address,), **given))
    await cluster.start()
    assert cluster.metadata.brokers
    await cluster.close()


async def test_a_broker_that_is_trusted_is_spoken_to(here: Certificate) -> None:
    async with tls_broker(here) as address:
        await connect(address, ssl_ca_location=here.certificate)


async def test_a_broker_that_nobody_vouches_for_is_not(here: Certificate, elsewhere: Certificate) -> None:
    async with tls_broker(here) as address:
        for trusted in ({}, {"ssl_ca_location": elsewhere.certificate}):
            with pytest.raises(AuthenticationError, match=f"{address}: self.signed certificate"):
                await connect(address, **trusted)


async def test_a_broker_of_another_name_is_not_unless_names_do_not_matter(elsewhere: Certificate) -> None:
    async with tls_broker(elsewhere) as address:
        with pytest.raises(AuthenticationError, match="(?i)ip address mismatch"):
            await connect(address, ssl_ca_location=elsewhere.certificate)
        await connect(
            address,
            ssl_ca_location=elsewhere.certificate,
            ssl_endpoint_identification_algorithm="none",
        )


async def test_a_client_shows_who_it_is(here: Certificate, folder: Path) -> None:
    me = await asyncio.to_thread(certificate, folder, "DNS:me.example", password="secret")
    async with tls_broker(here, clients=me) as address:
        trusted = {"ssl_ca_location": here.certificate}
        with pytest.raises(ClientError):
            await connect(address, **trusted)
        await connect(
            address,
            **trusted,
            ssl_certificate_location=me.certificate,
            ssl_key_location=me.key,
            ssl_key_password="secret",
        )


async def test_tls_and_none_do_not_meet(here: Certificate) -> None:
    async with tls_broker(here) as address:
        with pytest.raises(BrokerUnreachableError, match=address):
            await connect(address, security_protocol="PLAINTEXT")


def test_files_that_do_not_serve_are_told(here: Certificate, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    for given, said in (
        ({"ssl_ca_location": str(nothing)}, "ssl.ca.location=.*No such file"),
        ({"ssl_ca_location": here.key}, "ssl.ca.location="),
        ({"ssl_certificate_location": str(nothing)}, "ssl.certificate.location=.*No such file"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            context_of(ClientSettings(security_protocol="SSL", **given))  # type: ignore[arg-type]


async def test_a_password_is_told_over_tls_and_only_to_whom_is_trusted(
    here: Certificate, elsewhere: Certificate
) -> None:
    said: list[bytes] = []

    def answer(key: int, version: int, correlation_id: int, body: memoryview) -> bytes:
        if key == SaslHandshakeRequest.__key__:
            return wire.encode_response(SaslHandshakeResponse(), version, correlation_id)
        if key == SaslAuthenticateRequest.__key__:
            said.append(wire.decode(SaslAuthenticateRequest, version, body).auth_bytes)
            return wire.encode_response(SaslAuthenticateResponse(), version, correlation_id)
        port = int(address.rpartition(":")[2])
        return api_versions(version, correlation_id) if key == 18 else metadata(version, correlation_id, port)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(here.certificate, here.key)
    sasl = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}
    sasl |= {"sasl_username": "ann", "sasl_password": "hush"}
    async with scripted(answer, context) as address:
        with pytest.raises(AuthenticationError):
            await connect(address, **sasl, ssl_ca_location=elsewhere.certificate)
        assert said == []
        await connect(address, **sasl, ssl_ca_location=here.certificate)
    assert said == [b"\0ann\0hush"]


def stored(folder: Path, made: Certificate, name: str, *options: str) -> str:
    path = folder / name
    command = [
        "openssl",
        "pkcs12",
        "-export",
        "-in",
        made.certificate,
        "-out",
        str(path),
        "-passout",
        "pass:store",
    ]
    subprocess.run([*command, *options], check=True, capture_output=True)
    return str(path)


def test_stores_of_java_are_read_as_what_they_are(tmp_path: Path) -> None:
    made = certificate(tmp_path, "DNS:localhost")
    own = stored(tmp_path, made, "me.p12", "-inkey", made.key)
    others = stored(tmp_path, made, "trust.p12", "-nokeys")
    both = tmp_path / "both.pem"
    both.write_text(Path(made.key).read_text() + Path(made.certificate).read_text())
    for keystore, truststore in ((own, others), (str(both), made.certificate), (None, others), (own, None)):
        settings = ClientSettings(
            security_protocol="SSL",
            ssl_keystore_location=keystore,
            ssl_keystore_password="store" if keystore == own else None,
            ssl_truststore_location=truststore,
            ssl_truststore_password="store",
        )
        context = context_of(settings)
        assert context is not None
        assert context.verify_mode is ssl.CERT_REQUIRED
        if truststore is not None:
            (trusted,) = context.get_ca_certs()
            assert trusted["subject"] == ((("commonName", "DNS:localhost"),),)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xfe\xed\xfe\xed\x00\x00", "keytool -importkeystore"),
        (b"rubbish", "neither PEM nor PKCS12"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "can be read in it"),
        (None, "no such file"),
    ],
)
def test_stores_that_cannot_be_used_are_told_without_their_passwords(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "store"
    if content is not None:
        path.write_bytes(content)
    for kind in ("keystore", "truststore"):
        given = {f"ssl_{kind}_location": str(path), f"ssl_{kind}_password": "hidden-word"}
        with pytest.raises(ConfigurationError) as refused:
            context_of(ClientSettings(security_protocol="SSL", **given))
        assert f"ssl.{kind}.location" in str(refused.value)
        assert said in str(refused.value)
        assert "hidden-word" not in str(refused.value)
