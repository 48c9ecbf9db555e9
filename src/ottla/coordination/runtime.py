"""What a coordinator decides: records to write, replies to send, timers to set.

The cores do no I/O. A shell obeys an `Effects` in this order:

1. Append `records` as one batch (transactional where `producer` is set). Nothing else may reach the shard
   in between.
2. On success call `GroupShard.on_appended`: it returns further effects, to be obeyed after these. On failure
   call `GroupShard.on_append_failed`: it returns the effects to obey instead of these.
3. Obey `timers`, in order.
4. Send `replies` once every record so far is durable. That holds for further effects, too: they often have
   no records of their own and answer for those of the effects that they follow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ottla.protocol.errors import ErrorCode

Response: TypeAlias = dict[str, Any]
TimerKey: TypeAlias = tuple[str, ...]
"""Kind of timer, group id, and member id where the timer is one member's."""


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """Who asks: what a request's header and connection tell beside its body."""

    client_id: str
    client_host: str
    api_version: int
    reply_to: Hashable
    """Handed back in the `Reply`, perhaps much later: joins and syncs are parked."""


class CoordinatorRecord(NamedTuple):
    """A record of `__consumer_offsets`; no value is a tombstone."""

    key: bytes
    value: bytes | None
    applied: bool = False
    """The state shows it already, so it isn't replayed: classic groups change in memory and write after."""


class Reply(NamedTuple):
    """The answer to the request that came with `reply_to`."""

    reply_to: Hashable
    response: Response
    on_failure: Callable[[ErrorCode], Response] | None = None
    """Builds the answer where the records couldn't be written; None stands for a mere `error_code`."""


class SetTimer(NamedTuple):
    """Call `GroupShard.on_timer(key)` at the deadline; replaces a timer of the same key."""

    key: TimerKey
    deadline_ms: int


class CancelTimer(NamedTuple):
    """Forget the timer, if there is one."""

    key: TimerKey


Continuation: TypeAlias = Callable[[ErrorCode | None, int], "Effects"]
"""Called once after the append with None or the error, and the time in milliseconds."""


class Producer(NamedTuple):
    """The transactional producer on whose behalf records are written."""

    producer_id: int
    producer_epoch: int


@dataclass(slots=True)
class Effects:
    """The outcome of one step of a coordinator."""

    records: list[CoordinatorRecord] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    timers: list[SetTimer | CancelTimer] = field(default_factory=list)
    continuations: list[Continuation] = field(default_factory=list)
    producer: Producer | None = None

    @classmethod
    def reply_with(
        cls,
        info: RequestInfo,
        response: Mapping[str, Any],
        on_failure: Callable[[ErrorCode], Response] | None = None,
    ) -> Effects:
        """Effects that are only this reply."""
        return cls(replies=[Reply(info.reply_to, dict(response), on_failure)])

    def extend(self, other: Effects) -> Effects:
        """Append the other's effects to these, and return these."""
        self.records += other.records
        self.replies += other.replies
        self.timers += other.timers
        self.continuations += other.continuations
        self.producer = self.producer or other.producer
        return self


def once_written(timers: Sequence[SetTimer | CancelTimer]) -> Continuation:
    """Timers that must stay as they are where the records could not be written."""

    def obey(code: ErrorCode | None, _now_ms: int) -> Effects:
        return Effects(timers=list(timers)) if code is None else Effects()

    return obey
