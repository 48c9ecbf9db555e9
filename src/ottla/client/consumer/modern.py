"""The shell of a membership in a KIP-848 consumer group: heartbeats, and what they ask for."""

from __future__ import annotations

import asyncio
from typing import Final

from ottla.client.consumer.membership import Gate, Holder, Membership, give_up, take
from ottla.client.consumer.settings import ConsumerSettings
from ottla.client.consumer.subscription import Subscription
from ottla.client.core.groups.classic import Outcome
from ottla.client.core.groups.consumer import ConsumerGroupSettings, ConsumerMember
from ottla.client.core.metadata import ClusterMetadata
from ottla.client.core.offsets import Identity
from ottla.client.errors import AuthorizationError, BrokerUpgradeError, ClientError, broker_error
from ottla.client.net.cluster import Cluster
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
)

_FIRST_WITH_CLIENT_MEMBER_ID: Final = 1


class ModernMembership(Membership):
    """Two tasks: one sends heartbeats, the other carries out what their answers ask for."""

    def __init__(
        self,
        cluster: Cluster,
        settings: ConsumerSettings,
        holder: Holder,
        gate: Gate,
        subscription: Subscription,
        member_id: str,
    ) -> None:
        super().__init__(cluster, settings, holder, gate, subscription)
        self._subscription = subscription
        self._member = ConsumerMember(
            ConsumerGroupSettings(
                self._group_id,
                settings.group_instance_id,
                settings.client_rack or None,
                settings.max_poll_interval_ms,
                settings.group_remote_assignor,
            ),
            member_id,
        )
        self._has_left = False
        self._beat = asyncio.Event()
        """A heartbeat may be due earlier than thought."""
        self._work = asyncio.Event()
        """There may be something to reconcile."""

    def start(self) -> None:
        self.subscription_changed()
        self._tasks = [
            asyncio.create_task(self._keep_alive(), name="ottla-consumer-heartbeat"),
            asyncio.create_task(self._keep_reconciled(), name="ottla-consumer-group"),
        ]

    def identity(self) -> Identity | None:
        member = self._member
        if member.epoch <= 0:
            return None
        return Identity(
            member.settings.group_id, member.epoch, member.member_id, member.settings.instance_id, True
        )

    def subscription_changed(self) -> None:
        regex = self._subscription.regex
        self._member.subscribe(None if regex is not None else self._topics(), regex, self._now_ms())
        self._beat.set()

    def metadata_changed(self, metadata: ClusterMetadata) -> None:  # noqa: ARG002
        wanted = None if self._subscription.regex is not None else sorted(self._topics())
        if wanted != self._member.topics:
            self.subscription_changed()
        if self._member.is_reconciling:
            self._work.set()

    def polled(self) -> None:
        super().polled()
        if self._has_left:
            self._has_left = False
            self._beat.set()

    # Heartbeats.

    async def _keep_alive(self) -> None:
        try:
            while True:
                self._beat.clear()
                if self._has_polled_too_late() and not self._has_left:
                    await self._leave("max.poll.interval.ms is over without a poll")
                    self._member.was_lost = True
                    self._has_left = True
                    self._work.set()
                wait_ms = self._member.heartbeat_at_ms() - self._now_ms()
                if self._has_left or not self._wants_anything() or self._member.was_lost:
                    await self._wait(1000)
                elif wait_ms > 0:
                    await self._wait(min(wait_ms, 1000))
                else:
                    await self._heartbeat_or_tell()
        except Exception as error:  # noqa: BLE001 - the application's poll raises it
            self._holder.fail(error, is_last=True)

    def _wants_anything(self) -> bool:
        return self._subscription.regex is not None or bool(self._topics())

    async def _wait(self, for_ms: int) -> None:
        try:
            async with asyncio.timeout(for_ms / 1000):
                await self._beat.wait()
        except TimeoutError:
            pass

    async def _heartbeat_or_tell(self) -> None:
        try:
            await self._heartbeat()
        except AuthorizationError as error:
            await self._tell_and_wait(error)
            self._member.unanswered(self._now_ms(), 0)

    async def _heartbeat(self) -> None:
        member, backoff_ms = self._member, self._cluster.settings.retry_backoff_ms
        request: ConsumerGroupHeartbeatRequest | None = None
        try:
            node = await self._coordinator()
            version = await self._cluster.version(node, ConsumerGroupHeartbeatRequest.__key__)
            if version is None:
                raise BrokerUpgradeError("the broker has no groups of protocol consumer (KIP-848)")
            if version < _FIRST_WITH_CLIENT_MEMBER_ID:
                if member.regex is not None:
                    raise BrokerUpgradeError("the broker resolves no patterns; give a compiled one")
                if not member.is_member and member.epoch == 0:
                    member.member_id = ""
            request = member.heartbeat(self._now_ms())
            response = await self._cluster.send(request, ConsumerGroupHeartbeatResponse, node=node)
        except ClientError as error:
            if not error.retriable:
                raise
            self._forget_coordinator()
            member.unanswered(self._now_ms(), backoff_ms)
            return
        outcome = member.answered(request, response, self._now_ms(), backoff_ms)
        if outcome is Outcome.elsewhere:
            self._forget_coordinator()
        elif outcome is Outcome.fatal:
            raise self._error()
        elif member.error is ErrorCode.topic_authorization_failed:
            self._holder.fail(self._error())
        if member.is_reconciling or member.was_lost:
            self._work.set()

    def _error(self) -> ClientError:
        member = self._member
        return broker_error(member.error, member.error_message, f"group {member.settings.group_id}")

    # Reconciliation.

    async def _keep_reconciled(self) -> None:
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                if self._member.was_lost:
                    async with self._gate:
                        await give_up(self._holder, self._holder.held(), lost=True)
                    self._member.was_lost = False
                    self._beat.set()
                await self._reconcile()
        except Exception as error:  # noqa: BLE001 - the application's poll raises it
            self._holder.fail(error, is_last=True)

    async def _reconcile(self) -> None:
        member = self._member
        work = member.reconciliation(self._cluster.metadata.names, self._holder.held())
        if work is not None and work.unresolved:
            await self._find_names()
            work = member.reconciliation(self._cluster.metadata.names, self._holder.held())
        if work is None:
            return
        if work.revoked:
            async with self._gate:
                if not member.was_lost:
                    await give_up(self._holder, work.revoked, lost=False)
        if work.added or not work.revoked:
            async with self._gate:
                if not member.was_lost:
                    await take(self._holder, work.added)
        if member.was_lost:
            self._work.set()
            return
        member.reconciled(work, self._now_ms())
        self._beat.set()
        if member.is_reconciling:
            if work.unresolved and not work.revoked and not work.added:
                await asyncio.sleep(self._cluster.settings.retry_backoff_max_ms / 1000)
            self._work.set()

    async def _find_names(self) -> None:
        """Of topics that the coordinator gave us by id."""
        try:
            await self._cluster.refresh(
                None if self._subscription.regex is not None else tuple(self._topics())
            )
        except ClientError as error:
            if not error.retriable:
                raise

    async def _leave(self, reason: str) -> None:  # noqa: ARG002 - heartbeats tell none
        request = self._member.leave()
        if request is not None:
            await self._say_goodbye(request, ConsumerGroupHeartbeatResponse)
