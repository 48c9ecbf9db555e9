"""The client proves who it is to Apache Kafka, and Kafka to the client."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from ottla.client.admin.credentials import ScramMechanism, ScramUpsertion
from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.errors import AuthenticationError
from ottla.client.settings import dotted

from .brokers import Broker
from .proof import Proof

SCRAM = (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
_LOGIN = "org.apache.kafka.common.security"

pytestmark = pytest.mark.xdist_group("differential")


@pytest.fixture(scope="module")
def servers(guarded_brokers: tuple[Broker, Broker]) -> str:
    """Kafka's listener that asks for SASL, and every few seconds again."""
    host, port = guarded_brokers[0].listeners["RENEWED"]
    asyncio.run(make_scram_user(f"{host}:{port}"))
    return f"{host}:{port}"


async def make_scram_user(servers: str) -> None:
    """And wait until Kafka's broker has heard of it from its controller."""
    async with client(servers, "PLAIN") as c:
        for mechanism in SCRAM:
            upsertion = ScramUpsertion(mechanism, "päss,=", iterations=5000)
            (await c.admin.credentials.alter_scram({"bo": upsertion})).check()
    async with asyncio.timeout(30):
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            while not await _is_let_in(servers, mechanism):
                await asyncio.sleep(0.1)


async def _is_let_in(servers: str, mechanism: str) -> bool:
    try:
        async with client(servers, mechanism, "bo", "päss,="):
            return True
    except AuthenticationError:
        return False


def client(servers: str, mechanism: str, user: str = "ann", password: str = "pass") -> AsyncClient:
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism}
    settings |= {"sasl.username": user, "sasl.password": password}
    return AsyncClient(client_settings(servers, settings, {}))


async def test_who_knows_the_password_is_let_in(servers: str) -> None:
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        async with client(servers, mechanism, "bo", "päss,=") as c:
            await c.admin.topics.list()
        with pytest.raises(AuthenticationError, match="Authentication failed"):
            await client(servers, mechanism, "bo", "wrong").start()
    with pytest.raises(AuthenticationError, match="Invalid username or password"):
        await client(servers, "PLAIN", "ann", "wrong").start()


async def test_a_session_is_renewed_on_its_connection(servers: str) -> None:
    async with client(servers, "SCRAM-SHA-256", "bo", "päss,=") as c, c.producer() as producer:
        await (await producer.send("t", b"v"))
        (node,) = c.cluster.metadata.brokers
        connection = await c.cluster.connection(node)
        for number in range(1, 40):
            assert (await (await producer.send("t", b"v"))).offset == number
            await asyncio.sleep(0.2)
        assert await c.cluster.connection(node) is connection
        assert connection.error is None


def bearer(servers: str, **settings: object) -> AsyncClient:
    common = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER"}
    return AsyncClient(client_settings(servers, common, settings))


async def test_who_has_a_token_is_let_in(servers: str, proof: Proof) -> None:
    async with bearer(servers, sasl_oauthbearer_token=proof.token(600)) as c:
        await c.admin.topics.list()
    with pytest.raises(AuthenticationError, match="invalid_token"):
        await bearer(servers, sasl_oauthbearer_token=proof.token(-50)).start()
    with pytest.raises(AuthenticationError, match="invalid_token|malformed|Authentication failed"):
        await bearer(servers, sasl_oauthbearer_token="abc").start()


async def test_a_token_is_asked_for_again_before_its_session_ends(servers: str, proof: Proof) -> None:
    given = []

    async def provider() -> str:
        given.append(proof.token(600))
        return given[-1]

    async with bearer(servers, sasl_oauthbearer_token_provider=provider) as c:
        deadline = time.monotonic() + 30
        while len(given) < 3:
            await c.admin.topics.list()
            await asyncio.sleep(0.1)
            assert time.monotonic() < deadline


async def command(servers: str, *words: str, **properties: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `ottla`."""
    options = [each for name, value in properties.items() for each in ("-X", f"{dotted(name)}={value}")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ottla", *words, "-b", servers, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


PLAIN = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanisms": "PLAIN", "sasl_username": "ann"}


async def test_the_command_line_is_let_in(servers: str, proof: Proof) -> None:
    jaas = f'{_LOGIN}.plain.PlainLoginModule required username="ann" password="pass";'
    with_bearer = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "OAUTHBEARER"}
    for properties in (
        PLAIN | {"sasl_password": "pass"},
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_jaas_config": jaas},
        with_bearer | {"sasl_oauthbearer_token": proof.token(600)},
    ):
        name = f"made-{len(properties)}-{'jaas' in str(properties)}"
        assert await command(servers, "topic", "create", name, **properties) == (0, "", "")
        code, listed, errors = await command(servers, "topic", "list", **properties)
        assert (code, errors) == (0, "")
        assert name in listed


async def test_the_command_line_says_why_it_is_not_let_in(servers: str) -> None:
    code, _, errors = await command(servers, "topic", "list", **PLAIN, sasl_password="hush")
    assert (code, errors.count("\n")) == (1, 1)
    assert "Invalid username or password" in errors
    assert "hush" not in errors
    code, _, errors = await command(servers, "topic", "list", **PLAIN)
    assert (code, "needs sasl.password" in errors) == (2, True)
    code, _, errors = await command(servers, "topic", "list")
    assert (code, "it may want security.protocol=SASL_PLAINTEXT" in errors) == (1, True)
