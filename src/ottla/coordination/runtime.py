"""What every coordinator is made of: shards that decide and replay, and the runtime that obeys them.

A shard is what one partition of an internal topic holds. Deciding changes nothing that is persisted: it gives
`Effects`. The runtime appends their records as one batch, has each replayed (as after a restart), and hands
the answers out once everything that was written before them is committed. So nobody is told of what a
failover could take back, also not by a request that only reads.

    decide -> records -> append -> replay -> continuations -> timers -> answers, when committed

Nothing here does I/O: the shell (`ottla.coordinator`) gives the log, the timers and the clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from ottla.metadata.image import MetadataImage
from ottla.protocol import wire
from ottla.protocol.errors import DecodeError, ErrorCode, KafkaError
from ottla.protocol.structs import Struct
from ottla.records.markers import EndMarker

R = TypeVar("R")

TimerKey: TypeAlias = tuple[str, ...]
"""Kind of timer, then what it is for: a group id, a member id."""


# Requests and their answers


class Pending(Generic[R]):
    """The answer to one request: given once, perhaps long after the request was decided on."""

    __slots__ = ("on_given", "outcome")

    def __init__(self) -> None:
        self.outcome: R | KafkaError | None = None
        """The response, or why there is none; None while the answer is awaited."""
        self.on_given: Callable[[], None] | None = None

    def give(self, outcome: R | KafkaError) -> None:
        """Answer the request."""
        assert self.outcome is None, "a second answer"
        self.outcome = outcome
        if self.on_given is not None:
            self.on_given()

    def result(self) -> R:
        """The response that was given; raises KafkaError where the request was refused."""
        assert self.outcome is not None, "not answered yet"
        if isinstance(self.outcome, KafkaError):
            raise self.outcome
        return self.outcome


class Client(NamedTuple):
    """Who asks: what a request's header and connection tell beside its body."""

    client_id: str
    client_host: str
    """As Java writes addresses: `/10.0.0.1`."""
    api_version: int


class RequestInfo(NamedTuple, Generic[R]):
    """Who asks, and where the answer goes; kept while the request is parked."""

    client: Client
    answer: Pending[R]

    @property
    def api_version(self) -> int:
        return self.client.api_version


class Reply(NamedTuple):
    """An answer to be handed out."""

    answer: Pending[Any]
    outcome: Any
    """The response, or a KafkaError."""


# Records


class CoordinatorRecord(NamedTuple):
    """A record of an internal topic in Kafka's schemas; no value is a tombstone."""

    key: Struct
    value: Struct | None
    version: int = 0
    """At which the value is written."""


class RecordTypes:
    """The records that a coordinator keeps, out of one or more of the generated tables."""

    def __init__(self, *tables: Mapping[int, tuple[type[Struct], type[Struct]]]) -> None:
        merged = {number: pair for table in tables for number, pair in table.items()}
        self._keys = {number: key for number, (key, _) in merged.items()}
        self._values = {number: value for number, (_, value) in merged.items()}

    def decode(self, key: bytes, value: bytes | None) -> CoordinatorRecord | None:
        """None for types that are not kept; KafkaError(corrupt_message) for what can't be read."""
        try:
            decoded_key = wire.decode_key(self._keys, key)
            if decoded_key is None:
                return None
            if value is None:
                return CoordinatorRecord(decoded_key, None)
            version, decoded_value = wire.decode_prefixed(self._values[decoded_key.__key__], value)
        except DecodeError as error:
            raise KafkaError(ErrorCode.corrupt_message, f"a coordinator's record: {error}") from error
        return CoordinatorRecord(decoded_key, decoded_value, version)


def encode_record(record: CoordinatorRecord) -> tuple[bytes, bytes | None]:
    """Key and value as they are written."""
    value = record.value
    return wire.encode_key(record.key), None if value is None else wire.encode_prefixed(value, record.version)


class Producer(NamedTuple):
    """The transactional producer on whose behalf records are written."""

    producer_id: int
    producer_epoch: int


# What a shard decides


class SetTimer(NamedTuple):
    """Call `Shard.on_timer(key)` at the deadline; replaces a timer of the same key."""

    key: TimerKey
    deadline_ms: int


class CancelTimer(NamedTuple):
    """Forget the timer, if there is one."""

    key: TimerKey


Continuation: TypeAlias = Callable[[KafkaError | None, int], "Effects"]
"""Called once after the append with None or why it failed, and the time in milliseconds."""


@dataclass(slots=True)
class Effects:
    """The outcome of one step of a shard, obeyed in the order of the fields."""

    records: list[CoordinatorRecord] = field(default_factory=list)
    """Written as one batch, or not at all: then replies become refusals, and only `continuations` follow."""
    producer: Producer | None = None
    """Whose transaction the records belong to."""
    timers: list[SetTimer | CancelTimer] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    continuations: list[Continuation] = field(default_factory=list)
    """What is decided once it is known whether the records are in the log; it may answer for them."""

    @classmethod
    def reply_with(cls, info: RequestInfo[R], response: R) -> Effects:
        """Effects that are only this reply."""
        return cls(replies=[Reply(info.answer, response)])

    def reply(self, info: RequestInfo[R], response: R) -> Effects:
        """Add a reply, and return these."""
        self.replies.append(Reply(info.answer, response))
        return self

    def refuse(self, info: RequestInfo[Any], code: ErrorCode, message: str | None = None) -> Effects:
        """Add a refusal, and return these."""
        self.replies.append(Reply(info.answer, KafkaError(code, message)))
        return self

    def extend(self, other: Effects) -> Effects:
        """Append the other's effects to these, and return these."""
        self.records += other.records
        self.producer = self.producer or other.producer
        self.timers += other.timers
        self.replies += other.replies
        self.continuations += other.continuations
        return self


