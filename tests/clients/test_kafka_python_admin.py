"""kafka-python's admin client: every method it offers."""

import uuid
from collections.abc import Iterator
from typing import Any

import kafka.errors as errors
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import (
    ACL,
    AbortTransactionSpec,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    MemberToRemove,
    NewTopic,
    OffsetSpec,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UpdateFeatureType,
    UserScramCredentialDeletion,
)
from kafka.protocol.admin import ElectionType
from kafka.structs import OffsetAndMetadata

# What a broker says that leaves a whole API out, instead of what Kafka says here.
LEFT_OUT = (errors.UnsupportedVersionError, errors.IncompatibleBrokerVersion)


@pytest.fixture
def admin(broker) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    yield client
    client.close()


@pytest.fixture
def filled(broker, make_topic) -> TopicPartition:
    """A partition with ten records."""
    topic = make_topic(partitions=2)
    with KafkaProducer(bootstrap_servers=broker.bootstrap, enable_idempotence=True) as producer:
        for n in range(10):
            producer.send(topic, b"v", partition=0, timestamp_ms=1_000 + n).get(30)
    return TopicPartition(topic, 0)


@pytest.fixture
def committed_group(broker, filled, new_name) -> str:
    """A group without members that has committed offset 3."""
    group = new_name("group")
    with KafkaConsumer(
        bootstrap_servers=broker.bootstrap, group_id=group, enable_auto_commit=False
    ) as consumer:
        consumer.assign([filled])
        consumer.commit({filled: OffsetAndMetadata(3, "three", -1)})
    return group


def node(admin: KafkaAdminClient) -> int:
    return int(admin.describe_cluster()["brokers"][0]["broker_id"])


def replicas(admin: KafkaAdminClient, at: TopicPartition) -> list[int]:
    (described,) = admin.describe_topics([at.topic])
    found = {each["partition_index"]: each["replica_nodes"] for each in described["partitions"]}
    return list(found[at.partition])


# Topics


def test_topics_are_created_listed_described_and_deleted(admin, new_name):
    name = new_name("created")
    answer = admin.create_topics([NewTopic(name, 2, 1, topic_configs={"retention.ms": "12345"})])
    (created,) = answer["topics"]
    assert (created["name"], created["num_partitions"], created["replication_factor"]) == (name, 2, 1)
    assert created["configs"]["retention.ms"]["value"] == "12345"
    with pytest.raises(errors.TopicAlreadyExistsError):
        admin.create_topics([NewTopic(name, 2, 1)])
    admin.wait_for_topics([name])
    assert name in admin.list_topics()
    (description,) = admin.describe_topics([name])
    assert description["topic_id"] == created["topic_id"]
    assert [partition["partition_index"] for partition in description["partitions"]] == [0, 1]
    assert {"READ", "WRITE", "DELETE"} <= set(description["authorized_operations"])
    admin.delete_topics([name])
    with pytest.raises(errors.UnknownTopicOrPartitionError):
        admin.delete_topics([name])


def test_a_topic_is_deleted_by_its_id(admin, make_topic, eventually):
    topic = make_topic()
    (description,) = admin.describe_topics([topic])
    admin.delete_topics([uuid.UUID(description["topic_id"])])
    eventually(lambda: topic not in admin.list_topics())


def test_a_topic_is_only_checked_when_asked(admin, new_name):
    name = new_name("valid")
    admin.create_topics([NewTopic(name, 2, 1)], validate_only=True)
    assert name not in admin.list_topics()
    with pytest.raises(errors.InvalidReplicationFactorError):
        admin.create_topics([NewTopic(name, 2, 7)], validate_only=True)


def test_partitions_are_described_page_by_page(admin, make_topic):
    topic = make_topic(partitions=5)
    first = admin.describe_topic_partitions([topic], response_partition_limit=3)
    assert [p["partition_index"] for p in first["topics"][0]["partitions"]] == [0, 1, 2]
    assert (first["next_cursor"]["topic_name"], first["next_cursor"]["partition_index"]) == (topic, 3)
    rest = admin.describe_topic_partitions([topic], cursor=first["next_cursor"])
    assert [p["partition_index"] for p in rest["topics"][0]["partitions"]] == [3, 4]
    assert rest["next_cursor"] is None


