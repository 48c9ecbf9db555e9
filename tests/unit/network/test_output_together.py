"""The end of a turn: everybody's answers are written, once, in order, and nobody waits for too many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ottla.network.output import CONNECTIONS_TOGETHER, Outbox


class Sender:
    def __init__(self, name: int, log: list[int]) -> None:
        self._name, self._log = name, log

    def flush_output(self) -> None:
        self._log.append(self._name)


def test_all_are_flushed_at_the_end_of_the_turn_in_order() -> None:
    scheduled: list[Callable[[], None]] = []
    flushed: list[int] = []
    outbox = Outbox(scheduled.append)
    for name in range(3):
        outbox.add(Sender(name, flushed))
    assert (len(scheduled), flushed) == (1, [])
    scheduled.pop()()
    assert flushed == [0, 1, 2]
    outbox.add(Sender(3, flushed))
    assert len(scheduled) == 1
    scheduled.pop()()
    assert flushed == [0, 1, 2, 3]


def test_no_more_than_the_bound_wait_for_each_other() -> None:
    scheduled: list[Callable[[], None]] = []
    flushed: list[int] = []
    outbox = Outbox(scheduled.append)
    for name in range(CONNECTIONS_TOGETHER):
        outbox.add(Sender(name, flushed))
    assert not flushed
    outbox.add(Sender(99, flushed))
    assert flushed == [*range(CONNECTIONS_TOGETHER)]
    assert len(scheduled) == 1
    scheduled.pop()()
    assert flushed[-1] == 99


def test_a_sender_that_adds_itself_while_it_is_flushed_comes_again() -> None:
    scheduled: list[Callable[[], None]] = []
    outbox = Outbox(scheduled.append)

    class Again:
        times = 0

        def flush_output(self) -> None:
            self.times += 1
            if self.times < 3:
                outbox.add(self)

    again = Again()
    outbox.add(again)
    while scheduled:
        scheduled.pop()()
    assert again.times == 3


async def test_by_default_the_turn_is_the_running_loops() -> None:
    flushed: list[int] = []
    Outbox().add(Sender(1, flushed))
    assert not flushed
    await asyncio.sleep(0)
    assert flushed == [1]
