"""A group's answers to offsets, listings and descriptions, and what replaying makes of odd logs."""

from __future__ import annotations

from uuid import UUID

import pytest

from ottla.coordination.groups.modern.consumer import records
from ottla.coordination.groups.modern.consumer.group import ConsumerGroup
from ottla.coordination.groups.modern.consumer.member import ClassicMetadata, MemberMetadata
from ottla.coordination.groups.modern.reconcile import CurrentAssignment, MemberState
from ottla.coordination.runtime import CoordinatorRecord
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.join_group import JoinGroupRequest
from ottla.protocol.messages.records.consumer_group import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupPartitionMetadataValue,
    TopicPartitions,
)

TOPIC = UUID(int=7)


@pytest.fixture
def group():
    """`new` and `old` speak one protocol each; both are in epoch 5, with partitions of epochs 3 and 5."""
    group = ConsumerGroup("g")
    current = CurrentAssignment(5, 4, MemberState.STABLE, {TOPIC: {0: 3, 1: 5}}, {TOPIC: {2: 4}})
    group.put_metadata("new", MemberMetadata())
    group.put_metadata("old", MemberMetadata(classic=ClassicMetadata(10_000, (("range", b""),))))
    group.put_current("new", current)
    group.put_current("old", current)
    return group


def refusal(call, *args, **kwargs):
    with pytest.raises(KafkaError) as error:
        call(*args, **kwargs)
    return error.value.code


def commit(group, member_id, epoch, *, version=10, transactional=False):
    return group.validate_offset_commit(
        member_id, None, epoch, api_version=version, is_transactional=transactional
    )


@pytest.mark.parametrize(
    ("member_id", "code"), [("new", ErrorCode.stale_member_epoch), ("old", ErrorCode.illegal_generation)]
)
def test_commits_need_the_epoch_or_a_partition_that_is_as_old(group, member_id, code):
    assert commit(group, member_id, 5) is None
    assert refusal(commit, group, member_id, 6) is code
    check = commit(group, member_id, 3)
    check("t", TOPIC, 0)
    assert refusal(check, "t", TOPIC, 1) is code
    assert refusal(check, "t", TOPIC, 2) is code
    assert refusal(check, "t", TOPIC, 3) is code
    assert refusal(check, "u", UUID(int=8), 0) is code
    commit(group, member_id, 4)("t", TOPIC, 2)


def test_who_may_commit(group):
    assert refusal(commit, group, "nobody", 5) is ErrorCode.unknown_member_id
    assert refusal(commit, group, "", -1) is ErrorCode.unknown_member_id
    assert commit(group, "", -1, transactional=True) is None
    assert commit(ConsumerGroup("empty"), "", -1) is None
    assert refusal(commit, group, "new", 5, version=8) is ErrorCode.unsupported_version
    assert commit(group, "new", 5, version=9) is None
    assert commit(group, "old", 5, version=8) is None
    assert commit(group, "new", 5, version=5, transactional=True) is None


def test_who_may_fetch_offsets(group):
    group.validate_offset_fetch(None, -1)
    group.validate_offset_fetch("new", 5)
    assert refusal(group.validate_offset_fetch, "nobody", 5) is ErrorCode.unknown_member_id
    assert refusal(group.validate_offset_fetch, None, 5) is ErrorCode.unknown_member_id
    assert refusal(group.validate_offset_fetch, "", -1) is ErrorCode.unknown_member_id
    assert refusal(group.validate_offset_fetch, "new", 4) is ErrorCode.stale_member_epoch
    assert refusal(group.validate_offset_fetch, "old", 4) is ErrorCode.illegal_generation


def test_a_group_with_members_is_not_deleted(group):
    assert refusal(group.validate_delete) is ErrorCode.non_empty_group
    ConsumerGroup("empty").validate_delete()


def test_the_tombstones_remove_everything(cluster):
    cluster.member("a", "foo", regex="b.*")
    cluster.member("b", "foo")
    cluster.write(cluster.group.tombstones())
    assert not cluster.rebuilt().state.groups
    assert not cluster.rebuilt(compacted=True).state.groups
    live = {each.key for each in cluster.log.records if each.value is not None}
    dead = {each.key for each in cluster.log.records if each.value is None}
    assert live <= dead


