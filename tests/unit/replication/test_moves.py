"""Elections and moves that clients ask for, on the image of a cluster."""

import dataclasses
from uuid import UUID

import pytest

from ottla.config.broker import broker_config
from ottla.config.layers import BrokerLayers
from ottla.metadata import model
from ottla.metadata.image import image_at
from ottla.metadata.membership import unregister_broker
from ottla.metadata.model import NO_LEADER, BrokerRegistration, OfflineReplicas, PartitionState
from ottla.metadata.transaction import Compare, Delete, MetadataFormatError, Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.replication.elections import Election
from ottla.replication.leadership import (
    all_partitions,
    elect_leaders,
    rebalance_leaders,
    settle_partitions,
    unfence,
)
from ottla.replication.moves import alter_reassignments, raise_factors
from ottla.store.memory import MemoryEngine

DEFAULTS = broker_config(BrokerLayers(static={"min.insync.replicas": "2"}))
CONTROLLER = Compare("/controller", 0)


TOPIC_ID = UUID(int=1 << 100)


class Cluster:
    """Brokers 1 to 5; `gone` are not registered any more."""

    def __init__(self, *states, gone=(), configs=None):
        self.store = MemoryEngine()
        for node_id in range(1, 6):
            value = model.encode_broker(BrokerRegistration(node_id, {}))
            keys = [model.known_broker_key(node_id)]
            if node_id not in gone:
                keys.append(model.broker_key(node_id))
            self.write(*(Put(key, value) for key in keys))
        begun = [model.initial_state(each.replicas, each.replicas) for each in states]
        self.write(Put(model.topic_key("t"), model.encode_topic(UUID(int=1 << 100), begun)))
        for number, state in enumerate(states):
            self.write(Put(model.partition_key("t", number), model.encode_partition(state)))
        if configs:
            self.write(Put(model.TOPIC_CONFIGS + "t", model.encode_configs(configs)))

    def write(self, *writes):
        assert self.store.transaction(Transaction(writes=writes)).committed

    @property
    def image(self):
        present = self.store.range("")
        return image_at(present.revision, present.entries)

    def commit(self, steps):
        for step in steps:
            assert self.store.transaction(step.transaction).committed
        return self.image.topics["t"].partitions

    def isr(self, *isr, partition=0):
        """As its leader writes it."""
        state = self.image.topics["t"].partitions[partition]
        changed = dataclasses.replace(state, isr=isr, partition_epoch=state.partition_epoch + 1)
        self.write(Put(model.partition_key("t", partition), model.encode_partition(changed)))

    def settle(self):
        return self.commit(settle_partitions(self.image, DEFAULTS, all_partitions(self.image), CONTROLLER))

    def elect(self, election, *partitions):
        plan = elect_leaders(self.image, DEFAULTS, [("t", number) for number in partitions], election)
        self.commit(plan.steps)
        return [codes_of(plan.results["t", number]) for number in partitions]

    def move(self, replicas, partition=0, *, allow_factor_change=True):
        wanted = {("t", partition): replicas}
        plan = alter_reassignments(self.image, DEFAULTS, wanted, allow_factor_change=allow_factor_change)
        self.commit(plan.steps)
        result = plan.results["t", partition]
        if isinstance(result, KafkaError):
            raise result
        return self.image.topics["t"].partitions[partition]


def codes_of(result):
    return result.code if isinstance(result, KafkaError) else ErrorCode.none


def led_by(leader, isr=(1, 2, 3)):
    return PartitionState((1, 2, 3), isr, leader, 4, 4)


def test_preferred_leaders_are_elected_where_they_are_in_sync():
    cluster = Cluster(led_by(2), led_by(1), led_by(2, (2, 3)))
    assert cluster.elect(Election.PREFERRED, 0, 1, 2, 7) == [
        ErrorCode.none,
        ErrorCode.election_not_needed,
        ErrorCode.preferred_leader_not_available,
        ErrorCode.unknown_topic_or_partition,
    ]
    assert [state.leader for state in cluster.image.topics["t"].partitions] == [1, 1, 2]


def test_unclean_leaders_are_elected_where_there_are_none():
    nobody = PartitionState((1, 2, 3), (), NO_LEADER, 4, 4, elr=(1,), last_known_elr=(1,))
    lost = dataclasses.replace(nobody, replicas=(1,))
    cluster = Cluster(nobody, led_by(2), lost, gone=(1,))
    assert cluster.elect(Election.UNCLEAN, 0, 1, 2) == [
        ErrorCode.none,
        ErrorCode.election_not_needed,
        ErrorCode.eligible_leaders_not_available,
    ]
    state = cluster.image.topics["t"].partitions[0]
    assert (state.leader, state.isr, state.is_recovering) == (2, (2,), True)


def test_the_controller_elects_uncleanly_where_the_topic_says_so():
    nobody = PartitionState((1, 2), (), NO_LEADER, 4, 4, elr=(1,), last_known_elr=(1,))
    assert Cluster(nobody, gone=(1,)).settle()[0].leader == NO_LEADER
    careless = Cluster(nobody, gone=(1,), configs={"unclean.leader.election.enable": "true"})
    assert careless.settle()[0].leader == 2


