"""Topics and their configuration over the wire, where clients depend on the details."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import CREATE_TOPICS, METADATA, RawClient
from tests.running_broker import Topic, create_topic

from ottla.protocol.errors import ErrorCode
from ottla.records.codec import Record, encode_batch
from ottla.testing import InProcessBroker

DESCRIBE_CONFIGS, INCREMENTAL_ALTER_CONFIGS = 32, 44
DELETE_TOPICS, CREATE_PARTITIONS = 20, 37
INIT_PRODUCER_ID = 22
DESCRIBE_TOPIC_PARTITIONS = 75
TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
ONE = encode_batch([Record(0, 1, b"k", b"one")])


# -- topics


async def test_validate_only_makes_nothing(client: RawClient, broker: InProcessBroker) -> None:
    name = f"validated-{uuid.uuid4()}"
    wanted = [
        {"name": name, "num_partitions": 3, "replication_factor": 1},
        {"name": "a/b", "num_partitions": 3, "replication_factor": 1},
    ]
    response = await client.call(
        CREATE_TOPICS, 7, {"topics": wanted, "timeout_ms": 1000, "validate_only": True}
    )
    results = {each["name"]: each for each in response["topics"]}
    assert results[name]["error_code"] == ErrorCode.none
    assert results[name]["num_partitions"] == 3
    assert results["a/b"]["error_code"] == ErrorCode.invalid_topic_exception
    metadata = await client.call(
        METADATA, 12, {"topics": [{"name": name}], "allow_auto_topic_creation": False}
    )
    assert metadata["topics"][0]["error_code"] == ErrorCode.unknown_topic_or_partition


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"num_partitions": 0}, ErrorCode.invalid_partitions),
        ({"replication_factor": 2}, ErrorCode.invalid_replication_factor),
        ({"replication_factor": 0}, ErrorCode.invalid_replication_factor),
        ({"configs": [{"name": "no.such.config", "value": "1"}]}, ErrorCode.invalid_config),
        ({"configs": [{"name": "retention.ms", "value": "soon"}]}, ErrorCode.invalid_config),
        (
            {
                "num_partitions": -1,
                "replication_factor": -1,
                "assignments": [{"partition_index": 1, "broker_ids": [1]}],
            },
            ErrorCode.invalid_replica_assignment,
        ),
        (
            {
                "num_partitions": -1,
                "replication_factor": -1,
                "assignments": [{"partition_index": 0, "broker_ids": [7]}],
            },
            ErrorCode.invalid_replica_assignment,
        ),
    ],
)
async def test_topics_that_cannot_be(client: RawClient, fields: dict[str, Any], code: ErrorCode) -> None:
    wanted = {"name": f"n-{uuid.uuid4()}", "num_partitions": 1, "replication_factor": 1, **fields}
    response = await client.call(CREATE_TOPICS, 7, {"topics": [wanted], "timeout_ms": 1000})
    assert response["topics"][0]["error_code"] == code
    assert response["topics"][0]["error_message"]


async def test_a_topic_named_twice_and_one_that_exists(client: RawClient, topic: Topic) -> None:
    wanted = {"name": topic.name, "num_partitions": 1, "replication_factor": 1}
    once = await client.call(CREATE_TOPICS, 7, {"topics": [wanted], "timeout_ms": 1000})
    assert once["topics"][0]["error_code"] == ErrorCode.topic_already_exists
    wanted["name"] = f"twice-{uuid.uuid4()}"
    twice = await client.call(CREATE_TOPICS, 7, {"topics": [wanted, wanted], "timeout_ms": 1000})
    assert {each["error_code"] for each in twice["topics"]} == {ErrorCode.invalid_request}


async def test_a_deleted_topic_is_gone_at_once_and_its_id_with_it(client: RawClient, topic: Topic) -> None:
    by_id = {"topics": [{"name": None, "topic_id": topic.topic_id}], "timeout_ms": 1000}
    deleted = (await client.call(DELETE_TOPICS, 6, by_id))["responses"][0]
    assert (deleted["error_code"], deleted["name"]) == (ErrorCode.none, topic.name)
    again = (await client.call(DELETE_TOPICS, 6, by_id))["responses"][0]
    assert again["error_code"] == ErrorCode.unknown_topic_id
    assert (await topic.produce(ONE))["error_code"] == ErrorCode.unknown_topic_or_partition


async def test_the_folder_of_a_topic_with_the_longest_name_goes_with_it(
    client: RawClient, broker: InProcessBroker
) -> None:
    name = "n" * 249
    wanted = {"name": name, "num_partitions": 1, "replication_factor": 1}
    created = await client.call(CREATE_TOPICS, 7, {"topics": [wanted], "timeout_ms": 1000})
    assert created["topics"][0]["error_code"] == ErrorCode.none
    folder = Path(broker.data_dir) / f"{name}-0"
    assert folder.exists()
    by_name = {"topics": [{"name": name}], "timeout_ms": 1000}
    deleted = (await client.call(DELETE_TOPICS, 6, by_name))["responses"][0]
    assert deleted["error_code"] == ErrorCode.none
    assert not folder.exists()


async def test_partitions_are_added_and_never_taken_away(client: RawClient, topic: Topic) -> None:
    for count, code in (
        (4, ErrorCode.none),
        (3, ErrorCode.invalid_partitions),
        (4, ErrorCode.invalid_partitions),
    ):
        wanted = {"name": topic.name, "count": count, "assignments": None}
        response = await client.call(CREATE_PARTITIONS, 3, {"topics": [wanted], "timeout_ms": 1000})
        assert response["results"][0]["error_code"] == code
    assert (await topic.produce(ONE, partition=3))["error_code"] == ErrorCode.none


async def test_topics_asked_for_twice_are_told_once(client: RawClient, topic: Topic) -> None:
    metadata = await client.call(METADATA, 12, {"topics": [{"name": topic.name}] * 3})
    assert [each["name"] for each in metadata["topics"]] == [topic.name]


@pytest.mark.parametrize("version", [10, 11])
async def test_topic_ids_name_topics_only_from_version_12_on(
    client: RawClient, topic: Topic, version: int
) -> None:
    asked = {"topics": [{"name": None, "topic_id": topic.topic_id}]}
    response = await client.call(METADATA, version, asked)
    assert response["topics"][0]["error_code"] == ErrorCode.invalid_request
    response = await client.call(METADATA, 12, asked)
    assert response["topics"][0]["name"] == topic.name


# -- configuration


async def describe(client: RawClient, topic: Topic, *names: str) -> dict[str, dict[str, Any]]:
    resource = {"resource_type": TOPIC, "resource_name": topic.name, "configuration_keys": names or None}
    request = {"resources": [resource], "include_synonyms": True, "include_documentation": True}
    (result,) = (await client.call(DESCRIBE_CONFIGS, 4, request))["results"]
    assert result["error_code"] == ErrorCode.none
    return {entry["name"]: entry for entry in result["configs"]}


async def alter(client: RawClient, topic: Topic, operation: int, name: str, value: str | None) -> int:
    config = {"name": name, "config_operation": operation, "value": value}
    resource = {"resource_type": TOPIC, "resource_name": topic.name, "configs": [config]}
    response = await client.call(INCREMENTAL_ALTER_CONFIGS, 1, {"resources": [resource]})
    return int(response["responses"][0]["error_code"])


async def test_synonyms_tell_where_a_value_comes_from(client: RawClient) -> None:
    topic = await create_topic(client, max_message_bytes="60000")
    entry = (await describe(client, topic, "max.message.bytes"))["max.message.bytes"]
    assert (entry["value"], entry["config_source"], entry["read_only"]) == ("60000", 1, False)
    assert entry["documentation"]
    assert [(each["name"], each["value"], each["source"]) for each in entry["synonyms"]] == [
        ("max.message.bytes", "60000", 1),
        ("message.max.bytes", "1048588", 5),
    ]
    assert await alter(client, topic, DELETE, "max.message.bytes", None) == ErrorCode.none
    entry = (await describe(client, topic, "max.message.bytes"))["max.message.bytes"]
    assert (entry["value"], entry["config_source"]) == ("1048588", 5)


async def test_named_keys_and_all_keys(client: RawClient, topic: Topic) -> None:
    everything = await describe(client, topic)
    assert len(everything) > 20
    assert set(await describe(client, topic, "retention.ms", "no.such.key")) == {"retention.ms"}


async def test_incremental_changes(client: RawClient, topic: Topic) -> None:
    assert await alter(client, topic, APPEND, "cleanup.policy", "compact") == ErrorCode.none
    assert set((await describe(client, topic))["cleanup.policy"]["value"].split(",")) == {"compact", "delete"}
    assert await alter(client, topic, SUBTRACT, "cleanup.policy", "delete") == ErrorCode.none
    assert (await describe(client, topic))["cleanup.policy"]["value"] == "compact"
    assert await alter(client, topic, APPEND, "retention.ms", "1") == ErrorCode.invalid_config
    assert await alter(client, topic, 9, "retention.ms", "1") == ErrorCode.invalid_request
    assert await alter(client, topic, SET, "max.message.bytes", "100") == ErrorCode.none
    assert (await topic.produce(encode_batch([Record(0, 1, b"k", bytes(200))])))[
        "error_code"
    ] == ErrorCode.message_too_large


async def test_resources_that_are_not_there(client: RawClient) -> None:
    resources = [
        {"resource_type": TOPIC, "resource_name": "no-such-topic", "configuration_keys": None},
        {"resource_type": BROKER, "resource_name": "77", "configuration_keys": None},
        {"resource_type": 99, "resource_name": "x", "configuration_keys": None},
    ]
    response = await client.call(DESCRIBE_CONFIGS, 4, {"resources": resources})
    assert [each["error_code"] for each in response["results"]] == [
        ErrorCode.unknown_topic_or_partition,
        ErrorCode.invalid_request,
        ErrorCode.invalid_request,
    ]


# -- producer ids


@pytest.mark.parametrize(
    ("producer_id", "producer_epoch", "code"),
    [
        (5, -1, ErrorCode.invalid_request),
        (-1, 0, ErrorCode.invalid_request),
        (-1, -1, ErrorCode.none),
        (5, 0, ErrorCode.none),
        (-2, -2, ErrorCode.none),
    ],
)
async def test_a_producer_id_comes_with_its_epoch(
    client: RawClient, producer_id: int, producer_epoch: int, code: ErrorCode
) -> None:
    asked = {"transactional_id": None, "transaction_timeout_ms": 1000}
    response = await client.call(
        INIT_PRODUCER_ID, 5, {**asked, "producer_id": producer_id, "producer_epoch": producer_epoch}
    )
    assert response["error_code"] == code
    assert (response["producer_id"] == -1) == (code != ErrorCode.none)


async def test_partitions_are_described_a_page_at_a_time(client: RawClient) -> None:
    names = sorted([(await create_topic(client, partitions=3)).name for _ in range(2)])
    asked = [{"name": name} for name in names]
    told: list[tuple[str, int]] = []
    cursor: dict[str, Any] | None = None
    for _ in range(10):
        request = {"topics": asked, "response_partition_limit": 2, "cursor": cursor}
        response = await client.call(DESCRIBE_TOPIC_PARTITIONS, 0, request)
        told += [(t["name"], p["partition_index"]) for t in response["topics"] for p in t["partitions"]]
        cursor = response["next_cursor"]
        if cursor is None:
            break
    assert told == [(name, index) for name in names for index in range(3)]


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_page_of_partitions_has_at_least_one(client: RawClient, limit: int) -> None:
    topic = await create_topic(client, partitions=2)
    request = {"topics": [{"name": topic.name}], "response_partition_limit": limit, "cursor": None}
    response = await client.call(DESCRIBE_TOPIC_PARTITIONS, 0, request)
    assert [each["partition_index"] for each in response["topics"][0]["partitions"]] == [0]


@pytest.mark.parametrize("cursor", [("not-asked-for", 0), ("", 0), (None, -1)])
async def test_a_cursor_names_a_topic_that_was_asked_for(
    client: RawClient, cursor: tuple[str | None, int]
) -> None:
    topics = [await create_topic(client), await create_topic(client)]
    name, index = cursor
    request = {
        "topics": [{"name": topic.name} for topic in topics],
        "response_partition_limit": 10,
        "cursor": {"topic_name": topics[0].name if name is None else name, "partition_index": index},
    }
    response = await client.call(DESCRIBE_TOPIC_PARTITIONS, 0, request)
    assert {each["name"]: each["error_code"] for each in response["topics"]} == {
        topic.name: ErrorCode.invalid_request for topic in topics
    }
