"""A driver that plays the shell of a shard: a log, a clock, timers, and answers checked as they come."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from tests.wire.typed import from_dict

from ottla.config.broker import default_view
from ottla.config.groups import GroupCoordinatorConfig
from ottla.coordination.groups.shard import GroupShard
from ottla.coordination.runtime import CancelTimer, Effects, RequestInfo, SetTimer
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import PartitionState, Topic
from ottla.protocol.errors import ErrorCode
from ottla.protocol.wire import check_response, decode_request, encode, encode_response, request_class

API_KEYS = {
    "offset_commit": 8,
    "join_group": 11,
    "heartbeat": 12,
    "leave_group": 13,
    "sync_group": 14,
    "txn_offset_commit": 28,
    "delete_groups": 42,
    "offset_delete": 47,
}
NEWEST = {8: 10, 11: 9, 12: 4, 13: 5, 14: 5, 28: 5, 42: 2, 47: 0}


def image(**partitions: int) -> MetadataImage:
    """An image of topics with so many partitions each; the same name has the same id."""
    state = PartitionState(replicas=(1,), isr=(1,), leader=1)
    topics = {
        name: Topic(name, UUID(bytes=name.encode().ljust(16, b"\1")), (state,) * count_of)
        for name, count_of in partitions.items()
    }
    return MetadataImage(topics=topics, topics_by_id={topic.topic_id: topic for topic in topics.values()})


def subscription(*topics: str, version: int = 1) -> bytes:
    """The consumer protocol's subscription."""
    names = b"".join(struct.pack(">h", len(t)) + t.encode() for t in topics)
    return struct.pack(">hi", version, len(topics)) + names + struct.pack(">i", -1)


def decoded(api_key: int, version: int, body: Mapping[str, Any]) -> Any:
    """The request as it comes off the wire at this version; keys that the version lacks are lost."""
    return decode_request(api_key, version, encode(from_dict(request_class(api_key), body), version))


