"""aiokafka's admin client: every method it offers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidPartitionsError

UNKNOWN_TOPIC, TOPIC_EXISTS, INVALID_CONFIG = 3, 36, 40


@pytest.fixture
async def admin(broker) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await client.start()
    yield client
    await client.close()


async def settles(ask: Callable[[], Awaitable[Any]], expected: Any) -> None:
    """Kafka shows a change a moment after it has answered."""
    async with asyncio.timeout(20):
        while await ask() != expected:
            await asyncio.sleep(0.02)


async def node(admin: AIOKafkaAdminClient) -> int:
    return (await admin.describe_cluster())["controller_id"]


async def replicas(admin: AIOKafkaAdminClient, topic: str) -> list[list[int]]:
    (description,) = await admin.describe_topics([topic])
    assert description["topic"] == topic
    return [partition["replicas"] for partition in description["partitions"]]


async def copies(admin: AIOKafkaAdminClient, topic: str) -> list[int]:
    """How many each partition has."""
    return [len(each) for each in await replicas(admin, topic)]


def codes(errors: list[tuple[Any, ...]]) -> dict[str, int]:
    return {error[0]: error[1] for error in errors}


async def test_topics_are_created_listed_described_and_deleted(admin, new_name):
    name = new_name("created")
    new = NewTopic(name=name, num_partitions=2, replication_factor=1, topic_configs={"retention.ms": "1"})
    assert codes((await admin.create_topics([new])).topic_errors) == {name: 0}
    assert codes((await admin.create_topics([new])).topic_errors) == {name: TOPIC_EXISTS}
    await settles(lambda: copies(admin, name), [1, 1])
    assert name in await admin.list_topics()
    assert codes((await admin.delete_topics([name])).topic_error_codes) == {name: 0}
    assert codes((await admin.delete_topics([name])).topic_error_codes) == {name: UNKNOWN_TOPIC}


async def test_a_topic_is_only_checked_when_asked(admin, new_name):
    name = new_name("valid")
    new = NewTopic(name=name, num_partitions=2, replication_factor=1)
    assert codes((await admin.create_topics([new], validate_only=True)).topic_errors) == {name: 0}
    assert name not in await admin.list_topics()


async def test_replicas_may_be_placed_by_hand(admin, new_name):
    name = new_name("placed")
    here = await node(admin)
    new = NewTopic(
        name=name, num_partitions=-1, replication_factor=-1, replica_assignments={0: [here], 1: [here]}
    )
    assert codes((await admin.create_topics([new])).topic_errors) == {name: 0}
    await settles(lambda: replicas(admin, name), [[here], [here]])


async def test_a_topic_grows(admin, make_topic):
    topic = make_topic()
    answer = await admin.create_partitions({topic: NewPartitions(3)})
    assert codes(answer.topic_errors) == {topic: 0}
    with pytest.raises(InvalidPartitionsError):
        await admin.create_partitions({topic: NewPartitions(2)})
    await settles(lambda: copies(admin, topic), [1, 1, 1])


async def test_configs_are_altered_and_described(admin, make_topic):
    topic = make_topic()

    def resource(**configs: str) -> ConfigResource:
        return ConfigResource(
            ConfigResourceType.TOPIC, topic, configs={k.replace("_", "."): v for k, v in configs.items()}
        )

    (answer,) = await admin.alter_configs([resource(retention_ms="777")])
    assert answer.resources[0][0] == 0
    (answer,) = await admin.alter_configs([resource(retention_ms="soon")])
    assert answer.resources[0][0] == INVALID_CONFIG
    asked = ConfigResource(ConfigResourceType.TOPIC, topic)

    async def described() -> tuple[str, str]:
        (answer,) = await admin.describe_configs([asked], include_synonyms=True)
        configs = {entry[0]: entry[1] for entry in answer.resources[0][4]}
        return configs["retention.ms"], configs["cleanup.policy"]

    await settles(described, ("777", "delete"))


async def test_the_cluster_is_described(admin, broker):
    cluster = await admin.describe_cluster()
    assert broker.bootstrap in [f"{node['host']}:{node['port']}" for node in cluster["brokers"]]
    assert cluster["controller_id"] in [node["node_id"] for node in cluster["brokers"]]


async def test_groups_are_listed_and_described(admin, broker, make_topic, new_name):
    topic, group = make_topic(), new_name("group")
    settings = {"bootstrap_servers": broker.bootstrap, "group_id": group, "client_id": "me"}
    async with AIOKafkaConsumer(topic, **settings) as consumer:
        await consumer.commit({TopicPartition(topic, 0): 0})
        assert (group, "consumer") in [tuple(listed[:2]) for listed in await admin.list_consumer_groups()]
        (answer,) = await admin.describe_consumer_groups([group])
        code, name, state, kind, protocol, (member,) = answer.groups[0][:6]
        assert (code, name, state, kind, protocol) == (0, group, "Stable", "consumer", "roundrobin")
        assert "me" in member
        nodes = [node["node_id"] for node in (await admin.describe_cluster())["brokers"]]
        assert await admin.find_coordinator(group) in nodes
    offsets = await admin.list_consumer_group_offsets(group)
    assert {where: found.offset for where, found in offsets.items()} == {TopicPartition(topic, 0): 0}


async def test_records_are_deleted_up_to_an_offset(admin, broker, make_topic):
    topic = make_topic()
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        for _ in range(10):
            await producer.send_and_wait(topic, b"v")
    where = TopicPartition(topic, 0)
    assert await admin.delete_records({where: RecordsToDelete(before_offset=6)}) == {where: 6}
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap) as consumer:
        assert await consumer.beginning_offsets([where]) == {where: 6}
