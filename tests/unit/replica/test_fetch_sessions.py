"""Incremental fetch sessions (KIP-227), the cache of them and what they answer over the wire."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.raw_client import FETCH, RawClient, connect
from tests.running_broker import Topic, create_topic
from tests.sample_requests import FETCH_DEFAULTS, PARTITION_MAX_BYTES

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.codec import Record, encode_batch
from ottla.replica.fetch_sessions import FetchedPartition, FetchKey, FetchSession, FetchSessions
from ottla.testing import InProcessBroker, run_broker

BATCH = encode_batch([Record(0, 1, None, b"value")])


def sessions(slots: int = 10) -> FetchSessions:
    return FetchSessions(slots, 1000, itertools.count(1).__next__)


def partitions(count: int = 1) -> dict[FetchKey, FetchedPartition]:
    keys: list[FetchKey] = [("t", index) for index in range(count)]
    return {key: FetchedPartition(key, 0, 100, -1, -1) for key in keys}


def refused(cache: FetchSessions, session_id: int, epoch: int, *, uses_topic_ids: bool = False) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        cache.resume(session_id, epoch, 0, uses_topic_ids=uses_topic_ids)
    return caught.value.code


def test_epochs_follow_one_another() -> None:
    cache = sessions()
    session = cache.create(partitions(), 0, uses_topic_ids=False)
    assert session is not None
    for epoch in (1, 2, 3):
        assert cache.resume(session.session_id, epoch, 0, uses_topic_ids=False) is session
    assert refused(cache, session.session_id, 3) is ErrorCode.invalid_fetch_session_epoch
    assert refused(cache, session.session_id, 5) is ErrorCode.invalid_fetch_session_epoch
    assert cache.resume(session.session_id, 4, 0, uses_topic_ids=False) is session


def test_the_epoch_wraps_to_one() -> None:
    cache = sessions()
    session = cache.create(partitions(), 0, uses_topic_ids=False)
    assert session is not None
    session.epoch = 2**31 - 1
    cache.resume(session.session_id, 2**31 - 1, 0, uses_topic_ids=False)
    assert session.epoch == 1


def test_an_unknown_session_and_one_of_the_other_kind() -> None:
    cache = sessions()
    session = cache.create(partitions(), 0, uses_topic_ids=True)
    assert session is not None
    assert refused(cache, 77, 1) is ErrorCode.fetch_session_id_not_found
    assert refused(cache, session.session_id, 1) is ErrorCode.fetch_session_topic_id_error
    cache.close(session.session_id)
    assert refused(cache, session.session_id, 1) is ErrorCode.fetch_session_id_not_found


def test_no_more_sessions_than_slots_until_one_is_stale() -> None:
    cache = sessions(slots=2)
    first = cache.create(partitions(), 0, uses_topic_ids=False)
    second = cache.create(partitions(), 10, uses_topic_ids=False)
    assert first is not None
    assert second is not None
    assert cache.create(partitions(), 999, uses_topic_ids=False) is None
    cache.resume(first.session_id, 1, 999, uses_topic_ids=False)
    third = cache.create(partitions(), 1010, uses_topic_ids=False)
    assert third is not None
    assert len(cache) == 2
    assert refused(cache, second.session_id, 1) is ErrorCode.fetch_session_id_not_found


def test_a_session_is_stale_so_long_after_its_last_use() -> None:
    cache = sessions(slots=1)
    assert cache.create(partitions(), 1_000_000, uses_topic_ids=False) is not None
    assert cache.create(partitions(), 1_000_999, uses_topic_ids=False) is None
    assert cache.create(partitions(), 1_001_000, uses_topic_ids=False) is not None


def test_ids_are_neither_zero_nor_taken() -> None:
    ids = iter([0, 5, 5, 0, 6])
    cache = FetchSessions(10, 1000, lambda: next(ids))
    made = [cache.create(partitions(), 0, uses_topic_ids=False) for _ in range(2)]
    assert [session and session.session_id for session in made] == [5, 6]


def test_what_a_request_says_anew_holds() -> None:
    (each,) = partitions().values()
    each.ask(5, 200, 3, 2)
    asked = (each.fetch_offset, each.max_bytes, each.current_leader_epoch, each.last_fetched_epoch)
    assert asked == (5, 200, 3, 2)


def test_partitions_that_gave_data_come_last() -> None:
    session = sessions().create(partitions(4), 0, uses_topic_ids=False)
    assert session is not None
    for key in (("t", 0), ("t", 2), ("gone", 1)):
        session.gave_data(key)
    assert pending(session) == [1, 3, 0, 2]


class FakePartition:
    """Knows who waits for it."""

    def __init__(self) -> None:
        self.waiters: list[Any] = []

    def add_waiter(self, waiter: Any) -> None:
        self.waiters.append(waiter)

    def remove_waiter(self, waiter: Any) -> None:
        self.waiters.remove(waiter)


class Waiting:
    """Stands for a fetch that waits for a session."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def appended(self, size: int) -> None:
        self.sizes.append(size)


