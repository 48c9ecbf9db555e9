"""confluent-kafka's AdminClient: every method it offers."""

from typing import Any

import pytest
from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ElectionType,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
)


@pytest.fixture
def admin(confluent: Any) -> Any:
    return confluent.admin()


def refusal(future: Any) -> Any:
    """The code of the error that a future must end with."""
    with pytest.raises(KafkaException) as refused:
        future.result(20)
    return refused.value.args[0].code()


def answer(future: Any) -> Any:
    """What a future ends with: its result, or the code of its error."""
    try:
        return future.result(20)
    except KafkaException as error:
        return error.args[0].code()


def topic_resource(topic: str, **config: str) -> ConfigResource:
    return ConfigResource(ConfigResource.Type.TOPIC, topic, set_config=config or None)


def described(admin: Any, resource: ConfigResource) -> dict[str, ConfigEntry]:
    (future,) = admin.describe_configs([resource]).values()
    return future.result(20)


def changed(admin: Any, topic: str) -> dict[str, str | None]:
    """A topic's own configs. Kafka shows a change a moment after it has answered."""
    entries = described(admin, topic_resource(topic)).values()
    own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    return {entry.name: entry.value for entry in entries if entry.source == own}


def fill(confluent: Any, topic: str, count: int) -> None:
    records = [{"value": b"%d" % n, "partition": 0, "timestamp": 1_000 + n} for n in range(count)]
    confluent.produce(confluent.producer(), topic, records)


def emptied_group(confluent: Any, topic: str, group: str, offset: int) -> None:
    """A group without members that has committed."""
    consumer = confluent.consumer(group)
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()


# Topics


def test_topics_are_created_and_deleted(admin, new_name, eventually):
    name = new_name("created")
    admin.create_topics([NewTopic(name, 3, 1, config={"retention.ms": "12345"})])[name].result(20)
    eventually(lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == 3)
    assert refusal(admin.create_topics([NewTopic(name, 3, 1)])[name]) == KafkaError.TOPIC_ALREADY_EXISTS
    admin.delete_topics([name])[name].result(20)
    eventually(lambda: name not in admin.list_topics(timeout=10).topics)
    assert refusal(admin.delete_topics([name])[name]) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_deleted_topic_is_new_when_created_again(admin, confluent, new_name, eventually):
    name = new_name("again")
    for count in (5, 3):
        # Kafka may still be busy with deleting the old one.
        eventually(lambda: answer(admin.create_topics([NewTopic(name, 1, 1)])[name]) is None)
        fill(confluent, name, count)
        assert [int(m.value()) for m in confluent.read_from(name, count)] == list(range(count))
        admin.delete_topics([name])[name].result(20)


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        (NewTopic("not/legal", 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic("x" * 250, 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic("ottla-replicas", 1, 5), KafkaError.INVALID_REPLICATION_FACTOR),
        (NewTopic("ottla-config", 1, 1, config={"no.such": "1"}), KafkaError.INVALID_CONFIG),
        (NewTopic("ottla-value", 1, 1, config={"retention.ms": "soon"}), KafkaError.INVALID_CONFIG),
    ],
    ids=["name", "length", "replicas", "config-name", "config-value"],
)
def test_a_topic_that_cannot_be_is_refused(admin, topic, code):
    assert refusal(admin.create_topics([topic])[topic.topic]) == code
    assert topic.topic not in admin.list_topics(timeout=10).topics


def test_each_topic_of_a_request_is_answered(admin, new_name):
    good, bad = new_name("good"), new_name("bad")
    futures = admin.create_topics([NewTopic(good, 1, 1), NewTopic(bad, 1, 9)])
    futures[good].result(20)
    assert refusal(futures[bad]) == KafkaError.INVALID_REPLICATION_FACTOR


def test_validate_only_creates_nothing(admin, new_name):
    name = new_name("valid")
    admin.create_topics([NewTopic(name, 1, 1)], validate_only=True)[name].result(20)
    assert name not in admin.list_topics(timeout=10).topics


def test_the_defaults_of_the_broker(admin, new_name):
    name = new_name("default")
    admin.create_topics([NewTopic(name)])[name].result(20)
    found = admin.list_topics(name, timeout=10)
    replicas = min(3, len(found.brokers))
    assert [len(each.replicas) for each in found.topics[name].partitions.values()] == [replicas]


def test_a_topic_grows(admin, make_topic, eventually):
    topic = make_topic(partitions=2)
    admin.create_partitions([NewPartitions(topic, 5)])[topic].result(20)
    eventually(lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 5)
    for count in (5, 3):
        assert (
            refusal(admin.create_partitions([NewPartitions(topic, count)])[topic])
            == KafkaError.INVALID_PARTITIONS
        )
    unknown = admin.create_partitions([NewPartitions("ottla-unknown", 5)])["ottla-unknown"]
    assert refusal(unknown) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_topics_are_described(admin, make_topic):
    topic = make_topic(partitions=2)
    futures = admin.describe_topics(TopicCollection([topic, "ottla-unknown"]))
    description = futures[topic].result(20)
    assert (description.name, description.is_internal) == (topic, False)
    assert len({str(description.topic_id), "AAAAAAAAAAAAAAAAAAAAAA"}) == 2
    assert [(p.id, [p.leader.id] == [node.id for node in p.isr]) for p in description.partitions] == [
        (0, True),
        (1, True),
    ]
    assert refusal(futures["ottla-unknown"]) == KafkaError.UNKNOWN_TOPIC_OR_PART


