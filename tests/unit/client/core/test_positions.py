"""Where a consumer stands: commits, resets, seeks, leaders that change and logs that are truncated."""

from __future__ import annotations

from uuid import UUID

import pytest

from ottla.client.core.metadata import TopicPartition
from ottla.client.core.positions import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    OffsetReset,
    PartitionState,
    Phase,
    Position,
    Positions,
)

_P = TopicPartition("t", 0)


def _positions(policy: str = "earliest", *, at: Position | None = None, epoch: int = -1) -> Positions:
    positions = Positions(OffsetReset(policy))
    positions.assign([_P])
    if at is not None:
        positions.seek(_P, at)
        positions.states[_P].phase = Phase.fetching
        positions.states[_P].leader_epoch = epoch
    return positions


def _state(positions: Positions) -> PartitionState:
    return positions.states[_P]


def test_committed_offset_is_the_position() -> None:
    positions = _positions()
    assert positions.awaiting(0) == {Phase.committed: [_state(positions)]}
    positions.committed({_P: Position(7)}, 0)
    assert (_state(positions).phase, _state(positions).position) == (Phase.fetching, Position(7))


def test_committed_offset_with_an_epoch_is_validated_first() -> None:
    positions = _positions()
    positions.committed({_P: Position(7, 3)}, 0)
    assert _state(positions).phase is Phase.validation


@pytest.mark.parametrize(
    ("reset", "timestamp"),
    [
        (OffsetReset("earliest"), EARLIEST_TIMESTAMP),
        (OffsetReset("latest"), LATEST_TIMESTAMP),
        (OffsetReset("by_duration", 400), 600),
        (OffsetReset("by_duration", 4000), 0),
    ],
)
def test_nothing_committed_resets_by_policy(reset: OffsetReset, timestamp: int) -> None:
    positions = Positions(reset)
    positions.assign([_P])
    positions.committed({_P: None}, 1000)
    assert (_state(positions).phase, _state(positions).reset_timestamp) == (Phase.reset, timestamp)
    positions.was_reset(_P, timestamp, Position(5, 2))
    assert (_state(positions).phase, _state(positions).position) == (Phase.fetching, Position(5))
    assert _state(positions).leader_epoch == 2


def test_nothing_committed_and_no_policy_is_told() -> None:
    positions = _positions("none")
    positions.committed({_P: None}, 0)
    (error,) = positions.take_errors()
    assert (error.partition, error.position) == (_P, None)
    assert positions.take_errors() == []
    assert _state(positions).phase is Phase.lost
    positions.seek(_P, Position(1))
    assert _state(positions).phase is Phase.fetching


def test_seek_wins_over_answers_that_are_under_way() -> None:
    positions = _positions()
    positions.seek(_P, Position(9))
    positions.committed({_P: Position(1)}, 0)
    positions.seek_to(_P, LATEST_TIMESTAMP)
    positions.was_reset(_P, EARLIEST_TIMESTAMP, Position(0))
    assert _state(positions).phase is Phase.reset
    positions.seek(_P, Position(3))
    positions.was_reset(_P, LATEST_TIMESTAMP, Position(100))
    assert _state(positions).position == Position(3)


def test_each_jump_voids_what_was_fetched() -> None:
    positions = _positions(at=Position(1))
    versions = {_state(positions).version}
    positions.seek(_P, Position(1))
    versions.add(_state(positions).version)
    positions.remove([_P])
    positions.add(_P)
    versions.add(_state(positions).version)
    assert len(versions) == 3


def test_assign_keeps_what_stays() -> None:
    positions = _positions(at=Position(4))
    other = TopicPartition("t", 1)
    positions.assign([other, _P])
    assert _state(positions).position == Position(4)
    positions.assign([other])
    assert list(positions.states) == [other]


