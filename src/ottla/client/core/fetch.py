"""What to fetch from whom, and what came of it.

One request at a time goes to each node, for the partitions it leads whose buffers have room, in a fetch
session (KIP-227), with topic ids where the broker has them (KIP-516). Bytes are asked for ahead of the
application, up to `max.partition.fetch.bytes` more than it has taken of each partition and `buffer_bytes` of
all together, so memory is bounded however slow it is. Records stay the bytes of the response until they are
taken.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ottla.client.columns.implementation import IMPLEMENTATION
from ottla.client.core.fetch_session import Asked, FetchSession, FetchSettings
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.positions import LeaderOf, PartitionState, Phase, Position, Positions
from ottla.client.errors import code_of
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.fetch import FetchRequest, FetchResponse, PartitionData

LAST_WITHOUT_TOPIC_IDS: Final = 12

_BATCH_PREFIX: Final = struct.Struct(">qiib")  # base offset, length, leader epoch, magic
_LAST_OFFSET_DELTA: Final = 23

_SMALL_PART: Final = 64
"""Of a response: what is copied out of it. The other partitions' go soon, as these are served in turn."""

_MOVED: Final = frozenset(
    {
        ErrorCode.not_leader_or_follower,
        ErrorCode.replica_not_available,
        ErrorCode.kafka_storage_error,
        ErrorCode.fenced_leader_epoch,
        ErrorCode.offset_not_available,
        ErrorCode.unknown_topic_or_partition,
        ErrorCode.unknown_topic_id,
        ErrorCode.inconsistent_topic_id,
        ErrorCode.leader_not_available,
    }
)
"""Of brokers that know the cluster less well than we do, or better: ask for its metadata and go on."""

_SESSION_ERRORS: Final = frozenset(
    {
        ErrorCode.fetch_session_id_not_found,
        ErrorCode.invalid_fetch_session_epoch,
        ErrorCode.fetch_session_topic_id_error,
    }
)


class Chunk(NamedTuple):
    """Whole batches of one partition, as they came. `offset` is the first that counts: a batch is whole even
    when its middle was asked for. `end` is what comes after them, and `aborted` are (producer id, first
    offset) of aborted transactions in them, for a reader of committed records.
    """

    partition: TopicPartition
    version: int
    offset: int
    end: Position
    records: memoryview
    aborted: Sequence[tuple[int, int]]
    size: int


class FetchFailure(NamedTuple):
    """What the application must hear of a partition."""

    partition: TopicPartition
    code: ErrorCode
    offset: int


@dataclass(slots=True)
class Received:
    """What a response means for the rest of the client."""

    stale_topics: list[str] = field(default_factory=list)
    failures: list[FetchFailure] = field(default_factory=list)
    moved: dict[TopicPartition, tuple[int, int]] = field(default_factory=dict)
    """Leaders and their epochs that the broker told of (KIP-951)."""
    has_data: bool = False


@dataclass(slots=True)
class _Node:
    session: FetchSession = field(default_factory=FetchSession)
    in_flight: int = 0
    """Bytes that may come with the request under way; 0 while there is none."""
    versions: dict[TopicPartition, int] = field(default_factory=dict)
    retry_at_ms: int = 0
    turn: int = 0
    """When it was asked last: who waits longest is next, should there not be room for all."""


