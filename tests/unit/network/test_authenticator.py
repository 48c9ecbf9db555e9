"""Nothing is answered before a client has proved who it is, in the order and with the words of Kafka."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.raw_client import API_VERSIONS, METADATA, PRODUCE, RawClient, connect, frame, request_frame

from ottla.protocol.errors import ErrorCode
from ottla.testing import InProcessBroker, run_broker, run_broker_async

HANDSHAKE, AUTHENTICATE = 17, 36
_LINE = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="pass" user_bob="word";'
SETTINGS = {
    "listeners": "SASL_PLAINTEXT://127.0.0.1:0",
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": _LINE,
    "connection.failed.authentication.delay.ms": "20",
}
ANN, WRONG = b"\0ann\0pass", b"\0ann\0word"


class Client(RawClient):
    async def handshake(self, mechanism: str = "PLAIN", version: int = 1) -> dict[str, Any]:
        return await self.call(HANDSHAKE, version, {"mechanism": mechanism})

    async def authenticate(self, message: bytes = ANN, version: int = 2) -> dict[str, Any]:
        return await self.call(AUTHENTICATE, version, {"auth_bytes": message})

    async def token(self, message: bytes) -> bytes:
        self.writer.write(frame(message))
        return await self.receive_frame()

    async def is_served(self) -> bool:
        answer = await self.call(METADATA, 9, {"topics": []})
        return bool(answer["brokers"])


async def clients(**changes: str) -> AsyncIterator[Client]:
    settings = SETTINGS | {name.replace("_", "."): value for name, value in changes.items()}
    async with run_broker_async(settings) as broker, connect(broker.host, broker.port) as raw:
        yield Client(raw.reader, raw.writer)


@pytest.fixture(scope="module")
def running() -> Iterator[InProcessBroker]:
    with run_broker(SETTINGS) as broker:
        yield broker


@pytest.fixture
async def client(running: InProcessBroker) -> AsyncIterator[Client]:
    async with connect(running.host, running.port) as raw:
        yield Client(raw.reader, raw.writer)


async def test_who_proves_it_is_served(client: Client) -> None:
    assert (await client.call(API_VERSIONS, 3, NAMED))["error_code"] == ErrorCode.none
    answer = await client.handshake()
    assert answer == {"error_code": ErrorCode.none, "mechanisms": ["PLAIN", "SCRAM-SHA-256"]}
    answer = await client.authenticate()
    assert (answer["error_code"], answer["session_lifetime_ms"]) == (ErrorCode.none, 0)
    assert await client.is_served()


NAMED = {"client_software_name": "x", "client_software_version": "1"}


async def test_versions_may_be_refused_and_asked_for_again(client: Client) -> None:
    for name in ("", "-"):
        asked = {"client_software_name": name or "@", "client_software_version": "1"}
        assert (await client.call(API_VERSIONS, 3, asked))["error_code"] == ErrorCode.invalid_request
    assert (await client.call(API_VERSIONS, 3, NAMED))["error_code"] == ErrorCode.none
    await client.handshake()
    await client.authenticate()
    assert await client.is_served()


async def test_tokens_of_their_own_are_frames_without_headers(client: Client) -> None:
    await client.handshake(version=0)
    assert await client.token(ANN) == b""
    assert await client.is_served()


async def test_a_token_may_be_shorter_than_any_request(client: Client, caplog: Any) -> None:
    await client.handshake(version=0)
    caplog.set_level(logging.INFO)
    for byte in frame(b"\0a"):
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert await client.is_closed()
    assert "expected 3 tokens, got 2" in caplog.text


@pytest.mark.parametrize("version", [0, 1])
async def test_a_wrong_password_is_one_line_and_the_end(client: Client, version: int, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    await client.handshake(version=version)
    if version == 0:
        client.writer.write(frame(WRONG))
    else:
        answer = await client.authenticate(WRONG)
        assert answer["error_code"] == ErrorCode.sasl_authentication_failed
        assert answer["error_message"] == "Authentication failed: Invalid username or password"
    assert await client.is_closed()
    lines = [each.getMessage() for each in caplog.records if each.name == "ottla.authentication"]
    (line,) = lines
    assert line == (
        "failed authentication of 127.0.0.1 on listener SASL_PLAINTEXT: Authentication failed: "
        "Invalid username or password"
    )
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert "word" not in caplog.text.replace("password", "")


async def test_a_failure_is_told_late() -> None:
    async for late in clients(connection_failed_authentication_delay_ms="60000"):
        await late.handshake()
        late.send(AUTHENTICATE, 2, {"auth_bytes": WRONG})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(late.receive_frame(), 0.3)


async def test_nothing_that_was_sent_behind_a_wrong_password_is_handled(client: Client) -> None:
    await client.handshake()
    requests: list[tuple[int, int, dict[str, Any]]] = [
        (AUTHENTICATE, 2, {"auth_bytes": WRONG}),
        (HANDSHAKE, 1, {"mechanism": "PLAIN"}),
        (AUTHENTICATE, 2, {"auth_bytes": ANN}),
        (METADATA, 9, {"topics": []}),
    ]
    # At once, so that all of it waits here when the first is answered.
    client.writer.write(b"".join(request_frame(key, version, 7, each) for key, version, each in requests))
    answer = await client.receive(AUTHENTICATE, 2)
    assert answer["error_code"] == ErrorCode.sasl_authentication_failed
    assert await client.reader.read() == b""


async def test_what_is_not_known_of_a_user_looks_as_a_wrong_password(client: Client) -> None:
    await client.handshake("SCRAM-SHA-256")
    first = await client.authenticate(b"n,,n=nobody,r=abc")
    assert first["error_code"] == ErrorCode.none
    assert b"i=4096" in first["auth_bytes"]
    nonce = first["auth_bytes"].split(b",")[0]
    last = await client.authenticate(b"c=biws," + nonce + b",p=" + b"A" * 43 + b"=")
    assert last["error_code"] == ErrorCode.sasl_authentication_failed
    assert last["error_message"] == (
        "Authentication failed during authentication due to invalid credentials with SASL mechanism "
        "SCRAM-SHA-256"
    )
    assert await client.is_closed()


async def test_a_mechanism_that_is_not_there_is_refused(client: Client) -> None:
    answer = await client.handshake("GSSAPI")
    assert answer["error_code"] == ErrorCode.unsupported_sasl_mechanism
    assert answer["mechanisms"] == ["PLAIN", "SCRAM-SHA-256"]
    assert await client.is_closed()


async def test_a_mechanism_does_not_write_lines_into_the_log(client: Client, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    await client.handshake("X\nfailed authentication of 192.0.2.1")
    assert await client.is_closed()
    (line,) = [each.getMessage() for each in caplog.records if each.name == "ottla.authentication"]
    assert "Unsupported SASL mechanism X\\nfailed" in line
    assert line.isprintable()


@pytest.mark.parametrize("api_key", [METADATA, PRODUCE, AUTHENTICATE, 32])
async def test_nothing_is_answered_before(client: Client, api_key: int) -> None:
    client.send(api_key, 2 if api_key == AUTHENTICATE else 9 if api_key < 30 else 4, {"auth_bytes": ANN})
    assert await client.is_closed()


async def test_versions_are_told_once(client: Client) -> None:
    await client.call(API_VERSIONS, 3, NAMED)
    client.send(API_VERSIONS, 3, NAMED)
    assert await client.is_closed()


async def test_another_request_among_tokens_is_refused_by_its_own_answer(client: Client) -> None:
    await client.handshake()
    assert (await client.call(16, 4, {}))["error_code"] == ErrorCode.illegal_sasl_state
    assert await client.is_closed()


async def test_a_handshake_twice_is_refused(client: Client) -> None:
    await client.handshake()
    assert (await client.handshake())["error_code"] == ErrorCode.illegal_sasl_state
    assert await client.is_closed()


@pytest.mark.parametrize("size", [512 * 1024 + 1, -1, 7, (1 << 31) - 1])
async def test_frames_beyond_all_measure_end_it(client: Client, size: int) -> None:
    client.writer.write(size.to_bytes(4, "big", signed=True) + b"\0\x12\0\0")
    assert await client.is_closed()


async def test_who_says_nothing_is_closed(caplog: Any) -> None:
    async for client in clients(ottla_authentication_timeout_ms="50"):
        assert await client.is_closed()
    assert "it has not said who it is within 0.05 s" in caplog.text


async def test_who_is_known_may_not_begin_again(client: Client) -> None:
    await client.handshake()
    await client.authenticate()
    assert (await client.handshake())["error_code"] == ErrorCode.illegal_sasl_state
    assert (await client.authenticate())["error_code"] == ErrorCode.illegal_sasl_state
    assert await client.is_served()


RENEWED = {"connections_max_reauth_ms": "60000"}


async def test_a_session_that_ends_is_renewed() -> None:
    async for client in clients(**RENEWED):
        await client.handshake()
        assert (await client.authenticate())["session_lifetime_ms"] == 60_000
        assert await client.is_served()
        await client.handshake()
        assert (await client.authenticate())["session_lifetime_ms"] == 60_000
        assert await client.is_served()
        assert (await client.handshake())["error_code"] == ErrorCode.illegal_sasl_state, "not twice a second"


async def test_a_session_cannot_become_anothers() -> None:
    async for client in clients(**RENEWED):
        await client.handshake()
        await client.authenticate()
        await client.handshake()
        answer = await client.authenticate(b"\0bob\0word")
        assert answer["error_message"] == (
            "Cannot change principals during re-authentication from User.ann: User.bob"
        )
        assert await client.is_closed()


async def test_a_session_keeps_its_mechanism() -> None:
    async for client in clients(**RENEWED):
        await client.handshake()
        await client.authenticate()
        assert (await client.handshake("SCRAM-SHA-256"))["error_code"] == ErrorCode.none
        client.send(AUTHENTICATE, 2, {"auth_bytes": b"n,,n=ann,r=abc"})
        assert await client.reader.read() == b""


async def test_other_requests_wait_for_the_end_of_a_renewal() -> None:
    async for client in clients(**RENEWED):
        await client.handshake()
        await client.authenticate()
        await client.handshake()
        assert not (await client.call(METADATA, 9, {"topics": [{"name": "t"}]}))["brokers"]
        assert await client.is_closed()


async def test_a_session_ends(caplog: Any) -> None:
    async for client in clients(connections_max_reauth_ms="100"):
        await client.handshake()
        await client.authenticate()
        await asyncio.sleep(0.15)
        client.send(METADATA, 9, {"topics": []})
        assert await client.is_closed()
    assert "its session has ended" in caplog.text