def pending(session: FetchSession) -> list[int]:
    return [each.key[1] for each in session.pending]


def followed(count: int) -> tuple[FetchSession, list[FakePartition], FetchSessions]:
    """A session that has told all, and the partitions that it waits for."""
    cache = sessions()
    session = cache.create(partitions(count), 0, uses_topic_ids=False)
    assert session is not None
    behind = [FakePartition() for _ in range(count)]
    for each, partition in zip(session.pending, behind, strict=True):
        each.follow(partition, session)
        session.settle(each.key)
    return session, behind, cache


def test_only_what_changed_is_looked_at() -> None:
    session, behind, _ = followed(1000)
    assert pending(session) == []
    waiting = Waiting()
    session.add_waiter(waiting)  # type: ignore[arg-type]
    behind[700].waiters[0].appended(5)
    behind[3].waiters[0].appended(0)
    behind[3].waiters[0].appended(6)
    behind[9].waiters[0].touched()
    assert pending(session) == [700, 3, 9]
    assert waiting.sizes == [5, 0, 6]
    session.remove_waiter(waiting)  # type: ignore[arg-type]
    behind[700].waiters[0].appended(5)
    assert waiting.sizes == [5, 0, 6]


def test_another_isolation_level_looks_at_all_once_more() -> None:
    session, _, _ = followed(3)
    session.read_at(0)
    assert pending(session) == []
    session.read_at(1)
    assert pending(session) == [0, 1, 2]


def test_what_is_forgotten_is_waited_for_no_more() -> None:
    session, behind, cache = followed(3)
    behind[1].waiters[0].appended(1)
    session.forget(("t", 1))
    session.forget(("gone", 1))
    assert pending(session) == []
    assert [len(each.waiters) for each in behind] == [1, 0, 1]
    cache.close(session.session_id)
    assert [len(each.waiters) for each in behind] == [0, 0, 0]


def test_a_session_that_gives_way_waits_no_more() -> None:
    session, behind, cache = followed(1)
    for _ in range(9):
        assert cache.create(partitions(), 2000, uses_topic_ids=False) is not None
    assert cache.create(partitions(), 2000, uses_topic_ids=False) is not None
    assert refused(cache, session.session_id, 1) is ErrorCode.fetch_session_id_not_found
    assert behind[0].waiters == []


