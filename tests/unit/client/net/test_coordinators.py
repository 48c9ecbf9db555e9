"""Coordinators that are asked for together are found together (KIP-699)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from ottla.client.errors import BrokerError, BrokerUpgradeError, ClientClosedError, DisconnectedError
from ottla.client.net.coordinators import CoordinatorFinder, CoordinatorKind
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)

GROUP, SHARE = CoordinatorKind.GROUP, CoordinatorKind.SHARE


class Broker:
    """Node n coordinates what ends with n; it speaks up to `newest`."""

    def __init__(self, newest: int = 6) -> None:
        self.newest = newest
        self.asked: list[Collection[str]] = []
        self.error: Exception | None = None
        self.pause = asyncio.Event()
        self.pause.set()

    async def __call__(
        self, request: FindCoordinatorRequest, response: type[FindCoordinatorResponse], *, min_version: int
    ) -> FindCoordinatorResponse:
        if min_version > self.newest:
            raise BrokerUpgradeError("too old")
        await self.pause.wait()
        if self.error is not None:
            raise self.error
        if self.newest < 4:
            self.asked.append([request.key])
            return response(node_id=int(request.key[-1]), host="h", port=9)
        self.asked.append(request.coordinator_keys)
        return response(coordinators=[_coordinator(key) for key in request.coordinator_keys if key != "x"])


def _coordinator(key: str) -> Coordinator:
    if key == "refused":
        return Coordinator(key=key, node_id=-1, error_code=ErrorCode.group_authorization_failed)
    return Coordinator(key=key, node_id=int(key[-1]), host="h", port=9)


async def test_what_is_asked_for_together_goes_in_one_request() -> None:
    broker = Broker()
    finder = CoordinatorFinder(broker)
    found = await asyncio.gather(*(finder.find(GROUP, key) for key in ("a1", "b2", "a1")))
    assert [each.node_id for each in found] == [1, 2, 1]
    assert (await finder.find(GROUP, "c3")).node_id == 3
    await asyncio.gather(finder.find(GROUP, "d4"), finder.find(SHARE, "d5"))
    assert broker.asked == [["a1", "b2"], ["c3"], ["d4"], ["d5"]]


async def test_an_answer_leaves_those_alone_who_have_asked_since() -> None:
    broker = Broker()
    finder = CoordinatorFinder(broker)
    broker.pause.clear()
    first = asyncio.create_task(finder.find(GROUP, "a1"))
    for _ in range(5):
        await asyncio.sleep(0)
    second = asyncio.create_task(finder.find(GROUP, "b2"))
    broker.pause.set()  # its answer comes in the turn in which the second asks
    async with asyncio.timeout(60):
        assert [(await each).node_id for each in (first, second)] == [1, 2]


async def test_who_asked_is_told_when_the_client_is_closed_at_once() -> None:
    finder = CoordinatorFinder(Broker())
    asking = asyncio.create_task(finder.find(GROUP, "a1"))
    await asyncio.sleep(0)
    for each in finder.stop():  # before it came to ask
        each.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(ClientClosedError):
            await asking
        assert (await finder.find(GROUP, "a1")).node_id == 1


async def test_each_key_has_an_outcome_of_its_own() -> None:
    finder = CoordinatorFinder(Broker())
    keys = ("a1", "refused", "x", "b2")
    found = await asyncio.gather(*(finder.find(GROUP, key) for key in keys), return_exceptions=True)
    codes = [each.code if isinstance(each, BrokerError) else None for each in found]
    assert codes == [None, ErrorCode.group_authorization_failed, ErrorCode.coordinator_not_available, None]


async def test_an_old_broker_is_asked_for_one_after_the_other() -> None:
    broker = Broker(newest=3)
    finder = CoordinatorFinder(broker)
    found = await asyncio.gather(*(finder.find(GROUP, key) for key in ("a1", "b2")))
    assert ([each.node_id for each in found], broker.asked) == ([1, 2], [["a1"], ["b2"]])
    with pytest.raises(BrokerUpgradeError):
        await finder.find(SHARE, "s1")


async def test_a_failure_is_that_of_all_who_asked() -> None:
    broker = Broker()
    broker.error = DisconnectedError("gone")
    finder = CoordinatorFinder(broker)
    found = await asyncio.gather(*(finder.find(GROUP, key) for key in "ab"), return_exceptions=True)
    assert [str(each) for each in found] == ["gone"] * 2
    assert found[0] is not found[1]


async def test_who_goes_takes_nobody_along_and_the_end_is_told() -> None:
    broker = Broker()
    broker.pause.clear()
    finder = CoordinatorFinder(broker)
    first, second = (asyncio.create_task(finder.find(GROUP, "a1")) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0.01)
    assert not second.done()
    for task in finder.stop():
        task.cancel()
    with pytest.raises(ClientClosedError):
        await second
