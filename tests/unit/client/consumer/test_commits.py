"""Commits that the coordinator does not take at once, and how each of them ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from ottla.client.consumer import CommitFailedError, CommittedOffset
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import ClientError
from ottla.protocol.errors import ErrorCode

from .world import World, partitions, run_world, until

ALL = partitions("t", 2)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with run_world() as made:
        await made.create("t", 2)
        yield made


async def test_a_commit_is_not_tried_again_for_what_was_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the member's next generation it would undo what the next reader has committed."""
    consumer = await world.consumer(enable_auto_commit=False)
    consumer.assign(ALL)
    assert consumer._commits is not None
    asked: list[TopicPartition] = []

    async def is_loading(
        offsets: Mapping[TopicPartition, CommittedOffset],
    ) -> tuple[list[TopicPartition], dict[TopicPartition, ErrorCode]]:
        asked.extend(offsets)
        await asyncio.sleep(0.01)
        return list(offsets), {}

    monkeypatch.setattr(consumer._commits, "_ask", is_loading)
    mine, others = consumer.commit_soon({ALL[0]: 1}), consumer.commit_soon({ALL[1]: 1})
    await until(lambda: len(asked) >= 2, "both are asked for")
    consumer.give_up([ALL[0]])
    with pytest.raises(CommitFailedError, match="given up"):
        await mine
    asked.clear()
    await until(lambda: len(asked) >= 2, "the other is tried again")
    assert ALL[0] not in asked
    others.cancel()


async def test_every_commit_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = await world.consumer(enable_auto_commit=False)
    consumer.assign(ALL)
    async with asyncio.timeout(20):
        with pytest.raises(ClientError, match="cannot be sent"):
            await consumer.commit_soon({ALL[0]: 1 << 70})
        assert consumer._commits is not None
        monkeypatch.setattr(consumer._commits, "_ask", lambda _: asyncio.sleep(60))
        first = consumer.commit_soon({ALL[0]: 1})
        await asyncio.sleep(0.01)
        second = consumer.commit_soon({ALL[0]: 2})
        await consumer.close(commit=False)
        for each in (first, second):
            with pytest.raises(ClientError, match="closed"):
                await each