def test_a_topic_grows(admin, make_topic, eventually):
    topic = make_topic()
    admin.create_partitions({topic: 4}, validate_only=True)
    assert len(admin.describe_topics([topic])[0]["partitions"]) == 1
    admin.create_partitions({topic: {"count": 3, "assignments": [[node(admin)], [node(admin)]]}})
    eventually(lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 3)
    with pytest.raises(errors.InvalidPartitionsError):
        admin.create_partitions({topic: 2})


# Configs


def topic_configs(admin: KafkaAdminClient, topic: str, **options: Any) -> dict[str, Any]:
    return admin.describe_configs([ConfigResource("TOPIC", topic)], **options)["topic"][topic]


def test_configs_are_altered_described_and_reset(admin, make_topic, eventually):
    topic = make_topic()
    assert topic_configs(admin, topic) == {}
    admin.alter_configs([ConfigResource("TOPIC", topic, {"retention.ms": "777"})])
    retention = eventually(lambda: topic_configs(admin, topic).get("retention.ms"))
    assert (retention["value"], retention["config_source"], retention["config_type"]) == (
        "777",
        "DYNAMIC_TOPIC_CONFIG",
        "LONG",
    )
    admin.reset_configs([ConfigResource("TOPIC", topic, ["retention.ms"])])
    eventually(lambda: topic_configs(admin, topic) == {})


def test_the_older_way_of_altering_configs(admin, make_topic, eventually):
    topic = make_topic(config={"retention.ms": "1", "segment.ms": "2"})
    admin.alter_configs([ConfigResource("TOPIC", topic, {"retention.ms": "777"})], incremental=False)
    eventually(lambda: topic_configs(admin, topic)["retention.ms"]["value"] == "777")


def test_configs_tell_their_synonyms(admin, make_topic):
    topic = make_topic(config={"segment.bytes": "7777777"})
    segment = topic_configs(admin, topic, include_synonyms=True, config_filter="all")["segment.bytes"]
    assert [tuple(synonym.values()) for synonym in segment["synonyms"]] == [
        ("segment.bytes", "7777777", "DYNAMIC_TOPIC_CONFIG"),
        ("log.segment.bytes", "1073741824", "DEFAULT_CONFIG"),
    ]


def test_configs_of_the_broker_are_dynamic_or_not(admin, eventually):
    broker_id = str(node(admin))

    def configs() -> dict[str, Any]:
        resource = ConfigResource("BROKER", broker_id)
        return admin.describe_configs([resource], config_filter="all")["broker"][broker_id]

    assert configs()["offsets.topic.num.partitions"]["read_only"]
    assert not configs()["log.cleaner.backoff.ms"]["read_only"]
    admin.alter_configs([ConfigResource("BROKER", broker_id, {"log.cleaner.backoff.ms": "14000"})])
    eventually(lambda: configs()["log.cleaner.backoff.ms"]["value"] == "14000")
    assert configs()["log.cleaner.backoff.ms"]["config_source"] == "DYNAMIC_BROKER_CONFIG"
    admin.reset_configs([ConfigResource("BROKER", broker_id, ["log.cleaner.backoff.ms"])])
    eventually(lambda: configs()["log.cleaner.backoff.ms"]["value"] == "15000")


def test_config_resources_are_listed(admin, make_topic, eventually):
    topic = make_topic()
    eventually(lambda: topic in admin.list_config_resources()["topic"])
    listed = admin.list_config_resources()
    assert str(node(admin)) in listed["broker"]
    assert set(admin.list_config_resources(["TOPIC"])) == {"topic"}


# Groups


