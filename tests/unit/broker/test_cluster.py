"""Several brokers on one store: who is a member, who leads, and what becomes of it when brokers stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import CREATE_TOPICS, METADATA, connect
from tests.unit.broker.cluster import Cluster, run_cluster, until

from ottla.broker.assembly import Broker
from ottla.metadata.model import PartitionState
from ottla.protocol.errors import ErrorCode
from ottla.replica.data_dir import DataDirError

FIND_COORDINATOR, ELECT_LEADERS, ALTER_REASSIGNMENTS, LIST_REASSIGNMENTS = 10, 43, 45, 46
DESCRIBE_CLUSTER, UNREGISTER_BROKER, LIST_CONFIG_RESOURCES, DESCRIBE_TOPIC_PARTITIONS = 60, 64, 74, 75


async def ask(broker: Broker, api_key: int, version: int, **request: Any) -> dict[str, Any]:
    async with connect(*broker.node.addresses["PLAINTEXT"]) as client:
        return await client.call(api_key, version, request)


async def create(broker: Broker, name: str, *assignments: tuple[int, ...], **rest: Any) -> dict[str, Any]:
    """A topic with these replicas of its partitions, or as the broker places them."""
    wanted = {
        "name": name,
        "num_partitions": -1,
        "replication_factor": -1,
        "assignments": [
            {"partition_index": number, "broker_ids": replicas} for number, replicas in enumerate(assignments)
        ],
        **rest,
    }
    created = await ask(broker, CREATE_TOPICS, 7, topics=[wanted], timeout_ms=30_000)
    return dict(created["topics"][0])


async def partitions(broker: Broker, name: str) -> list[dict[str, Any]]:
    described = await ask(broker, METADATA, 12, topics=[{"name": name}])
    return list(described["topics"][0]["partitions"])


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with run_cluster(tmp_path) as running:
        yield running


async def test_all_are_members_of_one_cluster(cluster: Cluster) -> None:
    assert len({broker.node.cluster_id for broker in cluster.brokers.values()}) == 1
    image = cluster.brokers[1].image
    assert image.controller is not None
    assert image.controller.node_id == 1
    for node_id, broker in cluster.brokers.items():
        registered = image.brokers[node_id]
        assert image.is_active(node_id)
        host, port = broker.node.addresses["PLAINTEXT"]
        assert registered.listeners["PLAINTEXT"] == (host, port, "PLAINTEXT")
        assert registered.rack == f"rack-{node_id}"


async def test_a_broker_that_stops_and_starts_is_clean_and_the_same(cluster: Cluster) -> None:
    first = cluster.brokers[3].image.brokers[3]
    await cluster.stop(3)
    one = cluster.brokers[1]
    await until(lambda: 3 not in one.image.brokers)
    again = await cluster.start(3)
    registered = again.image.brokers[3]
    assert registered.is_clean
    assert registered.epoch > first.epoch
    assert registered.directory_id == first.directory_id
    assert registered.incarnation != first.incarnation


async def test_another_broker_is_controller_when_it_stops(cluster: Cluster) -> None:
    await cluster.stop(1)
    two = cluster.brokers[2]
    await until(lambda: two.image.controller is not None and two.image.controller.node_id in (2, 3))


async def test_folders_of_another_cluster_are_refused(tmp_path: Path) -> None:
    async with run_cluster(tmp_path / "a", 2):
        pass
    async with run_cluster(tmp_path / "b", 1) as other:
        (tmp_path / "b" / "2").symlink_to(tmp_path / "a" / "2")
        with pytest.raises(DataDirError, match="of cluster"):
            await other.start(2)


async def test_a_broker_that_cannot_reach_the_store_when_it_starts_waits_for_it(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    await cluster.stop(3)
    cluster.ways[3].cut()
    starting = asyncio.create_task(cluster.start(3))
    await until(lambda: "waiting for the metadata store: " in caplog.text)
    assert not starting.done()
    cluster.ways[3].heal()
    broker = await starting
    assert broker.image.is_active(3)


async def test_any_broker_tells_of_all(cluster: Cluster) -> None:
    one, two, three = cluster.brokers.values()
    metadata = await ask(two, METADATA, 12, topics=[])
    addresses = {node_id: each.node.addresses["PLAINTEXT"] for node_id, each in cluster.brokers.items()}
    assert {each["node_id"]: (each["host"], each["port"]) for each in metadata["brokers"]} == addresses
    assert [each["rack"] for each in metadata["brokers"]] == ["rack-1", "rack-2", "rack-3"]
    assert metadata["controller_id"] == 1
    assert metadata["cluster_id"] == one.node.cluster_id
    described = await ask(three, DESCRIBE_CLUSTER, 2)
    assert [each["broker_id"] for each in described["brokers"]] == [1, 2, 3]
    assert described["controller_id"] == 1


async def test_who_went_is_told_of_as_fenced_and_its_replicas_as_offline(cluster: Cluster) -> None:
    one = cluster.brokers[1]
    assert (await create(one, "t", (3, 1), (2, 1)))["error_code"] == ErrorCode.none
    assert (await create(one, "alone", (3,)))["error_code"] == ErrorCode.none
    await cluster.agree()
    await cluster.stop(3)
    await until(lambda: 3 not in one.image.brokers)
    metadata = await ask(one, METADATA, 12, topics=[])
    assert [each["node_id"] for each in metadata["brokers"]] == [1, 2]
    described = await ask(one, DESCRIBE_CLUSTER, 2, include_fenced_brokers=True)
    assert [(each["broker_id"], each["is_fenced"]) for each in described["brokers"]] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    first, second = await partitions(one, "t")
    (third,) = await partitions(one, "alone")
    assert (first["leader_id"], first["isr_nodes"], first["offline_replicas"]) == (1, [1], [3])
    assert (second["leader_id"], second["leader_epoch"], second["offline_replicas"]) == (2, 0, [])
    assert (third["error_code"], third["leader_id"]) == (ErrorCode.leader_not_available, -1)
    answer = await ask(
        one, DESCRIBE_TOPIC_PARTITIONS, 0, topics=[{"name": "alone"}], response_partition_limit=9
    )
    (last,) = answer["topics"][0]["partitions"]
    assert (last["eligible_leader_replicas"], last["offline_replicas"]) == ([3], [3])


async def test_each_broker_lists_all_brokers_as_having_configurations(cluster: Cluster) -> None:
    await cluster.agree()
    for broker in cluster.brokers.values():
        listed = await ask(broker, LIST_CONFIG_RESOURCES, 1, resource_types=[4])
        assert [each["resource_name"] for each in listed["config_resources"]] == ["1", "2", "3"]


async def test_topics_are_placed_over_racks_and_first_on_who_is_there(cluster: Cluster) -> None:
    one = cluster.brokers[1]
    created = await create(one, "all", num_partitions=6, replication_factor=3)
    assert created["error_code"] == ErrorCode.none
    leaders = [each["leader_id"] for each in await partitions(one, "all")]
    assert sorted(leaders) == [1, 1, 2, 2, 3, 3]
    await cluster.stop(3)
    await until(lambda: 3 not in one.image.brokers)
    assert (await create(one, "two", num_partitions=4, replication_factor=2))["error_code"] == ErrorCode.none
    assert all(set(each["replica_nodes"]) == {1, 2} for each in await partitions(one, "two"))
    assert (await create(one, "three", num_partitions=4, replication_factor=3))[
        "error_code"
    ] == ErrorCode.none
    for each in await partitions(one, "three"):
        assert sorted(each["replica_nodes"]) == [1, 2, 3]
        assert each["isr_nodes"] == [node_id for node_id in each["replica_nodes"] if node_id != 3]
        assert each["leader_id"] == each["isr_nodes"][0]
    assert (await create(one, "four", replication_factor=4, num_partitions=1))[
        "error_code"
    ] == ErrorCode.invalid_replication_factor
    gone = await create(one, "gone", (3,))
    assert gone["error_code"] == ErrorCode.invalid_replica_assignment
    assert "fenced" in gone["error_message"]


async def test_internal_topics_wait_for_their_brokers_and_lie_where_they_lead(tmp_path: Path) -> None:
    async with run_cluster(tmp_path, 2) as cluster:
        one = cluster.brokers[1]
        asked = {"key_type": 0, "coordinator_keys": ["group"]}
        (missing,) = (await ask(one, FIND_COORDINATOR, 4, **asked))["coordinators"]
        assert missing["error_code"] == ErrorCode.coordinator_not_available
        assert "__consumer_offsets" not in one.image.topics
        await cluster.start(3)
        await cluster.agree()
        (found,) = (await ask(one, FIND_COORDINATOR, 4, **asked))["coordinators"]
        await cluster.agree()
        (state,) = cluster.brokers[2].image.topics["__consumer_offsets"].partitions
        assert sorted(state.replicas) == [1, 2, 3]
        assert found["node_id"] == state.leader
        assert (found["host"], found["port"]) == cluster.brokers[state.leader].node.addresses["PLAINTEXT"]
        (elsewhere,) = (await ask(cluster.brokers[3], FIND_COORDINATOR, 4, **asked))["coordinators"]
        assert elsewhere == found


async def test_leaders_go_back_to_a_broker_that_is_asked_for(cluster: Cluster) -> None:
    one = cluster.brokers[1]
    await create(one, "t", (1, 2))
    await create(one, "alone", (2,))
    await cluster.agree()
    await cluster.stop(2)
    await until(lambda: one.image.topics["alone"].partitions[0].leader == -1)
    asked = [{"topic": "t", "partitions": [0, 1]}, {"topic": "alone", "partitions": [0]}]
    preferred = await ask(one, ELECT_LEADERS, 2, election_type=0, topic_partitions=asked)
    codes = {
        (topic["topic"], each["partition_id"]): each["error_code"]
        for topic in preferred["replica_election_results"]
        for each in topic["partition_result"]
    }
    assert codes == {
        ("t", 0): ErrorCode.election_not_needed,
        ("t", 1): ErrorCode.unknown_topic_or_partition,
        ("alone", 0): ErrorCode.preferred_leader_not_available,
    }
    unclean = await ask(one, ELECT_LEADERS, 2, election_type=1, topic_partitions=None)
    (topic,) = unclean["replica_election_results"]
    assert topic["topic"] == "alone"
    assert topic["partition_result"][0]["error_code"] == ErrorCode.eligible_leaders_not_available


async def test_moves_are_begun_listed_and_taken_back(cluster: Cluster) -> None:
    one, two = cluster.brokers[1], cluster.brokers[2]
    await create(one, "t", (1, 2))
    await cluster.agree()

    async def move(replicas: list[int] | None) -> dict[str, Any]:
        wanted = [{"name": "t", "partitions": [{"partition_index": 0, "replicas": replicas}]}]
        answer = await ask(two, ALTER_REASSIGNMENTS, 1, topics=wanted)
        return dict(answer["responses"][0]["partitions"][0])

    assert (await move([1, 7]))["error_code"] == ErrorCode.invalid_replica_assignment
    assert (await move(None))["error_code"] == ErrorCode.no_reassignment_in_progress
    cluster.brokers[3].peers.address_of = lambda _node_id: None  # it gets nothing, and the move lasts
    assert (await move([3, 1]))["error_code"] == ErrorCode.none
    await cluster.agree()
    listed = await ask(one, LIST_REASSIGNMENTS, 0, topics=None)
    (moving,) = listed["topics"][0]["partitions"]
    assert moving["replicas"] == [3, 1, 2]
    assert (moving["adding_replicas"], moving["removing_replicas"]) == ([3], [2])
    only = await ask(one, LIST_REASSIGNMENTS, 0, topics=[{"name": "t", "partition_indexes": [1]}])
    assert only["topics"] == []
    assert (await move(None))["error_code"] == ErrorCode.none
    await cluster.agree()
    assert (await ask(one, LIST_REASSIGNMENTS, 0, topics=None))["topics"] == []
    assert (await partitions(one, "t"))[0]["replica_nodes"] == [1, 2]


async def test_a_broker_that_went_for_good_is_forgotten(cluster: Cluster) -> None:
    one = cluster.brokers[1]
    assert (await ask(one, UNREGISTER_BROKER, 0, broker_id=3))["error_code"] == ErrorCode.invalid_request
    await cluster.stop(3)
    await until(lambda: 3 not in one.image.brokers)
    assert (await ask(one, UNREGISTER_BROKER, 0, broker_id=3))["error_code"] == ErrorCode.none
    described = await ask(one, DESCRIBE_CLUSTER, 2, include_fenced_brokers=True)
    assert [each["broker_id"] for each in described["brokers"]] == [1, 2]
    again = await ask(one, UNREGISTER_BROKER, 0, broker_id=3)
    assert again["error_code"] == ErrorCode.broker_id_not_registered
    back = await cluster.start(3)
    assert 3 in back.image.known_brokers


async def test_a_move_ends_when_the_new_replica_is_in_sync(cluster: Cluster) -> None:
    one, three = cluster.brokers[1], cluster.brokers[3]
    await create(one, "t", (1, 2))
    await cluster.agree()
    wanted = [{"name": "t", "partitions": [{"partition_index": 0, "replicas": [3, 2]}]}]
    answer = await ask(one, ALTER_REASSIGNMENTS, 1, topics=wanted)
    assert answer["responses"][0]["partitions"][0]["error_code"] == ErrorCode.none
    await until(lambda: one.image.topics["t"].partitions[0].replicas == (3, 2))
    await cluster.agree()
    state = three.image.topics["t"].partitions[0]
    assert (sorted(state.isr), state.adding, state.removing) == ([2, 3], (), ())
    assert state.leader == 3  # the old leader is no replica any more
    elected = await ask(one, ELECT_LEADERS, 2, election_type=0, topic_partitions=None)
    assert elected["replica_election_results"] == []


async def test_brokers_restarted_one_after_the_other_leave_no_partition_without_a_leader(
    cluster: Cluster,
) -> None:
    created = await create(cluster.brokers[1], "t", num_partitions=6, replication_factor=3)
    assert created["error_code"] == ErrorCode.none
    await cluster.agree()
    for node_id in (1, 2, 3):
        other = cluster.brokers[node_id % 3 + 1]
        await cluster.stop(node_id)
        states = other.image.topics["t"].partitions
        assert all(state.leader not in (node_id, -1) for state in states)
        await cluster.start(node_id)
        await until(lambda: all(len(each.isr) == 3 for each in other.image.topics["t"].partitions))  # noqa: B023
    assert not any(state.is_recovering for state in other.image.topics["t"].partitions)
    preferred = await ask(other, ELECT_LEADERS, 2, election_type=0, topic_partitions=None)
    for topic in preferred["replica_election_results"]:
        assert all(each["error_code"] == ErrorCode.none for each in topic["partition_result"])
    await cluster.agree()
    assert all(state.leader == state.replicas[0] for state in other.image.topics["t"].partitions)


async def test_topics_of_coordinators_get_the_replicas_that_they_are_to_have(tmp_path: Path) -> None:
    """Those of a node that was alone have one."""
    async with run_cluster(tmp_path, 2) as cluster:
        created = await create(cluster.brokers[1], "__consumer_offsets", (1,))
        assert created["error_code"] == ErrorCode.none
        await cluster.start(3)
        image = cluster.brokers[1].metadata

        def state() -> PartitionState:
            return image.image.topics["__consumer_offsets"].partitions[0]

        # The controller ends the reassignment once the ISR has all.
        await until(lambda: len(state().isr) == 3 and not state().adding)
        assert (set(state().replicas), state().leader) == ({1, 2, 3}, 1)
