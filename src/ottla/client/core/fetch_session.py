"""What is asked of one node, and said of it only where it changed: a fetch session (KIP-227)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from ottla.client.core.metadata import TopicPartition
from ottla.protocol.messages.fetch import (
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ForgottenTopic,
)

READ_UNCOMMITTED: Final = 0
READ_COMMITTED: Final = 1

_FINAL_EPOCH: Final = -1
_LAST_SESSION_EPOCH: Final = 2**31 - 1


class FetchSettings(NamedTuple):
    """Kafka's settings of a consumer, with its defaults, and `buffer_bytes`, the bound on what is fetched
    ahead of the application.
    """

    max_wait_ms: int = 500
    min_bytes: int = 1
    max_bytes: int = 50 * 1024 * 1024
    partition_max_bytes: int = 1024 * 1024
    isolation_level: int = READ_UNCOMMITTED
    client_rack: str = ""
    buffer_bytes: int = 64 * 1024 * 1024
    retry_backoff_ms: int = 100
    metadata_max_age_ms: int = 300_000


class Asked(NamedTuple):
    """What a session holds of a partition, which is left out of a request that would say the same."""

    topic_id: UUID | None
    fetch_offset: int
    leader_epoch: int
    max_bytes: int


class FetchSession:
    """The session with one node (KIP-227): what changed is sent, and what has news is answered."""

    def __init__(self) -> None:
        self.id = 0
        self.epoch = 0
        self._held: dict[TopicPartition, Asked] = {}
        self._by_id: dict[tuple[UUID, int], TopicPartition] = {}
        self.has_ids = True

    def request(
        self, wanted: Mapping[TopicPartition, Asked], settings: FetchSettings, max_bytes: int
    ) -> FetchRequest:
        """For exactly these partitions; `accept` or `reset` is to be called with what comes of it."""
        has_ids = all(each.topic_id is not None for each in wanted.values())
        if has_ids != self.has_ids and self.epoch > 0:
            self.reset(forget_id=False)
        self.has_ids = has_ids
        is_full = self.epoch == 0
        held = {} if is_full else self._held
        changed = {each: asked for each, asked in wanted.items() if held.get(each) != asked}
        forgotten = [
            (each, asked)
            for each, asked in held.items()
            if each not in wanted or wanted[each].topic_id != asked.topic_id
        ]
        self._held = dict(wanted)
        self._by_id = {
            (asked.topic_id, each.partition): each for each, asked in wanted.items() if asked.topic_id
        }
        return FetchRequest(
            max_wait_ms=settings.max_wait_ms,
            min_bytes=settings.min_bytes,
            max_bytes=max_bytes,
            isolation_level=settings.isolation_level,
            session_id=self.id,
            session_epoch=self.epoch,
            topics=_topics(changed),
            forgotten_topics_data=_forgotten(forgotten),
            rack_id=settings.client_rack,
        )

    def accept(self, response: FetchResponse) -> None:
        """The broker's answer without an error at the top."""
        self.id = response.session_id
        if self.id == 0:
            self.epoch = 0
        else:
            self.epoch = 1 if self.epoch == _LAST_SESSION_EPOCH else self.epoch + 1

    def reset(self, *, forget_id: bool) -> None:
        """Begin with a full request next. By the id, if still known, the broker drops its old session."""
        if forget_id:
            self.id = 0
        self.epoch = 0

    def closing(self) -> FetchRequest | None:
        """What ends the session at the broker, None where there is none."""
        if self.id == 0:
            return None
        return FetchRequest(session_id=self.id, session_epoch=_FINAL_EPOCH, max_wait_ms=0, min_bytes=0)

    def partition(self, topic: FetchableTopicResponse, index: int) -> TopicPartition | None:
        """Whom a part of the answer is about; None for what was not asked for."""
        if topic.topic_id is not None:
            return self._by_id.get((topic.topic_id, index))
        partition = TopicPartition(topic.topic, index)
        return partition if partition in self._held else None

    def asked(self, partition: TopicPartition) -> Asked:
        return self._held[partition]


def _topics(wanted: Mapping[TopicPartition, Asked]) -> list[FetchTopic]:
    grouped: dict[tuple[str, UUID | None], list[FetchPartition]] = {}
    for each, asked in wanted.items():
        part = FetchPartition(
            partition=each.partition,
            current_leader_epoch=asked.leader_epoch,
            fetch_offset=asked.fetch_offset,
            partition_max_bytes=asked.max_bytes,
        )
        grouped.setdefault((each.topic, asked.topic_id), []).append(part)
    return [
        FetchTopic(topic=topic, topic_id=topic_id, partitions=parts)
        for (topic, topic_id), parts in grouped.items()
    ]


def _forgotten(partitions: Sequence[tuple[TopicPartition, Asked]]) -> list[ForgottenTopic]:
    grouped: dict[tuple[str, UUID | None], list[int]] = {}
    for each, asked in partitions:
        grouped.setdefault((each.topic, asked.topic_id), []).append(each.partition)
    return [
        ForgottenTopic(topic=topic, topic_id=topic_id, partitions=parts)
        for (topic, topic_id), parts in grouped.items()
    ]