def once_written(timers: Sequence[SetTimer | CancelTimer]) -> Continuation:
    """Timers that must stay as they are where the records could not be written."""

    def obey(error: KafkaError | None, _now_ms: int) -> Effects:
        return Effects(timers=list(timers)) if error is None else Effects()

    return obey


class Shard(Protocol):
    """What one partition holds. Requests are methods beside these: they are given the request, its
    `RequestInfo` and the time, and return `Effects`, or refuse by KafkaError before anything has changed.
    """

    record_types: RecordTypes
    """What is kept in the partition; other records in it are skipped."""

    def replay(
        self, record: CoordinatorRecord, offset: int, timestamp_ms: int, producer_id: int = -1
    ) -> None:
        """Take in one record; with a producer's id it counts once the producer's transaction is committed.

        Raises KafkaError(corrupt_message) for what is never recorded: it is left out.
        """

    def replay_transaction_end(self, producer_id: int, *, committed: bool) -> None:
        """Take in a transaction marker (KIP-98)."""

    def on_loaded(self, now_ms: int) -> Effects:
        """Every record has been replayed, and this broker leads."""

    def on_unloaded(self) -> Effects:
        """This broker leads no more: parked requests are refused."""

    def on_image(self, image: MetadataImage) -> Effects:
        """What the cluster knows has changed."""

    def on_timer(self, key: TimerKey, now_ms: int) -> Effects:
        """A deadline has passed. What it was for may be over by now: then nothing happens."""


# The runtime


class CoordinatorLog(Protocol):
    """The partition that a shard is kept in."""

    @property
    def committed_offset(self) -> int:
        """Offset below which no failover takes anything back."""

    def append(self, records: Sequence[CoordinatorRecord], producer: Producer | None, now_ms: int) -> int:
        """Append them as one batch; its base offset. Raises KafkaError, and then nothing is written."""

    def append_marker(self, marker: EndMarker, now_ms: int) -> int:
        """End a transaction; the marker's offset. Raises KafkaError, and then nothing is written."""


class Timers(Protocol):
    """Where deadlines are kept; they come back through `CoordinatorRuntime.on_timer`."""

    def set(self, key: TimerKey, deadline_ms: int) -> None:
        """Replaces a timer of the same key."""

    def cancel(self, key: TimerKey) -> None:
        """Forget the timer, if there is one."""


_TOLD: Final[Mapping[ErrorCode, ErrorCode]] = {
    ErrorCode.unknown_topic_or_partition: ErrorCode.coordinator_not_available,
    ErrorCode.not_enough_replicas: ErrorCode.coordinator_not_available,
    ErrorCode.not_enough_replicas_after_append: ErrorCode.coordinator_not_available,
    ErrorCode.request_timed_out: ErrorCode.coordinator_not_available,
    ErrorCode.not_leader_or_follower: ErrorCode.not_coordinator,
    ErrorCode.kafka_storage_error: ErrorCode.not_coordinator,
    ErrorCode.message_too_large: ErrorCode.unknown_server_error,
    ErrorCode.record_list_too_large: ErrorCode.unknown_server_error,
    ErrorCode.invalid_fetch_size: ErrorCode.unknown_server_error,
}
"""What a client is told of a failed append: mostly to look for the coordinator again."""

S = TypeVar("S", bound=Shard)


class _Uncommitted(NamedTuple):
    """Answers that wait until what is written below `end_offset` is committed."""

    end_offset: int
    deadline_ms: int
    """By the monotonic clock"""
    replies: list[Reply]


_COMMIT_TIMER: Final = ("commit",)


