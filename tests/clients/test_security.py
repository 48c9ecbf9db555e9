"""Each client by each protocol and mechanism: let in with the right password, and told what is wrong."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiokafka
import confluent_kafka
import jwt
import kafka
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.certificates import Authority

from ottla import client
from ottla.client.admin.credentials import ScramMechanism, ScramUpsertion
from ottla.testing import run_broker
from ottla.testing.cluster import free_ports

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SCRAM: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")
PASSWORD: Final = "päss,="
_LINE: Final = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="{PASSWORD}";'
_KEY: Final = ec.generate_private_key(ec.SECP256R1())


class Place(NamedTuple):
    servers: dict[str, str]
    ca: str
    folder: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("security")
    authority, ports = Authority(), free_ports(4)
    servers = {name: f"localhost:{port}" for name, port in zip(PROTOCOLS, ports, strict=True)}
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(_KEY.public_key(), as_dict=True) | {"kid": "a"}
    (folder / "jwks").write_text(json.dumps({"keys": [jwk]}))
    settings = {
        "listeners": ",".join(f"{name}://{at}" for name, at in servers.items()),
        "ssl.keystore.location": authority.give_to("localhost").write(folder / "server.pem"),
        "sasl.enabled.mechanisms": f"PLAIN,{','.join(SCRAM)},OAUTHBEARER",
        "sasl.oauthbearer.jwks.endpoint.url": (folder / "jwks").as_uri(),
        "sasl.oauthbearer.expected.issuer": "me",
        "sasl.oauthbearer.expected.audience": "us",
        "connection.failed.authentication.delay.ms": "10",
        **{f"listener.name.{name}.plain.sasl.jaas.config": _LINE for name in ("sasl_plaintext", "sasl_ssl")},
    }
    with run_broker(settings):
        with client.connect(servers["PLAINTEXT"]) as c:
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                upsertion = ScramUpsertion(mechanism, PASSWORD, iterations=4096)
                c.admin.credentials.alter_scram({"ann": upsertion}).check()
            with c.producer() as producer:
                producer.send("t", b"v")
        yield Place(servers, authority.write(folder / "ca.pem"), folder)


def token(audience: str = "us", expires_s: float = 600) -> str:
    claims = {"sub": "ann", "iss": "me", "aud": audience, "iat": time.time(), "exp": time.time() + expires_s}
    return jwt.encode(claims, _KEY, "ES256", {"kid": "a"})


class Way(NamedTuple):
    """How a client comes."""

    protocol: str
    mechanism: str | None
    password: str = PASSWORD

    @property
    def is_secured(self) -> bool:
        return self.protocol.endswith("SSL")


def librdkafka(place: Place, way: Way) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "bootstrap.servers": place.servers[way.protocol],
        "security.protocol": way.protocol,
    }
    if way.is_secured:
        settings["ssl.ca.location"] = place.ca
    if way.mechanism == "OAUTHBEARER":
        settings |= {"sasl.mechanism": way.mechanism}
        settings["oauth_cb"] = lambda _: (token(way.password), time.time() + 600)
    elif way.mechanism:
        settings |= {
            "sasl.mechanism": way.mechanism,
            "sasl.username": "ann",
            "sasl.password": way.password,
        }
    return settings


def by_confluent(place: Place, way: Way) -> str | None:
    errors: list[str] = []
    settings = librdkafka(place, way) | {"error_cb": lambda error: errors.append(str(error))}
    admin = confluent_kafka.admin.AdminClient(settings)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        admin.poll(0.1)
        told = [each for each in errors if "uthentication" in each or "invalid_token" in each]
        if told:
            return told[0]
        try:
            return None if "t" in admin.list_topics(timeout=1).topics else "no topic"
        except confluent_kafka.KafkaException:
            continue
    return f"nothing within 20 s: {errors}"


def by_aiokafka(place: Place, way: Way) -> str | None:
    class Provider(aiokafka.abc.AbstractTokenProvider):  # type: ignore[misc]
        async def token(self) -> str:
            return token(way.password)

    async def ask() -> str | None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=place.servers[way.protocol],
            security_protocol=way.protocol,
            ssl_context=ssl.create_default_context(cafile=place.ca) if way.is_secured else None,
            sasl_mechanism=way.mechanism or "PLAIN",
            sasl_plain_username="ann" if way.mechanism else None,
            sasl_plain_password=way.password if way.mechanism else None,
            request_timeout_ms=2000,
            sasl_oauth_token_provider=Provider() if way.mechanism == "OAUTHBEARER" else None,
        )
        try:
            await producer.start()
            await producer.send_and_wait("t", b"v")
        except aiokafka.errors.KafkaError as error:
            return f"authentication: {error}"
        finally:
            await producer.stop()
        return None

    return asyncio.run(ask())


def by_kafka_python(place: Place, way: Way) -> str | None:
    try:
        admin = kafka.KafkaAdminClient(
            bootstrap_servers=place.servers[way.protocol],
            security_protocol=way.protocol,
            ssl_cafile=place.ca if way.is_secured else None,
            sasl_mechanism=way.mechanism,
            sasl_plain_username="ann" if way.mechanism else None,
            sasl_plain_password=way.password if way.mechanism else None,
            bootstrap_timeout_ms=1000,
        )
    except kafka.errors.KafkaError as error:
        return f"authentication: {error}"
    try:
        return None if "t" in admin.list_topics() else "no topic"
    finally:
        admin.close()


def by_kcat(place: Place, way: Way) -> str | None:
    program = shutil.which("kcat")
    if program is None:
        pytest.skip("there is no kcat")
    settings = librdkafka(place, way)
    command = [program, "-L", "-t", "t", "-m", "5", "-b", settings.pop("bootstrap.servers")]
    for name, value in settings.items():
        command += ["-X", f"{name}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return None if done.returncode == 0 and 'topic "t"' in done.stdout else done.stderr


ASKS: Final[dict[str, Callable[[Place, Way], str | None]]] = {
    "confluent": by_confluent,
    "aiokafka": by_aiokafka,
    "kafka-python": by_kafka_python,
    "kcat": by_kcat,
}
OPEN: Final = tuple(Way(protocol, None) for protocol in ("PLAINTEXT", "SSL"))
ASKED: Final = tuple(
    Way(protocol, mechanism)
    for protocol in ("SASL_PLAINTEXT", "SASL_SSL")
    for mechanism in ("PLAIN", *SCRAM, "OAUTHBEARER")
)


def ways(name: str) -> tuple[Way, ...]:
    """Those that the client has."""
    if name == "kcat":  # its librdkafka is too old for SCRAM: Kafka 4 refuses what it proves
        return *OPEN, *(way for way in ASKED if way.mechanism == "PLAIN")
    if name == "kafka-python":  # its provider of tokens is a class of another shape
        return *OPEN, *(way for way in ASKED if way.mechanism != "OAUTHBEARER")
    return *OPEN, *ASKED


@pytest.mark.parametrize("name", ASKS)
def test_the_right_password_lets_in(place: Place, name: str) -> None:
    for way in ways(name):
        right = way._replace(password="us") if way.mechanism == "OAUTHBEARER" else way
        assert ASKS[name](place, right) is None, way


@pytest.mark.parametrize("name", ASKS)
def test_a_wrong_one_does_not(place: Place, name: str, caplog: Any) -> None:
    for way in ways(name):
        if way.mechanism is not None and way.protocol == "SASL_SSL":
            told = ASKS[name](place, way._replace(password="elsewhere"))
            assert told is not None, way
            assert "uthentication" in told or "invalid_token" in told, (way, told)
    assert PASSWORD not in caplog.text
    assert "elsewhere" not in caplog.text
