"""Members of consumer groups: classic ones, which assign among themselves, and those of KIP-848.

They read no records. What they commit are numbers that are used once, so that a commit which was lost, or has
overtaken a newer one, is seen.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from typing import NamedTuple
from uuid import UUID

from tests.simulation.client import Brokers, Caller, NoAnswerError
from tests.simulation.history import Commit, FetchedOffset, Log, Ownership, Place
from tests.simulation.records import Topic
from tests.simulation.world import World

from ottla.protocol import wire
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.consumer_group_heartbeat import (
    Assignment,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatRequestTopicPartitions,
    ConsumerGroupHeartbeatResponse,
)
from ottla.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from ottla.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity
from ottla.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from ottla.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from ottla.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
)
from ottla.protocol.messages.records.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription,
)
from ottla.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse

SESSION_TIMEOUT_MS = 2_000
HEARTBEAT_MS = 400
_RETRY_S = 0.2
_PROTOCOL_TYPE, _PROTOCOL = "consumer", "range"
_NEVER_JOINED, _LEAVES = 0, -1
"""Member epochs with a meaning."""


class FencedError(Exception):
    """The coordinator does not take this member for one any more."""


class Group(NamedTuple):
    """What the members of a group have in common."""

    world: World
    name: str
    brokers: Brokers
    topic: Topic
    session_timeout_ms: int
    """Of its members, and for how long a rebalance waits for them."""
    numbers: defaultdict[Log, Iterable[int]]
    """What is committed next, for each log."""

    def place(self, log: Log) -> Place:
        return self.brokers.name, self.name, log


def group_of(
    world: World, name: str, brokers: Brokers, topic: Topic, session_timeout_ms: int = SESSION_TIMEOUT_MS
) -> Group:
    return Group(world, name, brokers, topic, session_timeout_ms, defaultdict(lambda: count(1)))


class Offsets:
    """Commits and fetches the offsets of a group, and notes what came of it."""

    def __init__(self, group: Group, client: Caller) -> None:
        self._group = group
        self._client = client

    async def find_coordinator(self) -> None:
        """Have one; the first time that makes the topic of offsets."""
        request = FindCoordinatorRequest(key_type=0, coordinator_keys=[self._group.name])
        while True:
            response = await self._client.call(request, 4, FindCoordinatorResponse)
            if not response.coordinators[0].error_code:
                return
            await asyncio.sleep(_RETRY_S)

    async def commit(self, logs: Sequence[Log], member_id: str, epoch: int) -> ErrorCode:
        """The next number for each of the logs; returns what the coordinator thinks of that."""
        world, history = self._group.world, self._group.world.history
        commits = [Commit(next(iter(self._group.numbers[log])), world.loop.time()) for log in logs]
        for log, commit in zip(logs, commits, strict=True):
            history.commits[self._group.place(log)].append(commit)
        partitions = [
            OffsetCommitRequestPartition(partition_index=log.partition, committed_offset=commit.offset)
            for log, commit in zip(logs, commits, strict=True)
        ]
        request = OffsetCommitRequest(
            group_id=self._group.name,
            generation_id_or_member_epoch=epoch,
            member_id=member_id,
            topics=[OffsetCommitRequestTopic(name=self._group.topic.name, partitions=partitions)],
        )
        response = await self._client.call(request, 9, OffsetCommitResponse)
        codes = {each.partition_index: ErrorCode(each.error_code) for each in response.topics[0].partitions}
        for log, commit in zip(logs, commits, strict=True):
            code = codes[log.partition]
            world.stats[f"commit: {code.name}"] += 1
            if code is ErrorCode.none:
                commit.ended = world.loop.time()
                commit.is_acknowledged = True
        return codes[logs[0].partition]

    async def fetch(self) -> None:
        """Ask what is committed, as often as it takes to be told."""
        group, loop = self._group, self._group.world.loop
        topics = OffsetFetchRequestTopics(
            name=group.topic.name, partition_indexes=list(range(group.topic.partitions))
        )
        request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group.name, topics=[topics])])
        while True:
            began = loop.time()
            response = await self._client.call(request, 8, OffsetFetchResponse)
            answer = response.groups[0]
            if not answer.error_code:
                break
            await asyncio.sleep(_RETRY_S)
        for each in answer.topics[0].partitions:
            log = Log(group.brokers.name, group.topic.name, each.partition_index)
            offset = None if each.committed_offset < 0 else each.committed_offset
            group.world.history.fetched[group.place(log)].append(FetchedOffset(offset, began, loop.time()))
            group.world.stats["offsets fetched"] += 1


class Onlooker:
    """Asks again and again what a group has committed."""

    def __init__(self, group: Group, name: str) -> None:
        self.name = name
        self._world = group.world
        self._random = group.world.random(name)
        self._offsets = Offsets(group, group.brokers.client(name))

    async def run(self, until: float) -> None:
        while self._world.loop.time() < until:
            try:
                await self._offsets.find_coordinator()
                await self._offsets.fetch()
            except NoAnswerError:
                self._world.stats["answers lost"] += 1
            await asyncio.sleep(self._random.expovariate(1 / _RETRY_S))


class _Member:
    """What members of both kinds do."""

    def __init__(self, group: Group, name: str) -> None:
        self.name = name
        self._group = group
        self._world = group.world
        self._random = group.world.random(name)
        self._client = group.brokers.client(name)
        self._offsets = Offsets(group, self._client)

    async def run(self, until: float) -> None:
        """Join, work and leave, again and again."""
        while self._world.loop.time() < until:
            try:
                await self.find_coordinator()
                await self._live(until)
            except NoAnswerError:
                self._world.stats["answers lost"] += 1
            except FencedError:
                self._world.stats["members fenced"] += 1
            await asyncio.sleep(self._random.expovariate(1 / _RETRY_S))

    async def find_coordinator(self) -> None:
        await self._offsets.find_coordinator()

    async def _live(self, until: float) -> None:
        raise NotImplementedError

    async def _commit(self, logs: Sequence[Log], member_id: str, epoch: int) -> None:
        if logs:
            code = await self._offsets.commit(logs, member_id, epoch)
            if code in {
                ErrorCode.unknown_member_id,
                ErrorCode.illegal_generation,
                ErrorCode.fenced_member_epoch,
            }:
                raise FencedError


class ClassicMember(_Member):
    """Joins, syncs and heartbeats; whoever is the leader deals the partitions out."""

    def __init__(self, group: Group, name: str) -> None:
        super().__init__(group, name)
        self.member_id = ""

    async def _live(self, until: float) -> None:
        while self._world.loop.time() < until:
            generation, logs = await self.rejoin()
            await self._offsets.fetch()
            while await self.heartbeat(generation):
                await self._commit(logs, self.member_id, generation)
                if self._world.loop.time() > until or self._random.random() < 0.02:
                    await self.leave()
                    return
                await asyncio.sleep(self._random.expovariate(1000 / HEARTBEAT_MS))

    async def rejoin(self) -> tuple[int, list[Log]]:
        """A generation, and the partitions that are this member's in it."""
        subscription = ConsumerProtocolSubscription(topics=[self._group.topic.name])
        while True:
            joined = await self._client.call(
                JoinGroupRequest(
                    group_id=self._group.name,
                    session_timeout_ms=self._group.session_timeout_ms,
                    rebalance_timeout_ms=self._group.session_timeout_ms,
                    member_id=self.member_id,
                    protocol_type=_PROTOCOL_TYPE,
                    protocols=[
                        JoinGroupRequestProtocol(
                            name=_PROTOCOL, metadata=wire.encode_prefixed(subscription, 1)
                        )
                    ],
                ),
                7,
                JoinGroupResponse,
            )
            code = ErrorCode(joined.error_code)
            if code is ErrorCode.member_id_required:
                self.member_id = joined.member_id
            elif code is ErrorCode.unknown_member_id:
                self.member_id = ""
            elif code is not ErrorCode.none:
                await asyncio.sleep(_RETRY_S)
            else:
                self.member_id = joined.member_id
                logs = await self._sync(joined)
                if logs is not None:
                    return joined.generation_id, logs
                await asyncio.sleep(_RETRY_S)

    async def _sync(self, joined: JoinGroupResponse) -> list[Log] | None:
        members = sorted(member.member_id for member in joined.members)
        assignments = [
            SyncGroupRequestAssignment(
                member_id=member,
                assignment=self._assignment(range(number, self._group.topic.partitions, len(members))),
            )
            for number, member in enumerate(members)
        ]
        synced = await self._client.call(
            SyncGroupRequest(
                group_id=self._group.name,
                generation_id=joined.generation_id,
                member_id=self.member_id,
                protocol_type=_PROTOCOL_TYPE,
                protocol_name=_PROTOCOL,
                assignments=assignments if joined.leader == self.member_id else [],
            ),
            5,
            SyncGroupResponse,
        )
        if synced.error_code:
            return None
        assignment = wire.decode_prefixed(ConsumerProtocolAssignment, synced.assignment)[1]
        return [
            Log(self._group.brokers.name, each.topic, partition)
            for each in assignment.assigned_partitions
            for partition in each.partitions
        ]

    def _assignment(self, partitions: Iterable[int]) -> bytes:
        mine = ConsumerProtocolAssignmentTopicPartition(
            topic=self._group.topic.name, partitions=list(partitions)
        )
        return wire.encode_prefixed(ConsumerProtocolAssignment(assigned_partitions=[mine]), 1)

    async def heartbeat(self, generation: int) -> bool:
        """Whether this generation goes on."""
        response = await self._client.call(
            HeartbeatRequest(group_id=self._group.name, generation_id=generation, member_id=self.member_id),
            4,
            HeartbeatResponse,
        )
        return not response.error_code

    async def leave(self) -> None:
        member = MemberIdentity(member_id=self.member_id)
        self.member_id = ""
        request = LeaveGroupRequest(group_id=self._group.name, members=[member])
        await self._client.call(request, 4, LeaveGroupResponse)