class CoordinatorRuntime(Generic[S]):
    """One shard at work. All of it happens in its owner's turn, so nothing comes in between."""

    def __init__(
        self,
        shard: S,
        log: CoordinatorLog,
        timers: Timers,
        now_ms: Callable[[], int],
        monotonic_ms: Callable[[], int],
        commit_timeout_ms: int | None = None,
    ) -> None:
        """`now_ms` gives the time of day, `monotonic_ms` what never goes back.

        Answers wait `commit_timeout_ms` at most for what they tell of to be committed; None: for ever."""
        self.shard = shard
        self._monotonic_ms = monotonic_ms
        self._commit_timeout_ms = commit_timeout_ms
        self._log = log
        self._timers = timers
        self._now_ms = now_ms
        self._end_offset = 0
        """The end of what was loaded and written."""
        self._uncommitted: deque[_Uncommitted] = deque()
        self._is_timed = False
        """Whether there is a timer for the first of them, or one that was handed out since"""

    def request(self, info: RequestInfo[R], decide: Callable[[RequestInfo[R], int], Effects]) -> None:
        """Have the shard decide; the answer comes to `info.answer`."""
        try:
            effects = decide(info, self._now_ms())
        except KafkaError as error:
            effects = Effects(replies=[Reply(info.answer, error)])
        self.obey(effects)

    def on_timer(self, key: TimerKey) -> None:
        """A deadline has passed."""
        if key == _COMMIT_TIMER:
            self._give_up()
            return
        self.obey(self.shard.on_timer(key, self._now_ms()))

    def on_image(self, image: MetadataImage) -> None:
        """What the cluster knows has changed."""
        self.obey(self.shard.on_image(image))

    def loaded(self, end_offset: int) -> None:
        """Everything up to this offset has been replayed: begin."""
        self._end_offset = end_offset
        self.obey(self.shard.on_loaded(self._now_ms()))

    def end_transaction(self, marker: EndMarker, answer: Pending[int]) -> None:
        """Write the marker that a transaction coordinator sends, and give its offset once it is committed."""
        try:
            offset = self._log.append_marker(marker, self._now_ms())
        except KafkaError as error:
            # It may be refused for what was written before it, such as itself: that is to be committed.
            self._answer([Reply(answer, _told(error))])
            return
        self._end_offset = offset + 1
        self.shard.replay_transaction_end(marker.producer_id, committed=marker.committed)
        self._answer([Reply(answer, offset)])

    def unload(self) -> None:
        """Give the shard up: whoever waits has to look for the coordinator."""
        effects = self.shard.on_unloaded()
        self._obey_timers(effects.timers)
        _hand_out(effects.replies)
        self.fail(KafkaError(ErrorCode.not_coordinator))

    def committed(self) -> None:
        """The log's committed offset has moved: hand out the answers that waited for it."""
        committed_offset = self._log.committed_offset
        while self._uncommitted and self._uncommitted[0].end_offset <= committed_offset:
            _hand_out(self._uncommitted.popleft().replies)

    def fail(self, error: KafkaError) -> None:
        """What was written may never be committed: refuse all who wait for it."""
        while self._uncommitted:
            _hand_out(_refused(self._uncommitted.popleft().replies, _told(error)))

    def _give_up(self) -> None:
        """Refuse those who have waited for too long. What was written stays, and may be committed yet."""
        self._is_timed = False
        error = _told(KafkaError(ErrorCode.request_timed_out))
        waiting, now_ms = self._uncommitted, self._monotonic_ms()
        while waiting and waiting[0].deadline_ms <= now_ms:
            _hand_out(_refused(waiting.popleft().replies, error))
        self._time()

    def _time(self) -> None:
        if self._commit_timeout_ms is not None and self._uncommitted and not self._is_timed:
            self._is_timed = True
            left_ms = self._uncommitted[0].deadline_ms - self._monotonic_ms()
            self._timers.set(_COMMIT_TIMER, self._now_ms() + left_ms)

    def obey(self, effects: Effects) -> None:
        """Do what was decided, until nothing more follows from it."""
        while True:
            error = self._append(effects)
            replies = effects.replies if error is None else _refused(effects.replies, error)
            more: Effects | None = None
            for continuation in effects.continuations:
                following = continuation(error, self._now_ms())
                more = following if more is None else more.extend(following)
            self._obey_timers(effects.timers)
            self._answer(replies)
            if more is None:
                return
            effects = more

    def _append(self, effects: Effects) -> KafkaError | None:
        if not effects.records:
            return None
        now_ms = self._now_ms()
        try:
            base_offset = self._log.append(effects.records, effects.producer, now_ms)
        except KafkaError as error:
            return _told(error)
        self._end_offset = base_offset + len(effects.records)
        producer_id = -1 if effects.producer is None else effects.producer.producer_id
        for offset, record in enumerate(effects.records, base_offset):
            self.shard.replay(record, offset, now_ms, producer_id)
        return None

    def _obey_timers(self, timers: Iterable[SetTimer | CancelTimer]) -> None:
        for timer in timers:
            if isinstance(timer, SetTimer):
                self._timers.set(timer.key, timer.deadline_ms)
            else:
                self._timers.cancel(timer.key)

    def _answer(self, replies: list[Reply]) -> None:
        if not replies:
            return
        if self._uncommitted or self._log.committed_offset < self._end_offset:
            deadline_ms = self._monotonic_ms() + (self._commit_timeout_ms or 0)
            self._uncommitted.append(_Uncommitted(self._end_offset, deadline_ms, replies))
            self._time()
        else:
            _hand_out(replies)


def _told(error: KafkaError) -> KafkaError:
    return KafkaError(_TOLD.get(error.code, error.code), error.message)


def _hand_out(replies: Iterable[Reply]) -> None:
    for reply in replies:
        reply.answer.give(reply.outcome)


def _refused(replies: Iterable[Reply], error: KafkaError) -> list[Reply]:
    return [Reply(reply.answer, error) for reply in replies]
