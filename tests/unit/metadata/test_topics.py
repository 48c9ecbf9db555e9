import itertools
from uuid import UUID

import pytest

from ottla.config.broker import broker_config
from ottla.config.layers import BrokerLayers
from ottla.metadata import model
from ottla.metadata.image import image_at
from ottla.metadata.model import BrokerRegistration, PartitionState
from ottla.metadata.producer_ids import ProducerIdBlock, allocate_producer_ids
from ottla.metadata.topic_names import check_topic_name, is_valid_topic_name
from ottla.metadata.topics import (
    NewPartitions,
    NewTopic,
    create_partitions,
    create_topics,
    delete_topics,
    is_usable_topic_id,
)
from ottla.metadata.transaction import KeyValue, MetadataFormatError, Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.memory import MemoryEngine

BROKER = broker_config(BrokerLayers(static={"num.partitions": "3"}))


class Cluster:
    def __init__(self, brokers=(1,)):
        self.store = MemoryEngine()
        self.ids = (UUID(int=(1 << 100) + number) for number in itertools.count())
        registrations = [BrokerRegistration(node_id, {}) for node_id in brokers]
        self.store.transaction(
            Transaction(
                writes=tuple(
                    Put(model.broker_key(each.node_id), model.encode_broker(each)) for each in registrations
                )
            )
        )
        self.read()

    def read(self):
        present = self.store.range("")
        self.image = image_at(present.revision, present.entries)

    def cordon(self, *brokers):
        marks = tuple(Put(model.cordoned_key(each), model.MARK) for each in brokers)
        assert self.store.transaction(Transaction(writes=marks)).committed
        self.read()

    def commit(self, plan):
        assert all(self.attempt(plan))
        self.read()
        return plan.results

    def attempt(self, plan):
        return [self.store.transaction(step.transaction).committed for step in plan.steps]

    def create(self, *requests):
        return self.commit(create_topics(self.image, requests, BROKER, self.ids))

    def refused(self, request):
        """The error that a single item comes to; nothing may be written."""
        plan = create_topics(self.image, [request], BROKER, self.ids)
        return self._error(plan)

    def growth_refused(self, request):
        return self._error(create_partitions(self.image, [request]))

    def _error(self, plan):
        assert plan.steps == ()
        (error,) = plan.results.values()
        assert isinstance(error, KafkaError)
        return error


@pytest.fixture
def cluster():
    return Cluster()


def test_a_topic_takes_the_brokers_defaults(cluster):
    created = cluster.create(NewTopic("t"))["t"]
    assert created == cluster.image.topics["t"]
    assert len(created.partitions) == 3
    assert {(state.replicas, state.isr, state.leader) for state in created.partitions} == {((1,), (1,), 1)}
    assert {(state.leader_epoch, state.partition_epoch) for state in created.partitions} == {(0, 0)}


def test_a_topic_takes_the_default_number_of_replicas():
    cluster = Cluster(brokers=(1, 2))
    broker = broker_config(BrokerLayers(static={"default.replication.factor": "2"}))
    created = cluster.commit(create_topics(cluster.image, [NewTopic("t")], broker, cluster.ids))["t"]
    assert created.partitions[0].replicas == (1, 2)


def test_a_topic_without_settings_has_no_key_for_them(cluster):
    cluster.create(NewTopic("t"))
    assert [entry.key for entry in cluster.store.range("").entries] == ["/brokers/1", "/topics/t"]


def test_counts_configs_and_ids_are_as_asked(cluster):
    created = cluster.create(NewTopic("t", 5, 1, configs={"retention.ms": "7"}))["t"]
    assert len(created.partitions) == 5
    assert cluster.image.topics["t"].configs == {"retention.ms": "7"}
    assert cluster.image.topics_by_id[UUID(int=1 << 100)].name == "t"


def test_ten_thousand_partitions_are_one_transaction(cluster):
    before = cluster.store.revision
    created = cluster.create(NewTopic("t", 10_000))["t"]
    assert cluster.store.revision == before + 1
    assert len(cluster.image.topics["t"].partitions) == 10_000
    assert cluster.image.topics["t"] == created


