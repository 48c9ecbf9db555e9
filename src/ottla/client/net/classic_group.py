"""The way of a classic group's member to its coordinator, whatever the group is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from ottla.client.core.groups.classic import ClassicMember, Outcome
from ottla.client.core.offsets import Identity
from ottla.client.errors import ClientError, broker_error
from ottla.client.net.cluster import Cluster
from ottla.client.net.coordinators import CoordinatorKind
from ottla.protocol.messages.heartbeat import HeartbeatResponse
from ottla.protocol.messages.join_group import JoinGroupResponse
from ottla.protocol.messages.sync_group import SyncGroupResponse
from ottla.protocol.structs import Struct

R = TypeVar("R", bound=Struct)

_JOIN_GRACE_MS: Final = 5_000  # a join is answered when the rebalance timeout is over, at the latest


class ClassicLink:
    """Sends what `member` says, and tells it the answers. Joins wait for other members, in a `lane` of their
    own; heartbeats do not. ClientError where the member may not go on.
    """

    def __init__(self, cluster: Cluster, member: ClassicMember, lane: str) -> None:
        self._cluster = cluster
        self._member = member
        self._lane = lane

    def identity(self) -> Identity | None:
        """As whom the member commits; None while it is out of the group."""
        member = self._member
        if member.generation < 0:
            return None
        return Identity(
            member.settings.group_id, member.generation, member.member_id, member.settings.instance_id
        )

    async def join(
        self,
        protocols: Sequence[tuple[str, bytes]],
        joined: Callable[[], Awaitable[Mapping[str, bytes]]],
    ) -> bytes | None:
        """This member's assignment; None: try again. `joined` gives all assignments, if the member is the one
        that makes them.
        """
        member = self._member
        timeout_ms = member.settings.max_poll_interval_ms + _JOIN_GRACE_MS
        answer = await self.ask(member.join(protocols), JoinGroupResponse, timeout_ms)
        if answer is None:
            member.not_joined()
            return None
        if not await self._goes_on(member.joined(answer, self._now_ms())):
            return None
        synced = await self.ask(member.sync(await joined()), SyncGroupResponse, timeout_ms)
        if synced is None:
            member.request_rejoin("the coordinator did not answer")
            return None
        return synced.assignment if await self._goes_on(member.synced(synced, self._now_ms())) else None

    async def heartbeat(self) -> bool:
        """Whether it was answered."""
        request = self._member.heartbeat(self._now_ms())
        answer = await self.ask(request, HeartbeatResponse, self._member.settings.session_timeout_ms)
        if answer is not None:
            await self._goes_on(self._member.heartbeat_answered(request, answer))
        return answer is not None

    async def ask(self, request: Struct, response: type[R], timeout_ms: int) -> R | None:
        """None where no answer came: the coordinator is looked for again."""
        lane = "main" if response is HeartbeatResponse else self._lane
        try:
            node = await self._cluster.coordinator(CoordinatorKind.GROUP, self._member.settings.group_id)
            return await self._cluster.send(request, response, node=node, lane=lane, timeout_ms=timeout_ms)
        except ClientError as error:
            if not error.retriable:
                raise
            self._forget_coordinator()
            await self.later()
            return None

    async def _goes_on(self, outcome: Outcome) -> bool:
        """Whether to; waits where one should before trying again."""
        match outcome:
            case Outcome.done:
                return True
            case Outcome.fatal:
                raise broker_error(self._member.error, what=f"group {self._member.settings.group_id}")
            case Outcome.later:
                await self.later()
            case Outcome.elsewhere:
                self._forget_coordinator()
                await self.later()
        return False

    async def later(self) -> None:
        await asyncio.sleep(self._cluster.settings.retry_backoff_ms / 1000)

    def _forget_coordinator(self) -> None:
        self._cluster.forget_coordinator(CoordinatorKind.GROUP, self._member.settings.group_id)

    def _now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)
