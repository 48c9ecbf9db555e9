"""A member of a KIP-848 group, heartbeat by heartbeat."""

from __future__ import annotations

from uuid import UUID

import pytest

from ottla.client.core.groups.classic import Outcome
from ottla.client.core.groups.consumer import ConsumerGroupSettings, ConsumerMember
from ottla.client.core.metadata import TopicPartition
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.consumer_group_heartbeat import (
    Assignment,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatResponseTopicPartitions,
)

_T, _U = UUID(int=1), UUID(int=2)
_NAMES = {_T: "t", _U: "u"}


def _answer(epoch: int, assignment: dict[UUID, list[int]] | None = None) -> ConsumerGroupHeartbeatResponse:
    return ConsumerGroupHeartbeatResponse(
        member_id="m",
        member_epoch=epoch,
        heartbeat_interval_ms=5_000,
        assignment=None
        if assignment is None
        else Assignment(
            topic_partitions=[
                ConsumerGroupHeartbeatResponseTopicPartitions(topic_id=each, partitions=partitions)
                for each, partitions in assignment.items()
            ]
        ),
    )


def _member(**more: str) -> ConsumerMember:
    member = ConsumerMember(ConsumerGroupSettings("g", **more), "m")
    member.subscribe(["u", "t"], None, 0)
    return member


def _reported(request: ConsumerGroupHeartbeatRequest) -> dict[UUID | None, list[int]] | None:
    if request.topic_partitions is None:
        return None
    return {each.topic_id: list(each.partitions) for each in request.topic_partitions}


def _hold(member: ConsumerMember, held: list[TopicPartition]) -> None:
    """Carries out what the coordinator wants."""
    work = member.reconciliation(_NAMES, held)
    assert work is not None
    held[:] = [each for each in held if each not in work.revoked] + list(work.added)
    member.reconciled(work, 0)


def _stable(**more: str) -> tuple[ConsumerMember, list[TopicPartition]]:
    member, held = _member(**more), list[TopicPartition]()
    member.answered(member.heartbeat(0), _answer(1, {_T: [0, 1]}), 0, 100)
    _hold(member, held)
    member.answered(member.heartbeat(0), _answer(1), 0, 100)
    return member, held


def test_joining_says_everything() -> None:
    request = _member(instance_id="i", client_rack="r", server_assignor="range").heartbeat(0)
    assert (request.member_epoch, request.member_id, request.instance_id) == (0, "m", "i")
    assert (request.rack_id, request.server_assignor, request.rebalance_timeout_ms) == ("r", "range", 300_000)
    assert request.subscribed_topic_names == ["t", "u"]
    assert _reported(request) == {}


def test_assignment_is_taken_and_acknowledged_at_once() -> None:
    member, held = _member(), list[TopicPartition]()
    assert member.answered(member.heartbeat(0), _answer(1, {_T: [1, 0]}), 10, 100) is Outcome.done
    assert member.heartbeat_at_ms() == 3_000
    work = member.reconciliation(_NAMES, held)
    assert work is not None
    assert work.added == [TopicPartition("t", 0), TopicPartition("t", 1)]
    member.reconciled(work, 20)
    assert member.heartbeat_at_ms() == 20
    request = member.heartbeat(20)
    assert _reported(request) == {_T: [0, 1]}
    assert request.subscribed_topic_names is None
    assert request.rebalance_timeout_ms == -1
    member.answered(request, _answer(1), 20, 100)
    assert _reported(member.heartbeat(5_020)) is None


def test_what_is_not_wanted_any_more_is_given_up_before_something_new_is_taken() -> None:
    member, held = _stable()
    member.answered(member.heartbeat(0), _answer(2, {_T: [1], _U: [0]}), 0, 100)
    work = member.reconciliation(_NAMES, held)
    assert work is not None
    assert (list(work.revoked), list(work.added)) == ([TopicPartition("t", 0)], [TopicPartition("u", 0)])


def test_unknown_topics_wait_for_their_names() -> None:
    member, held = _stable()
    member.answered(member.heartbeat(0), _answer(2, {_T: [0, 1], _U: [0]}), 0, 100)
    work = member.reconciliation({_T: "t"}, held)
    assert work is not None
    assert work.unresolved == [_U]
    member.reconciled(work, 0)
    assert member.is_reconciling
    _hold(member, held)
    assert not member.is_reconciling
    assert TopicPartition("u", 0) in held


