"""The membership in the group that elects who writes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ottla.client.core.groups.classic import ClassicMember, GroupSettings
from ottla.client.errors import ClientError
from ottla.client.net.classic_group import ClassicLink
from ottla.client.net.cluster import Cluster
from ottla.http.fields import FieldError
from ottla.protocol.messages.leave_group import LeaveGroupResponse
from ottla.registry.settings import RegistrySettings
from ottla.registry.state.election import (
    PROTOCOL,
    PROTOCOL_TYPE,
    Identity,
    Outcome,
    decode_identity,
    decode_outcome,
    elect,
    encode_identity,
    encode_outcome,
)

_log: Final = logging.getLogger(__name__)

_GOODBYE_S: Final = 1.0
_LANE: Final = "registry-election"


class Election:
    """`on_outcome` is told of each election: who leads, and whether that is this member."""

    def __init__(
        self,
        cluster: Cluster,
        settings: RegistrySettings,
        identity: Identity,
        on_outcome: Callable[[Identity | None, bool], None],
    ) -> None:
        self._identity = identity
        self._on_outcome = on_outcome
        self._loop = asyncio.get_running_loop()
        self._member = ClassicMember(
            GroupSettings(
                settings.schema_registry_group_id,
                PROTOCOL_TYPE,
                session_timeout_ms=settings.kafkagroup_session_timeout_ms,
                heartbeat_interval_ms=settings.kafkagroup_heartbeat_interval_ms,
                max_poll_interval_ms=settings.kafkagroup_rebalance_timeout_ms,
            )
        )
        self._link = ClassicLink(cluster, self._member, _LANE)
        self._wake = asyncio.Event()

    def again(self, reason: str) -> None:
        """Ask for another election: the outcome of the last one does not hold."""
        self._identity = replace(self._identity, leads=False)
        self._member.request_rejoin(reason)
        self._wake.set()

    async def run(self) -> None:
        """Take part until cancelled. ClientError where this member may not."""
        while True:
            if self._member.needs_join:
                await self._join()
            else:
                await self._heartbeat()

    async def leave(self) -> None:
        """Let the others go on at once."""
        request = self._member.leave("the registry stops")
        if request is None:
            return
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._link.ask(request, LeaveGroupResponse, int(_GOODBYE_S * 1000))
        except (ClientError, TimeoutError) as error:
            _log.debug("the election was not told: %s", error)

    async def _join(self) -> None:
        member = self._member
        assignment = await self._link.join([(PROTOCOL, encode_identity(self._identity))], self._joined)
        if assignment is None:
            return
        try:
            outcome = decode_outcome(assignment)
        except FieldError as error:
            _log.warning("the outcome of the election is not understood: %s", error)
            outcome = Outcome(None, None, has_duplicates=False)
        if outcome.has_duplicates:
            _log.error("several instances say that they are at the same address: see host.name")
        leads = outcome.leader is not None and outcome.member_id == member.member_id
        self._identity = replace(self._identity, leads=leads)
        self._on_outcome(outcome.leader, leads)

    async def _joined(self) -> dict[str, bytes]:
        if not self._member.must_assign:
            return {}
        members: dict[str, Identity] = {}
        for each in self._member.members:
            try:
                members[each.member_id] = decode_identity(each.metadata)
            except FieldError as error:
                _log.warning("member %s of the election is not understood: %s", each.member_id, error)
        outcome = encode_outcome(elect(members))
        return dict.fromkeys((each.member_id for each in self._member.members), outcome)

    async def _heartbeat(self) -> None:
        member, now = self._member, self._now_ms()
        due_ms = member.heartbeat_at_ms()
        if due_ms is None or due_ms > now:
            wait_ms = member.settings.heartbeat_interval_ms if due_ms is None else due_ms - now
            self._wake.clear()
            try:
                async with asyncio.timeout(wait_ms / 1000):
                    await self._wake.wait()
            except TimeoutError:
                pass
            return
        await self._link.heartbeat()

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)
