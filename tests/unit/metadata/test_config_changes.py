import pytest

from ottla.config.broker import broker_config
from ottla.config.layers import BrokerLayers
from ottla.metadata import model
from ottla.metadata.config_changes import (
    ConfigOperation,
    ConfigResource,
    ConfigScope,
    OperationKind,
    ResourceKind,
    incremental_alter_configs,
    replace_configs,
)
from ottla.metadata.image import image_at
from ottla.metadata.model import NO_CONFIGS, PartitionState
from ottla.metadata.transaction import Delete, Put, Transaction
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.store.memory import MemoryEngine

SET, DELETE, APPEND, SUBTRACT = OperationKind
TOPIC = ConfigResource(ResourceKind.TOPIC, "t")
ALL_BROKERS = ConfigResource(ResourceKind.BROKER, "")
ONE_BROKER = ConfigResource(ResourceKind.BROKER, "1")
GROUP = ConfigResource(ResourceKind.GROUP, "g/1")


class Cluster:
    def __init__(self):
        self.store = MemoryEngine()
        self.scope = self.scope_of({})
        state = model.encode_partition(PartitionState((1,), (1,), 1))
        topic = Put(model.topic_key("t"), b'{"id":"10000000-0000-0000-0000-000000000000"}')
        self.store.transaction(Transaction(writes=(topic, Put(model.partition_key("t", 0), state))))

    @staticmethod
    def scope_of(static, dynamic_default=NO_CONFIGS, dynamic=NO_CONFIGS):
        layers = BrokerLayers(static, dynamic_default, dynamic)
        return ConfigScope(layers, broker_config(layers))

    @property
    def image(self):
        present = self.store.range("")
        return image_at(present.revision, present.entries)

    def alter(self, resource, *operations):
        changes = {resource: [ConfigOperation(*operation) for operation in operations]}
        return self._commit(incremental_alter_configs(self.image, changes, self.scope), resource)

    def replace(self, resource, **values):
        replacements = {resource: {name.replace("_", "."): text for name, text in values.items()}}
        return self._commit(replace_configs(self.image, replacements, self.scope), resource)

    def commit(self, plan):
        assert all(self.store.transaction(step.transaction).committed for step in plan.steps)
        return plan.results

    def _commit(self, plan, resource):
        before = self.store.revision
        result = self.commit(plan)[resource]
        if isinstance(result, KafkaError):
            assert self.store.revision == before
        return result


@pytest.fixture
def cluster():
    return Cluster()


def test_topic_settings_are_set_and_deleted(cluster):
    cluster.alter(TOPIC, ("retention.ms", SET, "5"), ("segment.ms", SET, "6"))
    assert cluster.image.topics["t"].configs == {"retention.ms": "5", "segment.ms": "6"}
    result = cluster.alter(TOPIC, ("retention.ms", DELETE, None), ("flush.ms", SET, "7"))
    assert result.values == cluster.image.topics["t"].configs == {"segment.ms": "6", "flush.ms": "7"}
    cluster.alter(TOPIC, ("segment.ms", DELETE, None), ("flush.ms", DELETE, None))
    assert cluster.store.range("/configs/").entries == []


def test_lists_grow_and_shrink_from_what_holds(cluster):
    assert cluster.alter(TOPIC, ("cleanup.policy", APPEND, "compact")).values == {
        "cleanup.policy": "delete,compact"
    }
    assert cluster.alter(TOPIC, ("cleanup.policy", SUBTRACT, "delete")).values == {
        "cleanup.policy": "compact"
    }
    assert cluster.alter(TOPIC, ("cleanup.policy", APPEND, "compact")).values == {"cleanup.policy": "compact"}
    cluster.alter(TOPIC, ("cleanup.policy", DELETE, None))
    cluster.scope = cluster.scope_of({"log.cleanup.policy": "compact"})
    assert cluster.alter(TOPIC, ("cleanup.policy", APPEND, "delete")).values == {
        "cleanup.policy": "compact,delete"
    }


def test_an_item_that_is_there_is_not_added_and_one_that_is_not_is_not_missed(cluster):
    assert cluster.alter(TOPIC, ("cleanup.policy", APPEND, "delete, compact")).values == {
        "cleanup.policy": "delete,compact"
    }
    assert cluster.alter(TOPIC, ("cleanup.policy", SUBTRACT, "delete,compact")).values == {
        "cleanup.policy": ""
    }
    cluster.alter(TOPIC, ("cleanup.policy", SUBTRACT, "compact"))
    assert cluster.image.topics["t"].configs == {"cleanup.policy": ""}


def test_a_brokers_list_grows_from_what_its_file_says(cluster):
    cluster.scope = cluster.scope_of({"log.cleanup.policy": "compact"})
    assert cluster.alter(ONE_BROKER, ("log.cleanup.policy", APPEND, "delete")).values == {
        "log.cleanup.policy": "compact,delete"
    }
    assert cluster.alter(ALL_BROKERS, ("max.connections", APPEND, "1")).code is ErrorCode.invalid_config


