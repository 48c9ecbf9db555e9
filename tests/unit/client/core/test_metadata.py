"""The view of a cluster: what replaces what."""

from __future__ import annotations

from uuid import UUID

from ottla.client.core.metadata import BrokerNode, ClusterMetadata, Leader
from ottla.protocol.errors import ErrorCode
from ottla.protocol.messages.metadata import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

OLD, NEW = UUID(int=1), UUID(int=2)
BROKERS = [MetadataResponseBroker(node_id=node, host="h", port=node) for node in (1, 2)]


def response(*topics: MetadataResponseTopic) -> MetadataResponse:
    return MetadataResponse(brokers=BROKERS, topics=topics, cluster_id="c", controller_id=2)


def topic(
    leader: int = 1,
    epoch: int = 5,
    topic_id: UUID | None = OLD,
    error_code: int = 0,
    name: str | None = "t",
    partitions: int = 1,
) -> MetadataResponseTopic:
    rows = [
        MetadataResponsePartition(partition_index=index, leader_id=leader, leader_epoch=epoch)
        for index in range(partitions)
    ]
    return MetadataResponseTopic(name=name, topic_id=topic_id, error_code=error_code, partitions=rows)


def view(*topics: MetadataResponseTopic) -> ClusterMetadata:
    return ClusterMetadata().updated(response(*topics))


def test_what_a_response_says() -> None:
    known = view(topic(partitions=2))
    assert known.leader_of("t", 1) == Leader(1, 5)
    assert known.leader_of("t", 2) is None
    assert known.leader_of("u", 0) is None
    assert known.names == {OLD: "t"}
    assert (known.cluster_id, known.controller_id) == ("c", 2)
    assert known.brokers[2] == BrokerNode(2, "h", 2, None)
    assert set(known.partitions_of("t")) == {0, 1}


def test_an_older_epoch_never_replaces_a_newer() -> None:
    known = view(topic(1, 5))
    assert known.updated(response(topic(2, 4))).leader_of("t", 0) == Leader(1, 5)
    assert known.updated(response(topic(2, 6))).leader_of("t", 0) == Leader(2, 6)
    assert known.updated(response(topic(2, -1))).leader_of("t", 0) == Leader(2, -1), "too old to have epochs"


def test_a_topic_made_again_begins_anew() -> None:
    known = view(topic(1, 5)).updated(response(topic(2, 0, NEW)))
    assert known.leader_of("t", 0) == Leader(2, 0)
    assert known.names == {NEW: "t"}


def test_a_deleted_topic_goes_and_its_error_stays() -> None:
    gone = topic(error_code=ErrorCode.unknown_topic_or_partition, partitions=0, topic_id=None)
    known = view(topic()).updated(response(gone))
    assert known.topics == {}
    assert known.errors == {"t": ErrorCode.unknown_topic_or_partition}
    assert known.updated(response(topic())).errors == {}


def test_an_id_that_is_gone_is_the_topic_that_had_it() -> None:
    gone = topic(error_code=ErrorCode.unknown_topic_id, partitions=0, name=None)
    assert view(topic()).updated(response(gone)).topics == {}


def test_a_topic_that_the_answer_is_silent_on_stays_or_is_forgotten() -> None:
    known = view(topic(), topic(name="u", topic_id=NEW))
    assert set(known.updated(response(topic())).topics) == {"t", "u"}
    assert set(known.updated(response(topic()), keep=("t",)).topics) == {"t"}


def test_another_cluster_begins_anew() -> None:
    other = response(topic(2, 0, NEW, name="u"))
    other.cluster_id = "other"
    known = view(topic()).updated(other)
    assert set(known.topics) == {"u"}
    assert known.cluster_id == "other"


def test_an_error_that_will_pass_leaves_what_was_known() -> None:
    busy = topic(error_code=ErrorCode.leader_not_available, partitions=0)
    assert view(topic()).updated(response(busy)).leader_of("t", 0) == Leader(1, 5)


def test_no_leader_and_an_unknown_leader_are_none() -> None:
    assert view(topic(leader=-1)).leader_of("t", 0) is None
    assert view(topic(leader=3)).leader_of("t", 0) is None


def test_a_hint_moves_the_leader_if_it_is_newer_and_can_be_reached() -> None:
    known = view(topic(1, 5))
    assert known.moved("t", 0, Leader(2, 5)) is known
    assert known.moved("t", 0, Leader(3, 6)) is known
    assert known.moved("t", 9, Leader(2, 6)) is known
    assert known.moved("t", 0, Leader(2, 6)).leader_of("t", 0) == Leader(2, 6)
    moved = known.moved("t", 0, Leader(3, 6), [BrokerNode(3, "new", 3)])
    assert moved.leader_of("t", 0) == Leader(3, 6)
    assert moved.brokers[3].host == "new"
    later = moved.updated(response(topic(1, 5)))
    assert later.leader_of("t", 0) == Leader(3, 6), "its address stays, as long as older news come"
    assert 3 not in later.updated(response(topic(2, 7))).brokers
    assert known.leader_of("t", 0) == Leader(1, 5), "views don't change"
