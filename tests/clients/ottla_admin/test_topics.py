"""Topics, their configs and their records."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import pytest

from ottla.client.admin.acls import (
    AclOperation,
)
from ottla.client.admin.admin import AsyncAdmin
from ottla.client.admin.configs import (
    ConfigChange,
    ConfigEntry,
    ConfigKind,
    ConfigOperation,
    ConfigResource,
    ConfigSource,
)
from ottla.client.admin.records import OffsetSpec
from ottla.client.admin.topics import NewPartitions, NewTopic
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import BrokerError, ConfigurationError
from ottla.protocol.errors import ErrorCode

from .looking import NO_TOPIC, code, described_topic, eventually, produce


async def test_topics_are_created_one_by_one(admin: AsyncAdmin, topic: str) -> None:
    name = f"{topic}-new"
    created = await admin.topics.create(
        [NewTopic(name, 3, 1, {"retention.ms": "77"}), NewTopic(topic), NewTopic("not a name")]
    )
    assert list(created) == [name, topic, "not a name"]
    assert (created[name].partitions, created[name].replication_factor) == (3, 1)
    assert (created[name].configs or {})["retention.ms"] == "77"
    assert code(created.errors[topic]) == ErrorCode.topic_already_exists
    assert code(created.errors["not a name"]) == ErrorCode.invalid_topic_exception
    with pytest.raises(BrokerError, match=topic):
        created.check()
    deleted = await admin.topics.delete([name, NO_TOPIC])
    assert list(deleted.succeeded) == [name]
    assert code(deleted.errors[NO_TOPIC]) == ErrorCode.unknown_topic_or_partition


async def test_replicas_may_be_assigned(admin: AsyncAdmin, topic: str) -> None:
    node = (await admin.cluster.describe()).brokers[0].node_id
    name = f"{topic}-assigned"
    (await admin.topics.create([NewTopic(name, assignment={0: [node], 1: [node]})])).check()
    (await admin.topics.add_partitions({name: NewPartitions(3, [[node]])})).check()
    described = await described_topic(admin, name, 3)
    assert [each.replicas for each in described.partitions] == [(node,)] * 3
    (await admin.topics.delete([described.topic_id or name])).check()


async def test_validating_creates_nothing(admin: AsyncAdmin, topic: str) -> None:
    name = f"{topic}-validated"
    (await admin.topics.create([NewTopic(name, 3, 1)], validate_only=True)).check()
    assert name not in {each.name for each in await admin.topics.list()}


async def test_topics_are_described_by_name_and_id(admin: AsyncAdmin, topic: str) -> None:
    by_name = (await admin.topics.describe([topic, NO_TOPIC], include_operations=True))[topic]
    assert [each.partition for each in by_name.partitions] == [0, 1]
    assert AclOperation.DESCRIBE in (by_name.authorized_operations or ())
    assert by_name.topic_id is not None
    strange = uuid.uuid4()
    by_id = await admin.topics.describe([strange, by_name.topic_id, topic])
    assert by_id[by_name.topic_id].name == by_id[topic].name == topic
    assert by_id[topic].authorized_operations is None
    assert code(by_id.errors[strange]) == ErrorCode.unknown_topic_id
    assert NO_TOPIC not in {each.name for each in await admin.topics.list()}, "describing creates nothing"


async def test_topics_are_listed(admin: AsyncAdmin, topic: str) -> None:
    (listed,) = [each for each in await admin.topics.list(internal=True) if each.name == topic]
    assert (listed.partitions, listed.replication_factor, listed.is_internal) == (2, 1, False)


async def test_partitions_are_added(admin: AsyncAdmin, topic: str) -> None:
    (await admin.topics.add_partitions({topic: 5}, validate_only=True)).check()
    grown = await admin.topics.add_partitions({topic: 3, NO_TOPIC: 3})
    assert list(grown.succeeded) == [topic]
    assert len((await described_topic(admin, topic, 3)).partitions) == 3
    shrunk = await admin.topics.add_partitions({topic: 2})
    assert code(shrunk.errors[topic]) == ErrorCode.invalid_partitions


async def test_offsets_are_listed_and_records_deleted(admin: AsyncAdmin, topic: str, broker: object) -> None:
    produce(broker.bootstrap, topic, "1", "3", "2")  # type: ignore[attr-defined]
    there, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)
    latest = await admin.records.list_offsets({there: OffsetSpec.LATEST, empty: OffsetSpec.LATEST})
    assert (latest[there].offset, latest[empty].offset) == (3, 0)
    newest = (await admin.records.list_offsets({there: OffsetSpec.MAX_TIMESTAMP}))[there]
    assert (newest.offset, newest.timestamp) == (1, 3000)
    timed = await admin.records.list_offsets({there: 1500, empty: 1500})
    assert (timed[there].offset, timed[there].timestamp, timed[empty].offset) == (1, 3000, -1)
    deleted = await admin.records.delete({there: 2, empty: 1})
    assert deleted[there] == 2
    assert code(deleted.errors[empty]) == ErrorCode.offset_out_of_range
    earliest = await admin.records.list_offsets({there: OffsetSpec.EARLIEST}, read_committed=True)
    assert earliest[there].offset == 2


async def test_a_partition_that_is_not_there_is_asked_for_until_time_is_up(admin: AsyncAdmin) -> None:
    nowhere = TopicPartition(NO_TOPIC, 0)
    found = await admin.records.list_offsets({nowhere: OffsetSpec.LATEST}, timeout_ms=300)
    assert code(found.errors[nowhere]) == ErrorCode.unknown_topic_or_partition


async def test_configs_are_changed_each_by_itself(admin: AsyncAdmin, topic: str) -> None:
    resource, nowhere = ConfigResource(ConfigKind.TOPIC, topic), ConfigResource(ConfigKind.TOPIC, NO_TOPIC)
    changes = [
        ConfigChange("retention.ms", "5000"),
        ConfigChange("cleanup.policy", "compact", ConfigOperation.APPEND),
    ]
    altered = await admin.configs.alter({resource: changes, nowhere: changes})
    assert list(altered.succeeded) == [resource]
    assert code(altered.errors[nowhere]) == ErrorCode.unknown_topic_or_partition

    async def described() -> Mapping[str, ConfigEntry]:
        found = await admin.configs.describe([resource], include_synonyms=True, include_documentation=True)
        return found[resource]

    configs = await eventually(described, lambda found: found["retention.ms"].value == "5000")
    assert configs["retention.ms"].value == "5000"
    assert configs["retention.ms"].source == ConfigSource.DYNAMIC_TOPIC
    assert configs["retention.ms"].synonyms[0].name == "retention.ms"
    assert configs["retention.ms"].documentation
    assert configs["cleanup.policy"].value == "delete,compact"
    (
        await admin.configs.alter({resource: [ConfigChange("retention.ms", None, ConfigOperation.DELETE)]})
    ).check()
    configs = await eventually(described, lambda found: found["retention.ms"].value != "5000")
    assert configs["retention.ms"].source != ConfigSource.DYNAMIC_TOPIC
    assert list((await admin.configs.describe([resource], names=["retention.ms"]))[resource]) == [
        "retention.ms"
    ]
    assert resource in await admin.configs.list_resources([ConfigKind.TOPIC])


async def test_brokers_answer_for_their_own_configs(admin: AsyncAdmin) -> None:
    node = (await admin.cluster.describe()).brokers[0].node_id
    here, nowhere, wrong = (ConfigResource(ConfigKind.BROKER, name) for name in (str(node), "77", "x"))
    found = await admin.configs.describe([here, nowhere, wrong])
    assert "log.retention.ms" in found[here]
    assert code(found.errors[nowhere]) == ErrorCode.broker_not_available
    assert isinstance(found.errors[wrong], ConfigurationError)
