"""Each client by each protocol and mechanism: let in with the right password, and told what is wrong."""

from __future__ import annotations

import asyncio
import gc
import shutil
import ssl
import subprocess
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

import aiokafka
import confluent_kafka
import kafka
import pytest
from tests.clients.secured import PASSWORD, SCRAM, Place, Way, place, token

__all__ = ["place"]


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

    told = asyncio.run(ask())
    if told is not None:  # it leaves the transport of a connection that was refused to the collector
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    return told


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
