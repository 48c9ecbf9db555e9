"""Where a consumer stands in each of its partitions, and how it gets there.

A partition begins without a position. It takes that of a commit, of a seek, or of `auto.offset.reset`; one
that was read under an older leader epoch is validated against the new leader before records are fetched from
it (KIP-320), so that a log that was truncated is noticed. Pure: the shell asks what is due, sends it, and
reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import Final, NamedTuple
from uuid import UUID

from ottla.client.core.metadata import TopicPartition

EARLIEST_TIMESTAMP: Final = -2
LATEST_TIMESTAMP: Final = -1
NO_EPOCH: Final = -1

LeaderOf = Callable[[TopicPartition], "tuple[int, int] | None"]
"""The leader of a partition and its epoch (-1: unknown), None while there is none."""


class OffsetReset(NamedTuple):
    """`auto.offset.reset`: `earliest`, `latest`, `none`, or `by_duration:<ISO 8601>` (KIP-1106)."""

    policy: str
    duration_ms: int = 0

    def timestamp(self, now_ms: int) -> int | None:
        """What to ask ListOffsets for; None where an application wants to decide itself."""
        match self.policy:
            case "earliest":
                return EARLIEST_TIMESTAMP
            case "latest":
                return LATEST_TIMESTAMP
            case "by_duration":
                return max(now_ms - self.duration_ms, 0)
            case _:
                return None


class Phase(Enum):
    """What a partition needs next."""

    committed = "its committed offset"
    reset = "an offset to start at"
    validation = "its position held against the leader's epochs"
    fetching = "records"
    lost = "a decision of the application"


class Position(NamedTuple):
    """The next offset to read, and the leader epoch of the record before it (-1 where it is not known)."""

    offset: int
    epoch: int = NO_EPOCH


NOWHERE: Final = Position(-1)


class PositionError(NamedTuple):
    """A partition that has no position and no policy that would give it one."""

    partition: TopicPartition
    reason: str
    position: Position | None = None
    diverged_at: Position | None = None


@dataclass(slots=True)
class PartitionState:
    """One assigned partition. `version` changes when the position jumps: what was fetched before is void."""

    partition: TopicPartition
    versions: Iterator[int]
    phase: Phase = Phase.committed
    position: Position = NOWHERE
    """What the application gets next."""
    fetched: Position = NOWHERE
    """What is fetched next: ahead of the position by what is buffered."""
    version: int = -1
    leader_epoch: int = NO_EPOCH
    topic_id: UUID | None = None
    reset_timestamp: int = EARLIEST_TIMESTAMP
    paused: bool = False
    retry_at_ms: int = 0
    high_watermark: int = -1
    last_stable_offset: int = -1
    log_start_offset: int = -1
    preferred_replica: int = -1
    preferred_until_ms: int = 0

    def __post_init__(self) -> None:
        self.version = next(self.versions)

    def jump(self, position: Position, phase: Phase) -> None:
        self.position = self.fetched = position
        self.phase = phase
        self.version = next(self.versions)
        self.retry_at_ms = 0
        self.preferred_replica = -1


@dataclass(slots=True)
class Positions:
    """The positions of all assigned partitions."""

    reset: OffsetReset
    states: dict[TopicPartition, PartitionState] = field(default_factory=dict)
    errors: dict[TopicPartition, PositionError] = field(default_factory=dict)
    """What the application must be told; taken by `take_errors`."""

    _versions: Iterator[int] = field(default_factory=count)

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Exactly these from now on; what stays keeps its position."""
        wanted = dict.fromkeys(partitions)
        for partition in [each for each in self.states if each not in wanted]:
            self._drop(partition)
        for partition in wanted:
            self.add(partition)

    def add(self, partition: TopicPartition) -> None:
        if partition not in self.states:
            self.states[partition] = PartitionState(partition, self._versions)

    def remove(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            self._drop(partition)

    def _drop(self, partition: TopicPartition) -> None:
        state = self.states.pop(partition, None)
        if state is not None:
            state.version = -1  # nothing that was fetched for it counts any more
        self.errors.pop(partition, None)

    def seek(self, partition: TopicPartition, position: Position) -> None:
        """KeyError for a partition that is not assigned."""
        state = self.states[partition]
        self.errors.pop(partition, None)
        state.jump(position, Phase.fetching if position.epoch < 0 else Phase.validation)

    def seek_to(self, partition: TopicPartition, timestamp: int) -> None:
        """To the first record of a time, or one of the timestamps that stand for the ends of the log."""
        state = self.states[partition]
        self.errors.pop(partition, None)
        state.reset_timestamp = timestamp
        state.jump(NOWHERE, Phase.reset)

    def reset_by_policy(
        self, partition: TopicPartition, reason: str, now_ms: int, diverged_at: Position | None = None
    ) -> None:
        """By `auto.offset.reset`; without one the application is told."""
        state = self.states[partition]
        timestamp = self.reset.timestamp(now_ms)
        if timestamp is None:
            position = state.position if state.position.offset >= 0 else None
            self.errors[partition] = PositionError(partition, reason, position, diverged_at)
            state.phase = Phase.lost
            return
        state.reset_timestamp = timestamp
        state.jump(NOWHERE, Phase.reset)

    def take_errors(self) -> list[PositionError]:
        errors = list(self.errors.values())
        self.errors.clear()
        return errors

    def awaiting(self, now_ms: int) -> dict[Phase, list[PartitionState]]:
        """The partitions whose positions have to be looked for now, by what they need."""
        found: dict[Phase, list[PartitionState]] = {}
        for state in self.states.values():
            phase = state.phase
            if phase is not Phase.fetching and phase is not Phase.lost and state.retry_at_ms <= now_ms:
                found.setdefault(phase, []).append(state)
        return found

    # --- answers

    def committed(self, answers: Mapping[TopicPartition, Position | None], now_ms: int) -> None:
        """Answers of the coordinator; None where nothing was committed."""
        for partition, position in answers.items():
            state = self.states.get(partition)
            if state is None or state.phase is not Phase.committed:
                continue
            if position is None:
                self.reset_by_policy(partition, "nothing is committed, and auto.offset.reset is none", now_ms)
            else:
                self.seek(partition, position)

    def was_reset(self, partition: TopicPartition, timestamp: int, position: Position) -> None:
        """ListOffsets' answer to the timestamp that was asked for."""
        state = self.states.get(partition)
        if state is not None and state.phase is Phase.reset and state.reset_timestamp == timestamp:
            state.jump(Position(position.offset), Phase.fetching)
            state.leader_epoch = max(state.leader_epoch, position.epoch)

    def put_off(self, partition: TopicPartition, until_ms: int) -> None:
        state = self.states.get(partition)
        if state is not None:
            state.retry_at_ms = until_ms

    def notice_leaders(self, leader_of: LeaderOf) -> None:
        """A position that was read under an older leader epoch is validated before it is used again."""
        for partition, state in self.states.items():
            leader = leader_of(partition)
            if leader is None or leader[1] <= state.leader_epoch:
                continue
            state.leader_epoch = leader[1]
            state.preferred_replica = -1
            if state.phase is Phase.fetching and state.fetched.epoch >= 0:
                state.phase = Phase.validation

    def notice_topic(self, topic: str, topic_id: UUID | None) -> None:
        """A topic that was deleted and made again has nothing of what was read: it is read from its start.

        That differs from Kafka's consumers, which go on at the old offset of the new topic if it has so many
        records, and so skip what was written before.
        """
        if topic_id is None:
            return
        for state in self.states.values():
            if state.partition.topic != topic or state.topic_id == topic_id:
                continue
            was_known, state.topic_id = state.topic_id is not None, topic_id
            if was_known:
                state.leader_epoch = NO_EPOCH
                if state.phase is not Phase.committed:
                    self._begin_anew(state)

    def _begin_anew(self, state: PartitionState) -> None:
        if self.reset.policy == "none":
            reason = "its topic was deleted and made again, and auto.offset.reset is none"
            self.errors[state.partition] = PositionError(state.partition, reason, state.position)
            state.phase = Phase.lost
        else:
            state.reset_timestamp = EARLIEST_TIMESTAMP
            state.jump(NOWHERE, Phase.reset)

    def validated(
        self, partition: TopicPartition, asked: Position, end: Position | None, now_ms: int
    ) -> None:
        """OffsetForLeaderEpoch's answer for the epoch of the position `asked`: where that epoch ended.

        None: the leader cannot say (it has no epochs that old, or is too old a broker).
        """
        state = self.states.get(partition)
        if state is None or state.phase is not Phase.validation or state.fetched != asked:
            return
        if end is None or end.offset < 0 or end.epoch < 0:
            self.reset_by_policy(partition, "the log was truncated below its position", now_ms)
        elif end.offset < state.fetched.offset:
            if end.offset >= state.position.offset:
                # What was delivered is still there: only what is buffered went.
                state.jump(state.position, Phase.fetching)
            elif self.reset.policy == "none":
                self.reset_by_policy(partition, "the log was truncated", now_ms, end)
            else:
                state.jump(end, Phase.fetching)
        else:
            state.phase = Phase.fetching

    def not_validated(self, partition: TopicPartition) -> None:
        """The leader has no OffsetForLeaderEpoch: go on as consumers did before KIP-320."""
        state = self.states.get(partition)
        if state is not None and state.phase is Phase.validation:
            state.phase = Phase.fetching