def test_tombstones_of_what_is_not_there_are_ignored(cluster):
    shard = cluster.rebuilt()
    tombstones = ConsumerGroup("g").tombstones() + records.member_tombstones("g", "m")
    for record in [*tombstones, records.regex_tombstone("g", "a")]:
        shard.replay(record, 0, 0)
    assert not shard.state.groups


def test_the_next_owner_may_come_first_in_a_compacted_log():
    group = ConsumerGroup("g")
    group.put_current("a", CurrentAssignment(3, 3, MemberState.STABLE, {TOPIC: {0: 3}}))
    group.put_current("b", CurrentAssignment(4, 3, MemberState.STABLE, {TOPIC: {0: 4}}))
    group.put_current("a", CurrentAssignment(4, 3))
    assert group.is_owned(TOPIC, 0)
    group.remove_member("b")
    assert not group.is_owned(TOPIC, 0)


def test_records_of_older_brokers_are_read(cluster):
    """No assignment epochs, a record of partition counts, a state from the future."""
    topic_id = cluster.image.topics["foo"].topic_id
    metadata = records.metadata_record("g", "m", MemberMetadata(subscribed_topic_names=frozenset({"foo"})))
    current = ConsumerGroupCurrentMemberAssignmentValue(
        member_epoch=7,
        previous_member_epoch=6,
        state=99,
        assigned_partitions=[TopicPartitions(topic_id=topic_id, partitions=[0, 1])],
    )
    partitions = CoordinatorRecord(
        ConsumerGroupPartitionMetadataKey(group_id="g"), ConsumerGroupPartitionMetadataValue()
    )
    key = ConsumerGroupCurrentMemberAssignmentKey(group_id="g", member_id="m")
    cluster.write([partitions, metadata, CoordinatorRecord(key, current)])
    cluster.restart()
    read = cluster.group.members["m"].current
    assert read == CurrentAssignment(7, 6, MemberState.UNKNOWN, {topic_id: {0: 7, 1: 7}})
    assert cluster.group.has_partition_metadata
    response = cluster.heartbeat("m", 7, owned={"foo": [0, 1]})
    assert response["error_code"] is ErrorCode.fenced_member_epoch
    assert cluster.heartbeat("m", 7, owned={})["error_code"] is ErrorCode.none
    assert not cluster.group.has_partition_metadata
    cluster.check_replay()


def test_a_description_shows_what_members_have_and_shall_have(cluster):
    a = cluster.member("a", "foo", rack="r")
    cluster.member("b", "foo", instance="i")
    a.beat()
    described = cluster.describe_consumer_group()
    assert described["group_state"] == "Reconciling"
    assert (described["group_epoch"], described["assignment_epoch"]) == (3, 3)
    assert described["assignor_name"] == "uniform"
    first, second = described["members"]
    assert (first["rack_id"], first["client_id"], first["client_host"]) == ("r", "client", "/10.0.0.1")
    assert (first["member_epoch"], second["member_epoch"]) == (2, 3)
    assert second["instance_id"] == "i"
    assert cluster.names(first["assignment"]) == {"foo": [0, 1, 2, 3, 4, 5]}, "with what it has to give back"
    assert cluster.names(first["target_assignment"]) == {"foo": [0, 1, 2]}
    assert cluster.names(second["assignment"]) == {}
    assert second["subscribed_topic_names"] == ["foo"]
    cluster.set_topics(bar=3)
    assert cluster.names(cluster.describe_consumer_group(version=0)["members"][0]["assignment"]) == {}


def test_what_is_no_consumer_group_is_not_described(cluster):
    assert cluster.describe_consumer_group("nobody")["error_code"] is ErrorCode.group_id_not_found
    protocols = [{"name": "range", "metadata": b""}]
    cluster.send_classic(JoinGroupRequest, protocols=protocols, version=3)
    assert cluster.describe_consumer_group()["error_code"] is ErrorCode.group_id_not_found
    assert cluster.describe_consumer_group()["error_message"] == "Group g is not a consumer group."
