"""The group coordinator: finds the shard of a group, one for each partition of `__consumer_offsets`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ottla.coordinator.shards import Answered, Shards, settled
from ottla.metadata.topic_names import OFFSETS_TOPIC
from ottla.protocol.errors import KafkaError

if TYPE_CHECKING:
    from uuid import UUID

    from ottla.clock import Clock
    from ottla.config.current import Current
    from ottla.config.groups import GroupCoordinatorConfig
    from ottla.config.replica import ReplicaConfig
    from ottla.coordination.groups.offsets.store import GroupOffsets
    from ottla.coordination.groups.shard import GroupShard
    from ottla.coordination.groups.state import HeartbeatBudget
    from ottla.coordination.runtime import Client, Effects, RequestInfo
    from ottla.coordinator.shard_owner import ShardOwner, Surroundings
    from ottla.metadata.image import ImageDelta, ImageSource, MetadataImage
    from ottla.protocol.messages import consumer_group_describe, describe_groups
    from ottla.protocol.messages.consumer_group_heartbeat import (
        ConsumerGroupHeartbeatRequest,
        ConsumerGroupHeartbeatResponse,
    )
    from ottla.protocol.messages.delete_groups import DeletableGroupResult
    from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
    from ottla.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
    from ottla.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
    from ottla.protocol.messages.list_groups import ListedGroup, ListGroupsRequest
    from ottla.protocol.messages.offset_commit import OffsetCommitRequest, OffsetCommitResponse
    from ottla.protocol.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteResponse
    from ottla.protocol.messages.offset_fetch import OffsetFetchRequestGroup, OffsetFetchResponseGroup
    from ottla.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse
    from ottla.protocol.messages.txn_offset_commit import TxnOffsetCommitRequest, TxnOffsetCommitResponse
    from ottla.records.markers import EndMarker
    from ottla.replica.group_commit import GroupCommit
    from ottla.replica.partition import Partition
    from ottla.replica.partitions import Partitions
    from ottla.storage.verification import Verification


R = TypeVar("R")
Decide: TypeAlias = "Callable[[GroupShard, RequestInfo[R], int], Effects]"


class GroupCoordinator:
    """All shards of this broker.

    Requests raise KafkaError: not_coordinator, coordinator_load_in_progress, and what the shard refuses.
    """

    def __init__(
        self,
        partitions: Partitions,
        metadata: ImageSource,
        config: Current[GroupCoordinatorConfig],
        replica_config: Current[ReplicaConfig],
        clock: Clock,
        group_commit: GroupCommit,
        new_uuid: Callable[[], UUID],
    ) -> None:
        self._metadata = metadata
        self._config = config
        self._replica_config = replica_config
        self._clock = clock
        self._group_commit = group_commit
        self._new_uuid = new_uuid
        self._shards: Shards[GroupShard] = Shards(OFFSETS_TOPIC, self._own, partitions, metadata)
        self._shared: tuple[Surroundings, HeartbeatBudget] | None = None

    # -- requests of one group

    def join_group(self, request: JoinGroupRequest, client: Client) -> Answered[JoinGroupResponse]:
        return self._ask(
            request.group_id, client, lambda shard, info, now: shard.join_group(request, info, now)
        )

    def sync_group(self, request: SyncGroupRequest, client: Client) -> Answered[SyncGroupResponse]:
        return self._ask(
            request.group_id, client, lambda shard, info, now: shard.sync_group(request, info, now)
        )

    def heartbeat(self, request: HeartbeatRequest, client: Client) -> Answered[HeartbeatResponse]:
        return self._ask(
            request.group_id, client, lambda shard, info, now: shard.heartbeat(request, info, now)
        )

    def leave_group(self, request: LeaveGroupRequest, client: Client) -> Answered[LeaveGroupResponse]:
        return self._ask(
            request.group_id, client, lambda shard, info, now: shard.leave_group(request, info, now)
        )

    def consumer_group_heartbeat(
        self, request: ConsumerGroupHeartbeatRequest, client: Client
    ) -> Answered[ConsumerGroupHeartbeatResponse]:
        def decide(
            shard: GroupShard, info: RequestInfo[ConsumerGroupHeartbeatResponse], now_ms: int
        ) -> Effects:
            return shard.consumer_group_heartbeat(request, info, now_ms)

        return self._ask(request.group_id, client, decide)

    def offset_commit(self, request: OffsetCommitRequest, client: Client) -> Answered[OffsetCommitResponse]:
        return self._ask(
            request.group_id, client, lambda shard, info, now: shard.offset_commit(request, info, now)
        )

    def txn_offset_commit(
        self, request: TxnOffsetCommitRequest, client: Client, verification: Verification | None
    ) -> Answered[TxnOffsetCommitResponse]:
        """`verification` is what the transaction's coordinator was asked with about the group's partition."""
        owner = self.owner_of(request.group_id)

        def decide(info: RequestInfo[TxnOffsetCommitResponse], now_ms: int) -> Effects:
            state = owner.partition.log.producer_state
            state.check_verified(request.producer_id, request.producer_epoch, verification)
            return owner.shard.txn_offset_commit(request, info, now_ms)

        return owner.ask(client, decide)

    def offset_delete(self, request: OffsetDeleteRequest, client: Client) -> Answered[OffsetDeleteResponse]:
        return self._ask(
            request.group_id, client, lambda shard, info, _now: shard.offset_delete(request, info)
        )

    def offset_fetch(
        self, asked: OffsetFetchRequestGroup, client: Client, *, require_stable: bool
    ) -> Answered[OffsetFetchResponseGroup]:
        """One of the groups of OffsetFetch."""

        def decide(shard: GroupShard, info: RequestInfo[OffsetFetchResponseGroup], _now_ms: int) -> Effects:
            return shard.offset_fetch(asked, info, require_stable=require_stable)

        return self._ask(asked.group_id, client, decide)

    # -- requests of several groups: the entries of those that are served here, and why others are not

    async def describe_groups(
        self, group_ids: Iterable[str], client: Client
    ) -> tuple[list[describe_groups.DescribedGroup], Mapping[str, KafkaError]]:
        return await self._ask_each(
            group_ids, client, lambda ids: lambda shard, info, _now: shard.describe_groups(ids, info)
        )

    async def consumer_group_describe(
        self, group_ids: Iterable[str], client: Client
    ) -> tuple[list[consumer_group_describe.DescribedGroup], Mapping[str, KafkaError]]:
        return await self._ask_each(
            group_ids, client, lambda ids: lambda shard, info, _now: shard.consumer_group_describe(ids, info)
        )

    async def delete_groups(
        self, group_ids: Iterable[str], client: Client
    ) -> tuple[list[DeletableGroupResult], Mapping[str, KafkaError]]:
        return await self._ask_each(
            group_ids, client, lambda ids: lambda shard, info, _now: shard.delete_groups(ids, info)
        )

    async def list_groups(self, request: ListGroupsRequest, client: Client) -> list[ListedGroup]:
        """Of all shards. Raises KafkaError(coordinator_load_in_progress) while one is still loading."""
        return await self._shards.ask_all(client, lambda shard, info, _now: shard.list_groups(request, info))

    def committed_offsets(self) -> list[GroupOffsets]:
        """Of all groups that are here; without those of shards that are still loading."""
        return [each for owner in self._shards.serving for each in owner.shard.committed_offsets()]

    def _ask(self, group_id: str, client: Client, decide: Decide[R]) -> Answered[R]:
        owner = self.owner_of(group_id)
        return owner.ask(client, lambda info, now_ms: decide(owner.shard, info, now_ms))

    async def _ask_each(
        self, group_ids: Iterable[str], client: Client, decide: Callable[[list[str]], Decide[list[R]]]
    ) -> tuple[list[R], Mapping[str, KafkaError]]:
        owned: dict[int, list[str]] = {}
        answers: list[R] = []
        refused: dict[str, KafkaError] = {}
        for group_id in dict.fromkeys(group_ids):
            try:
                owned.setdefault(self.owner_of(group_id).partition.index, []).append(group_id)
            except KafkaError as error:
                refused[group_id] = error
        for ids in owned.values():
            try:
                answer: list[R] = await settled(self._ask(ids[0], client, decide(ids)))
                answers += answer
            except KafkaError as error:
                refused |= dict.fromkeys(ids, error)
        return answers, refused

    def owner_of(self, group_id: str) -> ShardOwner[GroupShard]:
        """Where the group is. Raises KafkaError: not_coordinator, coordinator_load_in_progress."""
        return self._shards.owner_of(group_id)

    def end_transaction(self, index: int, marker: EndMarker) -> Answered[int]:
        """Commit or drop the offsets that a transaction has in a partition of the topic; the offset of the
        marker that says so.
        """
        return self._shards.owner_at(index).end_transaction(marker)

    # -- life cycle

    async def load(self) -> None:
        """Take over the partitions of the offsets topic that are hosted here."""
        await self._shards.load()

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """Follow the offsets topic, and the topics whose offsets are kept."""
        await self._shards.on_metadata(delta, image)

    def _own(self, partition: Partition) -> ShardOwner[GroupShard]:
        # A broker without groups is ready 30 ms sooner and has 2 MB less; the first group waits for it.
        from ottla.coordination.groups.shard import GroupShard
        from ottla.coordination.groups.state import HeartbeatBudget
        from ottla.coordinator.shard_owner import ShardOwner, Surroundings

        if self._shared is None:
            surroundings = Surroundings(
                clock=self._clock,
                config=self._replica_config,
                group_commit=self._group_commit,
                codec=lambda: self._config.value.offsets_topic_compression_codec,
                commit_timeout_ms=self._config.value.offsets_commit_timeout_ms,
            )
            self._shared = surroundings, HeartbeatBudget()
        surroundings, budget = self._shared
        shard = GroupShard(
            self._config.value,
            self._new_uuid,
            self._metadata.image,
            self._group_configs,
            budget,
        )
        return ShardOwner(shard, partition, surroundings)

    def _group_configs(self, group_id: str) -> Mapping[str, str]:
        return self._metadata.image.group_configs(group_id)

    def reconfigure(self, config: GroupCoordinatorConfig) -> None:
        """Apply changed settings from the next decision on."""
        for shard in self._shards.shards:
            shard.reconfigure(config)

    def stop(self) -> None:
        """Give all groups up: whoever waits is answered, timers are dropped."""
        self._shards.stop()
