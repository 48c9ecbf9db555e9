"""A shard with its clock, timers and log, members that speak KIP-848, and a group's state as plain data."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from ottla.config.broker import default_view
from ottla.config.groups import GroupCoordinatorConfig
from ottla.coordination.groups.modern.consumer.embedded import decode_assignment
from ottla.coordination.groups.modern.consumer.group import ConsumerGroup
from ottla.coordination.groups.shard import GroupShard
from ottla.coordination.runtime import Effects, RequestInfo, SetTimer
from ottla.metadata.image import MetadataImage
from ottla.protocol.errors import ErrorCode
from ottla.protocol.wire import check_response, encode_response

HEARTBEAT = 68
DESCRIBE = 69
CLASSIC = {"join_group": (11, 9), "heartbeat": (12, 4), "leave_group": (13, 5), "sync_group": (14, 5)}
"""Api key and newest version."""
Owned = Mapping[str, Iterable[int]]


def image(incarnations: Mapping[str, int] | None = None, **partitions: int) -> MetadataImage:
    """Topics with so many partitions; the same name has the same id, unless it was deleted in between."""
    padding = {name: bytes([1 + (incarnations or {}).get(name, 0)]) for name in partitions}
    topics: dict[str, Any] = {
        name.replace("_", "-"): SimpleNamespace(
            name=name.replace("_", "-"),
            topic_id=UUID(bytes=name.encode().ljust(16, padding[name])[:16]),
            partitions=(None,) * number,
        )
        for name, number in partitions.items()
    }
    return MetadataImage(topics=topics, topics_by_id={t.topic_id: t for t in topics.values()})


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


class Cluster:
    """One shard, obeyed as its contract asks. Responses are encoded at the request's version."""

    def __init__(self, topics: MetadataImage | None = None, **config: Any) -> None:
        config = {"group_initial_rebalance_delay_ms": 0, "group_consumer_assignment_interval_ms": 0, **config}
        self.config = default_view(GroupCoordinatorConfig, **config)
        self.image = topics or image(foo=6, bar=3)
        self.group_configs: dict[str, str] = {}
        self._numbers = count(1)
        self.shard = self._new_shard()
        self.now_ms = 1_000_000
        self.timers: dict[tuple[str, ...], int] = {}
        self.log: list[tuple[bytes, bytes | None]] = []
        self.append_error: ErrorCode | None = None
        self.replies: dict[Any, dict[str, Any]] = {}

    def _new_shard(self) -> GroupShard:
        return GroupShard(
            self.config,
            lambda: UUID(int=next(self._numbers)),
            self.image,
            lambda _group_id: self.group_configs,
        )

    def set_topics(self, incarnations: Mapping[str, int] | None = None, **partitions: int) -> None:
        self.image = image(incarnations, **partitions)
        self.obey(self.shard.on_image(self.image))

    def obey(self, effects: Effects) -> None:
        while True:
            further = None
            if effects.records and self.append_error is not None:
                effects = self.shard.on_append_failed(effects, self.append_error, self.now_ms)
                continue
            if effects.records:
                base_offset = len(self.log)
                self.log += [(record.key, record.value) for record in effects.records]
                further = self.shard.on_appended(effects, base_offset, self.now_ms)
            for timer in effects.timers:
                if isinstance(timer, SetTimer):
                    self.timers[timer.key] = timer.deadline_ms
                else:
                    self.timers.pop(timer.key, None)
            for reply in effects.replies:
                assert reply.reply_to not in self.replies, "a second answer"
                self.replies[reply.reply_to] = reply.response
            if further is None:
                return
            effects = further

    def advance(self, ms: int) -> None:
        """Let time pass; timers fire in the order of their deadlines."""
        end_ms = self.now_ms + ms
        while due := [(at, key) for key, at in self.timers.items() if at <= end_ms]:
            self.now_ms, key = min(due)
            del self.timers[key]
            self.obey(self.shard.on_timer(key, self.now_ms))
        self.now_ms = end_ms

    def rebuilt(self, *, compacted: bool = False) -> GroupShard:
        """Another shard with the same log."""
        shard = self._new_shard()
        last = {key: offset for offset, (key, _) in enumerate(self.log)}
        for offset, (key, value) in enumerate(self.log):
            if not compacted or last[key] == offset:
                shard.replay(key, value, offset, self.now_ms)
        return shard

    def restart(self) -> None:
        self.obey(self.shard.on_unloaded())
        self.shard = self.rebuilt(compacted=True)
        self.timers.clear()
        self.obey(self.shard.on_loaded(self.now_ms))

    def check_replay(self) -> None:
        """What was replayed live is what the log gives, compacted or not."""
        live = state_of(self.shard)
        assert state_of(self.rebuilt()) == live
        assert state_of(self.rebuilt(compacted=True)) == live

    # Requests

    def _send(self, api: str, request: Any, version: int, client_id: str) -> int:
        reply_to = next(self._numbers)
        info = RequestInfo(client_id, "/10.0.0.1", version, reply_to)
        self.obey(getattr(self.shard, api)(request, info, self.now_ms))
        return reply_to

    def _reply(self, reply_to: int, api_key: int, version: int) -> dict[str, Any]:
        response = self.replies[reply_to]
        check_response(api_key, response)
        encode_response(api_key, version, 1, response)
        return {"error_code": ErrorCode.none, **response}

    def heartbeat(self, member_id: str, epoch: int, **fields: Any) -> dict[str, Any]:
        """Send ConsumerGroupHeartbeat; `owned` by topic name, durations in milliseconds."""
        owned: Owned | None = fields.pop("owned", None)
        version = fields.pop("version", 1)
        topics = self.image.topics
        request = SimpleNamespace(
            group_id=fields.pop("group_id", "g"),
            member_id=member_id,
            member_epoch=epoch,
            instance_id=fields.pop("instance", None),
            rack_id=fields.pop("rack", None),
            rebalance_timeout_ms=fields.pop("rebalance_timeout_ms", -1),
            subscribed_topic_names=fields.pop("topics", None),
            subscribed_topic_regex=fields.pop("regex", None),
            server_assignor=fields.pop("assignor", None),
            topic_partitions=None
            if owned is None
            else [
                SimpleNamespace(topic_id=topics[name].topic_id, partitions=list(numbers))
                for name, numbers in owned.items()
                if name in topics
            ],
        )
        client_id = fields.pop("client_id", "client")
        assert not fields, fields
        handle = self._send("consumer_group_heartbeat", request, version, client_id)
        return self._reply(handle, HEARTBEAT, version)

    def join(self, member_id: str, *topics: str, **fields: Any) -> dict[str, Any]:
        """Send the first heartbeat of a member."""
        if topics or "regex" not in fields:
            fields["topics"] = list(topics)
        return self.heartbeat(member_id, 0, **{"rebalance_timeout_ms": 60_000, "owned": {}, **fields})

    def describe(self, group_id: str = "g", version: int = 1) -> dict[str, Any]:
        info = RequestInfo("admin", "/10.0.0.1", version, None)
        (group,) = self.shard.consumer_group_describe([group_id], info, self.now_ms)
        check_response(DESCRIBE, {"groups": [group]})
        encode_response(DESCRIBE, version, 1, {"groups": [group]})
        return dict(group)

    def send_classic(self, api: str, **fields: Any) -> Callable[[], dict[str, Any]]:
        """Send a request of the classic protocol; what is returned gives the reply once there is one."""
        key, newest = CLASSIC[api]
        version = fields.pop("version", newest)
        defaults = {"group_id": "g", "member_id": "", "group_instance_id": None, "reason": None}
        if api == "sync_group":
            defaults |= {"protocol_type": "consumer", "protocol_name": None, "assignments": ()}
        if api == "join_group":
            defaults |= {"protocol_type": "consumer", "session_timeout_ms": 10_000}
            defaults |= {"rebalance_timeout_ms": 20_000}
        handle = self._send(api, SimpleNamespace(**{**defaults, **fields}), version, "classic")
        return lambda: self._reply(handle, key, version)

    def classic(self, api: str, **fields: Any) -> dict[str, Any]:
        """Send a request of the classic protocol that must be answered at once."""
        return self.send_classic(api, **fields)()

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
            assignment = self.cluster.names(response["assignment"])
            if assignment is not None:
                self.owned = {name: set(numbers) for name, numbers in assignment.items()}
        return response

    @property
    def count(self) -> int:
        return sum(map(len, self.owned.values()))