def test_groups_are_listed_and_described(admin, broker, filled, new_name, eventually):
    group = new_name("group")
    settings = {"bootstrap_servers": broker.bootstrap, "group_id": group, "client_id": "me"}
    with KafkaConsumer(filled.topic, **settings) as consumer:
        eventually(lambda: consumer.poll(500) or consumer.assignment())
        assert {
            "group_id": group,
            "protocol_type": "consumer",
            "group_state": "Stable",
            "group_type": "classic",
        } in (admin.list_groups(states_filter=["Stable"], types_filter=["classic"]))
        assert group not in [listed["group_id"] for listed in admin.list_groups(states_filter=["Empty"])]
        assert group not in [listed["group_id"] for listed in admin.list_groups(types_filter=["consumer"])]
        description = admin.describe_groups([group])[group]
        assert (description["group_state"], description["protocol_data"]) == ("Stable", "range")
        (member,) = description["members"]
        assert (member["client_id"], member["client_host"]) == ("me", "/127.0.0.1")
        assert member["member_assignment"]["assigned_partitions"] == [
            {"topic": filled.topic, "partitions": [0, 1]}
        ]
        assert admin.delete_groups([group]) == {group: "NonEmptyGroupError"}
    assert admin.delete_groups([group]) == {group: "OK"}
    assert admin.delete_groups([group]) == {group: "GroupIdNotFoundError"}


def test_offsets_of_a_group_are_listed_altered_reset_and_deleted(admin, filled, committed_group):
    def offset() -> int | None:
        found = admin.list_group_offsets([committed_group])[committed_group].get(filled)
        return None if found is None else found.offset

    assert admin.list_group_offsets({committed_group: [filled]})[committed_group][filled].metadata == "three"
    admin.alter_group_offsets(committed_group, {filled: OffsetAndMetadata(5, "", -1)})
    assert offset() == 5
    admin.reset_group_offsets(committed_group, {filled: OffsetSpec.LATEST})
    assert offset() == 10
    assert admin.delete_group_offsets(committed_group, [filled]) == {filled: errors.NoError}
    assert offset() is None


def test_offsets_of_a_subscribed_topic_are_not_deleted(admin, broker, filled, new_name, eventually):
    group = new_name("group")
    with KafkaConsumer(filled.topic, bootstrap_servers=broker.bootstrap, group_id=group) as consumer:
        eventually(lambda: consumer.poll(500) or consumer.assignment())
        consumer.commit()
        answer = admin.delete_group_offsets(group, [filled])
    assert answer == {filled: errors.GroupSubscribedToTopicError}


def test_members_are_put_out(admin, broker, filled, new_name, eventually):
    group = new_name("group")
    settings = {"bootstrap_servers": broker.bootstrap, "group_id": group, "group_instance_id": "one"}
    with KafkaConsumer(filled.topic, **settings) as consumer:
        eventually(lambda: consumer.poll(500) or consumer.assignment())
        members = [MemberToRemove(group_instance_id="one"), MemberToRemove(group_instance_id="two")]
        answer = admin.remove_group_members(group, members)
        assert answer == {"one": errors.NoError, "two": errors.UnknownMemberIdError}
        assert admin.describe_groups([group])[group]["members"] == []


# The log


def test_records_are_deleted_up_to_an_offset(admin, filled):
    assert admin.delete_records({filled: 6})[filled]["low_watermark"] == 6
    with pytest.raises(errors.OffsetOutOfRangeError):
        admin.delete_records({filled: 99})


def test_offsets_of_a_partition(admin, filled):
    def offset(spec: Any) -> tuple[int, int]:
        found = admin.list_partition_offsets({filled: spec})[filled]
        return found.offset, found.timestamp

    assert offset(OffsetSpec.EARLIEST)[0] == 0
    assert offset(OffsetSpec.LATEST)[0] == 10
    assert offset(OffsetSpec.MAX_TIMESTAMP) == (9, 1009)


