"""Members of classic and of consumer groups that talk to a coordinator at work."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

import pytest
from tests.coordinator_harness import Coordinator, Handle, image, subscription, topic_partitions

from ottla.coordination.groups.modern.consumer.embedded import decode_assignment
from ottla.coordination.groups.modern.consumer.group import ConsumerGroup
from ottla.coordination.groups.shard import GroupShard
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from ottla.protocol.messages.heartbeat import HeartbeatRequest
from ottla.protocol.messages.join_group import JoinGroupRequest
from ottla.protocol.messages.leave_group import LeaveGroupRequest
from ottla.protocol.messages.offset_commit import OffsetCommitRequest
from ottla.protocol.messages.offset_delete import OffsetDeleteRequest
from ottla.protocol.messages.sync_group import SyncGroupRequest
from ottla.protocol.messages.txn_offset_commit import TxnOffsetCommitRequest
from ottla.protocol.structs import Struct

Owned = Mapping[str, Iterable[int]]


class Driver(Coordinator):
    """Requests of the classic protocol and of offsets."""

    def __init__(self, topics: MetadataImage | None = None, **config: Any) -> None:
        super().__init__(topics or image(t=4, u=2), {"group_initial_rebalance_delay_ms": 0, **config})

    def ask_for(
        self,
        class_: type[Struct],
        fields: Mapping[str, Any],
        *,
        version: int | None = None,
        client_id: str = "c",
    ) -> Handle:
        """Send and return the handle by which the reply is found."""
        return self.send(class_, fields, version=version, client_id=client_id)

    def call(self, class_: type[Struct], fields: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Send what must be answered at once."""
        return self.replies[self.ask_for(class_, fields, **more)]

    def join(self, group_id: str = "g", member_id: str = "", **more: Any) -> Any:
        """Send JoinGroup."""
        protocols: Mapping[str, bytes] = more.pop("protocols", {"range": subscription("t")})
        request = {
            "group_id": group_id,
            "member_id": member_id,
            "session_timeout_ms": more.pop("session_timeout_ms", 10_000),
            "rebalance_timeout_ms": more.pop("rebalance_timeout_ms", 60_000),
            "group_instance_id": more.pop("instance", None),
            "protocol_type": more.pop("protocol_type", "consumer"),
            "protocols": [{"name": name, "metadata": metadata} for name, metadata in protocols.items()],
            "reason": more.pop("reason", None),
        }
        return self.ask_for(JoinGroupRequest, request, **more)

    def join_new(self, group_id: str = "g", **more: Any) -> tuple[str, Any]:
        """Both steps of a new dynamic member's join: its id, and the handle of the second."""
        first = self.replies[self.join(group_id, **more)]
        assert first["error_code"] is ErrorCode.member_id_required
        return first["member_id"], self.join(group_id, first["member_id"], **more)

    def sync(
        self, generation: int, member_id: str, assignment: Mapping[str, bytes] | None = None, **more: Any
    ) -> Any:
        """Send SyncGroup; a leader brings an assignment."""
        request = {
            "group_id": more.pop("group_id", "g"),
            "generation_id": generation,
            "member_id": member_id,
            "group_instance_id": more.pop("instance", None),
            "protocol_type": more.pop("protocol_type", "consumer"),
            "protocol_name": more.pop("protocol_name", None),
            "assignments": [{"member_id": m, "assignment": a} for m, a in (assignment or {}).items()],
        }
        return self.ask_for(SyncGroupRequest, request, **more)

    def heartbeat(self, generation: int, member_id: str, **more: Any) -> ErrorCode:
        request = {
            "group_id": more.pop("group_id", "g"),
            "generation_id": generation,
            "member_id": member_id,
            "group_instance_id": more.pop("instance", None),
        }
        code: ErrorCode = self.call(HeartbeatRequest, request, **more)["error_code"]
        return code

    def leave(self, *members: str | tuple[str, str | None], **more: Any) -> dict[str, Any]:
        """Leave as member ids, or as pairs of member id and instance id."""
        pairs = [(m, None) if isinstance(m, str) else m for m in members]
        request = {
            "group_id": more.pop("group_id", "g"),
            "member_id": pairs[0][0],
            "members": [{"member_id": m, "group_instance_id": i} for m, i in pairs],
        }
        return self.call(LeaveGroupRequest, request, **more)

    def commit(
        self, offsets: Mapping[tuple[str, int], int], generation: int = -1, member_id: str = "", **more: Any
    ) -> list[ErrorCode]:
        """Send OffsetCommit, or TxnOffsetCommit for a producer; the codes in the order of the offsets."""
        metadata = more.pop("metadata", "")
        topics = []
        for (name, index), offset in offsets.items():
            known = self.shard.state.image.topics.get(name)
            partition = {
                "partition_index": index,
                "committed_offset": offset,
                "committed_leader_epoch": 5,
                "committed_metadata": metadata,
            }
            topic_id = known.topic_id if known else UUID(int=99)
            topics.append({"name": name, "topic_id": topic_id, "partitions": [partition]})
        request = {
            "group_id": more.pop("group_id", "g"),
            "member_id": member_id,
            "generation_id_or_member_epoch": generation,
            "group_instance_id": more.pop("instance", None),
            "topics": topics,
        }
        if "producer_id" in more:
            request |= {"transactional_id": "x", "producer_id": more.pop("producer_id")}
            response = self.call(TxnOffsetCommitRequest, request, **more)
        else:
            request["retention_time_ms"] = more.pop("retention_time_ms", -1)
            response = self.call(OffsetCommitRequest, request, **more)
        return [topic["partitions"][0]["error_code"] for topic in response["topics"]]

    def delete_offsets(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Send OffsetDelete."""
        return self.call(OffsetDeleteRequest, fields)

    def fetch(self, *partitions: tuple[str, int], **more: Any) -> dict[tuple[str, int], dict[str, Any]]:
        """Fetch these offsets, or all of the group's."""
        topics = [{"name": topic, "partition_indexes": [index]} for topic, index in partitions]
        fields = {"group_id": more.pop("group_id", "g"), "topics": topics or None}
        response = self.fetch_group(fields, version=more.pop("version", 9), **more)
        return {(t["name"], p["partition_index"]): p for t in response["topics"] for p in t["partitions"]}

    # Whole rebalances

    def settle(self, *handles: Any, group_id: str = "g") -> dict[str, dict[str, Any]]:
        """Sync everybody whose join was answered; the syncs' answers by member id."""
        joins = [self.replies[handle] for handle in handles]
        generation = joins[0]["generation_id"]
        leader = joins[0]["leader"]
        assignment = {join["member_id"]: join["member_id"].encode() for join in joins}
        syncs = {
            join["member_id"]: self.sync(generation, join["member_id"], group_id=group_id)
            for join in joins
            if join["member_id"] != leader
        }
        syncs[leader] = self.sync(generation, leader, assignment, group_id=group_id)
        return {member_id: self.replies[handle] for member_id, handle in syncs.items()}

    def stable_group(self, size: int = 2, **more: Any) -> list[str]:
        """A group of so many dynamic members in generation 1; the leader comes first."""
        joined = [self.join_new(**more) for _ in range(size)]
        self.advance(self.config.group_initial_rebalance_delay_ms)
        handles = [handle for _, handle in joined]
        self.settle(*handles)
        leader = self.replies[handles[0]]["leader"]
        return sorted((member_id for member_id, _ in joined), key=lambda m: m != leader)

    def group(self, group_id: str = "g") -> Any:
        return self.shard.state.groups[group_id]


def state_of(shard: GroupShard) -> dict[str, Any]:
    """All that records must be able to bring back."""
    result: dict[str, Any] = {}
    for group_id, group in shard.state.groups.items():
        if isinstance(group, ConsumerGroup):
            result[group_id] = (
                (group.group_epoch, group.assignment_epoch, group.assignment_timestamp_ms),
                group.metadata_hash,
                group.members,
                group.static_members,
                group.target,
                group.resolved_regexes,
                group.subscribed_topics,
                group._owners,
            )
        else:
            result[group_id] = (group.state_name, set(group.members))
    return result


class Cluster(Coordinator):
    """Requests of the consumer protocol, and of classic members in its groups."""

    def __init__(self, topics: MetadataImage | None = None, **config: Any) -> None:
        defaults = {"group_initial_rebalance_delay_ms": 0, "group_consumer_assignment_interval_ms": 0}
        super().__init__(topics or image(foo=6, bar=3), {**defaults, **config})

    def set_topics(self, incarnations: Mapping[str, int] | None = None, **partitions: int) -> None:
        self.set_image(image(incarnations, **partitions))

    def restart(self, *, compacted: bool = True) -> None:
        super().restart(compacted=compacted)

    def check_replay(self) -> None:
        """What was replayed live is what the log gives, compacted or not."""
        live = state_of(self.shard)
        assert state_of(self.rebuilt()) == live
        assert state_of(self.rebuilt(compacted=True)) == live

    # Requests

    def heartbeat(self, member_id: str, epoch: int, **fields: Any) -> dict[str, Any]:
        """Send ConsumerGroupHeartbeat; `owned` by topic name, durations in milliseconds."""
        owned: Owned | None = fields.pop("owned", None)
        version = fields.pop("version", 1)
        topics = self.image.topics
        request = {
            "group_id": fields.pop("group_id", "g"),
            "member_id": member_id,
            "member_epoch": epoch,
            "instance_id": fields.pop("instance", None),
            "rack_id": fields.pop("rack", None),
            "rebalance_timeout_ms": fields.pop("rebalance_timeout_ms", -1),
            "subscribed_topic_names": fields.pop("topics", None),
            "subscribed_topic_regex": fields.pop("regex", None),
            "server_assignor": fields.pop("assignor", None),
            "topic_partitions": None
            if owned is None
            else [
                {"topic_id": topics[name].topic_id, "partitions": list(numbers)}
                for name, numbers in owned.items()
                if name in topics
            ],
        }
        client_id = fields.pop("client_id", "client")
        assert not fields, fields
        handle = self.send(ConsumerGroupHeartbeatRequest, request, version=version, client_id=client_id)
        return self.replies[handle]

    def join(self, member_id: str, *topics: str, **fields: Any) -> dict[str, Any]:
        """Send the first heartbeat of a member."""
        if topics or "regex" not in fields:
            fields["topics"] = list(topics)
        return self.heartbeat(member_id, 0, **{"rebalance_timeout_ms": 60_000, "owned": {}, **fields})

    def send_classic(self, class_: type[Struct], **fields: Any) -> Callable[[], dict[str, Any]]:
        """Send a request of the classic protocol; what is returned gives the reply once there is one."""
        version = fields.pop("version", None)
        request: dict[str, Any] = {"group_id": "g"}
        if class_ is SyncGroupRequest:
            request |= {"protocol_type": "consumer"}
        if class_ is JoinGroupRequest:
            request |= {"protocol_type": "consumer", "session_timeout_ms": 10_000}
            request |= {"rebalance_timeout_ms": 20_000}
        handle = self.send(class_, {**request, **fields}, version=version, client_id="classic")
        return lambda: self.replies[handle]

    def classic(self, class_: type[Struct], **fields: Any) -> dict[str, Any]:
        """Send a request of the classic protocol that must be answered at once."""
        return self.send_classic(class_, **fields)()

    # What tests look at

    @property
    def group(self) -> Any:
        return self.shard.state.groups["g"]

    def names(self, assignment: Mapping[str, Any] | None) -> dict[str, list[int]] | None:
        """A response's assignment by topic name; a client leaves out what it cannot find."""
        if assignment is None:
            return None
        by_id = self.image.topics_by_id
        return {
            by_id[each["topic_id"]].name: each["partitions"]
            for each in assignment["topic_partitions"]
            if each["topic_id"] in by_id
        }

    def classic_member(self, *topics: str, **fields: Any) -> Classic:
        """A consumer of the classic protocol that has done nothing yet."""
        return Classic(self, *topics, **fields)

    @staticmethod
    def embedded_subscription(*topics: str, version: int = 1) -> bytes:
        return subscription(*topics, version=version)

    @staticmethod
    def embedded_assignment(owned: Owned) -> bytes:
        return struct.pack(">h", 1) + topic_partitions(owned) + struct.pack(">i", -1)

    def member(self, member_id: str, *topics: str, **fields: Any) -> Member:
        """A member that has joined."""
        member = Member(self, member_id, fields.pop("instance", None))
        member.join(*topics, **fields)
        return member


class Member:
    """A truthful client: it gives back at once what it loses, then owns what it is assigned."""

    def __init__(self, cluster: Cluster, member_id: str, instance: str | None = None) -> None:
        self.cluster = cluster
        self.member_id = member_id
        self.instance = instance
        self.epoch = 0
        self.owned: dict[str, set[int]] = {}

    def join(self, *topics: str, **fields: Any) -> dict[str, Any]:
        return self.take(self.cluster.join(self.member_id, *topics, instance=self.instance, **fields))

    def beat(self, **fields: Any) -> dict[str, Any]:
        """A heartbeat that reports what is owned."""
        fields = {"instance": self.instance, "owned": self.owned, **fields}
        return self.take(self.cluster.heartbeat(self.member_id, self.epoch, **fields))

    def leave(self, epoch: int = -1) -> dict[str, Any]:
        return self.cluster.heartbeat(self.member_id, epoch, instance=self.instance)

    def take(self, response: dict[str, Any]) -> dict[str, Any]:
        if response["error_code"] is ErrorCode.none:
            self.epoch = response["member_epoch"]
            assignment = self.cluster.names(response.get("assignment"))
            if assignment is not None:
                self.owned = {name: set(numbers) for name, numbers in assignment.items()}
        return response

    @property
    def count(self) -> int:
        return sum(map(len, self.owned.values()))


class Classic:
    """A consumer of the classic protocol with the cooperative assignor."""

    def __init__(
        self,
        cluster: Cluster,
        *topics: str,
        instance: str | None = None,
        protocols: tuple[str, ...] = ("cooperative-sticky", "range"),
    ) -> None:
        self.cluster = cluster
        self.topics = topics
        self.instance = instance
        self.names = protocols
        self.member_id = ""
        self.generation = -1
        self.owned: dict[str, Iterable[int]] = {}

    def send_join(self, **fields: Any) -> Callable[[], dict[str, Any]]:
        data = subscription(*self.topics, owned=self.owned)
        protocols = [{"name": name, "metadata": data} for name in self.names]
        request = {
            "member_id": self.member_id,
            "group_instance_id": self.instance,
            "protocols": fields.pop("protocols", protocols),
            **fields,
        }
        return self.cluster.send_classic(JoinGroupRequest, **request)

    def join(self, **fields: Any) -> dict[str, Any]:
        """Both steps, answered at once (in a consumer group)."""
        response = self.send_join(**fields)()
        if response["error_code"] is ErrorCode.member_id_required:
            self.member_id = response["member_id"]
            response = self.send_join(**fields)()
        if response["error_code"] is ErrorCode.none:
            self.member_id, self.generation = response["member_id"], response["generation_id"]
        return response

    def send_sync(self, assignments: Iterable[Any] = ()) -> Callable[[], dict[str, Any]]:
        return self.cluster.send_classic(
            SyncGroupRequest,
            member_id=self.member_id,
            group_instance_id=self.instance,
            generation_id=self.generation,
            protocol_name=self.names[0],
            assignments=assignments,
        )

    def sync(self) -> ErrorCode:
        response = self.send_sync()()
        code: ErrorCode = response["error_code"]
        if code is ErrorCode.none:
            self.owned = dict(decode_assignment(response["assignment"]).partitions)
        return code

    def beat(self) -> ErrorCode:
        code: ErrorCode = self.cluster.classic(
            HeartbeatRequest,
            member_id=self.member_id,
            group_instance_id=self.instance,
            generation_id=self.generation,
        )["error_code"]
        return code

    def follow(self) -> bool:
        """What a consumer does with a heartbeat's answer; whether it had to rejoin."""
        if self.beat() is not ErrorCode.rebalance_in_progress:
            return False
        self.join()
        assert self.sync() is ErrorCode.none
        return True

    @property
    def count(self) -> int:
        return sum(len(list(numbers)) for numbers in self.owned.values())


@pytest.fixture
def new_driver() -> Callable[..., Driver]:
    return Driver


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def topics() -> Callable[..., MetadataImage]:
    return image


@pytest.fixture
def subscribe() -> Callable[..., bytes]:
    return subscription


@pytest.fixture
def new_cluster() -> Callable[..., Cluster]:
    return Cluster


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def new_image() -> Callable[..., MetadataImage]:
    return image