def test_each_resource_changes_or_not_on_its_own(cluster):
    changes = {
        ConfigResource(ResourceKind.TOPIC, "none"): [ConfigOperation("retention.ms", SET, "5")],
        GROUP: [ConfigOperation("consumer.session.timeout.ms", SET, "x")],
        TOPIC: [ConfigOperation("retention.ms", SET, "5")],
    }
    results = cluster.commit(incremental_alter_configs(cluster.image, changes, cluster.scope))
    assert [isinstance(result, KafkaError) for result in results.values()] == [True, True, False]
    assert cluster.image.topics["t"].configs == {"retention.ms": "5"}


def test_a_value_may_have_32767_characters(cluster):
    longest = ",".join(f"{number % 10}:1" for number in range(8192))
    assert len(longest) == 32767
    cluster.alter(TOPIC, ("leader.replication.throttled.replicas", SET, longest))
    assert cluster.image.topics["t"].configs == {"leader.replication.throttled.replicas": longest}


def test_what_does_not_change_is_not_judged_again(cluster):
    """Settings that another version wrote are no reason to refuse a change of others."""
    written = model.encode_configs({"min.insync.replicas": "1", "node.id": "1"})
    cluster.store.transaction(Transaction(writes=(Put("/configs/brokers/1", written),)))
    cluster.alter(ONE_BROKER, ("max.connections", SET, "6"))
    assert cluster.image.broker_configs("1")["max.connections"] == "6"


def test_what_is_the_same_is_not_written(cluster):
    cluster.alter(TOPIC, ("retention.ms", SET, "5"))
    before = cluster.store.revision
    cluster.alter(TOPIC, ("retention.ms", SET, "5"))
    assert cluster.store.revision == before


def test_the_legacy_form_replaces_all(cluster):
    cluster.alter(TOPIC, ("retention.ms", SET, "5"))
    cluster.replace(TOPIC, segment_ms="6")
    assert cluster.image.topics["t"].configs == {"segment.ms": "6"}
    cluster.replace(TOPIC)
    assert cluster.image.topics["t"].configs == {}
    assert cluster.replace(TOPIC, segment_ms=None).code is ErrorCode.invalid_request


@pytest.mark.parametrize(
    ("operations", "code", "message"),
    [
        ([("nope", SET, "1")], "invalid_config", "Unknown topic config name: nope"),
        ([("retention.ms", SET, "x")], "invalid_config", "Not a number of type LONG"),
        ([("retention.ms", SET, None)], "invalid_request", "Null value not supported for : retention.ms"),
        (
            [("retention.ms", SET, "1"), ("retention.ms", DELETE, None)],
            "invalid_request",
            "duplicate config keys",
        ),
        ([("retention.ms", APPEND, "1")], "invalid_config", "Can't append to key retention.ms"),
        ([("nope", SUBTRACT, "1")], "invalid_config", "Can't subtract to key nope"),
        ([("retention.ms", 9, "1")], "invalid_request", "Unknown operations type 9"),
        ([("cleanup.policy", APPEND, "remove")], "invalid_config", "String must be one of: compact, delete"),
        ([("retention.ms", SET, "1" * 40_000)], "invalid_config", "longer than 32767"),
        (
            [("min.compaction.lag.ms", SET, "9"), ("max.compaction.lag.ms", SET, "8")],
            "invalid_config",
            "conflict",
        ),
        ([("segment.ms", SET, "7"), ("retention.ms", SET, "-5")], "invalid_config", "at least -1"),
    ],
)
def test_a_wrong_operation_changes_nothing(cluster, operations, code, message):
    error = cluster.alter(TOPIC, *operations)
    assert error.code is ErrorCode[code]
    assert message in error.message


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (ConfigResource(ResourceKind.TOPIC, "none"), "unknown_topic_or_partition"),
        (ConfigResource(ResourceKind.TOPIC, ""), "invalid_request"),
        (ConfigResource(ResourceKind.TOPIC, "a/b"), "invalid_topic_exception"),
        (ConfigResource(ResourceKind.BROKER, "one"), "invalid_request"),
        (ConfigResource(ResourceKind.GROUP, ""), "invalid_request"),
        (ConfigResource(8, "1"), "invalid_request"),
        (ConfigResource(99, "x"), "invalid_request"),
    ],
)
def test_resources_that_have_no_settings_are_refused(cluster, resource, code):
    assert cluster.alter(resource, ("retention.ms", SET, "1")).code is ErrorCode[code]


