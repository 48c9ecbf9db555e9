"""A member of a classic group, answer by answer."""

from __future__ import annotations

import pytest

from ottla.client.core.groups.classic import ClassicMember, GroupSettings, Outcome
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.heartbeat import HeartbeatResponse
from ottla.protocol.messages.join_group import JoinGroupResponse, JoinGroupResponseMember
from ottla.protocol.messages.sync_group import SyncGroupResponse

_SETTINGS = GroupSettings("g", session_timeout_ms=10_000, heartbeat_interval_ms=3_000)


def _joined(
    member_id: str = "m", generation: int = 1, leader: str = "other", **more: object
) -> JoinGroupResponse:
    return JoinGroupResponse(
        member_id=member_id, generation_id=generation, leader=leader, protocol_name="range", **more
    )


def _stable(settings: GroupSettings = _SETTINGS) -> ClassicMember:
    member = ClassicMember(settings)
    member.join([("range", b"x")])
    assert member.joined(_joined(), 0) is Outcome.done
    assert member.synced(SyncGroupResponse(assignment=b"mine"), 0) is Outcome.done
    return member


def test_two_step_join() -> None:
    member = ClassicMember(_SETTINGS)
    assert member.needs_join
    first = member.join([("range", b"x"), ("sticky", b"y")])
    assert [(each.name, each.metadata) for each in first.protocols] == [("range", b"x"), ("sticky", b"y")]
    assert (first.member_id, first.rebalance_timeout_ms) == ("", 300_000)

    refusal = JoinGroupResponse(error_code=ErrorCode.member_id_required, member_id="m")
    assert member.joined(refusal, 0) is Outcome.again
    assert member.needs_join

    assert member.join([("range", b"x")]).member_id == "m"
    assert member.joined(_joined(), 0) is Outcome.done
    assert not member.needs_join
    assert not member.is_leader
    assert not member.is_stable
    sync = member.sync({})
    assert (sync.generation_id, sync.member_id, sync.protocol_name) == (1, "m", "range")
    assert member.synced(SyncGroupResponse(assignment=b"mine"), 0) is Outcome.done
    assert member.is_stable


def test_leader_gets_the_members_and_says_who_gets_what() -> None:
    member = ClassicMember(_SETTINGS)
    member.join([("range", b"x")])
    others = [JoinGroupResponseMember(member_id=each, metadata=each.encode()) for each in "mn"]
    member.joined(_joined(leader="m", members=others), 0)
    assert member.must_assign
    assert [each.member_id for each in member.members] == ["m", "n"]
    sync = member.sync({"m": b"1", "n": b"2"})
    assert [(each.member_id, each.assignment) for each in sync.assignments] == [("m", b"1"), ("n", b"2")]


def test_leader_that_need_not_assign() -> None:
    member = ClassicMember(_SETTINGS)
    member.join([("range", b"x")])
    member.joined(_joined(leader="m", skip_assignment=True), 0)
    assert member.is_leader
    assert not member.must_assign


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (ErrorCode.coordinator_load_in_progress, Outcome.later),
        (ErrorCode.not_coordinator, Outcome.elsewhere),
        (ErrorCode.coordinator_not_available, Outcome.elsewhere),
        (ErrorCode.rebalance_in_progress, Outcome.rejoin),
        (ErrorCode.unknown_member_id, Outcome.rejoin),
        (ErrorCode.fenced_instance_id, Outcome.fatal),
        (ErrorCode.group_max_size_reached, Outcome.fatal),
        (ErrorCode.inconsistent_group_protocol, Outcome.fatal),
        (ErrorCode.group_authorization_failed, Outcome.fatal),
    ],
)
def test_refused_joins(code: ErrorCode, outcome: Outcome) -> None:
    member = ClassicMember(_SETTINGS, member_id="m")
    member.join([])
    assert member.joined(JoinGroupResponse(error_code=code), 0) is outcome
    assert member.needs_join is (outcome is not Outcome.fatal)
    assert (member.error is code) is (outcome is Outcome.fatal)
    assert (member.member_id == "") is (code is ErrorCode.unknown_member_id)


