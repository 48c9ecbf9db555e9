"""The groups that this broker coordinates: members, offsets and lag, under the names of kafka-exporter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from ottla.broker.monitoring.lag import EndHistory
from ottla.metrics.families import Family, Kind, Metric, Sample
from ottla.protocol.errors import KafkaError
from ottla.records.batch import HEADER_SIZE, parse_header
from ottla.replica.partition import Partition

if TYPE_CHECKING:
    from ottla.clock import Clock
    from ottla.coordination.groups.offsets.store import GroupOffsets
    from ottla.metadata.image import MetadataImage
    from ottla.network.peers import Channel
    from ottla.replica.partitions import Partitions
    from ottla.storage.fs import Records

_GROUP: Final = ("consumergroup",)
_OFFSET: Final = ("consumergroup", "topic", "partition")
_PEER_TIMEOUT_S: Final = 2.0
_LOOKUPS_MAX: Final = 64
"""How many records are asked when they came, each time"""
_LATEST: Final = -1
_CONSUMER_REPLICA_ID: Final = -1

MEMBERS = Family("kafka_consumergroup_members", Kind.GAUGE, "Members of a group.", _GROUP)
COMMITTED = Family(
    "kafka_consumergroup_current_offset", Kind.GAUGE, "The offset that a group has committed.", _OFFSET
)
LAG = Family(
    "kafka_consumergroup_lag",
    Kind.GAUGE,
    "Records between a group's committed offset and the high watermark.",
    _OFFSET,
)
LAG_SECONDS = Family(
    "kafka_consumergroup_lag_seconds",
    Kind.GAUGE,
    "Seconds since the first record came that a group has not committed; 0 where it has all.",
    _OFFSET,
)
FAMILIES = (MEMBERS, COMMITTED, LAG, LAG_SECONDS)

Place: TypeAlias = tuple[str, int]
Position: TypeAlias = tuple[Place, int]
"""An offset of a partition"""


class GroupMetrics:
    """Asks other brokers for the ends of partitions that they lead."""

    def __init__(
        self,
        node_id: int,
        groups: Callable[[], Iterable[GroupOffsets]],
        partitions: Partitions,
        image: Callable[[], MetadataImage],
        channel: Callable[[int], Channel],
        clock: Clock,
        readers: Executor,
    ) -> None:
        """`channel` gives a connection of our own to another broker; `readers` wait for disks."""
        self._node_id = node_id
        self._groups = groups
        self._partitions = partitions
        self._image = image
        self._channel = channel
        self._clock = clock
        self._readers = readers
        self._channels: dict[int, Channel] = {}
        self._ends: dict[Place, EndHistory] = {}
        self._in_vain: dict[Position, None] = {}
        """Of these no record says when it came."""

    def close(self) -> None:
        """Ask nobody any more."""
        for each in self._channels.values():
            each.close()

    async def collect(self) -> list[Metric]:
        """Lag is left out where a partition's end is not known."""
        groups = list(self._groups())
        wanted = dict.fromkeys(place for group in groups for place in group.committed)
        ends = await self._end_offsets(wanted)
        now_ms = self._clock.monotonic_ms()
        for place in list(self._ends):
            if place not in wanted:
                del self._ends[place]
        for place, end_offset in ends.items():
            self._ends.setdefault(place, EndHistory()).note(end_offset, now_ms)
        await self._look_back(groups, ends)
        return list(self._metrics(groups, ends, self._clock.monotonic_ms()))

    async def _look_back(self, groups: Iterable[GroupOffsets], ends: Mapping[Place, int]) -> None:
        """Ask records when they came, some at a time, where nobody has seen the end pass them."""
        unseen: dict[Position, None] = {}
        for group in groups:
            for place, stored in group.committed.items():
                if place in ends and not self._ends[place].knows(stored.offset):
                    unseen[place, stored.offset] = None
        self._in_vain = {each: None for each in self._in_vain if each in unseen}
        for place, offset in islice((each for each in unseen if each not in self._in_vain), _LOOKUPS_MAX):
            age_ms = await self._age_ms(place, offset)
            history = self._ends.get(place, EndHistory())
            if age_ms is not None:
                history.note_earlier(offset, self._clock.monotonic_ms() - age_ms)
            if not history.knows(offset):
                self._in_vain[place, offset] = None

    def _metrics(
        self, groups: Iterable[GroupOffsets], ends: Mapping[Place, int], now_ms: int
    ) -> Iterator[Metric]:
        committed: list[Sample] = []
        lag: list[Sample] = []
        lag_seconds: list[Sample] = []
        for group in groups:
            for (topic, index), stored in group.committed.items():
                offset = stored.offset
                labels = group.group_id, topic, str(index)
                committed.append((labels, offset))
                end_offset = ends.get((topic, index))
                if end_offset is not None:
                    lag.append((labels, max(0, end_offset - offset)))
                    lag_seconds.append((labels, self._behind_s((topic, index), offset, now_ms)))
        yield MEMBERS.of(*(((group.group_id,), group.member_count) for group in groups))
        yield COMMITTED.of(*committed)
        yield LAG.of(*lag)
        yield LAG_SECONDS.of(*lag_seconds)

    def _behind_s(self, place: Place, offset: int, now_ms: int) -> float:
        history = self._ends.get(place, EndHistory())
        passed_ms = history.passed_ms(offset)
        return 0.0 if passed_ms is None else max(0, now_ms - passed_ms) / 1000

    async def _age_ms(self, place: Place, offset: int) -> int | None:
        """Of the batch with the offset, where the log is here."""
        try:
            records = self._partitions.replica(*place).read(offset, 0, 0, min_one=True).records
            if len(records) < HEADER_SIZE:
                return None
            header = await asyncio.get_running_loop().run_in_executor(self._readers, _header_of, records)
        except (KafkaError, OSError, RuntimeError):  # the last one when the broker has stopped
            return None
        timestamp = parse_header(header).base_timestamp
        return max(0, self._clock.now_ms() - timestamp) if timestamp >= 0 else None

    # -- where partitions end

    async def _end_offsets(self, places: Iterable[Place]) -> dict[Place, int]:
        ends: dict[Place, int] = {}
        elsewhere: dict[int, list[Place]] = {}
        topics = self._image().topics
        for topic, index in places:
            known = topics.get(topic)
            if known is None or index >= len(known.partitions):
                continue
            leader = known.partitions[index].leader
            if leader == self._node_id:
                try:
                    partition: Partition = self._partitions.get(topic, index)
                except KafkaError:
                    continue
                ends[topic, index] = partition.high_watermark
            elif leader >= 0:
                elsewhere.setdefault(leader, []).append((topic, index))
        for answer in await asyncio.gather(*(self._ask(*each) for each in elsewhere.items())):
            ends.update(answer)
        return ends

    async def _ask(self, node_id: int, places: list[Place]) -> dict[Place, int]:
        from ottla.network.peers import PeerError  # there are none where this broker is alone
        from ottla.protocol.messages.list_offsets import (
            ListOffsetsPartition,
            ListOffsetsRequest,
            ListOffsetsResponse,
            ListOffsetsTopic,
        )

        by_topic: dict[str, list[ListOffsetsPartition]] = {}
        for topic, index in places:
            by_topic.setdefault(topic, []).append(
                ListOffsetsPartition(partition_index=index, current_leader_epoch=-1, timestamp=_LATEST)
            )
        request = ListOffsetsRequest(
            replica_id=_CONSUMER_REPLICA_ID,
            topics=[ListOffsetsTopic(name=name, partitions=asked) for name, asked in by_topic.items()],
        )
        channel = self._channels.get(node_id)
        if channel is None:
            channel = self._channels[node_id] = self._channel(node_id)
        try:
            async with asyncio.timeout(_PEER_TIMEOUT_S):  # to connect, too
                answer = await channel.send(request, ListOffsetsResponse, _PEER_TIMEOUT_S)
        except (PeerError, TimeoutError):
            return {}
        return {
            (topic.name, each.partition_index): each.offset
            for topic in answer.topics
            for each in topic.partitions
            if not each.error_code and each.offset >= 0
        }


def _header_of(records: Records) -> bytes:
    """Of the first batch; from the disk, maybe. Raises OSError."""
    return records[:HEADER_SIZE] if isinstance(records, bytes) else records.read(0, HEADER_SIZE)