def test_broker_settings_change_where_they_are_dynamic(cluster):
    cluster.alter(ALL_BROKERS, ("log.retention.ms", SET, "5"))
    cluster.alter(ONE_BROKER, ("max.connections", SET, "6"))
    assert cluster.image.broker_configs("") == {"log.retention.ms": "5"}
    assert cluster.image.broker_configs("1") == {"max.connections": "6"}
    for resource, name, value, message in (
        (ONE_BROKER, "node.id", "2", "Cannot update these configs dynamically: node.id"),
        (ALL_BROKERS, "ssl.protocol", "x", "broker id must be specified"),
        (ONE_BROKER, "ssl.keystore.location", "x", "only for a listener"),
        (ONE_BROKER, "num.network.threads", "100", "at most double and at least halve"),
        (ALL_BROKERS, "background.threads", "2", "at most double and at least halve"),
        (ONE_BROKER, "listener.name.x.max.connections", "many", "Not a number"),
        (ALL_BROKERS, "max.connections", "-1", "at least 0"),
        (ALL_BROKERS, "log.cleaner.min.compaction.lag.ms", "x", "Not a number"),
        (ALL_BROKERS, "log.roll.ms", "0", "at least 1"),
    ):
        error = cluster.alter(resource, (name, SET, value))
        assert error.code is ErrorCode.invalid_request
        assert message in error.message


KEPT, KEPT_LOCALLY = "log.retention.ms", "log.local.retention.ms"


@pytest.mark.parametrize(
    ("resource", "layers", "accepted"),
    [
        (ALL_BROKERS, ({}, {}, {KEPT: "100"}), False),
        (ALL_BROKERS, ({}, {KEPT: "100"}, {}), True),
        (ALL_BROKERS, ({KEPT: "100", KEPT_LOCALLY: "50"}, {}, {}), False),
        (ALL_BROKERS, ({KEPT: "100"}, {}, {KEPT_LOCALLY: "50"}), True),
        (ONE_BROKER, ({}, {KEPT: "100"}, {}), False),
        (ONE_BROKER, ({}, {}, {KEPT: "100"}), True),
        (ONE_BROKER, ({KEPT: "100"}, {KEPT: "1000"}, {}), True),
        (ONE_BROKER, ({KEPT: "1000"}, {KEPT: "100"}, {}), False),
    ],
)
def test_broker_settings_are_judged_with_those_of_the_other_layers(cluster, resource, layers, accepted):
    """What a broker keeps locally is at most what it keeps: the new layer replaces what it was before."""
    cluster.scope = cluster.scope_of(*layers)
    result = cluster.alter(resource, (KEPT_LOCALLY, SET, "500"))
    assert isinstance(result, KafkaError) is not accepted


@pytest.mark.parametrize(
    ("before", "after", "accepted"),
    [("10", "5", True), ("10", "20", True), ("10", "4", False), ("10", "21", False), ("3", "1", True)],
)
def test_threads_are_at_most_doubled_and_at_least_halved(cluster, before, after, accepted):
    cluster.scope = cluster.scope_of({"num.network.threads": before})
    result = cluster.alter(ONE_BROKER, ("num.network.threads", SET, after))
    assert isinstance(result, KafkaError) is not accepted


def test_brokers_keep_names_for_plugins(cluster):
    cluster.alter(ONE_BROKER, ("my.plugin.setting", SET, "1"))
    assert cluster.image.broker_configs("1") == {"my.plugin.setting": "1"}


def test_all_brokers_have_one_number_of_replicas_in_sync(cluster):
    assert cluster.alter(ONE_BROKER, ("min.insync.replicas", SET, "2")).code is ErrorCode.invalid_config
    cluster.alter(ALL_BROKERS, ("min.insync.replicas", SET, "2"))
    assert cluster.image.broker_configs("") == {"min.insync.replicas": "2"}


def test_group_settings_stay_within_the_brokers_bounds(cluster):
    cluster.alter(GROUP, ("consumer.session.timeout.ms", SET, "50000"))
    assert cluster.image.group_configs("g/1") == {"consumer.session.timeout.ms": "50000"}
    error = cluster.alter(GROUP, ("consumer.session.timeout.ms", SET, "1"))
    assert error.code is ErrorCode.invalid_config


def test_settings_do_not_outlive_a_topic_deleted_meanwhile(cluster):
    changes = {TOPIC: [ConfigOperation("retention.ms", SET, "5")]}
    (step,) = incremental_alter_configs(cluster.image, changes, cluster.scope).steps
    cluster.store.transaction(Transaction(writes=(Delete("/topics/t"), Delete("/partitions/t/0"))))
    assert not cluster.store.transaction(step.transaction).committed


def test_two_changes_of_one_resource_exclude_each_other(cluster):
    plans = [
        incremental_alter_configs(
            cluster.image, {GROUP: [ConfigOperation(name, SET, "50000")]}, cluster.scope
        ).steps
        for name in ("consumer.session.timeout.ms", "share.session.timeout.ms")
    ]
    outcomes = [cluster.store.transaction(step.transaction).committed for (step,) in plans]
    assert outcomes == [True, False]
