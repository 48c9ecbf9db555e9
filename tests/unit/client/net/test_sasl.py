"""Brokers that ask who the client is, and what comes of their refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.client.scripted_broker import Answer, api_versions, metadata, scripted

from ottla.client.core.metadata import BrokerNode
from ottla.client.errors import AuthenticationError, BrokerUnreachableError, ClientError, DisconnectedError
from ottla.client.net.cluster import Cluster
from ottla.client.net.connection import connect, mechanism_of
from ottla.client.net.host import this_host
from ottla.client.settings import ClientSettings, address_of, parse
from ottla.identity.sasl import MAX_CHALLENGE_BYTES
from ottla.protocol import wire
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.metadata import MetadataRequest
from ottla.protocol.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from ottla.protocol.messages.sasl_handshake import SaslHandshakeResponse
from ottla.protocol.structs import Struct

PLAIN = {"sasl.mechanism": "PLAIN", "sasl.username": "ann", "sasl.password": "hush"}
SCRAM = PLAIN | {"sasl.mechanism": "SCRAM-SHA-256"}


def asking(said: list[bytes], *answers: Struct | None) -> Answer:
    """A broker that gives these answers to SASL in turn, and collects what clients said; None closes."""
    coming: Iterator[Struct | None] = iter(answers)

    def answer(key: int, version: int, correlation_id: int, body: memoryview) -> bytes | None:
        if key == 18:
            return api_versions(version, correlation_id)
        if key == 3:
            return metadata(version, correlation_id)
        if key == SaslAuthenticateRequest.__key__:
            said.append(wire.decode(SaslAuthenticateRequest, version, body, 0, 100).auth_bytes)
        response = next(coming)
        return None if response is None else wire.encode_response(response, version, correlation_id)

    return answer


OFFERED = SaslHandshakeResponse(mechanisms=["PLAIN"])


async def start(answer: Answer, given: dict[str, Any]) -> None:
    """ClientError where it is not let in."""
    async with scripted(answer) as address:
        settings = {"bootstrap.servers": address, "security.protocol": "SASL_PLAINTEXT"}
        cluster = Cluster(parse(ClientSettings, settings | given))
        try:
            await cluster.start()
        finally:
            await cluster.close()


async def test_a_client_that_is_believed_goes_on() -> None:
    said: list[bytes] = []
    await start(asking(said, OFFERED, SaslAuthenticateResponse()), PLAIN)
    assert said == [b"\0ann\0hush"]


async def test_a_refusal_is_told_in_the_brokers_words_and_not_asked_for_again() -> None:
    said: list[bytes] = []
    refused = SaslAuthenticateResponse(
        error_code=ErrorCode.sasl_authentication_failed, error_message="No such user" + "!" * 1000
    )
    with pytest.raises(AuthenticationError, match="127.0.0.1:[0-9]+: No such user") as raised:
        await start(asking(said, OFFERED, refused), PLAIN)
    assert len(said) == 1
    assert "hush" not in str(raised.value)
    assert len(str(raised.value)) < 600
    assert not raised.value.retriable


async def test_what_is_spoken_instead_is_told() -> None:
    code = ErrorCode.unsupported_sasl_mechanism
    refused = SaslHandshakeResponse(error_code=code, mechanisms=["GSSAPI", "OAUTHBEARER"])
    with pytest.raises(AuthenticationError, match="not speak PLAIN, but: GSSAPI, OAUTHBEARER"):
        await start(asking([], refused), PLAIN)


async def test_a_broker_that_lets_anybody_in_is_not_believed() -> None:
    with pytest.raises(AuthenticationError, match="malformed"):
        await start(asking([], OFFERED, SaslAuthenticateResponse()), SCRAM)


async def test_a_challenge_without_end_is_not_read() -> None:
    challenge = SaslAuthenticateResponse(auth_bytes=b"x" * MAX_CHALLENGE_BYTES)
    with pytest.raises(ClientError, match=r"an answer to SASL of [0-9]+ bytes"):
        await start(asking([], OFFERED, challenge), SCRAM)


async def test_a_connection_that_goes_meanwhile_says_so() -> None:
    with pytest.raises(BrokerUnreachableError, match="closed the connection while it was told who we are"):
        await start(asking([], OFFERED, None), PLAIN)


async def test_a_client_without_sasl_is_told_that_it_may_be_wanted() -> None:
    def answer(key: int, version: int, correlation_id: int, _: memoryview) -> bytes | None:
        return api_versions(version, correlation_id) if key == 18 else None

    with pytest.raises(DisconnectedError, match="at the first request: it may want .*SASL_PLAINTEXT"):
        await start(answer, {"security.protocol": "PLAINTEXT"})
    with pytest.raises(BrokerUnreachableError, match="closed the connection before it answered ApiVersions"):
        await start(lambda *_: None, {"security.protocol": "PLAINTEXT"})


async def test_a_connection_that_goes_later_says_nothing_of_sasl() -> None:
    asked = 0

    def answer(key: int, version: int, correlation_id: int, _: memoryview) -> bytes | None:
        nonlocal asked
        asked += 1
        if key == 18:
            return api_versions(version, correlation_id)
        return metadata(version, correlation_id) if asked == 2 else None

    async with scripted(answer) as address:
        cluster = Cluster(ClientSettings(bootstrap_servers=(address,)))
        await cluster.start()
        with pytest.raises(DisconnectedError) as raised:
            await cluster.refresh()
        await cluster.close()
    assert str(raised.value) == f"{address}: the broker closed the connection"


def bearer(provider: object) -> dict[str, object]:
    return {"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.token.provider": provider}


async def test_tokens_come_from_functions_and_coroutine_functions() -> None:
    async def later() -> str:
        return "abc"

    for provider in (lambda: "abc", later):
        said: list[bytes] = []
        await start(asking(said, OFFERED, SaslAuthenticateResponse()), bearer(provider))
        assert said == [b"n,,\x01auth=Bearer abc\x01\x01"]


async def test_extensions_go_beside_the_token() -> None:
    said: list[bytes] = []
    settings = {**bearer(lambda: "abc"), "sasl.oauthbearer.extensions": "a=1, b=2"}
    await start(asking(said, OFFERED, SaslAuthenticateResponse()), settings)
    assert said == [b"n,,\x01auth=Bearer abc\x01a=1\x01b=2\x01\x01"]


async def test_a_refused_token_is_told_after_the_end_that_the_broker_waits_for() -> None:
    said: list[bytes] = []
    challenge = SaslAuthenticateResponse(auth_bytes=b'{"status":"invalid_token"}')
    refused = SaslAuthenticateResponse(
        error_code=ErrorCode.sasl_authentication_failed, error_message="the token is old"
    )
    with pytest.raises(AuthenticationError, match="the token is old"):
        await start(asking(said, OFFERED, challenge, refused), bearer(lambda: "abc"))
    assert said[1:] == [b"\x01"]


async def test_a_token_that_cannot_be_had_is_told_and_a_network_failure_may_be_over_the_next_time() -> None:
    def away() -> str:
        raise ConnectionRefusedError("the issuer is away")

    with pytest.raises(BrokerUnreachableError, match="provider: the issuer is away") as raised:
        await start(asking([]), bearer(away))
    assert raised.value.retriable

    def broken() -> str:
        raise KeyError("access_token")

    with pytest.raises(AuthenticationError, match="provider: KeyError: 'access_token'"):
        await start(asking([]), bearer(broken))
    with pytest.raises(AuthenticationError, match="provider gave what is no token"):
        await start(asking([]), bearer(lambda: None))


RENEWED = {**PLAIN, "security.protocol": "SASL_PLAINTEXT"}


def keeping_order(asked: list[int], *answers: Struct | None) -> Answer:
    """As `asking`, and what kinds of requests came."""
    inner = asking([], *answers)

    def answer(key: int, version: int, correlation_id: int, body: memoryview) -> bytes | None:
        asked.append(key)
        return inner(key, version, correlation_id, body)

    return answer


async def test_a_session_is_renewed_on_its_connection_with_nothing_in_between() -> None:
    asked: list[int] = []
    lasting = SaslAuthenticateResponse(session_lifetime_ms=60_000)
    async with scripted(keeping_order(asked, OFFERED, lasting, OFFERED, lasting)) as address:
        settings = parse(ClientSettings, {"bootstrap.servers": address, **RENEWED})
        node = BrokerNode(-1, *address_of(address))
        connection = await connect(node, settings, this_host(), None, None)
        until = connection.renew_at
        version = connection.versions.need(MetadataRequest.__key__)
        body = [wire.encode(MetadataRequest(), version)]
        before = asyncio.create_task(connection.request(MetadataRequest.__key__, version, body, 10))
        await asyncio.sleep(0)
        again = asyncio.create_task(
            connection.authenticate_again("PLAIN", await mechanism_of(settings, this_host()), 10)
        )
        await asyncio.sleep(0)
        were_ready = [connection.is_ready]
        await connection.request(MetadataRequest.__key__, version, body, 10)
        assert again.done()
        assert [*were_ready, connection.is_ready] == [False, True]
        await before
        assert asked == [18, 17, 36, 3, 17, 36, 3]
        assert connection.renew_at > until
        connection.close()


@pytest.mark.parametrize("refusal", [SaslAuthenticateResponse(error_code=58, error_message="no more"), None])
async def test_who_is_not_believed_again_loses_the_connection(refusal: Struct | None) -> None:
    asked: list[int] = []
    async with scripted(
        keeping_order(asked, OFFERED, SaslAuthenticateResponse(), OFFERED, refusal)
    ) as address:
        settings = parse(ClientSettings, {"bootstrap.servers": address, **RENEWED})
        connection = await connect(BrokerNode(-1, *address_of(address)), settings, this_host(), None, None)
        renewing = connection.authenticate_again("PLAIN", await mechanism_of(settings, this_host()), 10)
        meanwhile = asyncio.create_task(connection.request(MetadataRequest.__key__, 0, [b""], 10))
        with pytest.raises(ClientError, match="no more" if refusal else "closed the connection"):
            await renewing
        with pytest.raises(ClientError):
            await meanwhile
        await connection.ready()
        assert connection.error is not None
        assert asked == [18, 17, 36, 17, 36]


async def test_sessions_are_renewed_before_they_end() -> None:
    asked: list[int] = []
    short, lasting = (SaslAuthenticateResponse(session_lifetime_ms=each) for each in (1_200, 60_000))
    async with scripted(keeping_order(asked, OFFERED, short, OFFERED, lasting)) as address:
        cluster = Cluster(parse(ClientSettings, {"bootstrap.servers": address, **RENEWED}))
        await cluster.start()
        async with asyncio.timeout(10):
            while asked.count(SaslAuthenticateRequest.__key__) < 2:
                await asyncio.sleep(0.02)
        await cluster.close()
    assert asked.count(18) == 1
