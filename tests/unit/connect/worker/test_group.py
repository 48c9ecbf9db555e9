"""A worker that its group does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ottla.client.errors import BrokerUnreachableError
from ottla.client.net.cluster import Cluster
from ottla.connect.worker.crew import Crew
from ottla.connect.worker.group import Group
from ottla.connect.worker.ids import Work
from ottla.connect.worker.logs import MemoryLog
from ottla.connect.worker.protocol import Assignment
from ottla.connect.worker.settings import worker_config
from ottla.connect.worker.stores import ConfigStore

GIVEN: Mapping[str, str] = {
    "bootstrap.servers": "127.0.0.1:9092",
    "key.converter": "c",
    "value.converter": "c",
    "group.id": "g",
    **{f"{each}.storage.topic": each for each in ("config", "offset", "status")},
    "session.timeout.ms": "30",
    "heartbeat.interval.ms": "5",
}


class Unreachable:
    """A cluster."""

    settings = SimpleNamespace(retry_backoff_ms=1)

    async def coordinator(self, *_: Any) -> int:
        raise BrokerUnreachableError("nobody is there")

    def forget_coordinator(self, *_: Any) -> None: ...


class Gone:
    """The crew's part."""

    def __init__(self) -> None:
        self.revocations: list[Work] = []
        self.was_revoked = asyncio.Event()

    async def revoked(self, work: Work) -> None:
        self.revocations.append(work)
        self.was_revoked.set()


@pytest.mark.timeout(30)
def test_work_is_given_up_after_a_session_without_an_answer() -> None:
    async def test() -> None:
        crew = Gone()
        group = Group(
            cast("Cluster", Unreachable()),
            worker_config(GIVEN, is_distributed=True),
            "http://me/",
            ConfigStore(MemoryLog()),
            cast("Crew", crew),
        )
        work = Work.of(["c"], [])
        group._current = Assignment(leader="another", work=work)
        group._heard_s = asyncio.get_running_loop().time()
        member = group._member
        member.member_id, member.generation, member.needs_join = "me", 3, False
        running = asyncio.ensure_future(group.run())
        await crew.was_revoked.wait()
        assert crew.revocations == [work]
        assert group.assignment == Work()
        assert not group.is_settled
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(test())


def test_a_leader_that_may_not_write_yet_has_requests_wait() -> None:
    async def test() -> None:
        configs = ConfigStore(MemoryLog())
        group = Group(
            cast("Cluster", Unreachable()),
            worker_config(GIVEN, is_distributed=True),
            "http://me/",
            configs,
            cast("Crew", Gone()),
        )
        member = group._member
        member.member_id, member.generation, member.needs_join, member.is_stable = "me", 3, False, True
        group._current = Assignment(leader="me")
        seen: list[bool] = []

        async def claim() -> None:
            seen.append(group.is_settled)

        group.on_lead = claim
        await group._lead_or_not()
        assert (seen, group.is_settled) == ([False], True)
        configs.on_fenced()
        await group._lead_or_not()  # of the next generation
        assert seen == [False, False]

    asyncio.run(test())
