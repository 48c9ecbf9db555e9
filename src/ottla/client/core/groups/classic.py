"""A member of a classic group: JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

The members assign among themselves: the coordinator picks a leader, which is told what each member said of
itself and says what each gets. What these bytes mean is the protocol type's business (`consumer`, `connect`,
...), not this machine's. Static members (KIP-345), the two-step join (KIP-394) and a leader that need not
assign (KIP-814) are included. Pure: the shell sends the requests, hands the answers in, and does what the
outcome says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from ottla.client.errors import code_of
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from ottla.protocol.messages.join_group import (
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
    JoinGroupResponseMember,
)
from ottla.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from ottla.protocol.messages.sync_group import (
    SyncGroupRequest,
    SyncGroupRequestAssignment,
    SyncGroupResponse,
)

NO_GENERATION: Final = -1
NO_MEMBER_ID: Final = ""
_LONGEST_REASON: Final = 255  # KIP-800


class Outcome(Enum):
    """What to do after an answer."""

    done = "go on"
    again = "ask again at once"
    later = "ask again after a while"
    elsewhere = "find the coordinator, then ask again"
    rejoin = "join again"
    fatal = "tell the application"


class GroupSettings(NamedTuple):
    """Kafka's settings of a group member. The time a rebalance may take is `max.poll.interval.ms`."""

    group_id: str
    protocol_type: str = "consumer"
    instance_id: str | None = None
    session_timeout_ms: int = 45_000
    heartbeat_interval_ms: int = 3_000
    max_poll_interval_ms: int = 300_000


_COORDINATOR_ERRORS: Final[Mapping[int, Outcome]] = {
    ErrorCode.none: Outcome.done,
    ErrorCode.coordinator_load_in_progress: Outcome.later,
    ErrorCode.coordinator_not_available: Outcome.elsewhere,
    ErrorCode.not_coordinator: Outcome.elsewhere,
    ErrorCode.rebalance_in_progress: Outcome.rejoin,
    ErrorCode.unknown_member_id: Outcome.rejoin,
    ErrorCode.illegal_generation: Outcome.rejoin,
    ErrorCode.member_id_required: Outcome.again,
    ErrorCode.unknown_server_error: Outcome.later,
    ErrorCode.request_timed_out: Outcome.later,
}


