"""What the leader of a group gives to its members."""

from __future__ import annotations

import asyncio
from uuid import UUID

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.core.groups.subscription import MemberSubscription, decode_assignment
from ottla.client.core.metadata import TopicPartition
from ottla.streams.dsl.builder import StreamsBuilder
from ottla.streams.runtime.leader import Leader
from ottla.streams.runtime.protocol import RUNNING, Subscription, TaskId, encode_subscription
from ottla.streams.runtime.settings import StreamsSettings
from ottla.streams.serdes import Text
from ottla.testing import run_broker


def assigned(servers: str, members: dict[str, MemberSubscription]) -> dict[str, list[TopicPartition]]:
    builder = StreamsBuilder(default_key=Text(), default_value=Text())
    builder.stream("in").to("out")

    async def run() -> dict[str, bytes]:
        async with AsyncClient(client_settings(servers, {}, {})) as made:
            settings = StreamsSettings(application_id="app")
            return await Leader(made, builder.build(), settings, {}, lambda: 0).assign(members)

    return {name: decode_assignment(data) for name, data in asyncio.run(run()).items()}


def member(process: int, generation: int, *owned: int) -> MemberSubscription:
    info = Subscription(UUID(int=process), {TaskId(0, each): RUNNING for each in owned})
    partitions = [TopicPartition("in", each) for each in owned]
    return MemberSubscription(["in"], partitions, generation, None, encode_subscription(info))


def test_nobody_gets_what_another_member_says_to_have_still_of_whichever_generation() -> None:
    first, second = TopicPartition("in", 0), TopicPartition("in", 1)
    with run_broker() as broker, client.connect(broker.bootstrap_servers) as c:
        c.admin.topics.create([NewTopic("in", 2, 1)]).check()
        servers = broker.bootstrap_servers
        # The answer to b's last join was lost: it knows of an older generation, and goes on with both.
        missed = assigned(servers, {"a": member(1, 6), "b": member(2, 5, 0, 1)})
        assert missed["a"] == []
        assert missed["b"] in ([first], [second])
        # Both say to have it: each gives it up, and then it is free.
        disputed = assigned(servers, {"a": member(1, 6, 0), "b": member(2, 5, 0, 1)})
        assert first not in disputed["a"] + disputed["b"]