def test_log_dirs_are_described(admin, filled):
    folders = [
        folder for answer in admin.describe_log_dirs({filled.topic: [0, 1]}) for folder in answer["log_dirs"]
    ]
    assert all(folder["error_code"] == 0 for folder in folders)
    assert all(folder["total_bytes"] >= folder["usable_bytes"] > 0 for folder in folders)
    topics = [topic for folder in folders for topic in folder["topics"]]
    assert {topic["name"] for topic in topics} == {filled.topic}
    sizes = {
        each["partition_index"]: each["partition_size"] for topic in topics for each in topic["partitions"]
    }
    assert sizes[0] > sizes[1] == 0
    every = [folder for answer in admin.describe_log_dirs() for folder in answer["log_dirs"]]
    assert filled.topic in {topic["name"] for folder in every for topic in folder["topics"]}


def test_leaders_are_elected(admin, filled):
    answer = admin.elect_leaders(ElectionType.PREFERRED, {filled.topic: [0]}, raise_errors=False)
    (topic,) = answer.replica_election_results
    assert [partition.error_code for partition in topic.partition_result] == [
        errors.ElectionNotNeededError.errno
    ]


def test_reassignments(admin, filled):
    assert admin.list_partition_reassignments() == {}
    assert admin.alter_partition_reassignments({filled: replicas(admin, filled)}) == {filled: None}
    assert admin.alter_partition_reassignments({filled: None}) == {
        filled: errors.NoReassignmentInProgressError
    }
    assert admin.alter_partition_reassignments({filled: [4711]}) == {
        filled: errors.InvalidReplicationAssignmentError
    }


def test_producers_of_a_partition_are_described(admin, filled):
    (producer,) = admin.describe_producers([filled])[filled].active_producers
    assert producer.last_sequence == 9
    assert producer.current_transaction_start_offset == -1


# The cluster


def test_the_cluster_is_described(admin, broker):
    cluster = admin.describe_cluster()
    assert cluster["cluster_id"]
    assert broker.bootstrap in [f"{found['host']}:{found['port']}" for found in cluster["brokers"]]
    assert cluster["controller_id"] in [found["broker_id"] for found in cluster["brokers"]]


def test_the_quorum_is_described_or_left_out(admin):
    try:
        (topic,) = admin.describe_metadata_quorum()["topics"]
    except LEFT_OUT:
        return
    assert topic["topic_name"] == "__cluster_metadata"


def test_features_are_described_and_not_updated_at_will(admin):
    assert admin.describe_features()["group.version"]["finalized"] == (1, 1)
    with pytest.raises(errors.KafkaError):
        admin.update_features({"metadata.version": (1, UpdateFeatureType.UPGRADE)}, validate_only=True)


def test_the_brokers_versions(admin):
    versions = {key.name: span for key, span in admin.api_versions().items()}
    assert versions["Produce"][0] == 0  # refused, and advertised for librdkafka (KAFKA-18659)
    assert admin.get_broker_version_data(node(admin)).broker_version >= (4, 0)


# What a broker without security or transactions answers


def test_acls_are_off(admin):
    pattern = ResourcePattern(ResourceType.TOPIC, "t")
    acl = ACL("User:u", "*", ACLOperation.READ, ACLPermissionType.ALLOW, pattern)
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    everything = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, anything)
    with pytest.raises(errors.SecurityDisabledError):
        admin.describe_acls(everything)
    assert admin.create_acls([acl])["failed"] == [errors.SecurityDisabledError]
    ((_, matching, error),) = admin.delete_acls([everything])
    assert (matching, error) == ([], errors.SecurityDisabledError)


def test_there_are_no_scram_credentials(admin):
    try:
        assert admin.describe_user_scram_credentials() == {}
        deletion = UserScramCredentialDeletion("nobody", ScramMechanism.SCRAM_SHA_256)
        assert admin.alter_user_scram_credentials([deletion])["nobody"] != "OK"
    except LEFT_OUT:
        return


def test_no_transaction_hangs(admin, filled):
    try:
        assert node(admin) in list(admin.list_transactions())
        assert admin.find_hanging_transactions() == []
        with pytest.raises(errors.KafkaError):
            admin.describe_transactions(["no-such-transaction"])
        admin.abort_transaction(AbortTransactionSpec(filled, 4711, 0, 0))
    except LEFT_OUT:
        return
