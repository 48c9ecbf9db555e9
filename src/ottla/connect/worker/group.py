"""A distributed worker's part in its group: protocol type `connect` (KIP-415)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from ottla.client.core.groups.classic import ClassicMember, GroupSettings
from ottla.client.errors import ClientError
from ottla.client.net.classic_group import ClassicLink
from ottla.client.net.cluster import Cluster
from ottla.connect.errors import ConnectError
from ottla.connect.worker.assignor import IncrementalAssignor, Shares, assign_eagerly
from ottla.connect.worker.crew import Crew
from ottla.connect.worker.ids import ConnectorTaskId, Work
from ottla.connect.worker.protocol import (
    CONFIG_MISMATCH,
    Assignment,
    Protocol,
    ProtocolError,
    WorkerState,
    decode_assignment,
    decode_state,
    encode_assignment,
    encode_state,
)
from ottla.connect.worker.settings import WorkerConfig
from ottla.connect.worker.stores import ConfigStore
from ottla.protocol.messages.leave_group import LeaveGroupResponse

_log: Final = logging.getLogger(__name__)

_LANE: Final = "connect-group"
_GOODBYE_S: Final = 1.0
_CLAIM_AGAIN_S: Final = 1.0


class Group:
    """`Membership` of a group. `on_lead` is waited for before a new leader does anything."""

    def __init__(
        self, cluster: Cluster, config: WorkerConfig, url: str, configs: ConfigStore, crew: Crew
    ) -> None:
        settings = config.settings
        assert settings.group_id is not None
        self._config = config
        self._url = url
        self._configs = configs
        self._crew = crew
        self._member = ClassicMember(
            GroupSettings(
                settings.group_id,
                "connect",
                None,
                settings.session_timeout_ms,
                settings.heartbeat_interval_ms,
                settings.rebalance_timeout_ms,
            )
        )
        self._link = ClassicLink(cluster, self._member, _LANE)
        self._assignor = IncrementalAssignor(settings.scheduled_rebalance_max_delay_ms)
        self._current: Assignment | None = None
        self._completed_generation = -1
        self._session_s = settings.session_timeout_ms / 1000
        self._members: Mapping[str, WorkerState] = {}
        self._total: Mapping[str, Work] = {}
        self._rejoin_at_s: float | None = None
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._led = False
        self._heard_s = 0.0
        """When the coordinator answered last"""
        self._is_out = False
        configs.on_fenced = self._fenced
        self.on_lead: Callable[[], Awaitable[None]]

    # As the herder sees it.

    @property
    def is_leader(self) -> bool:
        current = self._current
        return (
            current is not None and bool(self._member.member_id) and current.leader == self._member.member_id
        )

    @property
    def leader_url(self) -> str | None:
        return None if self._current is None else self._current.leader_url

    @property
    def generation(self) -> int:
        return max(self._member.generation, 0)

    @property
    def assignment(self) -> Work:
        return Work() if self._current is None else self._current.work

    @property
    def is_settled(self) -> bool:
        """A leader that may not write yet is none."""
        member = self._member
        is_stable = member.is_stable and not member.needs_join and self._current is not None
        return is_stable and (self._led or not self.is_leader)

    def owner_url(self, subject: str | ConnectorTaskId) -> str | None:
        for member, work in self._total.items():
            if subject in (work.tasks if isinstance(subject, ConnectorTaskId) else work.connectors):
                return self._members[member].url
        return None

    def rejoin(self, reason: str) -> None:
        self._member.request_rejoin(reason)
        self._wake.set()

    def _fenced(self) -> None:
        self._led = False
        self.rejoin("the leader could not write, and is to claim that again")

    # Its life.

    async def run(self) -> None:
        """Without end. ClientError for what waiting does not help."""
        heartbeats = asyncio.ensure_future(self._keep_alive())
        try:
            while True:
                self._wake.clear()
                if self._is_out:
                    await self._give_up()
                if self._member.needs_join:
                    await self._join()
                else:
                    await self._wait(heartbeats)
        finally:
            heartbeats.cancel()
            with contextlib.suppress(asyncio.CancelledError, ClientError):
                await heartbeats

    async def _wait(self, heartbeats: asyncio.Future[None]) -> None:
        """Until there is a reason to join again."""
        timeout_s = None if self._rejoin_at_s is None else max(self._rejoin_at_s - self._loop.time(), 0)
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            both: list[asyncio.Future[Any]] = [waking, heartbeats]
            await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
        if heartbeats.done():
            heartbeats.result()
        if self._rejoin_at_s is not None and self._loop.time() >= self._rejoin_at_s:
            self._rejoin_at_s = None
            self._member.request_rejoin("the scheduled rebalance is due")

    async def _keep_alive(self) -> None:
        member = self._member
        while True:
            now_ms = int(self._loop.time() * 1000)
            due_ms = member.heartbeat_at_ms()
            if due_ms is None or due_ms > now_ms:
                wait_ms = (
                    100 if due_ms is None else min(due_ms - now_ms, member.settings.heartbeat_interval_ms)
                )
                await asyncio.sleep(wait_ms / 1000)
                continue
            if await self._link.heartbeat():
                self._heard_s = self._loop.time()
            elif self._loop.time() - self._heard_s >= self._session_s:
                self._is_out = self._current is not None
            if member.needs_join or self._is_out:
                self._wake.set()

    async def _give_up(self) -> None:
        """The coordinator was not heard for a session: what runs here is given to others by now."""
        self._is_out = False
        if self._current is None or self._loop.time() - self._heard_s < self._session_s:
            return  # it was heard meanwhile
        _log.warning("the group's coordinator does not answer: what this worker runs is given up")
        work, self._current = self._current.work, None
        self._rejoin_at_s = None
        self._member.request_rejoin("the coordinator did not answer for a session")
        await self._crew.revoked(work)
        await self._lead_or_not()

    async def leave(self) -> None:
        request = self._member.leave("the worker is being stopped")
        if request is None:
            return
        with contextlib.suppress(ClientError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self._link.ask(request, LeaveGroupResponse, int(_GOODBYE_S * 1000))

    async def _join(self) -> None:
        if self._config.protocol is Protocol.EAGER and self._current is not None:
            await self._crew.revoked(self._current.work)
            self._current = None
        answer = await self._link.join(self._protocols(), self._assign)
        if answer is None:
            return
        self._heard_s = self._loop.time()
        try:
            await self._assigned(decode_assignment(answer))
        except ProtocolError as error:
            _log.error("an assignment is not understood: %s", error)
            await self._link.later()
            self._member.request_rejoin("an assignment was not understood")

    def _protocols(self) -> list[tuple[str, bytes]]:
        """Preferred ones first; each older one can be spoken as well."""
        state = WorkerState(self._url, self._configs.state.offset, self._current)
        newest = self._config.protocol.value
        return [
            (each.label, encode_state(state, each))
            for each in sorted(Protocol, key=lambda one: -one.value)
            if each.value <= newest
        ]

    async def _assign(self) -> dict[str, bytes]:
        member = self._member
        if not member.must_assign:
            return {}
        protocol = Protocol.of_label(member.protocol)
        states: dict[str, WorkerState] = {}
        for each in member.members:
            try:
                states[each.member_id] = decode_state(each.metadata)
            except ProtocolError as error:
                _log.error("member %s of the group is not understood: %s", each.member_id, error)
        offset = max(each.offset for each in states.values())
        if self._configs.state.offset < offset:
            with contextlib.suppress(ConnectError):
                await self._configs.refresh()
        common = Assignment(leader=member.member_id, leader_url=self._url, offset=offset)
        if self._configs.state.offset < offset:
            refused = encode_assignment(common._replace(error=CONFIG_MISMATCH), protocol)
            return dict.fromkeys(states, refused)
        common = common._replace(offset=self._configs.state.offset)
        shares = self._shares(protocol, states)
        self._members, self._total = states, shares.total
        return {
            each: encode_assignment(
                common._replace(
                    work=shares.assigned.get(each, Work()),
                    revoked=shares.revoked.get(each, Work()),
                    delay_ms=shares.delay_ms,
                ),
                protocol,
            )
            for each in states
        }

    def _shares(self, protocol: Protocol, states: Mapping[str, WorkerState]) -> Shares:
        configured = self._crew.configured()
        if protocol is Protocol.EAGER:
            return assign_eagerly(states, configured.connectors, configured.tasks)
        held = {
            each: Work() if state.assignment is None else state.assignment.work
            for each, state in states.items()
        }
        return self._assignor.assign(
            configured,
            held,
            completed_generation=self._completed_generation,
            generation=self._member.generation,
            now_ms=int(self._loop.time() * 1000),
        )

    async def _assigned(self, new: Assignment) -> None:
        if new.error == CONFIG_MISMATCH or self._configs.state.offset < new.offset:
            settings = self._config.settings
            try:
                async with asyncio.timeout(settings.worker_sync_timeout_ms / 1000):
                    await self._configs.refresh()
            except (ConnectError, TimeoutError) as error:
                _log.warning("the configs are not read to their end: %s", error or "it takes too long")
                await asyncio.sleep(settings.worker_unsync_backoff_ms / 1000)
        if new.error or self._configs.state.offset < new.offset:
            self._member.request_rejoin("the configs had not been read to their end")
            return
        held = self.assignment
        if Protocol.of_label(self._member.protocol) is not Protocol.EAGER:
            if new.revoked:
                await self._crew.revoked(new.revoked)
            new = new._replace(work=held.minus(new.revoked).plus(new.work))
        self._current = new._replace(revoked=Work())
        self._completed_generation = self._member.generation
        self._rejoin_at_s = self._loop.time() + new.delay_ms / 1000 if new.delay_ms > 0 else None
        await self._lead_or_not()
        await self._crew.assigned(new.work, self._member.generation, leads=self.is_leader)
        if new.revoked:
            self._member.request_rejoin("what was revoked has been given up")

    async def _lead_or_not(self) -> None:
        if not self.is_leader:
            if self._led:
                await self._configs.give_up()
            self._led = False
            return
        try:
            await self.on_lead()
            self._led = True
        except ConnectError as error:
            self._led = False
            _log.warning("this worker leads, and cannot do what a leader does yet: %s", error)
            self._rejoin_at_s = min(self._rejoin_at_s or math.inf, self._loop.time() + _CLAIM_AGAIN_S)