class Consumer:
    """A consumer that fetches with a session."""

    def __init__(self, client: RawClient, version: int = 12) -> None:
        self._client = client
        self._version = version
        self.session_id = 0
        self.epoch = 0

    async def fetch(
        self, asked: list[tuple[Topic, int, int]], forgotten: list[tuple[Topic, int]] = (), **rest: Any
    ) -> dict[str, Any]:
        """Ask for (topic, partition, offset); gives the response."""
        request = {
            **FETCH_DEFAULTS,
            "session_id": self.session_id,
            "session_epoch": self.epoch,
            "topics": [
                {
                    "topic": topic.name,
                    "topic_id": topic.topic_id,
                    "partitions": [
                        {
                            "partition": partition,
                            "fetch_offset": offset,
                            "partition_max_bytes": PARTITION_MAX_BYTES,
                        }
                    ],
                }
                for topic, partition, offset in asked
            ],
            "forgotten_topics_data": [
                {"topic": topic.name, "topic_id": topic.topic_id, "partitions": [partition]}
                for topic, partition in forgotten
            ],
            **rest,
        }
        response = await self._client.call(FETCH, self._version, request)
        if not response["error_code"]:
            self.session_id, self.epoch = response["session_id"], self.epoch + 1
        return response


def told(response: dict[str, Any]) -> list[int]:
    """Indexes of the partitions in a response."""
    return [each["partition_index"] for topic in response["responses"] for each in topic["partitions"]]


@pytest.mark.parametrize("version", [7, 12, 13, 18])
async def test_only_what_changed_is_told(client: RawClient, topic: Topic, version: int) -> None:
    consumer = Consumer(client, version)
    first = await consumer.fetch([(topic, 0, 0), (topic, 1, 0)])
    assert first["session_id"] > 0
    assert told(first) == [0, 1]
    assert told(await consumer.fetch([])) == []
    await topic.produce(BATCH, partition=1)
    assert told(await consumer.fetch([])) == [1]
    assert told(await consumer.fetch([])) == [1], "its records are still there"
    assert told(await consumer.fetch([(topic, 1, 1)])) == []
    await topic.produce(BATCH, partition=0)
    assert told(await consumer.fetch([])) == [0]


async def test_a_log_that_begins_later_is_told(client: RawClient, topic: Topic) -> None:
    await topic.produce(BATCH)
    consumer = Consumer(client)
    await consumer.fetch([(topic, 0, 1), (topic, 1, 0)])
    assert told(await consumer.fetch([])) == []
    partition = {"partition_index": 0, "offset": 1}
    await client.call(21, 2, {"topics": [{"name": topic.name, "partitions": [partition]}], "timeout_ms": 1})
    response = await consumer.fetch([])
    assert [each["log_start_offset"] for each in response["responses"][0]["partitions"]] == [1]
    assert told(await consumer.fetch([])) == []


async def test_readers_of_committed_records_are_told_as_well(client: RawClient, topic: Topic) -> None:
    consumer = Consumer(client)
    await consumer.fetch([(topic, 0, 0)], isolation_level=1)
    assert told(await consumer.fetch([], isolation_level=1)) == []
    await topic.produce(BATCH)
    assert told(await consumer.fetch([], isolation_level=1)) == [0]
    assert told(await consumer.fetch([(topic, 0, 1)], isolation_level=0)) == []


async def test_a_topic_deleted_and_made_again_under_a_session(client: RawClient) -> None:
    topic = await create_topic(client)
    consumer = Consumer(client)
    await consumer.fetch([(topic, 0, 0)])
    assert told(await consumer.fetch([])) == []
    await client.call(20, 4, {"topic_names": [topic.name], "timeout_ms": 1000})
    (gone,) = (await consumer.fetch([]))["responses"][0]["partitions"]
    assert gone["error_code"] == ErrorCode.unknown_topic_or_partition
    wanted = {"name": topic.name, "num_partitions": 1, "replication_factor": 1}
    await client.call(19, 7, {"topics": [wanted], "timeout_ms": 1000})
    await topic.produce(BATCH)
    (again,) = (await consumer.fetch([]))["responses"][0]["partitions"]
    assert (again["error_code"], again["high_watermark"]) == (0, 1)


