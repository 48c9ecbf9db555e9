"""What an authenticator does with requests, without a connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ottla.network.authenticator import Authenticator, SaslListener
from ottla.network.dispatcher import SMALLEST_REQUEST, Dispatcher
from ottla.network.session import Session
from ottla.protocol.messages.api_versions import ApiVersionsRequest
from ottla.protocol.messages.metadata import MetadataRequest
from ottla.protocol.messages.sasl_authenticate import SaslAuthenticateRequest
from ottla.protocol.messages.sasl_handshake import SaslHandshakeRequest
from ottla.protocol.structs import Struct
from ottla.protocol.wire import encode_request
from ottla.security.principal import ANONYMOUS
from ottla.security.sasl import Plain

from .transport import FakeRouter


class Client:
    """A connection that remembers what it was told."""

    is_muted = False

    def __init__(self) -> None:
        self.session = Session(ANONYMOUS, "PLAINTEXT", "192.0.2.1")
        self.routers: list[Dispatcher] = []
        self.refused: list[str] = []
        self.is_closed = False

    def route_to(self, router: Dispatcher, smallest_frame: int = SMALLEST_REQUEST) -> None:
        self.routers.append(router)

    def refuse(self, why: str) -> None:
        self.refused.append(why)

    def close(self) -> None:
        self.is_closed = True


def a_listener(**changes: Any) -> SaslListener:
    values: dict[str, Any] = {
        "mechanisms": ("PLAIN",),
        "begin": lambda _mechanism: Plain(lambda name, password: (name, password) == ("ann", "pass")),
        "max_receive_bytes": 1 << 16,
        "max_reauth_ms": {},
        "failure_delay_s": 0.0,
        "timeout_s": 60.0,
        "now_ms": lambda: 0,
    }
    return SaslListener(**values | changes)


class Conversation:
    def __init__(self, **changes: Any) -> None:
        self.client = Client()
        self.router = FakeRouter()
        self.listener = a_listener(**changes)
        self.authenticator = Authenticator(self.client, self.router, lambda: self.listener)

    def ask(self, message: Struct, version: int) -> Any:
        frame = encode_request(message, version, 1, "raw")
        return self.authenticator.dispatch(self.client.session, memoryview(frame)[4:])[0]

    def handshake(self, mechanism: str = "PLAIN") -> Any:
        return self.ask(SaslHandshakeRequest(mechanism=mechanism), 1)

    def authenticate(self, message: bytes = b"\0ann\0pass") -> Any:
        return self.ask(SaslAuthenticateRequest(auth_bytes=message), 2)


async def test_nothing_is_handled_behind_a_failure() -> None:
    talk = Conversation()
    talk.handshake()
    ending = talk.authenticate(b"\0ann\0word")
    for message, version in (
        (ApiVersionsRequest(), 0),
        (SaslHandshakeRequest(mechanism="PLAIN"), 1),
        (SaslAuthenticateRequest(auth_bytes=b"\0ann\0pass"), 2),
        (MetadataRequest(topics=[]), 9),
    ):
        assert talk.ask(message, version) is None
    assert await ending is not None
    assert talk.ask(SaslHandshakeRequest(mechanism="PLAIN"), 1) is None
    await asyncio.sleep(0)
    assert talk.client.is_closed
    assert talk.client.session.principal == ANONYMOUS
    assert talk.client.routers == [talk.authenticator]
    assert talk.router.received == []


@pytest.mark.parametrize("is_muted", [False, True])
async def test_the_time_to_say_who_one_is_ends_unless_it_cannot_be_said(is_muted: bool) -> None:
    talk = Conversation(timeout_s=0.01)
    talk.client.is_muted = is_muted
    await asyncio.sleep(0.05)
    assert talk.client.refused == ([] if is_muted else ["it has not said who it is within 0.01 s"])
    talk.client.is_muted = False
    async with asyncio.timeout(10):
        while not talk.client.refused:
            await asyncio.sleep(0.01)
    talk.authenticator.leave()


async def test_a_renewal_is_held_to_the_settings_of_now() -> None:
    talk = Conversation(max_reauth_ms={"PLAIN": 60_000})
    talk.handshake()
    assert not talk.client.session.is_known
    talk.authenticate()
    assert talk.client.session.is_known
    talk.listener = a_listener(
        max_reauth_ms={"PLAIN": 60_000},
        begin=lambda _mechanism: Plain(lambda name, password: (name, password) == ("ann", "new")),
    )
    talk.handshake()
    ending = talk.authenticate()
    assert b"Invalid username or password" in await ending
    talk.authenticator.leave()


async def test_what_is_offered_is_what_the_listener_has_with_the_handshake() -> None:
    talk = Conversation()
    talk.listener = a_listener(mechanisms=("SCRAM-SHA-256",))
    ending = talk.handshake()
    assert b"SCRAM-SHA-256" in await ending
    talk.authenticator.leave()