# Configs


def test_configs_name_their_source(admin, make_topic):
    topic = make_topic(config={"retention.ms": "12345"})
    configs = described(admin, topic_resource(topic))
    retention, segment = configs["retention.ms"], configs["segment.bytes"]
    assert (retention.value, retention.source) == ("12345", ConfigSource.DYNAMIC_TOPIC_CONFIG.value)
    assert (segment.value, segment.is_default) == ("1073741824", True)
    assert {"cleanup.policy", "max.message.bytes", "compression.type", "min.insync.replicas"} <= set(configs)
    assert not any(entry.is_sensitive for entry in configs.values())


def test_configs_change_one_by_one(admin, make_topic, eventually):
    topic = make_topic(config={"retention.ms": "1000", "segment.ms": "9999"})
    changes = [
        ConfigEntry("retention.ms", "2000", incremental_operation=AlterConfigOpType.SET),
        ConfigEntry("segment.ms", None, incremental_operation=AlterConfigOpType.DELETE),
        ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND),
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=changes)
    admin.incremental_alter_configs([resource])[resource].result(20)
    expected = {"retention.ms": "2000", "cleanup.policy": "delete,compact"}
    eventually(lambda: changed(admin, topic) == expected)
    subtract = [ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SUBTRACT)]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=subtract)
    admin.incremental_alter_configs([resource])[resource].result(20)
    eventually(lambda: changed(admin, topic) == {**expected, "cleanup.policy": "compact"})


def test_the_older_way_replaces_all_configs(admin, make_topic, eventually):
    topic = make_topic(config={"retention.ms": "1000", "segment.ms": "9999"})
    resource = topic_resource(topic, **{"retention.ms": "3000"})
    with pytest.deprecated_call():
        (future,) = admin.alter_configs([resource]).values()
    future.result(20)
    eventually(lambda: changed(admin, topic) == {"retention.ms": "3000"})


@pytest.mark.parametrize(
    ("name", "value"), [("no.such.config", "1"), ("retention.ms", "soon"), ("segment.bytes", "1")]
)
def test_a_config_that_cannot_be_is_refused(admin, make_topic, name, value):
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, make_topic(), incremental_configs=[entry])
    assert refusal(admin.incremental_alter_configs([resource])[resource]) == KafkaError.INVALID_CONFIG


def test_configs_are_only_checked_when_asked(admin, make_topic):
    topic = make_topic()
    entry = ConfigEntry("retention.ms", "77", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource], validate_only=True)[resource].result(20)
    assert changed(admin, topic) == {}


def test_configs_of_an_unknown_topic(admin):
    (future,) = admin.describe_configs([topic_resource("ottla-unknown")]).values()
    assert refusal(future) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_configs_of_the_broker(admin):
    node = str(next(iter(admin.list_topics(timeout=10).brokers)))
    configs = described(admin, ConfigResource(ConfigResource.Type.BROKER, node))
    assert configs["num.partitions"].value == "1"
    assert {"log.retention.ms", "message.max.bytes", "group.min.session.timeout.ms"} <= set(configs)


# Groups


@pytest.mark.parametrize("settings", [{}, {"group_protocol": "consumer"}], ids=["classic", "consumer"])
def test_a_group_is_listed_and_described(admin, confluent, make_topic, new_name, eventually, settings):
    topic, group = make_topic(), new_name("group")
    consumer = confluent.consumer(group, client_id="me", **settings)
    consumer.subscribe([topic])
    eventually(lambda: consumer.poll(0.05) or consumer.assignment())
    listed = {g.group_id: g for g in admin.list_consumer_groups(request_timeout=20).result(20).valid}
    assert listed[group].state.name == "STABLE"
    assert not listed[group].is_simple_consumer_group
    (future,) = admin.describe_consumer_groups([group]).values()
    description = future.result(20)
    assert (description.state.name, description.partition_assignor) == (
        "STABLE",
        "uniform" if settings else "range",
    )
    (member,) = description.members
    assert (member.client_id, member.host.lstrip("/")) == ("me", "127.0.0.1")
    assert [(p.topic, p.partition) for p in member.assignment.topic_partitions] == [(topic, 0)]


