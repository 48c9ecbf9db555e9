"""Who is known to Kafka, and until when."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, cast

import pytest

from ottla.bridge.clients import Clients, Connected
from ottla.client.errors import AuthenticationError, ClientError, ConfigurationError
from ottla.http.app import Request
from ottla.http.errors import HttpError


class Client:
    """Starts, and is closed, when it is let."""

    def __init__(self) -> None:
        self.starts: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_closing = False

    async def close(self) -> None:
        self.is_closing = True
        await self.closes


class Offline(Clients):
    """Its clients speak to nobody; they are the test's to let go on."""

    def __init__(self, idle_s: float = 300) -> None:
        super().__init__(
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"},
            {},
            passed_on=True,
            most=2,
            idle_s=idle_s,
            is_used=lambda _: False,
            now_s=asyncio.get_running_loop().time,
        )
        self.made: list[Client] = []

    async def _connect(self, principal: str, named: Mapping[str, str]) -> Connected:
        self.made.append(Client())
        client = cast("Any", self.made[-1])
        await client.starts
        return Connected(principal, client, cast("Any", None))


def clients_of(settings: Mapping[str, object]) -> Clients:
    return Clients(settings, {}, passed_on=True, most=2, idle_s=1, is_used=lambda _: False, now_s=lambda: 0.0)


async def _nothing() -> Mapping[str, Any]:
    return {"type": "http.disconnect"}


def of(name: str, scheme: str = "Basic") -> Request:
    shown = base64.b64encode(f"{name}:secret".encode()).decode()
    return Request("GET", (), {}, {"authorization": f"{scheme} {shown}"}, b"", "/", _nothing)


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "SASL_SSL or SASL_PLAINTEXT"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}, "of passwords"),
    ],
)
def test_nobody_is_let_in_as_somebody_else(settings: dict[str, object], words: str) -> None:
    """A token would be everybody's."""
    token = {"sasl.oauthbearer.token": "a.b.c"} if settings else {}
    with pytest.raises(ConfigurationError, match=words):
        clients_of({**settings, **token})


async def test_what_no_user_can_be_is_nobody() -> None:
    clients = clients_of({"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"})
    with pytest.raises(HttpError, match="Nobody can be named so") as refused:
        await clients.of(of("a\0b"))
    assert (refused.value.status, len(clients)) == (401, 0)


async def test_all_who_ask_as_one_share_what_is_connected() -> None:
    clients = Offline()
    asking = [asyncio.create_task(clients.of(of("ann", scheme))) for scheme in ("Basic", "basic")]
    await turn()
    asking[0].cancel()
    await turn()
    clients.made[0].starts.set_result(None)
    found = await asking[1]
    assert (await clients.of(of("ann"))) is found
    assert (len(clients), len(clients.made)) == (1, 1)


async def test_a_failure_is_forgotten_once() -> None:
    clients = Offline()
    asking = [asyncio.create_task(clients.of(of("ann"))) for _ in range(2)]
    await turn()
    clients.made[0].starts.set_exception(AuthenticationError("no"))
    again: list[asyncio.Task[Connected]] = []
    asking[0].add_done_callback(lambda _: again.append(asyncio.create_task(clients.of(of("ann")))))
    for each in asking:
        with pytest.raises(AuthenticationError):
            await each
    await turn()
    assert len(clients) == 1  # of who asks again, whom the other's failure does not concern
    clients.made[1].starts.set_result(None)
    await again[0]


async def test_a_failure_that_nobody_waits_for_takes_no_room() -> None:
    clients = Offline()
    asking = asyncio.create_task(clients.of(of("ann")))
    await turn()
    asking.cancel()
    clients.made[0].starts.set_exception(OSError("of an unexpected kind"))
    await turn()
    assert len(clients) == 0


async def test_there_are_no_more_than_there_may_be() -> None:
    clients = Offline()
    asking = [asyncio.create_task(clients.of(of(name))) for name in ("ann", "bob")]
    await turn()
    with pytest.raises(HttpError, match="2 principals are connected") as refused:
        await clients.of(of("eve"))
    assert refused.value.status == 503
    for each in asking:
        each.cancel()
    await clients.close()


async def test_it_ends_while_connections_are_being_closed() -> None:
    clients = Offline(idle_s=0.01)
    for name in ("ann", "bob"):
        asking = asyncio.create_task(clients.of(of(name)))
        await turn()
        clients.made[-1].starts.set_result(None)
        await asking
    keeping = asyncio.create_task(clients.keep_fresh())
    async with asyncio.timeout(60):
        while not all(each.is_closing for each in clients.made):  # nobody waits for the other's end
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.wait([keeping], timeout=60)
    assert keeping.cancelled()


async def test_what_cannot_be_closed_keeps_nobody_from_being_closed() -> None:
    clients = Offline(idle_s=0.01)
    keeping = asyncio.create_task(clients.keep_fresh())
    for name in ("ann", "bob"):
        asking = asyncio.create_task(clients.of(of(name)))
        await turn()
        clients.made[-1].starts.set_result(None)
        await asking
        clients.made[-1].closes.set_exception(ClientError("gone") if name == "ann" else OSError("gone"))
        async with asyncio.timeout(60):
            while len(clients):
                await asyncio.sleep(0.01)
    await turn()
    assert not keeping.done()
    keeping.cancel()


async def test_at_the_end_what_is_being_connected_is_given_up() -> None:
    clients = Offline()
    asking = [asyncio.create_task(clients.of(of(name))) for name in ("ann", "bob")]
    await turn()
    clients.made[0].starts.set_result(None)
    clients.made[0].closes.set_result(None)
    await asking[0]
    async with asyncio.timeout(60):
        await clients.close()
    assert [each.is_closing for each in clients.made] == [True, False]
    assert clients.made[1].starts.cancelled()
    with pytest.raises(asyncio.CancelledError):
        await asking[1]