def test_many_topics_take_several_transactions(cluster):
    before = cluster.store.revision
    names = [f"t{number}" for number in range(300)]
    cluster.create(*(NewTopic(name, configs={"retention.ms": "7"}) for name in names))
    assert cluster.store.revision == before + 5  # two writes each
    assert set(cluster.image.topics) == set(names)
    cluster.commit(create_partitions(cluster.image, [NewPartitions(name, 4) for name in names]))
    assert {len(topic.partitions) for topic in cluster.image.topics.values()} == {4}
    cluster.commit(delete_topics(cluster.image, names))
    assert [entry.key for entry in cluster.store.range("").entries] == ["/brokers/1"]


def test_large_topics_take_a_transaction_each(cluster):
    before = cluster.store.revision
    configs = {"leader.replication.throttled.replicas": ",".join(f"{number}:1" for number in range(80_000))}
    cluster.create(*(NewTopic(f"t{number}", configs=configs) for number in range(3)))
    assert cluster.store.revision == before + 3


def test_a_topic_larger_than_a_transaction_is_refused(cluster):
    assignments = [(number, (1,)) for number in range(10)]
    configs = {"leader.replication.throttled.replicas": ",".join(f"{number}:1" for number in range(150_000))}
    results = cluster.create(NewTopic("big", assignments=assignments, configs=configs), NewTopic("t"))
    assert results["big"].code is ErrorCode.policy_violation
    assert set(cluster.image.topics) == {"t"}


def test_good_items_succeed_beside_bad_ones(cluster):
    results = cluster.create(NewTopic("good"), NewTopic("bad name"), NewTopic("also.good", 1))
    assert set(cluster.image.topics) == {"good", "also.good"}
    assert results["bad name"].code is ErrorCode.invalid_topic_exception


def test_manual_assignments_are_followed():
    cluster = Cluster(brokers=(1, 2, 3))
    created = cluster.create(NewTopic("t", assignments=[(1, [2, 3]), (0, [3, 1])]))["t"]
    assert [state.replicas for state in created.partitions] == [(3, 1), (2, 3)]
    assert [state.leader for state in created.partitions] == [3, 2]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (NewTopic("t", 0), "invalid_partitions", "non-positive"),
        (NewTopic("t", -2), "invalid_partitions", "non-positive"),
        (NewTopic("t", 1, 0), "invalid_replication_factor", "larger than 0"),
        (NewTopic("t", 1, 2), "invalid_replication_factor", "only 1 broker(s) are registered"),
        (NewTopic("t", 10_001), "policy_violation", "Excessively large"),
        (
            NewTopic("t", assignments=[(number, [1]) for number in range(10_001)]),
            "policy_violation",
            "Excessively large",
        ),
        (
            NewTopic("t", configs={"retention.msx": "1"}),
            "invalid_config",
            "Unknown topic config name: retention.msx",
        ),
        (
            NewTopic("t", configs={"retention.ms": "-7"}),
            "invalid_config",
            "Invalid value -7 for configuration",
        ),
        (NewTopic("t", configs={"retention.ms": None}), "invalid_config", "Null value not supported"),
        (NewTopic("t", 1, assignments=[(0, [1])]), "invalid_request", "numPartitions was not set to -1"),
        (
            NewTopic("t", -1, 1, assignments=[(0, [1])]),
            "invalid_request",
            "replication factor was not set to -1",
        ),
        (NewTopic("t", assignments=[(0, [1]), (0, [1])]), "invalid_replica_assignment", "multiple manual"),
        (NewTopic("t", assignments=[(1, [1])]), "invalid_replica_assignment", "consecutive 0-based"),
        (NewTopic("t", assignments=[(0, [])]), "invalid_replica_assignment", "empty replica list"),
        (NewTopic("t", assignments=[(0, [9])]), "invalid_replica_assignment", "no such broker is registered"),
        (NewTopic("t", assignments=[(0, [1, 1])]), "invalid_replica_assignment", "broker 1 more than once"),
    ],
)
def test_refuses_what_kafka_refuses(cluster, request_, code, message):
    error = cluster.refused(request_)
    assert error.code is ErrorCode[code]
    assert message in error.message