def topic_partitions(owned: Owned) -> bytes:
    """An array of topics and partitions in the consumer protocol."""
    parts = [struct.pack(">i", len(owned))]
    for name, numbers in sorted(owned.items()):
        numbers = sorted(numbers)
        parts.append(struct.pack(f">h{len(name)}si", len(name), name.encode(), len(numbers)))
        parts.append(struct.pack(f">{len(numbers)}i", *numbers))
    return b"".join(parts)


def subscription(*topics: str, owned: Owned | None = None, version: int = 1) -> bytes:
    """The consumer protocol's subscription."""
    names = b"".join(struct.pack(f">h{len(t)}s", len(t), t.encode()) for t in topics)
    data = struct.pack(">hi", version, len(topics)) + names + struct.pack(">i", -1)
    return data + (topic_partitions(owned or {}) if version >= 1 else b"")


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
        protocols = [SimpleNamespace(name=name, metadata=data) for name in self.names]
        request = {
            "member_id": self.member_id,
            "group_instance_id": self.instance,
            "protocols": fields.pop("protocols", protocols),
            **fields,
        }
        return self.cluster.send_classic("join_group", **request)

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
            "sync_group",
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
            "heartbeat",
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
def new_cluster() -> Callable[..., Cluster]:
    return Cluster


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def new_image() -> Callable[..., MetadataImage]:
    return image