def test_as_many_preferred_leaders_as_are_asked_for_lead_again():
    cluster = Cluster(led_by(2), led_by(3), led_by(3, (2, 3)), led_by(1))
    (step,) = rebalance_leaders(cluster.image, DEFAULTS, 1, CONTROLLER)
    assert step.items == (("t", 0),)
    states = cluster.commit(rebalance_leaders(cluster.image, DEFAULTS, 100, CONTROLLER))
    assert [state.leader for state in states] == [1, 1, 3, 1]


def test_nothing_moves_to_a_broker_that_takes_no_new_replicas():
    cluster = Cluster(led_by(1))
    cluster.write(Put(model.cordoned_key(3), model.MARK))
    for replicas in ([3], [1, 2, 3]):
        with pytest.raises(KafkaError, match="all its log directories are cordoned") as refused:
            cluster.move(replicas)
        assert refused.value.code is ErrorCode.invalid_replica_assignment
    assert cluster.move([1, 2]).replicas == (1, 2)


def test_a_partition_moves_when_its_new_replicas_are_in_sync():
    cluster = Cluster(led_by(1))
    moving = cluster.move([4, 5, 1])
    assert (moving.replicas, moving.adding, moving.removing) == ((4, 5, 1, 2, 3), (4, 5), (2, 3))
    assert (moving.leader, moving.leader_epoch, moving.partition_epoch) == (1, 4, 5)
    assert cluster.settle()[0] == moving
    cluster.isr(1, 2, 3, 4)
    assert cluster.settle()[0].adding == (4, 5)
    cluster.isr(1, 2, 3, 4, 5)
    (done,) = cluster.settle()
    assert (done.replicas, done.isr, done.adding, done.removing) == ((4, 5, 1), (1, 4, 5), (), ())
    assert (done.leader, done.leader_epoch) == (1, 5)  # fetchers that were removed are told by the epoch


def test_a_leader_that_moves_away_is_followed_by_one_that_stays():
    cluster = Cluster(led_by(1))
    cluster.move([4, 2, 3])
    cluster.isr(1, 2, 3, 4)
    (done,) = cluster.settle()
    assert (done.replicas, done.leader, done.leader_epoch) == ((4, 2, 3), 4, 5)


def test_a_move_is_taken_back():
    cluster = Cluster(led_by(1))
    cluster.move([4, 5, 1])
    cluster.isr(1, 2, 3, 4)
    back = cluster.move(None)
    assert (back.replicas, back.isr, back.adding, back.removing) == ((1, 2, 3), (1, 2, 3), (), ())
    with pytest.raises(KafkaError) as refused:
        cluster.move(None)
    assert refused.value.code is ErrorCode.no_reassignment_in_progress


def test_a_move_is_not_taken_back_at_the_price_of_records():
    cluster = Cluster(led_by(1))
    cluster.move([4, 5])
    cluster.isr(4)
    with pytest.raises(KafkaError, match="unclean leader election") as refused:
        cluster.move(None)
    assert refused.value.code is ErrorCode.invalid_replica_assignment


@pytest.mark.parametrize(
    ("replicas", "code"),
    [
        ([], ErrorCode.invalid_replica_assignment),
        ([1, 1], ErrorCode.invalid_replica_assignment),
        ([9], ErrorCode.invalid_replica_assignment),
        ([1, 2], ErrorCode.invalid_replication_factor),
    ],
)
def test_moves_to_nowhere_are_refused(replicas, code):
    with pytest.raises(KafkaError) as refused:
        Cluster(led_by(1)).move(replicas, allow_factor_change=False)
    assert refused.value.code is code


def test_a_broker_is_forgotten_when_it_went():
    cluster = Cluster(led_by(1), gone=(4,))
    plan = unregister_broker(cluster.image, 4)
    cluster.commit(plan.steps)
    assert sorted(cluster.image.known_brokers) == [1, 2, 3, 5]
    with pytest.raises(KafkaError, match="not registered"):
        unregister_broker(cluster.image, 4)
    with pytest.raises(KafkaError, match="alive"):
        unregister_broker(cluster.image, 5)


def test_a_broker_is_unfenced_once_it_is_in_no_isr_of_its_last_epoch():
    cluster = Cluster(PartitionState((4, 5), (4, 5), 4), PartitionState((5,), (), -1, 1, 1, elr=(5,)))
    for node_id, is_clean in ((4, True), (5, False)):
        anew = BrokerRegistration(node_id, {}, is_clean=is_clean, is_fenced=True)
        cluster.write(Put(model.broker_key(node_id), model.encode_broker(anew)))
    assert unfence(cluster.image, CONTROLLER) is None
    first, second = cluster.settle()
    assert (first.isr, first.elr, first.leader) == ((), (4,), NO_LEADER)
    assert second.elr == ()  # who is not clean is not eligible
    ready = unfence(cluster.image, CONTROLLER)
    assert ready is not None
    assert cluster.store.transaction(ready).committed
    assert cluster.image.is_active(4)
    assert cluster.image.is_active(5)
    first, second = cluster.settle()
    assert (first.leader, first.is_recovering) == (4, False)