def test_no_replicas_go_to_cordoned_brokers():
    cluster = Cluster(brokers=(1, 2, 3))
    cluster.create(NewTopic("before", 3, 3))
    cluster.cordon(2)
    created = cluster.create(NewTopic("t", 6, 2))["t"]
    assert {each for state in created.partitions for each in state.replicas} == {1, 3}
    too_many = cluster.refused(NewTopic("u", 1, 3))
    assert too_many.code is ErrorCode.invalid_replication_factor
    assert "cordoned" in too_many.message
    manual = cluster.refused(NewTopic("u", assignments=[(0, [1]), (1, [2])]))
    assert manual.code is ErrorCode.invalid_replica_assignment
    assert "broker 2, but all its log directories are cordoned" in manual.message
    grown = create_partitions(cluster.image, [NewPartitions("before", 4), NewPartitions("t", 7, [[2, 3]])])
    assert [grown.results[name].code for name in ("before", "t")] == [
        ErrorCode.invalid_replication_factor,
        ErrorCode.invalid_replica_assignment,
    ]
    cluster.cordon(1, 3)
    nowhere = cluster.refused(NewTopic("u", 1, 1))
    assert nowhere.code is ErrorCode.invalid_replication_factor


def test_replicas_of_all_partitions_are_as_many():
    error = Cluster(brokers=(1, 2)).refused(NewTopic("t", assignments=[(0, [1, 2]), (1, [1])]))
    assert error.code is ErrorCode.invalid_replica_assignment
    assert "not consistent" in error.message


def test_a_name_is_taken_once(cluster):
    cluster.create(NewTopic("a.b"))
    assert cluster.refused(NewTopic("a.b")).code is ErrorCode.topic_already_exists
    collision = cluster.refused(NewTopic("a_b"))
    assert collision.code is ErrorCode.invalid_topic_exception
    assert collision.message == "Topic 'a_b' collides with existing topic: a.b"
    cluster.create(NewTopic("c_d"), NewTopic("e.f"), NewTopic("ab"))
    assert set(cluster.image.topics) == {"a.b", "c_d", "e.f", "ab"}
    assert cluster.refused(NewTopic("c.d")).code is ErrorCode.invalid_topic_exception


def test_a_batch_does_not_collide_with_itself(cluster):
    results = cluster.create(NewTopic("x.y"), NewTopic("x_y"), NewTopic("twice"), NewTopic("twice"))
    assert results["x_y"].code is ErrorCode.invalid_topic_exception
    assert results["twice"].code is ErrorCode.invalid_request
    assert set(cluster.image.topics) == {"x.y"}


def test_items_after_one_that_is_named_twice_are_created(cluster):
    cluster.create(NewTopic("twice"), NewTopic("twice"), NewTopic("after"))
    assert set(cluster.image.topics) == {"after"}


def test_the_whole_request_has_one_bound(cluster):
    plan = create_topics(cluster.image, [NewTopic("a", 6_000), NewTopic("b", 6_000)], BROKER, cluster.ids)
    assert {error.code for error in plan.results.values()} == {ErrorCode.policy_violation}
    assert plan.steps == ()
    cluster.create(NewTopic("a", 10_000), NewTopic("b", 0), NewTopic("c", -5))
    assert set(cluster.image.topics) == {"a"}


def test_two_plans_for_the_same_name_exclude_each_other(cluster):
    first, second = (create_topics(cluster.image, [NewTopic("t")], BROKER, cluster.ids) for _ in range(2))
    assert (cluster.attempt(first), cluster.attempt(second)) == ([True], [False])


