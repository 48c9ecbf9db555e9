"""A shard of the group coordinator at work: the real runtime with a log, timers and a clock of tests.

Requests are the typed ones, as they come off the wire at a version; answers are encoded at that version, and
shown as plain dicts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from tests.wire.typed import from_dict, to_dict

from ottla.broker.apis import APIS, load
from ottla.config.broker import default_view
from ottla.config.groups import GroupCoordinatorConfig
from ottla.coordination.groups.offsets.commit import commit_refusal, transactional_commit_refusal
from ottla.coordination.groups.shard import GroupShard
from ottla.coordination.runtime import (
    Client,
    CoordinatorRecord,
    CoordinatorRuntime,
    Effects,
    Pending,
    Producer,
    RequestInfo,
    TimerKey,
    encode_record,
)
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import PartitionState, Topic
from ottla.protocol import wire
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.consumer_group_describe import ConsumerGroupDescribeResponse
from ottla.protocol.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from ottla.protocol.messages.delete_groups import DeletableGroupResult
from ottla.protocol.messages.describe_groups import DescribeGroupsResponse
from ottla.protocol.messages.heartbeat import HeartbeatRequest
from ottla.protocol.messages.join_group import JoinGroupRequest
from ottla.protocol.messages.leave_group import LeaveGroupRequest
from ottla.protocol.messages.list_groups import ListGroupsRequest, ListGroupsResponse
from ottla.protocol.messages.offset_commit import OffsetCommitRequest
from ottla.protocol.messages.offset_delete import OffsetDeleteRequest
from ottla.protocol.messages.offset_fetch import OffsetFetchRequestGroup, OffsetFetchResponse
from ottla.protocol.messages.sync_group import SyncGroupRequest
from ottla.protocol.messages.txn_offset_commit import TxnOffsetCommitRequest
from ottla.protocol.structs import Struct

R = TypeVar("R")
Handle = tuple[int, int, int]
"""API key, version, and a number of its own."""

_DECIDE: Final[Mapping[type[Struct], Callable[..., Effects]]] = {
    JoinGroupRequest: GroupShard.join_group,
    SyncGroupRequest: GroupShard.sync_group,
    HeartbeatRequest: GroupShard.heartbeat,
    LeaveGroupRequest: GroupShard.leave_group,
    ConsumerGroupHeartbeatRequest: GroupShard.consumer_group_heartbeat,
    OffsetCommitRequest: GroupShard.offset_commit,
    TxnOffsetCommitRequest: GroupShard.txn_offset_commit,
    OffsetDeleteRequest: lambda shard, request, info, _now_ms: shard.offset_delete(request, info),
}
_ERRORS: Final = {each.key: getattr(load(each), "error", None) for each in APIS}


def image(incarnations: Mapping[str, int] | None = None, **partitions: int) -> MetadataImage:
    """Topics with so many partitions each, `foo_a` being foo-a; the same name has the same id, unless it was
    deleted in between.
    """
    state = PartitionState(replicas=(1,), isr=(1,), leader=1)
    topics = {}
    for key, number in partitions.items():
        name = key.replace("_", "-")
        padding = bytes([1 + (incarnations or {}).get(key, 0)])
        topic_id = UUID(bytes=key.encode().ljust(16, padding)[:16])
        topics[name] = Topic(name, topic_id, (state,) * number)
    return MetadataImage(topics=topics, topics_by_id={topic.topic_id: topic for topic in topics.values()})


class Logged(NamedTuple):
    """A record in the log; its offset is its place."""

    key: bytes
    value: bytes | None
    timestamp_ms: int
    producer_id: int
    ends: bool | None = None
    """Of a marker, which has no key: whether it commits."""


class MemoryLog:
    """A log that can refuse what is appended, and hold back what is committed."""

    def __init__(self) -> None:
        self.records: list[Logged] = []
        self.error: ErrorCode | None = None
        """Why appends fail."""
        self.lost_keys: set[bytes] = set()
        """Keys whose last record could not be written."""
        self.held_at: int | None = None
        """Where the committed offset stands still."""

    def __len__(self) -> int:
        return len(self.records)

    @property
    def committed_offset(self) -> int:
        return len(self.records) if self.held_at is None else self.held_at

    def append(self, records: Sequence[CoordinatorRecord], producer: Producer | None, now_ms: int) -> int:
        encoded = [encode_record(record) for record in records]
        keys = {key for key, _ in encoded}
        if self.error is not None:
            self.lost_keys |= keys
            raise KafkaError(self.error)
        self.lost_keys -= keys
        base_offset = len(self.records)
        producer_id = -1 if producer is None else producer.producer_id
        self.records += [Logged(key, value, now_ms, producer_id) for key, value in encoded]
        return base_offset


class MemoryTimers(dict[TimerKey, int]):
    """Deadlines by key."""

    def set(self, key: TimerKey, deadline_ms: int) -> None:
        self[key] = deadline_ms

    def cancel(self, key: TimerKey) -> None:
        self.pop(key, None)


class Coordinator:
    """One shard, and what happens to it."""

    view: Any = GroupCoordinatorConfig
    """Its settings."""

    def __init__(self, topics: MetadataImage, config: Mapping[str, Any]) -> None:
        self.config = default_view(self.view, **config)
        self.image = topics
        self.group_configs: dict[str, str] = {}
        self.now_ms = 1_000_000
        self.log = MemoryLog()
        self.timers = MemoryTimers()
        self.replies: dict[Handle, dict[str, Any]] = {}
        self.pending: dict[Handle, Pending[Any]] = {}
        """Requests that wait for their answer."""
        self._uuids = count(1)
        self._requests = count(1)
        self._load(self.new_shard())

    # The shard's life

    def new_shard(self) -> GroupShard:
        return GroupShard(
            self.config,
            lambda: UUID(int=next(self._uuids)),
            self.image,
            lambda _group_id: self.group_configs,
        )

    def _load(self, shard: GroupShard) -> None:
        self.shard = shard
        self.runtime = CoordinatorRuntime(
            shard, self.log, self.timers, lambda: self.now_ms, lambda: self.now_ms
        )
        self.runtime.loaded(len(self.log))

    def rebuilt(self, *, compacted: bool = False) -> GroupShard:
        """Another shard that has replayed the log."""
        shard = self.new_shard()
        last = {logged.key: offset for offset, logged in enumerate(self.log.records)}
        for offset, logged in enumerate(self.log.records):
            if logged.ends is not None:
                shard.replay_transaction_end(logged.producer_id, committed=logged.ends)
                continue
            record = shard.record_types.decode(logged.key, logged.value)
            if record is not None and (not compacted or last[logged.key] == offset):
                shard.replay(record, offset, logged.timestamp_ms, logged.producer_id)
        return shard

    def restart(self, *, compacted: bool = False) -> None:
        """Fail over to a shard that knows only the log."""
        self.runtime.unload()
        self.timers.clear()
        self._load(self.rebuilt(compacted=compacted))

    def write(self, records: Iterable[CoordinatorRecord]) -> None:
        """Put records into the log that the shard does not know of."""
        self.log.records += [Logged(*encode_record(record), self.now_ms, -1) for record in records]

    def end_transaction(self, producer_id: int, *, committed: bool) -> None:
        """A marker is written."""
        self.log.records.append(Logged(b"", None, self.now_ms, producer_id, committed))
        self.shard.replay_transaction_end(producer_id, committed=committed)

    def set_image(self, topics: MetadataImage) -> None:
        self.image = topics
        self.runtime.on_image(topics)

    def advance(self, ms: int) -> None:
        """Let time pass; timers fire in the order of their deadlines."""
        end_ms = self.now_ms + ms
        while due := [(at, key) for key, at in self.timers.items() if at <= end_ms]:
            self.now_ms, key = min(due)
            del self.timers[key]
            self.runtime.on_timer(key)
        self.now_ms = end_ms

    @property
    def append_error(self) -> ErrorCode | None:
        return self.log.error

    @append_error.setter
    def append_error(self, code: ErrorCode | None) -> None:
        self.log.error = code

    # Requests

    @property
    def outstanding(self) -> set[Handle]:
        return set(self.pending)

    def send(
        self, class_: type[Struct], fields: Mapping[str, Any], *, version: int | None, client_id: str
    ) -> Handle:
        """Send a request, by default of the newest version; the handle by which its answer is found."""
        number = max(class_.__versions__) if version is None else version
        request = wire.decode(class_, number, wire.encode(from_dict(class_, fields), number))
        handle = (class_.__key__, number, next(self._requests))
        answer: Pending[Any] = Pending()
        self.pending[handle] = answer
        answer.on_given = lambda: self._take(handle, client_id, request, answer)
        info = RequestInfo(Client(client_id, "/10.0.0.1", number), answer)
        self.runtime.request(info, lambda info, now_ms: self.decide(request, info, now_ms))
        return handle

    def decide(self, request: Any, info: RequestInfo[Any], now_ms: int) -> Effects:
        """Have the shard decide on a request."""
        return _DECIDE[type(request)](self.shard, request, info, now_ms)

    def _take(self, handle: Handle, client_id: str, request: Any, answer: Pending[Any]) -> None:
        del self.pending[handle]
        response = answer.outcome
        if isinstance(response, KafkaError):
            response = self._refusal(handle, request, response)
        wire.encode(response, handle[1])
        self.replies[handle] = plain(response, handle[1])
        self.answered(client_id, response)

    def answered(self, client_id: str, response: Struct) -> None:
        """Called with each answer, and whose it is."""

    def _refusal(self, handle: Handle, request: Any, error: KafkaError) -> Struct:
        key, version, _ = handle
        if isinstance(request, OffsetCommitRequest):
            return commit_refusal(self.shard.state.image, request, version, error.code)
        if isinstance(request, TxnOffsetCommitRequest):
            return transactional_commit_refusal(self.shard.state.image, request, version, error.code)
        make = _ERRORS.get(key)
        if make is not None:
            response = make(request, error.code, error.message)
            assert isinstance(response, Struct)
            return response
        class_ = wire.response_class(key)
        text = {"error_message": error.message} if "error_message" in class_.__fields__ else {}
        return class_(error_code=error.code, **text)

    def ask(self, decide: Callable[[RequestInfo[R]], Effects], version: int) -> R:
        """Have the shard decide on what must be answered at once; raises KafkaError."""
        answer: Pending[R] = Pending()
        info = RequestInfo(Client("admin", "/10.0.0.1", version), answer)
        self.runtime.request(info, lambda info, _now_ms: decide(info))
        return answer.result()

    def describe_groups(self, *group_ids: str, version: int = 6) -> list[dict[str, Any]]:
        groups = self.ask(lambda info: self.shard.describe_groups(group_ids, info), version)
        return list(plain(DescribeGroupsResponse(groups=groups), version)["groups"])

    def describe_consumer_group(self, group_id: str = "g", version: int = 1) -> dict[str, Any]:
        groups = self.ask(lambda info: self.shard.consumer_group_describe([group_id], info), version)
        (described,) = plain(ConsumerGroupDescribeResponse(groups=groups), version)["groups"]
        return dict(described)

    def list_groups(self, states: Sequence[str] = (), types: Sequence[str] = ()) -> list[dict[str, Any]]:
        request = ListGroupsRequest(states_filter=states, types_filter=types)
        groups = self.ask(lambda info: self.shard.list_groups(request, info), 5)
        return list(plain(ListGroupsResponse(groups=groups), 5)["groups"])

    def delete_groups(self, *group_ids: str) -> list[DeletableGroupResult]:
        return self.ask(lambda info: self.shard.delete_groups(group_ids, info), 3)

    def fetch_group(
        self, fields: Mapping[str, Any], *, version: int = 10, require_stable: bool = False
    ) -> dict[str, Any]:
        """OffsetFetch of one group."""
        asked = from_dict(OffsetFetchRequestGroup, fields)
        group = self.ask(
            lambda info: self.shard.offset_fetch(asked, info, require_stable=require_stable), version
        )
        wire.encode(OffsetFetchResponse(groups=[group]), version)
        (shown,) = plain(OffsetFetchResponse(groups=[group]), 8)["groups"]
        return dict(shown)


def plain(response: Struct, version: int) -> dict[str, Any]:
    """The response as dicts, with error codes by name."""

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(each) for each in value]
        if not isinstance(value, dict):
            return value
        return {key: ErrorCode(each) if key == "error_code" else named(each) for key, each in value.items()}

    shown: dict[str, Any] = named(to_dict(response, version))
    return shown


def topic_partitions(owned: Mapping[str, Iterable[int]]) -> bytes:
    """An array of topics and partitions in the consumer protocol."""
    parts = [struct.pack(">i", len(owned))]
    for name, numbers in sorted(owned.items()):
        numbers = sorted(numbers)
        parts.append(struct.pack(f">h{len(name)}si", len(name), name.encode(), len(numbers)))
        parts.append(struct.pack(f">{len(numbers)}i", *numbers))
    return b"".join(parts)


def subscription(*topics: str, owned: Mapping[str, Iterable[int]] | None = None, version: int = 1) -> bytes:
    """The consumer protocol's subscription, from version 1 on with what is owned."""
    names = b"".join(struct.pack(f">h{len(t)}s", len(t), t.encode()) for t in topics)
    data = struct.pack(">hi", version, len(topics)) + names + struct.pack(">i", -1)
    return data + (topic_partitions(owned or {}) if version >= 1 else b"")