def test_new_leader_has_the_position_validated() -> None:
    positions = _positions(at=Position(10, 3), epoch=3)
    positions.notice_leaders(lambda _: (1, 3))
    assert _state(positions).phase is Phase.fetching
    positions.notice_leaders(lambda _: (2, 4))
    assert (_state(positions).phase, _state(positions).leader_epoch) == (Phase.validation, 4)
    positions.notice_leaders(lambda _: (1, 2))
    assert _state(positions).leader_epoch == 4
    positions.validated(_P, Position(10, 3), Position(12, 3), 0)
    assert (_state(positions).phase, _state(positions).position) == (Phase.fetching, Position(10, 3))


def test_position_without_an_epoch_is_not_validated() -> None:
    positions = _positions(at=Position(10), epoch=3)
    positions.notice_leaders(lambda _: (2, 4))
    assert _state(positions).phase is Phase.fetching


def test_truncated_log_is_read_from_where_it_diverged() -> None:
    positions = _positions(at=Position(10, 3), epoch=3)
    positions.notice_leaders(lambda _: (2, 4))
    positions.validated(_P, Position(10, 3), Position(6, 2), 0)
    assert (_state(positions).phase, _state(positions).position) == (Phase.fetching, Position(6, 2))


def test_truncated_log_is_told_without_a_policy() -> None:
    positions = _positions("none", at=Position(10, 3), epoch=3)
    positions.notice_leaders(lambda _: (2, 4))
    positions.validated(_P, Position(10, 3), Position(6, 2), 0)
    (error,) = positions.take_errors()
    assert (error.position, error.diverged_at) == (Position(10, 3), Position(6, 2))


def test_only_what_was_fetched_ahead_was_truncated() -> None:
    positions = _positions(at=Position(10, 3), epoch=3)
    state, version = _state(positions), _state(positions).version
    state.fetched = Position(20, 3)
    positions.notice_leaders(lambda _: (2, 4))
    positions.validated(_P, Position(20, 3), Position(15, 3), 0)
    assert (state.position, state.fetched) == (Position(10, 3), Position(10, 3))
    assert state.version != version


@pytest.mark.parametrize("end", [None, Position(-1, -1), Position(5, -1)])
def test_leader_that_cannot_say_has_the_policy_decide(end: Position | None) -> None:
    positions = _positions("latest", at=Position(10, 3), epoch=3)
    positions.notice_leaders(lambda _: (2, 4))
    positions.validated(_P, Position(10, 3), end, 0)
    assert (_state(positions).phase, _state(positions).reset_timestamp) == (Phase.reset, LATEST_TIMESTAMP)


def test_answer_to_an_older_validation_says_nothing() -> None:
    positions = _positions(at=Position(10, 3), epoch=3)
    positions.seek(_P, Position(50, 3))
    positions.validated(_P, Position(10, 3), Position(6, 2), 0)
    assert (_state(positions).phase, _state(positions).position) == (Phase.validation, Position(50, 3))


def test_topic_made_again_is_read_from_its_start() -> None:
    positions = _positions("latest", at=Position(10, 3), epoch=3)
    positions.notice_topic("t", UUID(int=1))
    assert _state(positions).phase is Phase.fetching
    positions.notice_topic("t", UUID(int=1))
    positions.notice_topic("t", None)
    assert _state(positions).phase is Phase.fetching
    positions.notice_topic("t", UUID(int=2))
    assert (_state(positions).phase, _state(positions).reset_timestamp) == (Phase.reset, EARLIEST_TIMESTAMP)
    assert (_state(positions).leader_epoch, _state(positions).topic_id) == (-1, UUID(int=2))


def test_topic_made_again_is_told_without_a_policy() -> None:
    positions = _positions("none", at=Position(10, 3))
    positions.notice_topic("t", UUID(int=1))
    positions.notice_topic("t", UUID(int=2))
    assert [each.partition for each in positions.take_errors()] == [_P]


def test_what_is_put_off_is_due_later() -> None:
    positions = _positions()
    positions.put_off(_P, 50)
    assert positions.awaiting(49) == {}
    assert positions.awaiting(50) == {Phase.committed: [_state(positions)]}