@pytest.mark.parametrize("name", ["a", "a-b_c.D9", "x" * 249, "__consumer_offsets", "..."])
def test_legal_names(name):
    assert is_valid_topic_name(name)
    check_topic_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 250, "a b", "a/b", "\u00e4", "a\n", "\u0663", "a\x00"])
def test_illegal_names(name):
    assert not is_valid_topic_name(name)
    with pytest.raises(KafkaError) as refused:
        check_topic_name(name)
    assert refused.value.code is ErrorCode.invalid_topic_exception


def test_an_empty_name_is_called_that():
    with pytest.raises(KafkaError, match="the empty string is not allowed"):
        check_topic_name("")


def test_unusable_ids_are_passed_over(cluster):
    dash = UUID(bytes=bytes([0xF8]) + bytes(15))
    cluster.ids = iter([UUID(int=0), UUID(int=1), dash, UUID(int=1 << 90)])
    assert not is_usable_topic_id(dash)
    assert cluster.create(NewTopic("t"))["t"].topic_id == UUID(int=1 << 90)


def test_deletion_takes_everything_along(cluster):
    cluster.create(NewTopic("t", configs={"retention.ms": "7"}), NewTopic("u"))
    put = Put(model.partition_key("t", 0), model.encode_partition(PartitionState((1,), (1,), 1, 3)))
    cluster.store.transaction(Transaction(writes=(put,)))
    cluster.read()
    results = cluster.commit(delete_topics(cluster.image, ["t", "none", "t"]))
    assert results["t"].name == "t"
    assert results["none"].code is ErrorCode.unknown_topic_or_partition
    assert set(cluster.image.topics) == {"u"}
    assert all("/u" in entry.key or "/brokers/" in entry.key for entry in cluster.store.range("").entries)


def test_growth_keeps_what_is_there(cluster):
    cluster.create(NewTopic("t", 2))
    grown = cluster.commit(create_partitions(cluster.image, [NewPartitions("t", 4)]))["t"]
    assert len(grown.partitions) == len(cluster.image.topics["t"].partitions) == 4
    assert cluster.image.topics["t"].topic_id == grown.topic_id
    first = PartitionState((1,), (1,), 1, leader_epoch=3)
    put = Put(model.partition_key("t", 0), model.encode_partition(first))
    cluster.store.transaction(Transaction(writes=(put,)))
    cluster.read()
    manual = cluster.commit(create_partitions(cluster.image, [NewPartitions("t", 5, [[1]])]))["t"]
    assert manual.partitions[4].replicas == (1,)
    assert manual == cluster.image.topics["t"]
    assert manual.partitions[0] == first


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (NewPartitions("none", 3), "unknown_topic_or_partition", None),
        (NewPartitions("t", 2), "invalid_partitions", "Topic already has 2 partition(s)."),
        (NewPartitions("t", 1), "invalid_partitions", "would not be an increase"),
        (NewPartitions("t", -1), "invalid_partitions", "would not be an increase"),
        (NewPartitions("t", 10_003), "policy_violation", "Excessively large"),
        (NewPartitions("t", 4, [[1]]), "invalid_replica_assignment", "only 1 assignment(s)"),
        (NewPartitions("t", 3, [[]]), "invalid_replica_assignment", "empty replica list"),
        (NewPartitions("t", 3, [[8]]), "invalid_replica_assignment", "no such broker"),
    ],
)
def test_growth_refuses_what_kafka_refuses(cluster, request_, code, message):
    cluster.create(NewTopic("t", 2))
    error = cluster.growth_refused(request_)
    assert error.code is ErrorCode[code]
    assert message is None or message in error.message


def test_good_growth_succeeds_beside_bad(cluster):
    cluster.create(NewTopic("t", 2), NewTopic("u", 2))
    requests = [NewPartitions("none", 3), *[NewPartitions("t", 3)] * 2, NewPartitions("u", 3)]
    results = cluster.commit(create_partitions(cluster.image, requests))
    assert results["none"].code is ErrorCode.unknown_topic_or_partition
    assert results["t"].code is ErrorCode.invalid_request
    assert {name: len(topic.partitions) for name, topic in cluster.image.topics.items()} == {"t": 2, "u": 3}


