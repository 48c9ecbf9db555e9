"""Commits and their answers."""

from __future__ import annotations

from uuid import UUID

import pytest

from ottla.client.core.groups.classic import Outcome
from ottla.client.core.metadata import TopicPartition
from ottla.client.core.offsets import (
    CommitQueue,
    CommittedOffset,
    Identity,
    commit_answered,
    commit_request,
    fetch_answered,
    fetch_request,
    positions_of,
)
from ottla.client.core.positions import Position
from ottla.protocol import wire
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from ottla.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)

_IDS = {"t": UUID(int=1)}
_A, _B, _C = TopicPartition("t", 0), TopicPartition("t", 1), TopicPartition("u", 0)
_MEMBER = Identity("g", 3, "m", "i")


def _answer(codes: dict[TopicPartition, int], ids: dict[str, UUID]) -> OffsetCommitResponse:
    return OffsetCommitResponse(
        topics=[
            OffsetCommitResponseTopic(
                name="" if topic in ids else topic,
                topic_id=ids.get(topic),
                partitions=[OffsetCommitResponsePartition(partition_index=partition, error_code=code)],
            )
            for (topic, partition), code in codes.items()
        ]
    )


def test_commit_says_who_and_what() -> None:
    request, has_ids = commit_request(_MEMBER, {_A: CommittedOffset(7, 2, "x")}, _IDS.get)
    assert has_ids
    again = wire.decode(OffsetCommitRequest, 10, wire.encode(request, 10))
    assert (again.group_id, again.generation_id_or_member_epoch, again.member_id) == ("g", 3, "m")
    assert again.group_instance_id == "i"
    part = again.topics[0].partitions[0]
    assert (again.topics[0].topic_id, part.committed_offset, part.committed_leader_epoch) == (_IDS["t"], 7, 2)
    assert part.committed_metadata == "x"
    assert not commit_request(_MEMBER, {_C: CommittedOffset(7)}, _IDS.get)[1]


@pytest.mark.parametrize("ids", [{}, _IDS])
def test_each_partition_has_its_own_answer(ids: dict[str, UUID]) -> None:
    request, _ = commit_request(_MEMBER, dict.fromkeys((_A, _B, _C), CommittedOffset(1)), _IDS.get)
    codes = {
        _A: ErrorCode.none,
        _B: ErrorCode.offset_metadata_too_large,
        _C: ErrorCode.unknown_topic_or_partition,
    }
    answered = commit_answered(request, _answer(codes, ids))
    assert answered.again == [_C]
    assert answered.refused == {_B: ErrorCode.offset_metadata_too_large}
    assert answered.outcome is Outcome.later


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (ErrorCode.not_coordinator, Outcome.elsewhere),
        (ErrorCode.coordinator_not_available, Outcome.elsewhere),
        (ErrorCode.coordinator_load_in_progress, Outcome.later),
        (ErrorCode.stale_member_epoch, Outcome.again),
    ],
)
def test_what_is_tried_again(code: ErrorCode, outcome: Outcome) -> None:
    request, _ = commit_request(_MEMBER, {_A: CommittedOffset(1)}, _IDS.get)
    answered = commit_answered(request, _answer({_A: code}, {}))
    assert (answered.again, answered.outcome, answered.refused) == ([_A], outcome, {})


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.illegal_generation,
        ErrorCode.unknown_member_id,
        ErrorCode.fenced_instance_id,
        ErrorCode.rebalance_in_progress,
        ErrorCode.fenced_member_epoch,
        ErrorCode.group_authorization_failed,
    ],
)
def test_what_is_refused_for_good(code: ErrorCode) -> None:
    request, _ = commit_request(_MEMBER, {_A: CommittedOffset(1)}, _IDS.get)
    assert commit_answered(request, _answer({_A: code}, {})).refused == {_A: code}


