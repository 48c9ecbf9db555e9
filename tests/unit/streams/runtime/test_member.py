"""A thread's membership: what is assigned counts until the member joins again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from ottla.client.core.groups.classic import GroupSettings
from ottla.client.core.groups.subscription import MemberSubscription
from ottla.streams.runtime.member import GroupMember


class Link:
    """Answers joins with these assignments, when it may."""

    def __init__(self, *assignments: bytes | None) -> None:
        self._assignments = list(assignments)
        self.may = asyncio.Event()

    async def join(self, _protocols: object, _joined: object) -> bytes | None:
        await self.may.wait()
        return self._assignments.pop(0)


def member(link: Link) -> GroupMember:
    made = GroupMember.__new__(GroupMember)
    made._link, made._woken = link, asyncio.Event()  # type: ignore[assignment]
    made._subscribe = lambda: MemberSubscription(["in"], [], 1, None, b"")
    made._member = SimpleNamespace(was_lost=True, settings=GroupSettings("app"))  # type: ignore[assignment]
    made._settled, made._idle = asyncio.Event(), asyncio.Event()
    made._settled.set()
    made._idle.set()
    made.assignment = None
    return made


async def test_what_was_not_taken_before_the_next_join_is_not_taken_after_it() -> None:
    """The join says that it is not owned, so that the group may give it to somebody else."""
    link = Link(b"old", None, b"new")
    waiting = member(link)
    link.may.set()
    await waiting._join()
    assert waiting.assignment == b"old"
    link.may.clear()
    joining: Any = asyncio.ensure_future(waiting._join())
    await asyncio.sleep(0)
    assert waiting.take_assignment() is None
    link.may.set()
    await joining
    assert waiting.take_assignment() is None  # the join came to nothing, and is tried again
    await waiting._join()
    assert waiting.take_assignment() == b"new"


def test_an_assignment_of_a_membership_that_was_lost_is_not_taken() -> None:
    async def lost() -> None:
        waiting = member(Link())
        waiting.assignment = b"old"
        waiting.lost_was_seen()
        assert waiting.take_assignment() is None

    asyncio.run(lost())


def test_a_commit_waits_for_a_join_and_a_join_for_a_commit() -> None:
    seen: list[str] = []

    async def run() -> None:
        answered, committed = asyncio.Event(), asyncio.Event()

        class Slow(Link):
            async def join(self, _protocols: object, _joined: object) -> bytes | None:
                seen.append("join")
                await answered.wait()
                seen.append("joined")
                return b""

        made = member(Slow())

        async def commit() -> None:
            async with made.between_joins():
                seen.append("commit")
                await committed.wait()
                seen.append("committed")

        joining = asyncio.create_task(made._join())
        await asyncio.sleep(0)
        committing = asyncio.create_task(commit())
        await asyncio.sleep(0.01)
        assert seen == ["join"]
        answered.set()
        await joining
        await asyncio.sleep(0.01)
        assert seen == ["join", "joined", "commit"]
        again = asyncio.create_task(made._join())
        await asyncio.sleep(0.01)
        assert seen == ["join", "joined", "commit"]
        committed.set()
        await asyncio.gather(committing, again)
        assert seen == ["join", "joined", "commit", "committed", "join", "joined"]

    asyncio.run(run())
