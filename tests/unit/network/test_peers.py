"""What a broker says to others, against a real broker and against peers that misbehave."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from ottla.network.peers import Channel, PeerError, PeerLimits, Peers, PeerSecurity, Sender
from ottla.network.sockets import connect_tcp
from ottla.protocol import wire
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from ottla.protocol.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from ottla.protocol.messages.list_groups import ListGroupsRequest, ListGroupsResponse
from ottla.protocol.messages.metadata import MetadataRequest, MetadataResponse
from ottla.testing import InProcessBroker
from ottla.testing.in_process import run_broker_async

Address = tuple[str, int]
LIMITS = PeerLimits(request_max_bytes=10_000, response_max_bytes=1_000_000, connect_timeout_s=30)
SECONDS = 30.0


def peers(address: Address | None, limits: PeerLimits = LIMITS, **more: Any) -> Peers:
    return Peers(connect_tcp, lambda node: address if node == 7 else None, limits, **more)


def peer(address: Address | None, limits: PeerLimits = LIMITS, **more: Any) -> Channel:
    return peers(address, limits, **more).channel(7, "broker-1")


@pytest.fixture
async def running() -> AsyncIterator[InProcessBroker]:
    async with run_broker_async() as broker:
        yield broker


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def listen() -> AsyncIterator[Callable[[Talk], Awaitable[Address]]]:
    """Somebody who answers as a test says."""
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []

    async def start(talk: Talk) -> Address:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            try:
                await talk(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        host, port = server.sockets[0].getsockname()
        return host, port

    yield start
    for writer in writers:
        writer.close()
    for server in servers:
        server.close()


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


async def negotiate(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *apis: tuple[int, int, int]
) -> None:
    """Answer the first request: these are the APIs, with their versions."""
    frame = await read_frame(reader)
    keys = [ApiVersion(api_key=key, min_version=low, max_version=high) for key, low, high in apis]
    writer.write(wire.encode_response(ApiVersionsResponse(api_keys=keys), 3, correlation_of(frame)))


def correlation_of(frame: bytes) -> int:
    return int.from_bytes(frame[4:8], "big")


async def test_a_real_broker_answers_typed_and_in_order(running: InProcessBroker) -> None:
    channel = peer((running.host, running.port))
    metadata, groups = await asyncio.gather(
        channel.send(MetadataRequest(topics=[]), MetadataResponse, SECONDS),
        channel.send(ListGroupsRequest(), ListGroupsResponse, SECONDS),
    )
    assert [each.port for each in metadata.brokers] == [running.port]
    assert groups.error_code == ErrorCode.none
    channel.close()


async def test_a_channel_that_waits_holds_up_nobody_else(running: InProcessBroker) -> None:
    all_peers = peers((running.host, running.port))
    other = all_peers.channel(7, "other")
    topic = "waited-for"
    await other.send(MetadataRequest(topics=None, allow_auto_topic_creation=False), MetadataResponse, SECONDS)
    channel = all_peers.channel(7, "fetcher")
    asked = FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1000)
    request = FetchRequest(
        max_wait_ms=600_000, min_bytes=1, topics=[FetchTopic(topic=topic, partitions=[asked])]
    )
    waiting = asyncio.create_task(channel.send(request, FetchResponse, 3600.0))
    await other.send(ListGroupsRequest(), ListGroupsResponse, SECONDS)
    channel.close()
    answered = await asyncio.gather(waiting, return_exceptions=True)
    assert answered[0] is not None
    with pytest.raises(PeerError, match="closed"):
        await channel.send(ListGroupsRequest(), ListGroupsResponse, SECONDS)
    other.close()


async def test_who_is_not_registered_or_does_not_listen_is_told_so() -> None:
    with pytest.raises(PeerError, match="broker 7 is not registered"):
        await peer(None).send(ListGroupsRequest(), ListGroupsResponse, SECONDS)
    with pytest.raises(PeerError, match=r"broker 7 at 127\.0\.0\.1:1"):
        await peer(("127.0.0.1", 1)).send(ListGroupsRequest(), ListGroupsResponse, SECONDS)


async def test_versions_are_the_newest_that_both_speak(
    listen: Callable[[Talk], Awaitable[Address]],
) -> None:
    seen: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await negotiate(reader, writer, (16, 0, 3))
        while True:
            frame = await read_frame(reader)
            seen.append(int.from_bytes(frame[2:4], "big"))
            writer.write(wire.encode_response(ListGroupsResponse(), 3, correlation_of(frame)))

    channel = peer(await listen(talk))
    await channel.send(ListGroupsRequest(), ListGroupsResponse, SECONDS)
    assert seen == [3]
    with pytest.raises(PeerError, match="speaks no version of Metadata"):
        await channel.send(MetadataRequest(), MetadataResponse, SECONDS)
    channel.close()


async def test_an_answer_that_does_not_come_ends_the_connection_and_the_next_request_makes_another(
    listen: Callable[[Talk], Awaitable[Address]],
) -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        silent = connections == 1
        await negotiate(reader, writer, (16, 0, 5))
        frame = await read_frame(reader)
        if not silent:
            writer.write(wire.encode_response(ListGroupsResponse(), 5, correlation_of(frame)))
        await reader.read()

    channel = peer(await listen(talk))
    with pytest.raises(PeerError, match="no answer in time"):
        await channel.send(ListGroupsRequest(), ListGroupsResponse, 0.01)
    await channel.send(ListGroupsRequest(), ListGroupsResponse, SECONDS)
    assert connections == 2
    channel.close()


async def test_a_broker_that_moved_is_looked_for_at_its_new_address(
    listen: Callable[[Talk], Awaitable[Address]],
) -> None:
    answered: list[str] = []

    def at(place: str) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await negotiate(reader, writer, (16, 0, 5))
            while True:
                frame = await read_frame(reader)
                answered.append(place)
                writer.write(wire.encode_response(ListGroupsResponse(), 5, correlation_of(frame)))

        return talk

    here, there = await listen(at("here")), await listen(at("there"))
    places = [here]
    channel = Peers(connect_tcp, lambda _node: places[-1], LIMITS).channel(7, "broker-1")
    await channel.send(ListGroupsRequest(), ListGroupsResponse, SECONDS)
    places.append(there)
    await channel.send(ListGroupsRequest(), ListGroupsResponse, SECONDS)
    assert answered == ["here", "there"]
    channel.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x7f\xff\xff\xff", "an answer of 2147483647 bytes"),
        (b"\xff\xff\xff\xff", "an answer of -1 bytes"),
        (b"\x00\x00\x00\x04\x00\x00\x00\x63", "an answer to request 99"),
        (b"\x00\x00\x00\x05\x00\x00\x00\x01\x00", "ListGroups"),
    ],
)
async def test_nonsense_ends_the_connection(
    listen: Callable[[Talk], Awaitable[Address]], answer: bytes, reason: str
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await negotiate(reader, writer, (16, 0, 5))
        await read_frame(reader)
        writer.write(answer)
        await reader.read()

    channel = peer(await listen(talk))
    with pytest.raises(PeerError, match=reason):
        await channel.send(ListGroupsRequest(), ListGroupsResponse, SECONDS)
    channel.close()


async def test_answers_come_whole_however_they_are_cut(
    listen: Callable[[Talk], Awaitable[Address]],
) -> None:
    big = ListGroupsResponse(error_code=3)
    topics = MetadataResponse(cluster_id="c" * 200_000)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await negotiate(reader, writer, (16, 0, 5), (3, 0, 12))
        first, second = await read_frame(reader), await read_frame(reader)
        answers = wire.encode_response(topics, 12, correlation_of(first)) + wire.encode_response(
            big, 5, correlation_of(second)
        )
        for start in range(0, len(answers), 70_001):
            writer.write(answers[start : start + 70_001])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    channel = peer(await listen(talk))
    metadata, groups = await asyncio.gather(
        channel.send(MetadataRequest(), MetadataResponse, SECONDS),
        channel.send(ListGroupsRequest(), ListGroupsResponse, SECONDS),
    )
    assert metadata.cluster_id == topics.cluster_id
    assert groups == big
    channel.close()


async def test_a_request_above_the_bound_is_not_sent(running: InProcessBroker) -> None:
    channel = peer((running.host, running.port))
    with pytest.raises(PeerError, match="a request of"):
        await channel.send(ListGroupsRequest(states_filter=["s" * 20_000]), ListGroupsResponse, SECONDS)
    channel.close()


async def test_who_we_are_is_proved_before_anything_is_asked(running: InProcessBroker) -> None:
    proved: list[str] = []

    async def authenticate(connection: Sender) -> None:
        await connection.request(ApiVersionsRequest(), ApiVersionsResponse, SECONDS)
        proved.append("yes")

    channel = peer((running.host, running.port), security=PeerSecurity(authenticate=authenticate))
    await asyncio.gather(*(channel.send(ListGroupsRequest(), ListGroupsResponse, SECONDS) for _ in range(3)))
    assert proved == ["yes"]  # all three share the connection
    channel.close()

    async def refused(_connection: Sender) -> None:
        raise PeerError("not you")

    channel = peer((running.host, running.port), security=PeerSecurity(authenticate=refused))
    with pytest.raises(PeerError, match="not you"):
        await channel.send(ListGroupsRequest(), ListGroupsResponse, SECONDS)