class Fetcher:
    """The buffers between the nodes and the application."""

    def __init__(self, settings: FetchSettings, positions: Positions) -> None:
        self.settings = settings
        self.positions = positions
        self.buffered = 0
        """Bytes of chunks that are not delivered yet."""
        self._turns = 0
        self._nodes: dict[int, _Node] = {}
        self._chunks: dict[TopicPartition, deque[Chunk]] = {}
        """Of each partition in order; partitions in the order in which they are served next."""
        self._sizes: dict[TopicPartition, int] = {}
        """Bytes buffered of each partition."""

    # --- requests

    def requests(self, leader_of: LeaderOf, now_ms: int) -> list[tuple[int, FetchRequest]]:
        """What can be sent now; each counts as under way until `received` or `failed`."""
        self._discard()
        wanted: dict[int, dict[TopicPartition, Asked]] = {}
        for partition, state in self.positions.states.items():
            if self._has_room(state, now_ms):
                source = self._source(state, leader_of, now_ms)
                if source is not None:
                    asked = Asked(
                        state.topic_id,
                        state.fetched.offset,
                        state.leader_epoch,
                        self.settings.partition_max_bytes,
                    )
                    wanted.setdefault(source, {})[partition] = asked
        out = []
        for node_id in sorted(wanted, key=lambda each: self._node(each).turn):
            node, partitions = self._node(node_id), wanted[node_id]
            if node.in_flight or node.retry_at_ms > now_ms:
                continue
            max_bytes = self._max_bytes()
            if not max_bytes:
                break
            self._turns += 1
            node.turn = self._turns
            node.in_flight = max_bytes
            versions = {each: self.positions.states[each].version for each in partitions}
            if any(self._came_back(each, node, version) for each, version in versions.items()):
                node.session.reset(forget_id=False)
            node.versions = versions
            out.append((node_id, node.session.request(partitions, self.settings, max_bytes)))
        return out

    def _came_back(self, partition: TopicPartition, node: _Node, version: int) -> bool:
        """Whether it left and is back before its session could hear of that. Then what is known of it is lost
        here, and the broker, having told it already, would not say it again."""
        is_unknown = self.positions.states[partition].high_watermark < 0
        return is_unknown and node.versions.get(partition, version) != version

    def _max_bytes(self) -> int:
        """What may be asked for now; 0 where there is too little room for it to be worth it."""
        settings = self.settings
        taken = self.buffered + sum(node.in_flight for node in self._nodes.values())
        room = settings.buffer_bytes - taken
        return min(settings.max_bytes, room) if room >= settings.partition_max_bytes or not taken else 0

    def _node(self, node_id: int) -> _Node:
        return self._nodes.setdefault(node_id, _Node())

    def next_retry_ms(self, now_ms: int) -> int | None:
        """When something that was put off is due: a node or a partition that failed."""
        times = [node.retry_at_ms for node in self._nodes.values() if node.retry_at_ms > now_ms]
        times += [each.retry_at_ms for each in self.positions.states.values() if each.retry_at_ms > now_ms]
        return min(times, default=None)

    def _has_room(self, state: PartitionState, now_ms: int) -> bool:
        return (
            state.phase is Phase.fetching
            and not state.paused
            and state.retry_at_ms <= now_ms
            and self._sizes.get(state.partition, 0) < self.settings.partition_max_bytes
        )

    def _source(self, state: PartitionState, leader_of: LeaderOf, now_ms: int) -> int | None:
        """The preferred replica while it is to be preferred (KIP-392), else the leader."""
        if state.preferred_replica >= 0:
            if now_ms < state.preferred_until_ms:
                return state.preferred_replica
            state.preferred_replica = -1
        leader = leader_of(state.partition)
        return None if leader is None else leader[0]

    # --- responses

    def failed(self, node_id: int, now_ms: int) -> None:
        """No answer: whether the broker took the request is not known, so its session is begun anew."""
        node = self._node(node_id)
        node.in_flight = 0
        node.retry_at_ms = now_ms + self.settings.retry_backoff_ms
        node.session.reset(forget_id=False)
        for state in self.positions.states.values():
            if state.preferred_replica == node_id:
                state.preferred_replica = -1

    def received(self, node_id: int, response: FetchResponse, now_ms: int) -> Received:
        """Buffers the records."""
        node = self._node(node_id)
        node.in_flight = 0
        result = Received()
        error = response.error_code
        if error:
            node.session.reset(forget_id=error == ErrorCode.fetch_session_id_not_found)
            if error not in _SESSION_ERRORS or error == ErrorCode.fetch_session_topic_id_error:
                result.stale_topics = list(dict.fromkeys(each.topic for each in node.versions))
                node.retry_at_ms = now_ms + self.settings.retry_backoff_ms
            return result
        node.session.accept(response)
        size = sum(len(data.records or b"") for topic in response.responses for data in topic.partitions)
        for topic in response.responses:
            for data in topic.partitions:
                if data.records is not None and _SMALL_PART * len(data.records) < size:
                    data.records = bytes(data.records)  # it keeps no large response alive
                partition = node.session.partition(topic, data.partition_index)
                if partition is None:
                    continue
                state = self.positions.states.get(partition)
                if state is not None and state.version == node.versions.get(partition):
                    self._take_in(node_id, state, node.session.asked(partition), data, now_ms, result)
        return result

    def _take_in(
        self,
        node_id: int,
        state: PartitionState,
        asked: Asked,
        data: PartitionData,
        now_ms: int,
        result: Received,
    ) -> None:
        if data.current_leader.leader_id >= 0:
            leader = data.current_leader
            result.moved[state.partition] = (leader.leader_id, leader.leader_epoch)
        if data.error_code:
            self._refused(node_id, state, data, now_ms, result)
            return
        state.high_watermark = data.high_watermark
        state.last_stable_offset = data.last_stable_offset
        if data.log_start_offset >= 0:
            state.log_start_offset = data.log_start_offset
        if data.preferred_read_replica >= 0:
            state.preferred_replica = data.preferred_read_replica
            state.preferred_until_ms = now_ms + self.settings.metadata_max_age_ms
        if not data.records or asked.fetch_offset != state.fetched.offset:
            return
        records = memoryview(data.records)
        end = end_of(records)
        if end is None or end.offset <= asked.fetch_offset:
            state.retry_at_ms = now_ms + self.settings.retry_backoff_ms
            result.failures.append(
                FetchFailure(state.partition, ErrorCode.corrupt_message, asked.fetch_offset)
            )
            return
        aborted = [(each.producer_id, each.first_offset) for each in data.aborted_transactions or ()]
        chunk = Chunk(state.partition, state.version, asked.fetch_offset, end, records, aborted, len(records))
        if state.paused:
            chunk = _detached(chunk)
        state.fetched = end
        self._chunks.setdefault(state.partition, deque()).append(chunk)
        self._count(chunk, 1)
        result.has_data = True

    def _refused(
        self, node_id: int, state: PartitionState, data: PartitionData, now_ms: int, result: Received
    ) -> None:
        partition, code = state.partition, data.error_code
        if code == ErrorCode.offset_out_of_range:
            if state.preferred_replica == node_id:
                state.preferred_replica = -1  # a follower may be behind: ask the leader
            elif state.fetched.offset != state.position.offset and self._sizes.get(partition):
                # Asked ahead of what is buffered: the application gets that first.
                state.retry_at_ms = now_ms + self.settings.retry_backoff_ms
            else:
                reason = f"offset {state.fetched.offset} is out of range"
                self.positions.reset_by_policy(partition, reason, now_ms)
            return
        state.retry_at_ms = now_ms + self.settings.retry_backoff_ms
        if code in _MOVED:
            state.preferred_replica = -1
            result.stale_topics.append(partition.topic)
        elif code in (ErrorCode.unknown_leader_epoch, ErrorCode.unknown_server_error):
            pass  # the broker does not know yet what we know
        else:
            result.failures.append(FetchFailure(partition, code_of(code), state.fetched.offset))

    # --- buffers

    def take(self, topic: str | None = None) -> Chunk | None:
        """The oldest chunk of a partition (of this topic) that is not paused, partitions in turn; its memory
        counts until `delivered`. None while there is nothing.
        """
        partition = self._next_partition(topic)
        if partition is None:
            return None
        chunks = self._chunks.pop(partition)
        chunk = chunks.popleft()
        if chunks:
            self._chunks[partition] = chunks
        return chunk

    def has_data(self) -> bool:
        return self._next_partition() is not None

    def _next_partition(self, topic: str | None = None) -> TopicPartition | None:
        states = self.positions.states
        for partition, chunks in self._chunks.items():
            if topic is not None and partition.topic != topic:
                continue
            state = states.get(partition)
            if state is not None and state.version == chunks[0].version and not state.paused:
                return partition
        return None

    def give_back(self, chunk: Chunk, *, keeps_turn: bool = False) -> None:
        """A chunk that was taken and is not done with: its partition's next, when its turn comes."""
        chunks = self._chunks.pop(chunk.partition, None) or deque()
        chunks.appendleft(chunk)
        if keeps_turn:
            self._chunks = {chunk.partition: chunks, **self._chunks}
        else:
            self._chunks[chunk.partition] = chunks

    def detach(self, partition: TopicPartition) -> Chunk | None:
        """Have what is buffered of a partition that may stay for long keep no responses alive; its first
        chunk."""
        chunks = self._chunks.get(partition)
        if chunks is None:
            return None
        chunks = self._chunks[partition] = deque(map(_detached, chunks))
        return chunks[0]

    def delivered(self, chunk: Chunk) -> None:
        """A chunk that was taken is done with."""
        self._count(chunk, -1)

    def closing(self) -> list[tuple[int, FetchRequest]]:
        """Ends the sessions."""
        requests = [(node_id, node.session.closing()) for node_id, node in self._nodes.items()]
        return [(node_id, request) for node_id, request in requests if request is not None]

    def needs_names(self, node_id: int) -> bool:
        """Whether the request under way cannot be written with topic ids."""
        return not self._nodes[node_id].session.has_ids

    def _discard(self) -> None:
        """Drop what was fetched for positions that have jumped, so that it takes no room."""
        states = self.positions.states
        for partition, chunks in list(self._chunks.items()):
            state = states.get(partition)
            while chunks and (state is None or state.version != chunks[0].version):
                self._count(chunks.popleft(), -1)
            if not chunks:
                del self._chunks[partition]

    def _count(self, chunk: Chunk, sign: int) -> None:
        self.buffered += sign * chunk.size
        size = self._sizes.get(chunk.partition, 0) + sign * chunk.size
        if size:
            self._sizes[chunk.partition] = size
        else:
            self._sizes.pop(chunk.partition, None)


def _detached(chunk: Chunk) -> Chunk:
    return chunk._replace(records=memoryview(bytes(chunk.records)))


def end_of(records: memoryview) -> Position | None:
    """What follows the last whole batch, read off the headers alone; None where there is no whole batch."""
    last = IMPLEMENTATION.last_batch(records)
    if last < 0:
        return None
    base, _, epoch, _ = _BATCH_PREFIX.unpack_from(records, last)
    delta = int.from_bytes(records[last + _LAST_OFFSET_DELTA : last + _LAST_OFFSET_DELTA + 4], "big")
    return Position(base + delta + 1, epoch)