def test_another_protocol_type_is_no_group_of_ours() -> None:
    member = ClassicMember(_SETTINGS)
    member.join([])
    assert member.joined(_joined(protocol_type="connect"), 0) is Outcome.fatal
    assert member.error is ErrorCode.inconsistent_group_protocol


def test_sync_that_comes_too_late_joins_again_as_the_same_member() -> None:
    member = ClassicMember(_SETTINGS)
    member.join([])
    member.joined(_joined(), 0)
    assert member.synced(SyncGroupResponse(error_code=ErrorCode.rebalance_in_progress), 0) is Outcome.rejoin
    assert member.needs_join
    assert member.join([]).member_id == "m"


def test_heartbeats() -> None:
    member = _stable()
    assert member.heartbeat_at_ms() == 3_000
    request = member.heartbeat(3_000)
    assert (request.generation_id, request.member_id) == (1, "m")
    assert member.heartbeat_at_ms() == 6_000
    assert member.heartbeat_answered(request, HeartbeatResponse()) is Outcome.done


def test_heartbeat_tells_of_a_rebalance() -> None:
    member = _stable()
    answer = HeartbeatResponse(error_code=ErrorCode.rebalance_in_progress)
    assert member.heartbeat_answered(member.heartbeat(5_000), answer) is Outcome.rejoin
    assert member.needs_join
    assert member.generation == 1
    assert not member.was_lost


@pytest.mark.parametrize(
    ("code", "member_id"), [(ErrorCode.unknown_member_id, ""), (ErrorCode.illegal_generation, "m")]
)
def test_heartbeat_of_one_who_is_out(code: ErrorCode, member_id: str) -> None:
    member = _stable()
    request = member.heartbeat(1)
    assert member.heartbeat_answered(request, HeartbeatResponse(error_code=code)) is Outcome.rejoin
    assert member.was_lost
    assert (member.generation, member.member_id) == (-1, member_id)


def test_answer_to_a_heartbeat_of_an_older_generation_says_nothing() -> None:
    member = _stable()
    old = member.heartbeat(1)
    answer = HeartbeatResponse(error_code=ErrorCode.illegal_generation)
    member.join([])
    assert member.heartbeat_at_ms() is None
    assert member.heartbeat_answered(old, answer) is Outcome.done
    member.joined(_joined(generation=2), 2)
    assert member.heartbeat_answered(old, answer) is Outcome.done
    assert member.generation == 2
    assert not member.was_lost


def test_join_without_an_answer_is_tried_again() -> None:
    member = ClassicMember(_SETTINGS)
    member.join([])
    member.not_joined()
    assert member.needs_join


def test_fenced_static_member_is_finished() -> None:
    member = _stable(_SETTINGS._replace(instance_id="i"))
    answer = HeartbeatResponse(error_code=ErrorCode.fenced_instance_id)
    assert member.heartbeat_answered(member.heartbeat(1), answer) is Outcome.fatal
    assert member.error is ErrorCode.fenced_instance_id


def test_leaving() -> None:
    member = _stable()
    request = member.leave("r" * 300)
    assert request is not None
    assert (request.member_id, request.members[0].member_id) == ("m", "m")
    assert len(request.members[0].reason or "") == 255
    assert member.needs_join
    assert member.leave("again") is None


def test_who_leaves_before_its_join_is_answered_is_known_by_the_id_it_was_given() -> None:
    member = ClassicMember(_SETTINGS)
    member.join([("range", b"x")])
    member.joined(JoinGroupResponse(error_code=ErrorCode.member_id_required, member_id="m"), 0)
    member.join([("range", b"x")])
    request = member.leave("bye")
    assert request is not None
    assert request.members[0].member_id == "m"


def test_who_was_never_given_an_id_has_nothing_to_leave() -> None:
    member = ClassicMember(_SETTINGS)
    member.join([("range", b"x")])
    assert member.leave("bye") is None


def test_static_member_stays_when_it_closes() -> None:
    assert _stable(_SETTINGS._replace(instance_id="i")).leave("bye") is None
