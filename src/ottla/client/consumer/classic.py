"""The shell of a membership in a classic consumer group: joins, heartbeats, and what comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from ottla.client.consumer.membership import Gate, Holder, Membership, give_up, take
from ottla.client.consumer.settings import ConsumerSettings
from ottla.client.consumer.subscription import Subscription
from ottla.client.core.groups.classic import ClassicMember, GroupSettings
from ottla.client.core.groups.subscription import (
    Assignor,
    MemberSubscription,
    Topics,
    WithUserData,
    change_of,
    decode_assignment,
    decode_subscription,
    encode_subscription,
    perform_assignment,
    topics_of,
)
from ottla.client.core.metadata import ClusterMetadata, TopicPartition
from ottla.client.core.offsets import Identity
from ottla.client.errors import AuthorizationError, ClientError
from ottla.client.net.classic_group import ClassicLink
from ottla.client.net.cluster import Cluster
from ottla.protocol.errors import DecodeError
from ottla.protocol.messages.leave_group import LeaveGroupResponse


class ClassicMembership(Membership):
    """Two tasks: one joins and carries out what comes of it, the other sends heartbeats meanwhile."""

    def __init__(
        self,
        cluster: Cluster,
        settings: ConsumerSettings,
        holder: Holder,
        gate: Gate,
        subscription: Subscription,
        lane: str,
        assignors: Mapping[str, Assignor],
    ) -> None:
        super().__init__(cluster, settings, holder, gate, subscription)
        self._assignors = assignors
        self._is_cooperative = all(each.is_cooperative for each in self._assignors.values())
        self._member = ClassicMember(
            GroupSettings(
                self._group_id,
                instance_id=settings.group_instance_id,
                session_timeout_ms=settings.session_timeout_ms,
                heartbeat_interval_ms=settings.heartbeat_interval_ms,
                max_poll_interval_ms=settings.max_poll_interval_ms,
            )
        )
        self._link = ClassicLink(cluster, self._member, lane)
        self._last_assigned: tuple[Sequence[TopicPartition], int] = ((), -1)
        self._joined_topics: list[str] = []
        self._counts: dict[str, int] | None = None
        """How many partitions the topics had when this member assigned them."""
        self._changed = asyncio.Event()

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._keep_joined(), name="ottla-consumer-group"),
            asyncio.create_task(self._keep_alive(), name="ottla-consumer-heartbeat"),
        ]

    def identity(self) -> Identity | None:
        return self._link.identity()

    def subscription_changed(self) -> None:
        self._member.request_rejoin("the subscription changed")
        self._changed.set()

    def metadata_changed(self, metadata: ClusterMetadata) -> None:
        """New topics that match, and new partitions of those that are assigned, ask for a rebalance."""
        if not self._member.is_stable or self._member.needs_join:
            return
        if sorted(self._topics()) != self._joined_topics:
            self.subscription_changed()
        elif self._counts is not None and self._counts != _counts(metadata, self._counts):
            self._member.request_rejoin("the topics' partitions changed")
            self._changed.set()

    def polled(self) -> None:
        super().polled()
        self._changed.set()

    # Joining.

    async def _keep_joined(self) -> None:
        try:
            while True:
                try:
                    await self._join_if_needed()
                except AuthorizationError as error:
                    self._member.not_joined()
                    await self._tell_and_wait(error)
        except Exception as error:  # noqa: BLE001 - the application's poll raises it
            self._holder.fail(error, is_last=True)

    async def _join_if_needed(self) -> None:
        self._changed.clear()
        if self._member.needs_join and self._topics() and not self._has_polled_too_late():
            await self._rebalance()
        elif self._member.was_lost:
            await self._prepare()
        else:
            await self._changed.wait()

    async def _rebalance(self) -> None:
        while self._member.needs_join:
            await self._prepare()
            assignment = await self._join()
            if assignment is not None:
                await self._carry_out(assignment)
                return

    async def _prepare(self) -> None:
        """Before a join, give up what may not be kept through it."""
        member = self._member
        if self._going():
            async with self._gate:  # it may turn out to be lost while the application is busy
                await give_up(self._holder, self._going(), lost=member.was_lost)
        if member.was_lost:
            self._last_assigned = (), -1
            member.was_lost = False

    def _going(self) -> list[TopicPartition]:
        held = self._holder.held()
        if self._member.was_lost or not self._is_cooperative:
            return held
        wanted = frozenset(self._topics())
        return [each for each in held if each.topic not in wanted]

    async def _join(self) -> bytes | None:
        """This member's assignment; None: try again."""
        member = self._member
        wanted = sorted(self._topics())
        held = self._holder.held() if self._is_cooperative else []

        async def joined() -> Mapping[str, bytes]:
            self._joined_topics, self._counts = wanted, None
            self._changed.set()
            return await self._assign() if member.must_assign else {}

        assignment = await self._link.join(self._protocols(wanted, held), joined)
        if assignment is not None:
            self.metadata_changed(self._cluster.metadata)  # what came meanwhile was not looked at
        return assignment

    def _protocols(self, topics: Sequence[str], held: Sequence[TopicPartition]) -> list[tuple[str, bytes]]:
        protocols = []
        assigned, generation = self._last_assigned
        for name, assignor in self._assignors.items():
            user_data = None
            if isinstance(assignor, WithUserData):
                user_data = assignor.user_data(assigned, generation)
            member = MemberSubscription(
                topics, held, generation, self._settings.client_rack or None, user_data
            )
            protocols.append((name, encode_subscription(member)))
        return protocols

    async def _assign(self) -> dict[str, bytes]:
        """The leader's work."""
        member = self._member
        assignor = self._assignors.get(member.protocol or "")
        if assignor is None:
            raise ClientError(f"the group chose {member.protocol!r}, which this member did not offer")
        members: dict[str, MemberSubscription] = {}
        for each in member.members:
            try:
                members[each.member_id] = decode_subscription(each.metadata, each.group_instance_id)
            except DecodeError as error:
                raise ClientError(
                    f"member {each.member_id} of group {member.settings.group_id}: {error}"
                ) from None
        names = topics_of(members.values())
        metadata = await self._cluster.retrying(lambda: self._cluster.refresh(names))
        self._counts = _counts(metadata, names)
        return perform_assignment(assignor, members, Topics(self._counts, _racks(metadata, names)))

    async def _carry_out(self, assignment: bytes) -> None:
        member = self._member
        assigned = decode_assignment(assignment)
        change = change_of(self._holder.held(), assigned)
        if change.revoked:
            async with self._gate:
                if not member.was_lost:
                    await give_up(self._holder, change.revoked, lost=False)
            member.request_rejoin("partitions were given up for others")
            self._changed.set()
        async with self._gate:
            if not member.was_lost:  # while the application was busy
                self._last_assigned = assigned, member.generation
                await take(self._holder, change.added)

    # Staying.

    async def _keep_alive(self) -> None:
        """Heartbeats, whatever the application is at; without a poll for too long the member leaves."""
        while True:
            try:
                await self._heartbeat_when_due()
            except AuthorizationError as error:
                await self._tell_and_wait(error)
            except ClientError as error:
                if not error.retriable:
                    self._holder.fail(error, is_last=True)
                    return
                await self._link.later()
            except Exception as error:  # noqa: BLE001 - the application's poll raises it
                self._holder.fail(error, is_last=True)
                return

    async def _heartbeat_when_due(self) -> None:
        member, now = self._member, self._now_ms()
        if self._has_polled_too_late():
            if member.generation >= 0:
                await self._leave("max.poll.interval.ms is over without a poll")
                member.was_lost = True
                self._changed.set()
            await asyncio.sleep(min(1.0, self._settings.heartbeat_interval_ms / 1000))
            return
        due_ms = member.heartbeat_at_ms()
        if due_ms is None or due_ms > now:
            wait_ms = 100 if due_ms is None else due_ms - now
            await asyncio.sleep(min(wait_ms, self._settings.heartbeat_interval_ms, 1000) / 1000)
            return
        await self._link.heartbeat()
        if member.needs_join:
            self._changed.set()

    async def _leave(self, reason: str) -> None:
        request = self._member.leave(reason)
        if request is not None:
            await self._say_goodbye(request, LeaveGroupResponse)


def _counts(metadata: ClusterMetadata, topics: Collection[str]) -> dict[str, int]:
    return {topic: len(metadata.partitions_of(topic)) for topic in topics}


def _racks(metadata: ClusterMetadata, topics: Collection[str]) -> dict[TopicPartition, frozenset[str]]:
    """Where the replicas are, as far as brokers have racks."""
    racks = {node: each.rack for node, each in metadata.brokers.items() if each.rack}
    if not racks:
        return {}
    return {
        TopicPartition(topic, number): frozenset(racks[each] for each in view.replicas if each in racks)
        for topic in topics
        if topic in metadata.topics
        for number, view in metadata.topics[topic].partitions.items()
    }
