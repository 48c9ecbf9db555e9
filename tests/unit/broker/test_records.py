"""Records and offsets over the wire, where clients depend on the details."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from tests.raw_client import (
    FETCH,
    LIST_OFFSETS,
    METADATA,
    PRODUCE,
    RawClient,
    frame,
    read_response,
    request_body,
    request_frame,
)
from tests.running_broker import Topic, create_topic
from tests.sample_requests import FETCH_DEFAULTS, PARTITION_MAX_BYTES

from ottla.protocol.errors import ErrorCode
from ottla.records.batch import iter_headers
from ottla.records.codec import Record, decode_batch, encode_batch

T0 = 1_700_000_000_000
DELETE_RECORDS, EPOCH_END = 21, 23


def batch(*values: bytes, timestamp: int = T0, **options: Any) -> bytes:
    records = [Record(i, timestamp + i, b"k", value) for i, value in enumerate(values)]
    return encode_batch(records, **options)


ONE = batch(b"one")


def values(partition: dict[str, Any]) -> list[bytes | None]:
    data = partition["records"]
    return [
        record.value
        for position, header in iter_headers(data)
        for record in decode_batch(data[position : position + header.size], max_bytes=1 << 20)
    ]


# -- Produce


@pytest.mark.parametrize("acks", [1, -1])
async def test_offsets_go_on(topic: Topic, acks: int) -> None:
    assert (await topic.produce(batch(b"a", b"b"), acks=acks))["base_offset"] == 0
    answer = await topic.produce(ONE, acks=acks)
    assert (answer["base_offset"], answer["log_start_offset"]) == (2, 0)


@pytest.mark.parametrize("acks", [2, -2, 100])
async def test_acks_that_do_not_exist(topic: Topic, acks: int) -> None:
    assert (await topic.produce(ONE, acks=acks))["error_code"] == ErrorCode.invalid_required_acks
    assert values(await topic.fetch()) == []


async def test_acks_0_gets_no_answer(client: RawClient, topic: Topic) -> None:
    data = {"name": topic.name, "partition_data": [{"index": 0, "records": ONE}]}
    client.send(PRODUCE, 8, {"acks": 0, "timeout_ms": 1000, "topic_data": [data]})
    assert values(await topic.fetch()) == [b"one"]


async def test_a_partition_that_is_not_there(client: RawClient, topic: Topic) -> None:
    for partition in (-1, 2, 2**31 - 1):
        answer = await topic.produce(ONE, partition=partition)
        assert answer["error_code"] == ErrorCode.unknown_topic_or_partition


async def test_produce_and_fetch_by_topic_id(client: RawClient, topic: Topic) -> None:
    def produce_to(topic_id: uuid.UUID) -> dict[str, Any]:
        data = {"topic_id": topic_id, "partition_data": [{"index": 0, "records": ONE}]}
        return {"acks": -1, "timeout_ms": 1000, "topic_data": [data]}

    def codes(response: dict[str, Any]) -> list[int]:
        return [each["error_code"] for each in response["responses"][0]["partition_responses"]]

    assert codes(await client.call(PRODUCE, 13, produce_to(topic.topic_id))) == [ErrorCode.none]
    for unknown in (uuid.uuid4(), uuid.UUID(int=0)):
        response = await client.call(PRODUCE, 13, produce_to(unknown))
        assert codes(response) == [ErrorCode.unknown_topic_id]
    asked = topic.fetch_request()
    found = await client.call(FETCH, 17, asked)
    assert values(found["responses"][0]["partitions"][0]) == [b"one"]
    for unknown in (uuid.uuid4(), uuid.UUID(int=0)):
        asked["topics"][0]["topic_id"] = unknown
        found = await client.call(FETCH, 17, asked)
        assert found["responses"][0]["partitions"][0]["error_code"] == ErrorCode.unknown_topic_id


async def test_several_partitions_in_one_request_fail_one_by_one(client: RawClient, topic: Topic) -> None:
    data = [{"index": 0, "records": ONE}, {"index": 1, "records": b"bad"}, {"index": 9, "records": ONE}]
    response = await client.call(
        PRODUCE,
        8,
        {"acks": -1, "timeout_ms": 1000, "topic_data": [{"name": topic.name, "partition_data": data}]},
    )
    codes = {each["index"]: each["error_code"] for each in response["responses"][0]["partition_responses"]}
    assert codes == {
        0: ErrorCode.none,
        1: ErrorCode.invalid_record,
        9: ErrorCode.unknown_topic_or_partition,
    }


async def test_zstd_needs_version_7(client: RawClient, topic: Topic) -> None:
    data = {"name": topic.name, "partition_data": [{"index": 0, "records": batch(b"z", codec=4)}]}
    request = {"acks": -1, "timeout_ms": 1000, "topic_data": [data]}
    for version, expected in ((6, ErrorCode.unsupported_compression_type), (7, ErrorCode.none)):
        response = await client.call(PRODUCE, version, request)
        assert response["responses"][0]["partition_responses"][0]["error_code"] == expected


async def test_an_idempotent_producer_may_repeat_itself(client: RawClient, topic: Topic) -> None:
    identity = await client.call(22, 4, {"transactional_id": None, "transaction_timeout_ms": 1000})
    options = {"producer_id": identity["producer_id"], "producer_epoch": 0}
    first = batch(b"a", b"b", base_sequence=0, **options)
    written = await topic.produce(first)
    assert (written["base_offset"], written["log_append_time_ms"]) == (0, None)
    again = await topic.produce(first)
    assert (again["error_code"], again["base_offset"]) == (ErrorCode.none, 0)
    assert again["log_append_time_ms"] == T0 + 1  # as in Kafka, whatever kind of timestamps the topic has
    gap = await topic.produce(batch(b"d", base_sequence=5, **options))
    assert gap["error_code"] == ErrorCode.out_of_order_sequence_number
    assert (await topic.produce(batch(b"c", base_sequence=2, **options)))["base_offset"] == 2
    assert values(await topic.fetch()) == [b"a", b"b", b"c"]


async def test_no_more_replicas_are_asked_for_than_there_are(client: RawClient) -> None:
    topic = await create_topic(client, min_insync_replicas="2")
    for acks in (-1, 1):
        assert (await topic.produce(ONE, acks=acks))["error_code"] == ErrorCode.none


async def test_a_compacted_topic_wants_keys(client: RawClient) -> None:
    topic = await create_topic(client, cleanup_policy="compact")
    answer = await topic.produce(encode_batch([Record(0, T0, b"k", b"v"), Record(1, T0, None, b"v")]))
    assert answer["error_code"] == ErrorCode.invalid_record
    assert [each["batch_index"] for each in answer["record_errors"]] == [1]


# -- Fetch


async def test_whole_batches_up_to_the_limits(topic: Topic) -> None:
    for _ in range(4):
        await topic.produce(ONE)
    size = len(ONE)
    for limit, expected in ((1, 1), (size, 1), (2 * size - 1, 1), (2 * size, 2), (100 * size, 4)):
        assert len(values(await topic.fetch(partition_max_bytes=limit))) == expected
        assert len(values(await topic.fetch(max_bytes=limit))) == expected


async def test_the_first_batch_is_whole_however_large(topic: Topic) -> None:
    large = batch(bytes(500_000))
    await topic.produce(large)
    for limits in ({"max_bytes": 1}, {"partition_max_bytes": 1}, {"max_bytes": 0, "partition_max_bytes": 0}):
        assert len((await topic.fetch(**limits))["records"]) == len(large)


async def test_only_the_first_partition_may_exceed_the_limit(client: RawClient, topic: Topic) -> None:
    for partition in (0, 1):
        await topic.produce(ONE, partition=partition)
    asked = [
        {"partition": partition, "fetch_offset": 0, "partition_max_bytes": PARTITION_MAX_BYTES}
        for partition in (0, 1)
    ]
    topics = [{"topic": topic.name, "partitions": asked}]
    response = await client.call(FETCH, 11, {**FETCH_DEFAULTS, "max_bytes": 1, "topics": topics})
    assert [len(values(each)) for each in response["responses"][0]["partitions"]] == [1, 0]


@pytest.mark.parametrize("offset", [-1, 4, 2**62])
async def test_offsets_that_are_not_there(topic: Topic, offset: int) -> None:
    await topic.produce(batch(b"a", b"b", b"c"))
    assert (await topic.fetch(3))["error_code"] == ErrorCode.none
    answer = await topic.fetch(offset)
    assert answer["error_code"] == ErrorCode.offset_out_of_range


async def test_an_offset_in_the_middle_of_a_batch_gives_the_batch(topic: Topic) -> None:
    await topic.produce(batch(b"a", b"b", b"c"))
    assert values(await topic.fetch(2)) == [b"a", b"b", b"c"]


async def test_readers_of_committed_records_are_told_of_no_aborted_ones(topic: Topic) -> None:
    await topic.produce(ONE)
    committed = await topic.fetch(isolation_level=1)
    assert (committed["aborted_transactions"], committed["last_stable_offset"]) == ([], 1)
    assert values(committed) == [b"one"]
    assert (await topic.fetch(isolation_level=0))["aborted_transactions"] is None


async def test_leader_epochs_fence(topic: Topic) -> None:
    await topic.produce(ONE)
    assert (await topic.fetch(current_leader_epoch=0))["error_code"] == ErrorCode.none
    assert (await topic.fetch(current_leader_epoch=1))["error_code"] == ErrorCode.unknown_leader_epoch
    assert (await topic.fetch(current_leader_epoch=-2))["error_code"] == ErrorCode.none


async def test_a_reader_that_was_ahead_is_told_where_it_diverges(topic: Topic) -> None:
    await topic.produce(ONE)
    assert (await topic.fetch(1, last_fetched_epoch=0))["diverging_epoch"]["epoch"] == -1
    answer = await topic.fetch(5, last_fetched_epoch=0)
    assert (answer["diverging_epoch"]["epoch"], answer["diverging_epoch"]["end_offset"]) == (0, 1)
    assert answer["records"] in (b"", None)


# -- ListOffsets


async def list_offset(
    client: RawClient, topic: Topic, timestamp: int, *, version: int = 11, **fields: Any
) -> dict[str, Any]:
    partition = {"partition_index": 0, "timestamp": timestamp, **fields}
    request = {"replica_id": -1, "topics": [{"name": topic.name, "partitions": [partition]}]}
    response = await client.call(LIST_OFFSETS, version, request)
    return dict(response["topics"][0]["partitions"][0])


async def test_a_partition_without_records_begins_in_its_leaders_epoch(client: RawClient) -> None:
    answer = await list_offset(client, await create_topic(client), -2)
    assert (answer["offset"], answer["leader_epoch"]) == (0, 0)


async def filled(client: RawClient) -> Topic:
    """Timestamps T0, T0+1000, T0+5000, T0+2000; the first record is gone."""
    topic = await create_topic(client)
    for delta in (0, 1000, 5000, 2000):
        assert (await topic.produce(batch(b"v", timestamp=T0 + delta)))["error_code"] == ErrorCode.none
    partitions = [{"partition_index": 0, "offset": 1}]
    topics = [{"name": topic.name, "partitions": partitions}]
    await client.call(DELETE_RECORDS, 2, {"topics": topics, "timeout_ms": 1000})
    return topic


@pytest.mark.parametrize(
    ("timestamp", "offset"),
    [
        (-1, 4),  # latest
        (-2, 1),  # earliest
        (-3, 2),  # of the largest timestamp
        (-4, 1),  # earliest local
        (-5, -1),  # latest tiered
        (0, 1),
        (T0 + 1000, 1),
        (T0 + 1001, 2),
        (T0 + 5000, 2),
        (T0 + 5001, -1),
    ],
)
async def test_offsets_by_timestamp(client: RawClient, timestamp: int, offset: int) -> None:
    topic = await filled(client)
    answer = await list_offset(client, topic, timestamp)
    assert (answer["error_code"], answer["offset"]) == (ErrorCode.none, offset)


async def test_the_timestamp_and_epoch_that_were_found(client: RawClient) -> None:
    topic = await filled(client)
    partition = {"partition_index": 0, "timestamp": T0 + 1001}
    request = {"replica_id": -1, "topics": [{"name": topic.name, "partitions": [partition]}]}
    answer = (await client.call(LIST_OFFSETS, 7, request))["topics"][0]["partitions"][0]
    assert answer["leader_epoch"] == 0
    assert answer["timestamp"] == T0 + 5000


@pytest.mark.parametrize(("timestamp", "version"), [(-3, 6), (-4, 7), (-5, 8), (-6, 10), (-7, 11)])
async def test_special_timestamps_need_their_version(
    client: RawClient, topic: Topic, timestamp: int, version: int
) -> None:
    answer = await list_offset(client, topic, timestamp, version=version)
    assert answer["error_code"] == ErrorCode.unsupported_version


async def test_list_offsets_fences_and_refuses(client: RawClient, topic: Topic) -> None:
    fenced = await list_offset(client, topic, -1, current_leader_epoch=7)
    assert fenced["error_code"] == ErrorCode.unknown_leader_epoch
    missing = await list_offset(client, topic, -1, partition_index=9)
    assert missing["error_code"] == ErrorCode.unknown_topic_or_partition
    partition = {"partition_index": 0, "timestamp": -1}
    request = {"replica_id": -1, "topics": [{"name": topic.name, "partitions": [partition, partition]}]}
    twice = await client.call(LIST_OFFSETS, 7, request)
    assert {each["error_code"] for each in twice["topics"][0]["partitions"]} == {ErrorCode.invalid_request}


async def test_an_empty_partition_has_no_offset_for_a_time(client: RawClient, topic: Topic) -> None:
    for timestamp in (T0, -3):
        answer = await list_offset(client, topic, timestamp)
        assert (answer["error_code"], answer["offset"]) == (ErrorCode.none, -1)
    for timestamp in (-1, -2):
        assert (await list_offset(client, topic, timestamp))["offset"] == 0


# -- DeleteRecords, OffsetForLeaderEpoch


async def delete_to(client: RawClient, topic: Topic, offset: int, partition: int = 0) -> dict[str, Any]:
    topics = [{"name": topic.name, "partitions": [{"partition_index": partition, "offset": offset}]}]
    response = await client.call(DELETE_RECORDS, 2, {"topics": topics, "timeout_ms": 1000})
    return dict(response["topics"][0]["partitions"][0])


async def test_records_are_deleted_up_to_an_offset(client: RawClient, topic: Topic) -> None:
    for _ in range(3):
        await topic.produce(batch(b"a", b"b"))
    assert (await delete_to(client, topic, 3))["low_watermark"] == 3
    assert (await topic.fetch(2))["error_code"] == ErrorCode.offset_out_of_range
    partition = await topic.fetch(3)
    assert partition["log_start_offset"] == 3
    assert values(partition)[:2] == [b"a", b"b"]
    assert (await delete_to(client, topic, 1))["low_watermark"] == 3, "it never goes back"
    assert (await delete_to(client, topic, -1))["low_watermark"] == 6
    assert (await delete_to(client, topic, 7))["error_code"] == ErrorCode.offset_out_of_range
    assert (await delete_to(client, topic, -2))["error_code"] == ErrorCode.offset_out_of_range
    assert (await delete_to(client, topic, 0, 9))["error_code"] == ErrorCode.unknown_topic_or_partition


async def test_records_of_a_compacted_topic_are_not_deleted(client: RawClient) -> None:
    topic = await create_topic(client, cleanup_policy="compact")
    assert (await delete_to(client, topic, 0))["error_code"] == ErrorCode.policy_violation


async def test_records_of_a_topic_that_keeps_everything_are_deleted(client: RawClient) -> None:
    topic = await create_topic(client, cleanup_policy="")
    await topic.produce(ONE)
    assert await delete_to(client, topic, 1) == {
        "partition_index": 0,
        "low_watermark": 1,
        "error_code": ErrorCode.none,
    }


async def epoch_end(
    client: RawClient, topic: Topic, leader_epoch: int, current: int = -1
) -> tuple[int, int, int]:
    partition = {"partition": 0, "leader_epoch": leader_epoch, "current_leader_epoch": current}
    request = {"replica_id": -1, "topics": [{"topic": topic.name, "partitions": [partition]}]}
    answer = (await client.call(EPOCH_END, 4, request))["topics"][0]["partitions"][0]
    return answer["error_code"], answer["leader_epoch"], answer["end_offset"]


async def test_the_end_of_a_leader_epoch(client: RawClient, topic: Topic) -> None:
    await topic.produce(batch(b"a", b"b"))
    assert await epoch_end(client, topic, 0) == (ErrorCode.none, 0, 2)
    assert await epoch_end(client, topic, 0, current=0) == (ErrorCode.none, 0, 2)
    assert await epoch_end(client, topic, 5) == (ErrorCode.none, -1, -1)
    assert (await epoch_end(client, topic, 0, current=5))[0] == ErrorCode.unknown_leader_epoch


# -- the connection as a whole


async def test_many_requests_in_flight_are_answered_in_order(client: RawClient, topic: Topic) -> None:
    sent = [client.send(METADATA, 9, {"topics": [{"name": topic.name}]}) for _ in range(300)]
    data = {"name": topic.name, "partition_data": [{"index": 0, "records": ONE}]}
    sent += [client.send(PRODUCE, 9, {"acks": -1, "timeout_ms": 1, "topic_data": [data]}) for _ in range(300)]
    received = [int.from_bytes((await client.receive_frame())[:4], "big") for _ in sent]
    assert received == sent


async def test_a_large_produce_in_small_pieces(client: RawClient, topic: Topic) -> None:
    data = {"name": topic.name, "partition_data": [{"index": 0, "records": batch(bytes(1_000_000))}]}
    whole = request_frame(PRODUCE, 9, 7, {"acks": -1, "timeout_ms": 1000, "topic_data": [data]})
    for start in range(0, len(whole), 100_000):
        client.writer.write(whole[start : start + 100_000])
        await client.writer.drain()
        await asyncio.sleep(0)
    _, response = read_response(PRODUCE, 9, await client.receive_frame())
    assert response["responses"][0]["partition_responses"][0]["error_code"] == ErrorCode.none


@pytest.mark.parametrize("version", [3, 8, 13])
async def test_only_an_administrator_writes_to_an_internal_topic(client: RawClient, version: int) -> None:
    await client.call(10, 1, {"key": "group", "key_type": 0})  # makes it
    metadata = await client.call(METADATA, 12, {"topics": [{"name": "__consumer_offsets"}]})
    topic_id = metadata["topics"][0]["topic_id"]
    partition = {"index": 0, "records": encode_batch([Record(0, 1, b"\0\x7fkey", b"value")])}
    topic = {"name": "__consumer_offsets", "topic_id": topic_id, "partition_data": [partition]}
    request = {"acks": 1, "timeout_ms": 1000, "topic_data": [topic]}
    codes = []
    for number, client_id in enumerate(("raw", None, "__admin_client")):
        client.writer.write(frame(request_body(PRODUCE, version, number, request, client_id)))
        response = await client.receive(PRODUCE, version)
        codes.append(response["responses"][0]["partition_responses"][0]["error_code"])
    assert codes == [ErrorCode.invalid_topic_exception, ErrorCode.invalid_topic_exception, ErrorCode.none]