@dataclass(slots=True)
class ClassicMember:
    """One member, over all of its generations."""

    settings: GroupSettings
    member_id: str = NO_MEMBER_ID
    generation: int = NO_GENERATION
    protocol: str | None = None
    leader_id: str = ""
    members: Sequence[JoinGroupResponseMember] = ()
    """What each member said of itself: for the leader only."""
    must_assign: bool = False
    """Whether this member is the leader and is to say who gets what."""
    needs_join: bool = True
    is_stable: bool = False
    """Whether the assignment of the current generation has come."""
    error: ErrorCode = ErrorCode.none
    """Why the last outcome was fatal."""
    was_lost: bool = False
    """The coordinator has thrown us out: what was assigned may be somebody else's already."""

    is_joining: bool = False
    """A join is under way: heartbeats of the old generation mean nothing now, and none are to be sent."""

    _reason: str = "the member joins for the first time"
    _heartbeat_at_ms: int = 0
    _known_to_coordinator: bool = field(default=False)

    @property
    def is_leader(self) -> bool:
        return bool(self.member_id) and self.member_id == self.leader_id

    def request_rejoin(self, reason: str) -> None:
        """A new generation is wanted: what this member says of itself, or what is to be assigned, changed."""
        self.needs_join = True
        self._reason = reason

    # --- joining

    def join(self, protocols: Sequence[tuple[str, bytes]]) -> JoinGroupRequest:
        """`protocols` are names and metadata, preferred ones first. It is answered when all have joined, or
        the rebalance timeout has passed.
        """
        settings = self.settings
        self.needs_join = False
        self.is_stable = False
        self.is_joining = True
        return JoinGroupRequest(
            group_id=settings.group_id,
            session_timeout_ms=settings.session_timeout_ms,
            rebalance_timeout_ms=settings.max_poll_interval_ms,
            member_id=self.member_id,
            group_instance_id=settings.instance_id,
            protocol_type=settings.protocol_type,
            protocols=[
                JoinGroupRequestProtocol(name=name, metadata=metadata) for name, metadata in protocols
            ],
            reason=self._reason[:_LONGEST_REASON],
        )

    def joined(self, response: JoinGroupResponse, now_ms: int) -> Outcome:
        """`done`: go on with `sync`."""
        self.is_joining = False
        if response.error_code == ErrorCode.member_id_required:
            self.member_id = response.member_id
            self._known_to_coordinator = True  # which counts on us from now on
            self.needs_join = True
            return Outcome.again
        outcome = self._judge(response.error_code)
        if outcome is not Outcome.done:
            self.needs_join = outcome is not Outcome.fatal
            return outcome
        if response.protocol_type not in (None, "", self.settings.protocol_type):
            return self._fail(ErrorCode.inconsistent_group_protocol)
        self.member_id = response.member_id
        self.generation = response.generation_id
        self.protocol = response.protocol_name
        self.leader_id = response.leader
        self.must_assign = self.is_leader and not response.skip_assignment
        self.members = response.members if self.is_leader else ()
        self._known_to_coordinator = True
        self._alive(now_ms)
        return Outcome.done

    def not_joined(self) -> None:
        """No answer came: whether the coordinator took the join is not known."""
        self.is_joining = False
        self.request_rejoin("the coordinator did not answer")

    def sync(self, assignments: Mapping[str, bytes]) -> SyncGroupRequest:
        """`assignments` by member id are the leader's to give, others give none."""
        return SyncGroupRequest(
            group_id=self.settings.group_id,
            generation_id=self.generation,
            member_id=self.member_id,
            group_instance_id=self.settings.instance_id,
            protocol_type=self.settings.protocol_type,
            protocol_name=self.protocol,
            assignments=[
                SyncGroupRequestAssignment(member_id=member_id, assignment=assignment)
                for member_id, assignment in assignments.items()
            ],
        )

    def synced(self, response: SyncGroupResponse, now_ms: int) -> Outcome:
        """`done`: `response.assignment` is this member's."""
        outcome = self._judge(response.error_code)
        if outcome is Outcome.done:
            self.is_stable = True
            self.members = ()
            self._alive(now_ms)
        elif outcome is not Outcome.fatal:
            # The generation may have moved on meanwhile, and only a join says whether it has.
            self.request_rejoin("the assignment could not be had")
            if outcome is Outcome.again:
                outcome = Outcome.rejoin
        return outcome

    # --- staying

    def heartbeat_at_ms(self) -> int | None:
        """When the next heartbeat is due; None while none is."""
        return None if self.generation < 0 or self.is_joining else self._heartbeat_at_ms

    def heartbeat(self, now_ms: int) -> HeartbeatRequest:
        self._heartbeat_at_ms = now_ms + self.settings.heartbeat_interval_ms
        return HeartbeatRequest(
            group_id=self.settings.group_id,
            generation_id=self.generation,
            member_id=self.member_id,
            group_instance_id=self.settings.instance_id,
        )

    def heartbeat_answered(self, request: HeartbeatRequest, response: HeartbeatResponse) -> Outcome:
        """An answer to a heartbeat of an older generation says nothing of this one."""
        is_old = request.generation_id != self.generation or request.member_id != self.member_id
        if is_old or self.is_joining:
            return Outcome.done
        code = response.error_code
        if code == ErrorCode.rebalance_in_progress:
            if self.is_stable:
                self.request_rejoin("the group is rebalancing")
                return Outcome.rejoin
            return Outcome.done
        outcome = self._judge(code)
        if outcome is Outcome.rejoin:
            self.is_stable = False
        return outcome

    # --- leaving

    def leave(self, reason: str) -> LeaveGroupRequest | None:
        """None where the coordinator does not know us, or shall keep us: a static member comes back."""
        known = self._known_to_coordinator and bool(self.member_id)
        member_id = self.member_id
        self.forget("the member left")
        self.was_lost = False
        if not known or self.settings.instance_id is not None:
            return None
        return LeaveGroupRequest(
            group_id=self.settings.group_id,
            member_id=member_id,
            members=[MemberIdentity(member_id=member_id, reason=reason[:_LONGEST_REASON])],
        )

    def forget(self, reason: str) -> None:
        """Begin anew as a member that nobody knows."""
        self.member_id = NO_MEMBER_ID
        self._known_to_coordinator = False
        self._forget_generation(reason)

    def _forget_generation(self, reason: str) -> None:
        self.generation = NO_GENERATION
        self.is_stable = False
        self.was_lost = True
        self.members = ()
        self.request_rejoin(reason)

    def _alive(self, now_ms: int) -> None:
        self._heartbeat_at_ms = now_ms + self.settings.heartbeat_interval_ms

    def _judge(self, code: int) -> Outcome:
        if code == ErrorCode.unknown_member_id:
            self.forget("the coordinator did not know the member")
        elif code == ErrorCode.illegal_generation:
            self._forget_generation("the member's generation was over")
        outcome = _COORDINATOR_ERRORS.get(code)
        return self._fail(code) if outcome is None else outcome

    def _fail(self, code: int) -> Outcome:
        self.error = code_of(code)
        self.is_stable = False
        return Outcome.fatal