class Driver:
    """Obeys effects as `ottla.coordination.runtime` asks; every reply is encoded and the only one."""

    def __init__(self, topics: Any = None, **config: Any) -> None:
        self.config = default_view(
            GroupCoordinatorConfig, **{"group_initial_rebalance_delay_ms": 0, **config}
        )
        self.image = topics if topics is not None else image(t=4, u=2)
        self._uuids = count(1)
        self._requests = count(1)
        self.shard = self.new_shard()
        self.now_ms = 1_000_000
        self.timers: dict[tuple[str, ...], int] = {}
        self.log: list[tuple[bytes, bytes | None, int, int]] = []
        self.replies: dict[Any, dict[str, Any]] = {}
        self.outstanding: set[Any] = set()
        self.append_error: ErrorCode | None = None
        self.lost_keys: set[bytes] = set()
        """Keys whose last record could not be written."""

    def new_shard(self) -> GroupShard:
        return GroupShard(self.config, lambda: UUID(int=next(self._uuids)), self.image)

    # The shell

    def obey(self, effects: Effects) -> None:
        while True:
            further = None
            if effects.records and self.append_error is not None:
                self.lost_keys |= {record.key for record in effects.records}
                effects = self.shard.on_append_failed(effects, self.append_error, self.now_ms)
                continue
            if effects.records:
                base_offset = len(self.log)
                for offset, record in enumerate(effects.records, base_offset):
                    self.log.append((record.key, record.value, offset, self.now_ms))
                    self.lost_keys.discard(record.key)
                further = self.shard.on_appended(effects, base_offset, self.now_ms)
            for timer in effects.timers:
                if isinstance(timer, SetTimer):
                    self.timers[timer.key] = timer.deadline_ms
                elif isinstance(timer, CancelTimer):
                    self.timers.pop(timer.key, None)
            for reply in effects.replies:
                self.answer(reply.reply_to, reply.response)
            if further is None:
                return
            effects = further

    def answer(self, reply_to: Any, response: dict[str, Any]) -> None:
        assert reply_to in self.outstanding, f"a second answer to {reply_to}: {response}"
        self.outstanding.discard(reply_to)
        self.replies[reply_to] = response
        check_response(reply_to[0], response)
        encode_response(reply_to[0], reply_to[1], 1, response)

    def advance(self, ms: int) -> None:
        """Let time pass, firing what falls due in the order of deadlines."""
        end_ms = self.now_ms + ms
        while due := [(at, key) for key, at in self.timers.items() if at <= end_ms]:
            self.now_ms, key = min(due)
            del self.timers[key]
            self.obey(self.shard.on_timer(key, self.now_ms))
        self.now_ms = end_ms

    def rebuilt(self, *, compacted: bool = False) -> GroupShard:
        """A new shard that has replayed the log."""
        shard = self.new_shard()
        last = {key: offset for key, _, offset, _ in self.log}
        for key, value, offset, timestamp_ms in self.log:
            if not compacted or last[key] == offset:
                shard.replay(key, value, offset, timestamp_ms)
        return shard

    def restart(self) -> None:
        """Fail over to a shard that knows only the log."""
        self.obey(self.shard.on_unloaded())
        self.timers.clear()
        self.shard = self.rebuilt()
        self.obey(self.shard.on_loaded(self.now_ms))

    # Requests

    def send(
        self, api: str, request: Any, *, version: int | None = None, client_id: str = "c", **kwargs: Any
    ) -> Any:
        """Send and return the handle by which the reply is found."""
        key = API_KEYS[api]
        number = NEWEST[key] if version is None else version
        reply_to = (key, number, next(self._requests))
        self.outstanding.add(reply_to)
        info = RequestInfo(client_id, "/10.0.0.1", number, reply_to)
        if api not in ("delete_groups", "offset_delete"):
            kwargs["now_ms"] = self.now_ms
        if isinstance(request, Mapping):
            request = decoded(key, number, request)
        self.obey(getattr(self.shard, api)(request, info, **kwargs))
        return reply_to

    def call(self, api: str, request: Any, **kwargs: Any) -> dict[str, Any]:
        """Send what must be answered at once."""
        return self.replies[self.send(api, request, **kwargs)]

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
        return self.send("join_group", request, **more)

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
        return self.send("sync_group", request, **more)

    def heartbeat(self, generation: int, member_id: str, **more: Any) -> ErrorCode:
        request = {
            "group_id": more.pop("group_id", "g"),
            "generation_id": generation,
            "member_id": member_id,
            "group_instance_id": more.pop("instance", None),
        }
        code: ErrorCode = self.call("heartbeat", request, **more)["error_code"]
        return code

    def leave(self, *members: str | tuple[str, str | None], **more: Any) -> dict[str, Any]:
        """Leave as member ids, or as pairs of member id and instance id."""
        pairs = [(m, None) if isinstance(m, str) else m for m in members]
        request = {
            "group_id": more.pop("group_id", "g"),
            "member_id": pairs[0][0],
            "members": [{"member_id": m, "group_instance_id": i} for m, i in pairs],
        }
        return self.call("leave_group", request, **more)

    def commit(
        self, offsets: Mapping[tuple[str, int], int], generation: int = -1, member_id: str = "", **more: Any
    ) -> list[ErrorCode]:
        """Send OffsetCommit, or TxnOffsetCommit for a producer; the codes in the order of the offsets."""
        api = "txn_offset_commit" if "producer_id" in more else "offset_commit"
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
        if api == "txn_offset_commit":
            request |= {"transactional_id": "x", "producer_id": more.pop("producer_id"), "producer_epoch": 0}
        else:
            request["retention_time_ms"] = more.pop("retention_time_ms", -1)
        response = self.call(api, request, **more)
        return [topic["partitions"][0]["error_code"] for topic in response["topics"]]

    def fetch(self, *partitions: tuple[str, int], **more: Any) -> dict[tuple[str, int], dict[str, Any]]:
        """Fetch these offsets, or all of the group's."""
        version = more.get("version", 9)
        topics = [{"name": topic, "partition_indexes": [index]} for topic, index in partitions]
        body = {"groups": [{"group_id": more.get("group_id", "g"), "topics": topics or None}]}
        (group,) = decoded(9, version, body).groups
        response = self.shard.offset_fetch(
            group, require_stable=more.get("require_stable", False), api_version=version
        )
        check_response(9, {"groups": [response]})
        encode_response(9, version, 1, {"groups": [response]})
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


@pytest.fixture
def new_driver() -> Callable[..., Driver]:
    return Driver


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def topics() -> Callable[..., Any]:
    return image


@pytest.fixture
def subscribe() -> Callable[..., bytes]:
    return subscription
