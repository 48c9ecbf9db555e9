"""A group that this client may not join: told with each poll that finds it so, and over when it may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ottla.client.errors import AuthorizationError, broker_error
from ottla.client.net.cluster import Cluster
from ottla.client.net.coordinators import CoordinatorKind
from ottla.protocol.errors import ErrorCode

from .world import World, batch_of, run_world, until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with run_world() as made:
        await made.create("t")
        yield made


class Rights:
    """Has a cluster refuse whoever asks for the group's coordinator, until `is_given`."""

    def __init__(self, cluster: Cluster) -> None:
        self.is_given = False
        self.refusals = 0
        self._coordinator = cluster.coordinator

    async def coordinator(self, kind: CoordinatorKind, key: str, *, timeout_ms: int | None = None) -> int:
        if not self.is_given:
            self.refusals += 1
            raise broker_error(ErrorCode.group_authorization_failed, what=f"group {key}")
        return await self._coordinator(kind, key, timeout_ms=timeout_ms)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_who_may_not_join_is_told_and_tries_again_with_the_next_poll(
    world: World, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.produce("t", 0, [b"1"])
    rights = Rights(world.cluster)
    monkeypatch.setattr(world.cluster, "coordinator", rights.coordinator)
    quick: dict[str, Any] = {"heartbeat_interval_ms": 50, "group_protocol": protocol}
    if protocol == "consumer":
        del quick["heartbeat_interval_ms"]  # the broker's
    consumer = await world.consumer(**quick)
    consumer.subscribe(["t"])
    for _ in range(3):
        with pytest.raises(AuthorizationError):
            await consumer.poll(timeout_s=20)
    assert rights.refusals <= 4  # nobody asks between polls
    rights.is_given = True
    assert (await batch_of(consumer)).offsets
    await until(lambda: consumer.assignment() == [("t", 0)], "it is a member")