async def test_forgotten_partitions_and_new_ones(client: RawClient, topic: Topic) -> None:
    other = await create_topic(client)
    consumer = Consumer(client)
    await consumer.fetch([(topic, 0, 0), (topic, 1, 0)])
    added = await consumer.fetch([(other, 0, 0)], forgotten=[(topic, 0)])
    assert [each["topic"] for each in added["responses"]] == [other.name]
    await topic.produce(BATCH, partition=0)
    await topic.produce(BATCH, partition=1)
    assert told(await consumer.fetch([])) == [1]


async def test_a_session_without_partitions_answers_at_once(client: RawClient, topic: Topic) -> None:
    consumer = Consumer(client)
    await consumer.fetch([(topic, 0, 0)])
    response = await consumer.fetch([], forgotten=[(topic, 0)], max_wait_ms=60_000, min_bytes=1)
    assert (told(response), response["error_code"]) == ([], 0)


async def test_a_wrong_epoch_and_a_session_that_was_closed(client: RawClient, topic: Topic) -> None:
    consumer = Consumer(client)
    await consumer.fetch([(topic, 0, 0)])
    consumer.epoch = 7
    assert (await consumer.fetch([]))["error_code"] == ErrorCode.invalid_fetch_session_epoch
    consumer.epoch = -1
    final = await consumer.fetch([(topic, 0, 0)])
    assert (final["session_id"], told(final)) == (0, [0])
    consumer.session_id, consumer.epoch = 12345, 1
    assert (await consumer.fetch([]))["error_code"] == ErrorCode.fetch_session_id_not_found


async def test_a_full_fetch_ends_the_session_before(client: RawClient, topic: Topic) -> None:
    consumer = Consumer(client)
    before = (await consumer.fetch([(topic, 0, 0)]))["session_id"]
    consumer.epoch = 0
    after = (await consumer.fetch([(topic, 0, 0)]))["session_id"]
    assert 0 < after != before
    consumer.session_id, consumer.epoch = before, 1
    assert (await consumer.fetch([]))["error_code"] == ErrorCode.fetch_session_id_not_found


async def test_a_topic_that_comes_into_being_under_a_session(client: RawClient, topic: Topic) -> None:
    """A partition with an error is told each time, until it is there."""
    consumer = Consumer(client)
    missing = Topic(client, f"{topic.name}-later", topic.topic_id)
    for _ in range(2):
        response = await consumer.fetch([(missing, 0, 0)] if consumer.epoch == 0 else [])
        (partition,) = response["responses"][0]["partitions"]
        assert partition["error_code"] == ErrorCode.unknown_topic_or_partition
    await client.call(3, 8, {"topics": [{"name": missing.name}], "allow_auto_topic_creation": True})
    response = await consumer.fetch([])
    assert response["responses"][0]["partitions"][0]["error_code"] == ErrorCode.none


async def test_partitions_take_turns_when_one_response_cannot_hold_them(
    client: RawClient, topic: Topic
) -> None:
    for partition in (0, 1):
        for _ in range(3):
            await topic.produce(BATCH, partition=partition)
    consumer = Consumer(client)
    asked = [(topic, 0, 0), (topic, 1, 0)]
    served = []
    for _ in range(4):
        response = await consumer.fetch(asked, max_bytes=1)
        asked = []
        served += [
            each["partition_index"] for each in response["responses"][0]["partitions"] if each["records"]
        ]
    assert served == [0, 1, 0, 1]


@pytest.fixture(scope="module")
def small_broker() -> Any:
    with run_broker({"max.incremental.fetch.session.cache.slots": 2}) as running:
        yield running


async def test_without_a_free_slot_there_is_no_session(
    small_broker: InProcessBroker,
) -> None:
    async with connect(small_broker.host, small_broker.port) as client:
        topic = await create_topic(client)
        made = [(await Consumer(client).fetch([(topic, 0, 0)]))["session_id"] for _ in range(3)]
        assert made[0]
        assert made[1]
        assert made[2] == 0