def test_partition_that_an_answer_leaves_out_is_not_taken_as_committed() -> None:
    request, _ = commit_request(_MEMBER, {_A: CommittedOffset(1)}, _IDS.get)
    assert commit_answered(request, OffsetCommitResponse()).again == [_A]


def test_older_offset_that_failed_never_replaces_a_newer_one() -> None:
    queue = CommitQueue()
    queue.add({_A: CommittedOffset(1), _B: CommittedOffset(1)})
    assert queue.begin() == {_A: CommittedOffset(1), _B: CommittedOffset(1)}
    assert not queue
    queue.add({_A: CommittedOffset(5)})
    queue.ended([_A, _B])
    assert queue.begin() == {_A: CommittedOffset(5), _B: CommittedOffset(1)}
    queue.ended([])
    assert not queue


def test_what_is_revoked_is_not_committed_any_more() -> None:
    queue = CommitQueue()
    queue.add({_A: CommittedOffset(1), _B: CommittedOffset(1)})
    queue.drop([_A])
    assert queue.begin() == {_B: CommittedOffset(1)}


@pytest.mark.parametrize("version", [1, 7, 8, 9, 10])
def test_fetch_of_all_versions(version: int) -> None:
    request, has_ids = fetch_request(
        _MEMBER._replace(is_consumer_group=version >= 9), [_A, _B], _IDS.get, require_stable=True
    )
    assert has_ids
    asked = wire.decode(OffsetFetchRequest, version, wire.encode(request, version))
    assert (asked.groups[0].group_id if version >= 8 else asked.group_id) == "g"
    if version >= 9:
        assert (asked.groups[0].member_id, asked.groups[0].member_epoch) == ("m", 3)
    found = {0: (7, 2, "x"), 1: (-1, -1, "")}
    if version >= 8:
        topic = OffsetFetchResponseTopics(
            name="t",
            topic_id=_IDS["t"],
            partitions=[
                OffsetFetchResponsePartitions(
                    partition_index=each, committed_offset=offset, committed_leader_epoch=epoch, metadata=text
                )
                for each, (offset, epoch, text) in found.items()
            ],
        )
        response = OffsetFetchResponse(groups=[OffsetFetchResponseGroup(group_id="g", topics=[topic])])
    else:
        old = OffsetFetchResponseTopic(
            name="t",
            partitions=[
                OffsetFetchResponsePartition(
                    partition_index=each, committed_offset=offset, committed_leader_epoch=epoch, metadata=text
                )
                for each, (offset, epoch, text) in found.items()
            ],
        )
        response = OffsetFetchResponse(topics=[old])
    response = wire.decode(OffsetFetchResponse, version, wire.encode(response, version))

    fetched = fetch_answered(request, response)

    assert fetched.code is ErrorCode.none
    assert fetched.offsets == {_A: CommittedOffset(7, 2 if version >= 5 else -1, "x"), _B: None}
    assert positions_of(fetched.offsets)[_A] == Position(7, 2 if version >= 5 else -1)


def test_unstable_offsets_are_asked_for_again() -> None:
    request, _ = fetch_request(_MEMBER, [_A], _IDS.get, require_stable=True)
    part = OffsetFetchResponsePartitions(error_code=ErrorCode.unstable_offset_commit, committed_offset=-1)
    topic = OffsetFetchResponseTopics(topic_id=_IDS["t"], partitions=[part])
    fetched = fetch_answered(request, OffsetFetchResponse(groups=[OffsetFetchResponseGroup(topics=[topic])]))
    assert fetched.offsets == {}
    assert (fetched.answered.again, fetched.answered.outcome) == ([_A], Outcome.later)


def test_error_of_the_group() -> None:
    request, _ = fetch_request(_MEMBER, [_A], _IDS.get, require_stable=True)
    group = OffsetFetchResponseGroup(error_code=ErrorCode.not_coordinator)
    fetched = fetch_answered(request, OffsetFetchResponse(groups=[group]))
    assert (fetched.code, fetched.outcome) == (ErrorCode.not_coordinator, Outcome.elsewhere)
