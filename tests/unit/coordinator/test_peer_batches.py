"""Questions to other brokers: one request at a time, with all that has come meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from ottla.coordinator.peer_batches import PeerBatches
from ottla.metadata.image import ImageDelta, MetadataImage
from ottla.network.peers import PeerError


class Channel:
    """To a broker that answers when the test says so, as long as there is a connection."""

    def __init__(self) -> None:
        self.requests: list[tuple[Sequence[str], asyncio.Future[Sequence[str]]]] = []
        self.is_closed = False

    def disconnect(self) -> None:
        for _, answer in self.requests:
            if not answer.done():
                answer.set_exception(PeerError("gone"))

    def close(self) -> None:
        self.is_closed = True


async def send(channel: Any, questions: Sequence[str]) -> Sequence[str]:
    answer: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
    channel.requests.append((questions, answer))
    return await answer


class Asking:
    def __init__(self) -> None:
        self.channel = Channel()
        opened: Any = lambda _node_id: self.channel  # noqa: E731
        self.batches: PeerBatches[str, str] = PeerBatches(opened, send, lambda question: question[0])

    async def ask(self, *questions: str) -> list[asyncio.Task[str]]:
        tasks = [asyncio.ensure_future(self.batches.ask(2, each)) for each in questions]
        for _ in range(5):
            await asyncio.sleep(0)
        return tasks

    async def answer(self) -> None:
        questions, answer = self.channel.requests[-1]
        answer.set_result([each.upper() for each in questions])
        for _ in range(5):
            await asyncio.sleep(0)

    @property
    def sent(self) -> list[Sequence[str]]:
        return [questions for questions, _ in self.channel.requests]


async def test_what_comes_while_a_broker_is_asked_goes_out_together() -> None:
    asking = Asking()
    tasks = await asking.ask("a") + await asking.ask("b", "c")
    assert asking.sent == [["a"]]
    await asking.answer()
    assert asking.sent == [["a"], ["b", "c"]]
    await asking.answer()
    assert [await each for each in tasks] == ["A", "B", "C"]


async def test_a_subject_is_once_in_a_request() -> None:
    asking = Asking()
    tasks = await asking.ask("a") + await asking.ask("b1", "b2", "c")
    for _ in range(3):
        await asking.answer()
    assert asking.sent == [["a"], ["b1"], ["b2", "c"]]
    assert [await each for each in tasks] == ["A", "B1", "B2", "C"]


@pytest.mark.parametrize("failure", [PeerError("no answer"), RuntimeError("a defect")])
async def test_a_request_that_fails_holds_up_no_other(failure: Exception) -> None:
    asking = Asking()
    first, second = await asking.ask("a") + await asking.ask("b")
    asking.channel.requests[0][1].set_exception(failure)
    with pytest.raises(ConnectionError):
        await first
    await asking.answer()
    assert await second == "B"


async def test_who_has_gone_is_not_waited_for() -> None:
    asking = Asking()
    (task,) = await asking.ask("a")
    await asking.batches.on_metadata(ImageDelta(brokers_changed=(2,)), MetadataImage())
    with pytest.raises(ConnectionError):
        await task


async def test_nobody_waits_any_more_when_it_is_stopped() -> None:
    asking = Asking()
    tasks = await asking.ask("a") + await asking.ask("b")
    asking.batches.stop()
    for task in tasks:
        with pytest.raises(ConnectionError):
            await task
    assert asking.channel.is_closed
