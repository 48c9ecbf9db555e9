"""A thread's membership in the application's group, over the classic protocol, cooperative."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from ottla.client.core.groups.classic import ClassicMember, GroupSettings
from ottla.client.core.groups.subscription import (
    MemberSubscription,
    decode_subscription,
    encode_subscription,
)
from ottla.client.core.offsets import Identity
from ottla.client.errors import ClientError
from ottla.client.net.classic_group import ClassicLink
from ottla.client.net.cluster import Cluster
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.leave_group import LeaveGroupResponse
from ottla.streams.errors import StreamsError
from ottla.streams.runtime.protocol import PROTOCOL
from ottla.streams.runtime.settings import Config

_LEAVE_TIMEOUT_S: Final = 5.0
_SETTLE_S: Final = 5.0
"""A transaction that waits for longer may be over before it is committed."""

Assign = Callable[[Mapping[str, MemberSubscription]], Awaitable[Mapping[str, bytes]]]
Subscribe = Callable[[], MemberSubscription]


class GroupMember:
    """Joins and sends heartbeats in the background; what comes of it waits in `assignment` to be taken."""

    def __init__(
        self,
        cluster: Cluster,
        settings: GroupSettings,
        subscribe: Subscribe,
        assign: Assign,
        woken: asyncio.Event,
    ) -> None:
        self._member = ClassicMember(settings)
        self._link = ClassicLink(
            cluster, self._member, f"streams-join-{cluster.host.random.getrandbits(64):x}"
        )
        self._subscribe = subscribe
        self._assign = assign
        self._woken = woken
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        """No join is under way."""
        self._settled.set()
        self._idle = asyncio.Event()
        """Nothing is being committed as this generation's member."""
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self.assignment: bytes | None = None
        """The newest one, until it is taken."""
        self.error: Exception | None = None
        """Why the membership ended."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="ottla-streams-group")

    @property
    def is_leader(self) -> bool:
        return self._member.is_leader

    @property
    def was_lost(self) -> bool:
        """The group goes on without this member: what it had may be somebody else's already."""
        return self._member.was_lost

    def lost_was_seen(self) -> None:
        self.assignment = None
        self._member.was_lost = False

    def identity(self) -> Identity | None:
        return self._link.identity()

    @property
    def generation(self) -> int:
        return self._member.generation

    def rejoin(self, reason: str) -> None:
        self._member.request_rejoin(reason)
        self._changed.set()

    @contextlib.asynccontextmanager
    async def between_joins(self) -> AsyncIterator[None]:
        """For a commit, which the coordinator takes from the generation that is: a join that is under way is
        waited for, and none begins meanwhile, both for some time."""
        await _within(_SETTLE_S, self._settled.wait())
        self._idle.clear()
        try:
            yield
        finally:
            self._idle.set()

    def take_assignment(self) -> bytes | None:
        taken, self.assignment = self.assignment, None
        return taken

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        request = self._member.leave("the application is being closed")
        if request is not None:
            try:
                async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                    await self._link.ask(request, LeaveGroupResponse, int(_LEAVE_TIMEOUT_S * 1000))
            except (ClientError, TimeoutError):
                return  # the session timeout does it

    async def _run(self) -> None:
        try:
            while True:
                self._changed.clear()
                if self._member.needs_join and not self._member.was_lost:
                    await self._join()
                elif self._member.was_lost:
                    self._woken.set()  # the thread drops what it had, then we join anew
                    await asyncio.sleep(0.05)
                else:
                    await self._beat_when_due()
        except Exception as error:  # noqa: BLE001 - the thread raises it
            self.error = self._said(error)
            self._woken.set()

    async def _join(self) -> None:
        await _within(self._member.settings.heartbeat_interval_ms / 1000, self._idle.wait())
        # What was not taken is not owned, so that it may be somebody else's after this: too late to take it.
        self.assignment = None
        self._settled.clear()
        try:
            protocols = [(PROTOCOL, encode_subscription(self._subscribe()))]
            assignment = await self._link.join(protocols, self._joined)
        finally:
            self._settled.set()
        if assignment is not None:
            self.assignment = assignment
            self._woken.set()

    async def _joined(self) -> Mapping[str, bytes]:
        member = self._member
        if not member.must_assign:
            return {}
        members = {
            each.member_id: decode_subscription(each.metadata, each.group_instance_id)
            for each in member.members
        }
        return await self._assign(members)

    async def _beat_when_due(self) -> None:
        due_ms = self._member.heartbeat_at_ms()
        now_ms = int(asyncio.get_running_loop().time() * 1000)
        if due_ms is not None and due_ms <= now_ms:
            await self._link.heartbeat()
            return
        wait_s = 0.1 if due_ms is None else (due_ms - now_ms) / 1000
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            return

    def _said(self, error: Exception) -> Exception:
        if isinstance(error, ClientError) and self._member.error == ErrorCode.inconsistent_group_protocol:
            return StreamsError(
                f"the group {self._member.settings.group_id} has members of another kind, such as those of"
                " Kafka Streams in Java, which cannot share work with these: stop them first (they stay until"
                " their session times out), or give this application an application.id of its own"
            )
        return error


async def _within(seconds: float, waiting: Awaitable[object]) -> None:
    """Wait so long at most."""
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return


def group_settings(config: Config, number: int) -> GroupSettings:
    """Of the member of the thread of that number."""
    given = config.consumer
    instance = given.get("group.instance.id")
    defaults = GroupSettings(config.streams.application_id)
    return defaults._replace(
        instance_id=None if instance is None else f"{instance}-{number}",
        session_timeout_ms=int(str(given.get("session.timeout.ms", defaults.session_timeout_ms))),
        heartbeat_interval_ms=int(str(given.get("heartbeat.interval.ms", defaults.heartbeat_interval_ms))),
        max_poll_interval_ms=int(str(given.get("max.poll.interval.ms", defaults.max_poll_interval_ms))),
    )
