"""The client proves who it is to Apache Kafka, and Kafka to the client."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.brokers import ended, free_port
from bench.kafka.broker import _format, _write_properties
from bench.kafka.install import BROKER_HEAP, KafkaUnavailableError, install

from ottla.client.admin.credentials import ScramMechanism, ScramUpsertion
from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.errors import AuthenticationError, ClientError

from .brokers import KAFKA_VERSION

_OF_LISTENER = "listener.name.sasl_plaintext"
_USERS = 'username="ann" password="pass" user_ann="pass"'
_LOGIN = "org.apache.kafka.common.security"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One whose only listener for clients asks for SASL, and every few seconds again."""
    try:
        release = install(KAFKA_VERSION)
    except KafkaUnavailableError as error:
        pytest.skip(f"Apache Kafka cannot be run here: {error}")
    folder = tmp_path_factory.mktemp("kafka-sasl")
    properties, port, controller = folder / "server.properties", free_port(), free_port()
    settings = (
        f"listeners=SASL_PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        f"controller.quorum.voters=1@127.0.0.1:{controller}",
        f"advertised.listeners=SASL_PLAINTEXT://127.0.0.1:{port}",
        "inter.broker.listener.name=SASL_PLAINTEXT",
        "sasl.mechanism.inter.broker.protocol=PLAIN",
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "connections.max.reauth.ms=3000",
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        f"{_OF_LISTENER}.plain.sasl.jaas.config={_LOGIN}.plain.PlainLoginModule required {_USERS};",
        *(
            f"{_OF_LISTENER}.{each}.sasl.jaas.config={_LOGIN}.scram.ScramLoginModule required;"
            for each in ("scram-sha-256", "scram-sha-512")
        ),
    )
    _write_properties(properties, folder, port, settings)
    _format(release, properties)
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(Path(folder / "stderr").open("wb"))
        process = subprocess.Popen(
            release.command("kafka.Kafka", str(properties), heap=BROKER_HEAP),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=folder,
        )
        stack.enter_context(ended(process))
        stack.callback(process.kill)
        asyncio.run(ready(f"127.0.0.1:{port}"))
        yield f"127.0.0.1:{port}"


async def ready(servers: str) -> None:
    """Until it lets us in."""
    async with asyncio.timeout(100):
        while True:
            try:
                async with client(servers, "PLAIN"):
                    return
            except ClientError:
                await asyncio.sleep(0.2)


def client(servers: str, mechanism: str, user: str = "ann", password: str = "pass") -> AsyncClient:
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism}
    settings |= {"sasl.username": user, "sasl.password": password}
    return AsyncClient(client_settings(servers, settings, {}))


async def test_who_knows_the_password_is_let_in(servers: str) -> None:
    async with client(servers, "PLAIN") as c:
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            upsertion = ScramUpsertion(mechanism, "päss,=", iterations=5000)
            (await c.admin.credentials.alter_scram({"bo": upsertion})).check()
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        async with client(servers, mechanism, "bo", "päss,=") as c:
            assert await c.admin.topics.list() == []
        with pytest.raises(AuthenticationError, match="Authentication failed"):
            await client(servers, mechanism, "bo", "wrong").start()
    with pytest.raises(AuthenticationError, match="Invalid username or password"):
        await client(servers, "PLAIN", "ann", "wrong").start()


async def test_a_session_that_ends_is_followed_by_another(servers: str) -> None:
    async with client(servers, "PLAIN") as c, c.producer() as producer:
        for number in range(40):
            assert (await (await producer.send("t", b"v"))).offset == number
            await asyncio.sleep(0.2)


async def test_a_mechanism_that_is_not_spoken_is_told(servers: str) -> None:
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER"}
    settings |= {"sasl.oauthbearer.token.provider": lambda: "token"}
    with pytest.raises(AuthenticationError, match="does not speak OAUTHBEARER, but: .*PLAIN"):
        await AsyncClient(client_settings(servers, settings, {})).start()
