"""Consumers that leave their group at odd moments."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ottla.protocol.messages.describe_groups import DescribeGroupsRequest, DescribeGroupsResponse

from .world import World, batch_of, run_world, until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with run_world() as made:
        await made.create("t")
        yield made


@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
async def test_who_closes_while_it_joins_is_gone(world: World, assignor: str) -> None:
    """Else the others wait for it until its session is over."""
    await world.produce("t", 0, [b"1"])
    first, second = [
        await world.consumer(partition_assignment_strategy=assignor, heartbeat_interval_ms=100)
        for _ in range(2)
    ]
    first.subscribe(["t"])
    await batch_of(first)  # until it polls again, nobody can join

    async def members() -> int:
        response = await world.cluster.send(DescribeGroupsRequest(groups=["g"]), DescribeGroupsResponse)
        return len(response.groups[0].members)

    async def both_are_there() -> bool:
        return await members() == 2

    second.subscribe(["t"])
    await until(both_are_there, "the second one joins")
    await second.close()
    assert await members() == 1