class ModernMember(_Member):
    """Tells the coordinator what it owns, and is told what to own (KIP-848).

    It owns a partition from when it is told so until it says that it has given it up, or would be thought
    dead.
    """

    def __init__(self, group: Group, name: str) -> None:
        super().__init__(group, name)
        self._member_id = str(UUID(int=self._random.getrandbits(128), version=4))
        self._epoch = _NEVER_JOINED
        self._topic_id: UUID | None = None
        self._owned: dict[Log, Ownership] = {}
        self._alive_until = 0.0

    async def _live(self, until: float) -> None:
        try:
            await self._find_topic()
            self._epoch = _NEVER_JOINED
            while self._world.loop.time() < until:
                await self._heartbeat()
                if self._random.random() < 0.02:
                    break
                if self._owned and self._world.loop.time() < self._alive_until:
                    await self._commit(list(self._owned), self._member_id, self._epoch)
                    await self._offsets.fetch()
                await asyncio.sleep(self._random.expovariate(1000 / HEARTBEAT_MS))
            self._give_up(list(self._owned))
            self._epoch = _LEAVES
            await self._heartbeat()
        finally:
            self._give_up(list(self._owned))

    async def _find_topic(self) -> None:
        request = MetadataRequest(topics=[MetadataRequestTopic(name=self._group.topic.name)])
        response = await self._client.call(request, 12, MetadataResponse)
        self._topic_id = response.topics[0].topic_id

    async def _heartbeat(self) -> None:
        """Say what is owned, and take over what the answer says; raises FencedError."""
        now = self._world.loop.time()
        if now > self._alive_until:
            self._give_up(list(self._owned))
        owned = ConsumerGroupHeartbeatRequestTopicPartitions(
            topic_id=self._topic_id, partitions=sorted(log.partition for log in self._owned)
        )
        joins = self._epoch == _NEVER_JOINED
        request = ConsumerGroupHeartbeatRequest(
            group_id=self._group.name,
            member_id=self._member_id,
            member_epoch=self._epoch,
            rebalance_timeout_ms=SESSION_TIMEOUT_MS if joins else -1,
            subscribed_topic_names=[self._group.topic.name] if joins else None,
            server_assignor="uniform" if joins else None,
            topic_partitions=[owned] if self._owned else [],
        )
        response = await self._client.call(request, 0, ConsumerGroupHeartbeatResponse)
        code = ErrorCode(response.error_code)
        self._world.stats[f"heartbeat: {code.name}"] += 1
        if code in {
            ErrorCode.unknown_member_id,
            ErrorCode.fenced_member_epoch,
            ErrorCode.unreleased_instance_id,
        }:
            raise FencedError
        if code is not ErrorCode.none:
            return  # the coordinator is not there yet
        self._epoch = response.member_epoch
        self._alive_until = now + SESSION_TIMEOUT_MS / 1000
        for ownership in self._owned.values():
            ownership.ended = self._alive_until
        if response.assignment is not None and self._epoch > 0:
            self._own(response.assignment)

    def _own(self, assignment: Assignment) -> None:
        assigned = [
            Log(self._group.brokers.name, self._group.topic.name, partition)
            for topic in assignment.topic_partitions
            for partition in topic.partitions
        ]
        self._give_up([log for log in self._owned if log not in assigned])
        now = self._world.loop.time()
        if now >= self._alive_until:
            return
        for log in assigned:
            if log not in self._owned:
                ownership = self._owned[log] = Ownership(self.name, now, self._alive_until)
                self._world.history.owners[self._group.place(log)].append(ownership)

    def _give_up(self, logs: Iterable[Log]) -> None:
        """Before it is said to anybody."""
        now = self._world.loop.time()
        for log in logs:
            ownership = self._owned.pop(log)
            ownership.ended = min(ownership.ended, now)