def test_growth_has_one_bound_for_what_is_added(cluster):
    cluster.create(NewTopic("t", 2), NewTopic("u", 2))
    cluster.commit(create_partitions(cluster.image, [NewPartitions("t", 10_002)]))
    plan = create_partitions(cluster.image, [NewPartitions("t", 16_002), NewPartitions("u", 4_003)])
    assert len(plan.results["t"].partitions) == 16_002
    assert plan.results["u"].code is ErrorCode.policy_violation
    plan = create_partitions(cluster.image, [NewPartitions("t", 16_002), NewPartitions("u", 4_002)])
    assert len(plan.results["u"].partitions) == 4_002


def test_new_partitions_go_on_in_turn():
    cluster = Cluster(brokers=(1, 2, 3))
    cluster.create(NewTopic("t", assignments=[(0, [2]), (1, [3])]))
    grown = cluster.commit(create_partitions(cluster.image, [NewPartitions("t", 4)]))["t"]
    assert [state.leader for state in grown.partitions] == [2, 3, 1, 2]


def test_a_topic_grows_where_its_first_leader_is_gone(cluster):
    cluster.create(NewTopic("t", 1))
    nobody = PartitionState((1,), (1,), leader=-1, leader_epoch=1)
    put = Put(model.partition_key("t", 0), model.encode_partition(nobody))
    cluster.store.transaction(Transaction(writes=(put,)))
    cluster.read()
    grown = cluster.commit(create_partitions(cluster.image, [NewPartitions("t", 2)]))["t"]
    assert [state.leader for state in grown.partitions] == [-1, 1]


def test_a_topic_deleted_meanwhile_does_not_grow(cluster):
    cluster.create(NewTopic("t", 2))
    growth = create_partitions(cluster.image, [NewPartitions("t", 3)])
    cluster.commit(delete_topics(cluster.image, ["t"]))
    assert cluster.attempt(growth) == [False]


def test_a_topic_that_grows_meanwhile_is_not_deleted_in_part(cluster):
    cluster.create(NewTopic("t", 2))
    deletion = delete_topics(cluster.image, ["t"])
    cluster.commit(create_partitions(cluster.image, [NewPartitions("t", 3)]))
    assert cluster.attempt(deletion) == [False]


def test_producer_ids_are_never_given_twice(cluster):
    first, block = allocate_producer_ids(None)
    assert block == ProducerIdBlock(0, 1000)
    stale, _ = allocate_producer_ids(None)
    assert cluster.store.transaction(first).committed
    assert not cluster.store.transaction(stale).committed
    (stored,) = cluster.store.range(model.PRODUCER_IDS).entries
    second, block = allocate_producer_ids(stored)
    assert block == ProducerIdBlock(1000, 1000)
    assert cluster.store.transaction(second).committed


def test_producer_ids_may_begin_anew():
    stored = KeyValue(model.PRODUCER_IDS, model.encode_producer_ids(0), 1, 1)
    assert allocate_producer_ids(stored)[1] == ProducerIdBlock(0, 1000)


def test_producer_ids_come_to_an_end():
    last = (1 << 63) - 1 - 1000
    stored = KeyValue(model.PRODUCER_IDS, model.encode_producer_ids(last), 1, 1)
    assert allocate_producer_ids(stored)[1] == ProducerIdBlock(last, 1000)
    stored = KeyValue(model.PRODUCER_IDS, model.encode_producer_ids((1 << 63) - 1000), 1, 1)
    with pytest.raises(KafkaError, match="Exhausted"):
        allocate_producer_ids(stored)


@pytest.mark.parametrize("value", [b'{"next":-1}', b"\xff", b"{}"])
def test_producer_ids_that_cannot_be_read_are_refused(value):
    with pytest.raises(MetadataFormatError):
        allocate_producer_ids(KeyValue(model.PRODUCER_IDS, value, 1, 1))