def test_groups_are_filtered_by_state(admin, confluent, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    emptied_group(confluent, topic, group, 1)

    def listed(state: ConsumerGroupState) -> set[str]:
        return {g.group_id for g in admin.list_consumer_groups(states={state}).result(20).valid}

    assert group in listed(ConsumerGroupState.EMPTY)
    assert group not in listed(ConsumerGroupState.STABLE)
    with pytest.deprecated_call():
        assert group in {listed.id for listed in admin.list_groups(timeout=20)}


def test_an_unknown_group_is_dead(admin, new_name):
    (future,) = admin.describe_consumer_groups([new_name("group")]).values()
    found = answer(future)
    assert found == KafkaError.GROUP_ID_NOT_FOUND or found.state.name == "DEAD"


def test_groups_are_deleted_when_empty(admin, confluent, make_topic, new_name, eventually):
    topic, group = make_topic(), new_name("group")
    consumer = confluent.consumer(group)
    consumer.subscribe([topic])
    eventually(lambda: consumer.poll(0.05) or consumer.assignment())
    assert refusal(admin.delete_consumer_groups([group])[group]) == KafkaError.NON_EMPTY_GROUP
    consumer.close()
    admin.delete_consumer_groups([group])[group].result(20)
    assert refusal(admin.delete_consumer_groups([group])[group]) == KafkaError.GROUP_ID_NOT_FOUND


def test_offsets_of_a_group(admin, confluent, make_topic, new_name):
    topic, group = make_topic(partitions=2), new_name("group")
    emptied_group(confluent, topic, group, 3)

    def offsets() -> list[tuple[int, int]]:
        (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
        return [(p.partition, p.offset) for p in future.result(20).topic_partitions]

    assert offsets() == [(0, 3)]
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 1), TopicPartition(topic, 1, 8)])
    (future,) = admin.alter_consumer_group_offsets([request]).values()
    future.result(20)
    assert sorted(offsets()) == [(0, 1), (1, 8)]
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 1)])
    (future,) = admin.list_consumer_group_offsets([asked]).values()
    assert [(p.partition, p.offset) for p in future.result(20).topic_partitions] == [(1, 8)]


def test_offsets_of_a_living_group_stay(admin, confluent, make_topic, new_name, eventually):
    topic, group = make_topic(), new_name("group")
    consumer = confluent.consumer(group)
    consumer.subscribe([topic])
    eventually(lambda: consumer.poll(0.05) or consumer.assignment())
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 1)])
    (future,) = admin.alter_consumer_group_offsets([request]).values()
    (partition,) = future.result(20).topic_partitions
    assert partition.error.code() == KafkaError.UNKNOWN_MEMBER_ID


# The log


def test_records_are_deleted_up_to_an_offset(admin, confluent, make_topic):
    topic = make_topic()
    fill(confluent, topic, 10)
    (future,) = admin.delete_records([TopicPartition(topic, 0, 6)]).values()
    assert future.result(20).low_watermark == 6
    assert [m.offset() for m in confluent.read_from(topic, 4)] == [6, 7, 8, 9]
    (future,) = admin.delete_records([TopicPartition(topic, 0, -1)]).values()
    assert future.result(20).low_watermark == 10
    (future,) = admin.delete_records([TopicPartition(topic, 0, 99)]).values()
    assert refusal(future) == KafkaError.OFFSET_OUT_OF_RANGE


def test_offsets_of_a_partition(admin, confluent, make_topic):
    topic = make_topic()
    fill(confluent, topic, 10)

    def offset(spec: OffsetSpec) -> tuple[int, int]:
        (future,) = admin.list_offsets({TopicPartition(topic, 0): spec}).values()
        result = future.result(20)
        return result.offset, result.timestamp

    assert offset(OffsetSpec.earliest())[0] == 0
    assert offset(OffsetSpec.latest())[0] == 10
    assert offset(OffsetSpec.max_timestamp()) == (9, 1009)
    assert offset(OffsetSpec.for_timestamp(1004)) == (4, 1004)
    assert offset(OffsetSpec.for_timestamp(5000))[0] == -1


def test_leaders_are_elected(admin, make_topic):
    topic = make_topic()
    results = admin.elect_leaders(ElectionType.PREFERRED, [TopicPartition(topic, 0)]).result(20)
    assert results[TopicPartition(topic, 0)].code() == KafkaError.ELECTION_NOT_NEEDED


# The cluster


def test_the_cluster_is_described(admin, broker):
    cluster = admin.describe_cluster(request_timeout=20).result(20)
    assert cluster.cluster_id
    assert broker.bootstrap in [f"{node.host}:{node.port}" for node in cluster.nodes]
    assert cluster.controller.id in [node.id for node in cluster.nodes]


# What a broker without security answers


def test_acls_are_off(admin):
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    binding = AclBinding(
        ResourceType.TOPIC,
        "t",
        ResourcePatternType.LITERAL,
        "User:u",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    assert answer(admin.describe_acls(everything)) in (
        [],
        KafkaError.SECURITY_DISABLED,
    )  # librdkafka hides it
    assert refusal(admin.create_acls([binding])[binding]) == KafkaError.SECURITY_DISABLED
    assert refusal(admin.delete_acls([everything])[everything]) == KafkaError.SECURITY_DISABLED


def test_there_are_no_scram_credentials(admin):
    no_scram = (KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE)
    assert answer(admin.describe_user_scram_credentials()) in ({}, *no_scram)
    deletion = UserScramCredentialDeletion("nobody", ScramMechanism.SCRAM_SHA_256)
    altered = admin.alter_user_scram_credentials([deletion])["nobody"]
    assert refusal(altered) in (KafkaError.RESOURCE_NOT_FOUND, *no_scram)