def test_target_that_comes_during_a_reconciliation_is_next() -> None:
    member, held = _stable()
    member.answered(member.heartbeat(0), _answer(2, {_T: [0]}), 0, 100)
    work = member.reconciliation(_NAMES, held)
    assert work is not None
    member.answered(member.heartbeat(0), _answer(3, {_T: [1]}), 0, 100)
    member.reconciled(work, 0)
    assert member.is_reconciling
    assert _reported(member.heartbeat(0)) == {_T: [0]}


def test_changed_subscription_is_said_once() -> None:
    member, _ = _stable()
    member.subscribe(["v"], None, 0)
    assert member.heartbeat_at_ms() == 0
    request = member.heartbeat(0)
    assert request.subscribed_topic_names == ["v"]
    assert request.subscribed_topic_regex is None
    member.answered(request, _answer(1), 0, 100)
    assert member.heartbeat(0).subscribed_topic_names is None


def test_pattern_and_back() -> None:
    member, _ = _stable()
    member.subscribe(None, "t.*", 0)
    request = member.heartbeat(0)
    assert (request.subscribed_topic_names, request.subscribed_topic_regex) == ((), "t.*")
    member.answered(request, _answer(1), 0, 100)
    member.subscribe(["t"], None, 0)
    request = member.heartbeat(0)
    assert (request.subscribed_topic_names, request.subscribed_topic_regex) == (["t"], "")


@pytest.mark.parametrize("code", [ErrorCode.fenced_member_epoch, ErrorCode.unknown_member_id])
def test_fenced_member_loses_all_and_joins_again(code: ErrorCode) -> None:
    member, _ = _stable()
    response = ConsumerGroupHeartbeatResponse(error_code=code)
    assert member.answered(member.heartbeat(7), response, 7, 100) is Outcome.rejoin
    assert member.was_lost
    assert member.heartbeat_at_ms() == 7
    request = member.heartbeat(7)
    assert (request.member_epoch, request.member_id, _reported(request)) == (0, "m", {})
    assert request.subscribed_topic_names == ["t", "u"]


def test_no_answer_has_everything_said_again() -> None:
    member, _ = _stable()
    member.heartbeat(0)
    member.unanswered(0, 100)
    assert member.heartbeat_at_ms() == 100
    request = member.heartbeat(100)
    assert request.member_epoch == 1
    assert request.subscribed_topic_names == ["t", "u"]
    assert request.rebalance_timeout_ms == 300_000
    assert _reported(request) == {_T: [0, 1]}


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (ErrorCode.not_coordinator, Outcome.elsewhere),
        (ErrorCode.coordinator_load_in_progress, Outcome.later),
        (ErrorCode.unreleased_instance_id, Outcome.fatal),
        (ErrorCode.fenced_instance_id, Outcome.fatal),
        (ErrorCode.group_max_size_reached, Outcome.fatal),
        (ErrorCode.unsupported_assignor, Outcome.fatal),
        (ErrorCode.invalid_regular_expression, Outcome.fatal),
        (ErrorCode.topic_authorization_failed, Outcome.later),
    ],
)
def test_refusals(code: ErrorCode, outcome: Outcome) -> None:
    member, _ = _stable()
    response = ConsumerGroupHeartbeatResponse(error_code=code, error_message="why")
    assert member.answered(member.heartbeat(0), response, 0, 100) is outcome
    assert (member.error, member.error_message) == (code, "why")
    assert not member.was_lost


def test_leaving() -> None:
    member, _ = _stable()
    request = member.leave()
    assert request is not None
    assert (request.member_id, request.member_epoch) == ("m", -1)
    assert member.leave() is None


def test_who_leaves_before_its_join_is_answered_may_be_known() -> None:
    member = _member()
    assert member.leave() is None
    member.heartbeat(0)
    request = member.leave()
    assert request is not None
    assert (request.member_id, request.member_epoch) == ("m", -1)
    member.heartbeat(0)
    member.unanswered(1, 100)
    assert member.leave() is not None


def test_who_was_refused_has_nothing_to_leave() -> None:
    member = _member()
    refusal = ConsumerGroupHeartbeatResponse(error_code=ErrorCode.group_authorization_failed)
    member.answered(member.heartbeat(0), refusal, 0, 100)
    assert member.leave() is None


def test_static_member_says_that_it_comes_back() -> None:
    member, _ = _stable(instance_id="i")
    request = member.leave()
    assert request is not None
    assert (request.instance_id, request.member_epoch) == ("i", -2)
