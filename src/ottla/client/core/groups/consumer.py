"""A member of a KIP-848 group: ConsumerGroupHeartbeat and nothing else.

The coordinator assigns. It sends the assignment it has in mind for this member; the member gives up what is
not in it, says so, and is sent what others have given up. Requests carry only what changed since the
coordinator last answered. Pure: the shell sends heartbeats when they are due, and does what must be
reconciled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from ottla.client.core.groups.classic import Outcome
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import code_of
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatRequestTopicPartitions,
    ConsumerGroupHeartbeatResponse,
)

JOIN_EPOCH: Final = 0
LEAVE_EPOCH: Final = -1
LEAVE_STATIC_EPOCH: Final = -2

_OUTCOMES: Final[Mapping[int, Outcome]] = {
    ErrorCode.none: Outcome.done,
    ErrorCode.coordinator_load_in_progress: Outcome.later,
    ErrorCode.coordinator_not_available: Outcome.elsewhere,
    ErrorCode.not_coordinator: Outcome.elsewhere,
    ErrorCode.fenced_member_epoch: Outcome.rejoin,
    ErrorCode.unknown_member_id: Outcome.rejoin,
    ErrorCode.unknown_server_error: Outcome.later,
    ErrorCode.request_timed_out: Outcome.later,
    ErrorCode.topic_authorization_failed: Outcome.later,
}


class ConsumerGroupSettings(NamedTuple):
    group_id: str
    instance_id: str | None = None
    client_rack: str | None = None
    max_poll_interval_ms: int = 300_000
    server_assignor: str | None = None
    """`group.remote.assignor`: None leaves it to the coordinator."""


class Reconciliation(NamedTuple):
    """What to give up, and then what to take. `unresolved` are topics whose names are not known yet."""

    revoked: Sequence[TopicPartition]
    added: Sequence[TopicPartition]
    unresolved: Sequence[UUID]
    target: Mapping[UUID, tuple[int, ...]]


@dataclass(slots=True)
class ConsumerMember:
    """One member. `member_id` is made by the client (KIP-1082); brokers of version 0 give another."""

    settings: ConsumerGroupSettings
    member_id: str
    epoch: int = JOIN_EPOCH
    topics: Sequence[str] | None = None
    """The subscription by names, or `regex`, RE2's syntax, which the coordinator resolves."""
    regex: str | None = None
    owned: dict[UUID, tuple[int, ...]] = field(default_factory=dict)
    """What is held, as the coordinator was or will be told."""
    error: ErrorCode = ErrorCode.none
    error_message: str | None = None
    is_member: bool = False
    was_lost: bool = False
    """The coordinator has fenced us: what was assigned may be somebody else's already."""

    _target: dict[UUID, tuple[int, ...]] | None = None
    """What the coordinator wants; None while it wants nothing new."""
    _interval_ms: int = 3_000
    _due_ms: int = 0
    _sent: tuple[object, ...] | None = None
    """Subscription and options that the coordinator has; None: tell it all."""
    _sending: tuple[object, ...] | None = None
    _acknowledges: bool = False
    _is_asked: bool = False
    """The coordinator may have taken a heartbeat whose answer has not come."""

    def subscribe(self, topics: Collection[str] | None, regex: str | None, now_ms: int) -> None:
        """The next heartbeat says it, at once."""
        self.topics = None if topics is None else sorted(topics)
        self.regex = regex
        self._due_ms = min(self._due_ms, now_ms)

    def heartbeat_at_ms(self) -> int:
        return self._due_ms

    def heartbeat(self, now_ms: int) -> ConsumerGroupHeartbeatRequest:
        """The heartbeat that is due; `answered` or `unanswered` is to be called with what comes of it."""
        settings = self.settings
        self._due_ms = now_ms + self._interval_ms
        is_joining = self.epoch == JOIN_EPOCH
        whole = is_joining or self._sent is None
        state = self._state()
        changed = whole or state != self._sent
        self._sending = state
        self._is_asked = True
        request = ConsumerGroupHeartbeatRequest(
            group_id=settings.group_id,
            member_id=self.member_id,
            member_epoch=self.epoch,
            instance_id=settings.instance_id,
        )
        if whole:
            request.rack_id = settings.client_rack
            request.rebalance_timeout_ms = settings.max_poll_interval_ms
            request.server_assignor = settings.server_assignor
        if changed:
            request.subscribed_topic_names = self.topics if self.topics is not None else ()
            request.subscribed_topic_regex = self.regex if self.regex is not None else None
            if self.regex is None and self._sent is not None and self._sent[1] is not None:
                request.subscribed_topic_regex = ""  # no longer by pattern
        if whole or self._acknowledges:
            owned = {} if is_joining else self.owned
            request.topic_partitions = [
                ConsumerGroupHeartbeatRequestTopicPartitions(topic_id=topic_id, partitions=partitions)
                for topic_id, partitions in owned.items()
            ]
        self._acknowledges = False
        return request

    def _state(self) -> tuple[object, ...]:
        return (None if self.topics is None else tuple(self.topics), self.regex)

    def unanswered(self, now_ms: int, retry_ms: int) -> None:
        """Whether the coordinator took it is not known: tell it all next time."""
        self._sent = None
        self._due_ms = now_ms + retry_ms

    def answered(
        self,
        request: ConsumerGroupHeartbeatRequest,
        response: ConsumerGroupHeartbeatResponse,
        now_ms: int,
        retry_ms: int,
    ) -> Outcome:
        """`rejoin`: what was assigned is lost, and the next heartbeat joins again."""
        code = response.error_code
        outcome = _OUTCOMES.get(code, Outcome.fatal)
        if request.member_id != self.member_id or request.member_epoch != self.epoch:
            return Outcome.done  # an answer to what we were before
        self._is_asked = False
        if outcome is Outcome.done:
            self._sent = self._sending
            self._take_over(response, now_ms)
            return outcome
        self.error = code_of(code)
        self.error_message = response.error_message
        self._sent = None
        if outcome is Outcome.rejoin:
            self.lose()
            self._due_ms = now_ms
        elif outcome is Outcome.fatal:
            self.is_member = False
        else:
            self._due_ms = now_ms + retry_ms
        return outcome

    def _take_over(self, response: ConsumerGroupHeartbeatResponse, now_ms: int) -> None:
        self.error, self.error_message = ErrorCode.none, None
        self.is_member = True
        if response.member_id:
            self.member_id = response.member_id
        self.epoch = response.member_epoch
        self._interval_ms = max(response.heartbeat_interval_ms, 1)
        if not self._acknowledges:
            self._due_ms = min(self._due_ms, now_ms + self._interval_ms)
        if response.assignment is not None:
            target: dict[UUID, tuple[int, ...]] = {}
            for each in response.assignment.topic_partitions:
                if each.topic_id is not None and each.partitions:
                    target[each.topic_id] = tuple(sorted(each.partitions))
            self._target = target

    # --- reconciliation

    @property
    def is_reconciling(self) -> bool:
        return self._target is not None

    def reconciliation(
        self, names: Mapping[UUID, str], held: Collection[TopicPartition]
    ) -> Reconciliation | None:
        """What is to be done for the coordinator's target; None where nothing is, or names must be had first.

        `held` is what the application has now. Topics without a name are taken as far as they are known.
        """
        target = self._target
        if target is None:
            return None
        known = {topic_id: partitions for topic_id, partitions in target.items() if topic_id in names}
        wanted = {
            TopicPartition(names[topic_id], partition): None
            for topic_id, partitions in known.items()
            for partition in partitions
        }
        held_now = dict.fromkeys(held)
        return Reconciliation(
            revoked=[each for each in held_now if each not in wanted],
            added=[each for each in wanted if each not in held_now],
            unresolved=[topic_id for topic_id in target if topic_id not in names],
            target=known,
        )

    def reconciled(self, done: Reconciliation, now_ms: int) -> None:
        """Carried out: the coordinator is told at once. A target that came meanwhile is next."""
        self.owned = dict(done.target)
        if self._target is not None and self._target == self.owned:
            self._target = None
        self._acknowledges = True
        self._due_ms = now_ms

    # --- the end of a membership

    def lose(self) -> None:
        """Fenced: nothing is ours any more. The next heartbeat joins again."""
        self.epoch = JOIN_EPOCH
        self.is_member = False
        self.was_lost = True
        self.owned = {}
        self._target = None
        self._sent = None
        self._acknowledges = False
        self._is_asked = False

    def leave(self) -> ConsumerGroupHeartbeatRequest | None:
        """A static member is expected back. None where the coordinator does not know us."""
        known = self.is_member or self.epoch > 0 or self._is_asked
        request = ConsumerGroupHeartbeatRequest(
            group_id=self.settings.group_id,
            member_id=self.member_id,
            member_epoch=LEAVE_EPOCH if self.settings.instance_id is None else LEAVE_STATIC_EPOCH,
            instance_id=self.settings.instance_id,
        )
        self.lose()
        self.was_lost = False
        return request if known else None