def raised(cluster, factor=3):
    return cluster.commit(raise_factors(cluster.image, DEFAULTS, {"t": factor, "u": factor}, CONTROLLER))


def test_topics_get_the_replicas_that_they_are_to_have():
    alone = PartitionState((1,), (1,), 1)
    moving = PartitionState((1, 2), (1,), 1, adding=(2,))
    nobody = PartitionState((1,), (), NO_LEADER, last_known_elr=(1,))
    whole = PartitionState((5, 4, 3), (5,), 5)
    cluster = Cluster(alone, alone, alone, alone, moving, nobody, whole)
    states = raised(cluster)
    for state in states[:4]:
        assert len(state.replicas) == 3
        assert (state.replicas[0], state.leader, state.isr) == (1, 1, (1,))
        assert set(state.adding) == set(state.replicas) - {1}
    # Spread over those that have the fewest.
    assert sorted(each for state in states[:4] for each in state.adding) == [2, 2, 3, 3, 4, 4, 5, 5]
    assert states[4:] == (moving, nobody, whole)
    assert raise_factors(cluster.image, DEFAULTS, {"t": 3}) == ()


def test_topics_wait_for_brokers_to_have_replicas_on():
    alone = PartitionState((1,), (1,), 1)
    cluster = Cluster(alone, gone=(3, 4, 5))
    assert raised(cluster) == (alone,)
    cluster = Cluster(alone, gone=(4, 5))
    assert set(raised(cluster)[0].replicas) == {1, 2, 3}


def test_replicas_are_raised_over_racks():
    cluster = Cluster(PartitionState((1,), (1,), 1))
    for node_id in range(1, 6):
        rack = "a" if node_id < 4 else f"rack-{node_id}"
        value = model.encode_broker(BrokerRegistration(node_id, {}, rack))
        cluster.write(Put(model.broker_key(node_id), value))
    assert set(raised(cluster)[0].replicas) == {1, 4, 5}


def test_partitions_that_nobody_leads_come_first():
    follows, leads = PartitionState((1, 2, 3), (1, 2, 3), 1), PartitionState((3, 1, 2), (3, 1, 2), 3)
    cluster = Cluster(*[follows] * 200, leads, gone=(3,))
    steps = settle_partitions(cluster.image, DEFAULTS, all_partitions(cluster.image), CONTROLLER)
    assert [len(step.items) for step in steps] == [1, 127, 73]
    assert steps[0].items == (("t", 200),)


def offline(cluster, node_id, *partitions, topic_id=TOPIC_ID):
    value = model.encode_offline_replicas(OfflineReplicas(topic_id, frozenset(partitions)))
    cluster.write(Put(model.offline_replicas_key(node_id, "t"), value))


def test_brokers_lead_nothing_whose_logs_they_cannot_use():
    state = PartitionState((1, 2, 3), (1, 2, 3), 1)
    cluster = Cluster(state, state)
    offline(cluster, 1, 0)
    before = cluster.image
    first, second = cluster.commit(settle_partitions(before, DEFAULTS, all_partitions(before), CONTROLLER))
    assert (first.leader, first.isr, second) == (2, (2, 3), state)
    assert before.brokers_without(before.topics["t"], 0) == {1}
    assert before.brokers_without(before.topics["t"], 1) == frozenset()
    results = elect_leaders(cluster.image, DEFAULTS, [("t", 0)], Election.PREFERRED).results
    assert results["t", 0].code is ErrorCode.preferred_leader_not_available
    cluster.write(Delete(model.offline_replicas_key(1, "t")))
    assert cluster.image.offline_replicas == {}


def test_what_a_failing_disk_had_makes_nobody_eligible():
    cluster = Cluster(PartitionState((1, 2), (1,), 1, elr=(2,)))
    offline(cluster, 1, 0)
    offline(cluster, 2, 0)
    (state,) = cluster.commit(settle_partitions(cluster.image, DEFAULTS, [("t", 0)]))
    assert (state.leader, state.isr, state.elr, state.last_known_elr) == (NO_LEADER, (), (), (1,))


def test_an_older_topic_of_the_name_has_nothing_to_do_with_it():
    cluster = Cluster(PartitionState((1, 2), (1, 2), 1))
    offline(cluster, 1, 0, topic_id=UUID(int=1))
    assert settle_partitions(cluster.image, DEFAULTS, [("t", 0)]) == ()


@pytest.mark.parametrize("key", ["/offline_replicas/1", "/offline_replicas/x/t", "/offline_replicas/1/"])
def test_keys_that_name_no_replicas(key):
    with pytest.raises(MetadataFormatError):
        model.parse_offline_replicas_key(key)


@pytest.mark.parametrize(
    "value", [b'{"id":"x","partitions":[]}', b'{"id":"%s","partitions":["0"]}' % bytes(36)]
)
def test_values_that_name_no_replicas(value):
    with pytest.raises(MetadataFormatError):
        model.decode_offline_replicas(value)
