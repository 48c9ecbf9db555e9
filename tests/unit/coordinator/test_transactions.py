"""The transaction coordinator in a broker: what goes on by itself, and what a restart finds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import RawClient, connect

from ottla.controller.producer_ids import ProducerIds
from ottla.coordination.transactions.markers import TopicPartition, TxnMarker
from ottla.coordinator.markers import LocalMarkers
from ottla.coordinator.shards import settled
from ottla.coordinator.transactions import Complaints, ProducerIdStock
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.testing import run_broker_async

NONE = ErrorCode.none
CREATE_TOPICS, DELETE_TOPICS, CREATE_PARTITIONS, FIND_COORDINATOR = 19, 20, 37, 10
INIT_PRODUCER_ID, ADD_PARTITIONS, ADD_OFFSETS, END_TXN, DESCRIBE, LIST = 22, 24, 25, 26, 65, 66


class Client:
    """A producer's requests; `x` is its transactional id."""

    def __init__(self, raw: RawClient) -> None:
        self.raw = raw
        self.producer = {"producer_id": -1, "producer_epoch": -1}

    async def find(self) -> None:
        found = await self.raw.call(FIND_COORDINATOR, 4, {"key_type": 1, "coordinator_keys": ["x"]})
        assert found["coordinators"][0]["error_code"] == NONE

    async def init(self, timeout_ms: int = 60_000) -> ErrorCode:
        """InitProducerId, again for as long as a transaction is being ended."""
        asked = {"transactional_id": "x", "transaction_timeout_ms": timeout_ms}
        while True:
            answer = await self.raw.call(INIT_PRODUCER_ID, 5, asked)
            code = ErrorCode(answer["error_code"])
            if code is not ErrorCode.concurrent_transactions:
                break
            await asyncio.sleep(0.005)
        if code is NONE:
            self.producer = {name: answer[name] for name in self.producer}
        return code

    async def add(self, *partitions: int, topic: str = "t", version: int = 3) -> list[ErrorCode]:
        asked = {f"v3_and_below_{name}": value for name, value in self.producer.items()}
        topics = [{"name": topic, "partitions": list(partitions)}]
        asked |= {"v3_and_below_transactional_id": "x", "v3_and_below_topics": topics}
        answer = await self.raw.call(ADD_PARTITIONS, version, asked)
        (result,) = answer["results_by_topic_v3_and_below"]
        return [ErrorCode(each["partition_error_code"]) for each in result["results_by_partition"]]

    async def end(self, *, committed: bool = True, version: int = 5) -> ErrorCode:
        asked = {"transactional_id": "x", **self.producer, "committed": committed}
        answer = await self.raw.call(END_TXN, version, asked)
        if version >= 5 and answer["error_code"] == NONE:
            self.producer = {name: answer[name] for name in self.producer}
        return ErrorCode(answer["error_code"])

    async def describe(self) -> dict[str, Any]:
        (state,) = (await self.raw.call(DESCRIBE, 0, {"transactional_ids": ["x"]}))["transaction_states"]
        return dict(state)

    async def until(self, state: str) -> dict[str, Any]:
        """Wait for the transaction's state."""
        while (described := await self.describe())["transaction_state"] != state:
            await asyncio.sleep(0.005)
        return described


@contextlib.asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[Client]:
    """A client of a broker; settings with underscores for dots."""
    renamed = {name.replace("_", "."): value for name, value in settings.items()}
    renamed = {"transaction.state.log.num.partitions": 2, **renamed}
    async with run_broker_async(renamed, data_dir=folder) as broker, connect(broker.host, broker.port) as raw:
        client = Client(raw)
        topic = {"name": "t", "num_partitions": 2, "replication_factor": 1}
        await raw.call(CREATE_TOPICS, 7, {"topics": [topic], "timeout_ms": 1000})
        await client.find()
        yield client


async def test_what_is_decided_is_completed_by_the_next_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = asyncio.Event()

    async def hang(*_: object) -> Any:
        await never.wait()

    with monkeypatch.context() as patched:
        patched.setattr(LocalMarkers, "write_markers", hang)
        async with serving(tmp_path) as client:
            assert await client.init() is NONE
            assert await client.add(0, 1) == [NONE, NONE]
            assert await client.end() is NONE
            described = await client.describe()
            assert described["transaction_state"] == "PrepareCommit"
            assert described["topics"] == [{"topic": "t", "partitions": [0, 1]}]
            assert await client.add(0) == [ErrorCode.concurrent_transactions]
            producer = client.producer
    async with serving(tmp_path) as client:
        client.producer = producer
        assert (await client.until("CompleteCommit"))["producer_epoch"] == 1
        assert await client.add(0) == [NONE]
        assert await client.end() is NONE


async def test_markers_are_written_again_until_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[TopicPartition]] = []
    write = LocalMarkers.write_markers

    async def fail(
        self: LocalMarkers, markers: Sequence[TxnMarker]
    ) -> Sequence[Mapping[TopicPartition, ErrorCode]]:
        asked.append(markers[0].partitions)
        if len(asked) == 1:
            raise RuntimeError("a defect")
        if len(asked) == 2:
            return [{("t", 0): NONE, ("t", 1): ErrorCode.not_leader_or_follower}]
        return await settled(write(self, markers))

    monkeypatch.setattr(LocalMarkers, "write_markers", fail)
    async with serving(tmp_path) as client:
        await client.init()
        await client.add(0, 1)
        assert await client.end() is NONE
        await client.until("CompleteCommit")
    assert asked == [(("t", 0), ("t", 1)), (("t", 0), ("t", 1)), (("t", 1),)]


async def test_a_transaction_ends_where_it_was_decided_also_when_its_topic_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_grown = asyncio.Event()
    write = LocalMarkers.write_markers

    async def wait(
        self: LocalMarkers, markers: Sequence[TxnMarker]
    ) -> Sequence[Mapping[TopicPartition, ErrorCode]]:
        await has_grown.wait()
        return await settled(write(self, markers))

    monkeypatch.setattr(LocalMarkers, "write_markers", wait)
    async with serving(tmp_path) as client:
        await client.init()
        await client.add(0)
        assert await client.end() is NONE
        grown = {"name": "__transaction_state", "count": 7}
        await client.raw.call(CREATE_PARTITIONS, 3, {"topics": [grown], "timeout_ms": 1000})
        assert await client.init() is NONE, "of another partition now"
        has_grown.set()
        complete = {"state_filters": ["CompleteCommit"]}
        while not (await client.raw.call(LIST, 2, complete))["transaction_states"]:
            await asyncio.sleep(0.005)


async def test_a_transaction_of_a_deleted_topic_ends(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        await client.init()
        await client.add(0, 1)
        await client.raw.call(DELETE_TOPICS, 5, {"topic_names": ["t"], "timeout_ms": 1000})
        assert await client.end() is NONE
        await client.until("CompleteCommit")


async def test_what_takes_too_long_is_aborted_and_its_producer_fenced(tmp_path: Path) -> None:
    cleanup = {"transaction_abort_timed_out_transaction_cleanup_interval_ms": 10}
    async with serving(tmp_path, **cleanup) as client:
        await client.init(timeout_ms=20)
        await client.add(0)
        await client.until("CompleteAbort")
        assert await client.end() is ErrorCode.invalid_txn_state, "it may learn how its transaction ended"
        assert await client.end(version=2) is ErrorCode.producer_fenced
        assert await client.end(version=1) is ErrorCode.invalid_producer_epoch
        assert await client.add(0, version=2) == [ErrorCode.producer_fenced]
        assert await client.add(0, version=1) == [ErrorCode.invalid_producer_epoch]


async def test_ids_that_nobody_uses_are_forgotten(tmp_path: Path) -> None:
    settings = {
        "transactional_id_expiration_ms": 1,
        "transaction_remove_expired_transaction_cleanup_interval_ms": 10,
    }
    async with serving(tmp_path, **settings) as client:
        while await client.init() is not NONE or await client.add(0) != [NONE]:
            pass  # it was forgotten in between
        for _ in range(20):
            await asyncio.sleep(0.002)
            assert (await client.describe())["error_code"] == NONE, "an ongoing transaction is used"
        await client.end()
        while (await client.describe())["error_code"] != ErrorCode.transactional_id_not_found:
            await asyncio.sleep(0.005)
        assert await client.end() is ErrorCode.invalid_producer_id_mapping
    async with serving(tmp_path) as client:
        assert (await client.describe())["error_code"] == ErrorCode.transactional_id_not_found


async def test_ids_begin_anew_when_their_topic_was_deleted(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        await client.init()
        await client.init()
        deleted = {"topic_names": ["__transaction_state"], "timeout_ms": 1000}
        await client.raw.call(DELETE_TOPICS, 5, deleted)
        assert await client.init() is ErrorCode.not_coordinator
        assert (await client.raw.call(LIST, 2, {}))["transaction_states"] == []
        await client.find()
        assert await client.init() is NONE
        assert client.producer["producer_epoch"] == 0


async def test_partitions_that_there_are_not_are_told_and_none_is_added(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        await client.init()
        unknown, untried = ErrorCode.unknown_topic_or_partition, ErrorCode.operation_not_attempted
        assert await client.add(0, 2, -1) == [untried, unknown, unknown]
        assert await client.add(0, topic="u") == [unknown]
        assert await client.add(0, topic="__transaction_state") == [ErrorCode.topic_authorization_failed]
        listed = await client.raw.call(LIST, 2, {"state_filters": ["Empty"]})
        assert len(listed["transaction_states"]) == 1


async def test_several_transactions_are_asked_about_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        await client.init()
        await client.add(0)
        topics = [{"name": "t", "partitions": [0, 1]}]
        transactions = [
            {"transactional_id": "x", **client.producer, "verify_only": True, "topics": topics},
            {"transactional_id": "y", **client.producer, "verify_only": True, "topics": topics},
            {"transactional_id": "x", **client.producer, "verify_only": False, "topics": topics},
            {"transactional_id": "", **client.producer, "verify_only": False, "topics": topics},
        ]
        answer = await client.raw.call(ADD_PARTITIONS, 5, {"transactions": transactions})
        codes = [
            [each["partition_error_code"] for each in result["topic_results"][0]["results_by_partition"]]
            for result in answer["results_by_transaction"]
        ]
        unknown, wrong = ErrorCode.invalid_producer_id_mapping, ErrorCode.invalid_request
        abortable = ErrorCode.transaction_abortable
        assert codes == [[NONE, abortable], [unknown, unknown], [NONE, NONE], [wrong, wrong]]


@pytest.mark.parametrize("group", ["g", "another"])
async def test_offsets_are_of_the_partition_of_their_group(tmp_path: Path, group: str) -> None:
    """Also before there is a topic for them: clients look for the group's coordinator only afterwards."""
    async with serving(tmp_path, offsets_topic_num_partitions=7) as client:
        await client.init()
        asked = {"transactional_id": "x", **client.producer, "group_id": group}
        assert (await client.raw.call(ADD_OFFSETS, 3, asked))["error_code"] == NONE
        (topic,) = (await client.describe())["topics"]
        await client.raw.call(FIND_COORDINATOR, 4, {"key_type": 0, "coordinator_keys": [group]})
        assert (await client.raw.call(ADD_OFFSETS, 3, asked))["error_code"] == NONE
        assert (await client.describe())["topics"] == [topic]
        assert topic["topic"] == "__consumer_offsets"
        assert await client.end() is NONE
        await client.until("CompleteCommit")


async def test_the_list_can_be_narrowed(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        for transactional_id in ("a-1", "a-2", "b"):
            asked = {"transactional_id": transactional_id, "transaction_timeout_ms": 1000}
            await client.raw.call(INIT_PRODUCER_ID, 5, asked)
        await client.init()
        await client.add(0)

        async def listed(**filters: Any) -> list[str]:
            answer = await client.raw.call(LIST, 2, filters)
            assert answer["error_code"] == NONE
            return sorted(each["transactional_id"] for each in answer["transaction_states"])

        assert await listed() == ["a-1", "a-2", "b", "x"]
        assert await listed(state_filters=["Ongoing", "Dead"]) == ["x"]
        assert await listed(transactional_id_pattern="a-.") == ["a-1", "a-2"]
        assert await listed(transactional_id_pattern="") == ["a-1", "a-2", "b", "x"]
        assert await listed(producer_id_filters=[client.producer["producer_id"]]) == ["x"]
        assert await listed(state_filters=["Ongoing"], duration_filter=3_600_000) == []
        assert await listed(state_filters=["Ongoing"], duration_filter=-1) == ["x"]
        odd = await client.raw.call(LIST, 2, {"state_filters": ["ongoing", "Nothing", "Empty"]})
        assert odd["unknown_state_filters"] == ["ongoing", "Nothing"]
        assert len(odd["transaction_states"]) == 3
        refused = await client.raw.call(LIST, 2, {"transactional_id_pattern": "(a"})
        assert refused["error_code"] == ErrorCode.invalid_regular_expression


async def test_the_topic_is_made_as_the_settings_say(tmp_path: Path) -> None:
    async with serving(tmp_path, transaction_state_log_segment_bytes=20_000_000) as client:
        described = await client.raw.call(
            32, 4, {"resources": [{"resource_type": 2, "resource_name": "__transaction_state"}]}
        )
        configs = {each["name"]: each["value"] for each in described["results"][0]["configs"]}
        assert configs["cleanup.policy"] == "compact"
        assert configs["segment.bytes"] == "20000000"
        assert configs["min.insync.replicas"] == "2"
        assert configs["compression.type"] == "uncompressed"


def test_a_cause_is_in_the_log_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 1.0
    complaints = Complaints(lambda: now_s)
    for number in range(3):
        complaints.say("not_enough_replicas", "the marker of transaction %s in %s-%d", "x%y", "t", number)
        complaints.say("ValueError", "the markers of transaction %s", "x", error=ValueError("odd"))
    now_s += 10
    complaints.say("not_enough_replicas", "the end of transaction %s", "x")
    assert [record.getMessage() for record in caplog.records] == [
        "the marker of transaction x%y in t-0: not_enough_replicas",
        "the markers of transaction x: ValueError",
        "the end of transaction x: not_enough_replicas, and 2 more since the last line of this kind",
    ]
    assert "ValueError: odd" in caplog.text


class Source:
    """Producer ids, when it has some."""

    def __init__(self) -> None:
        self.next_id = 7
        self.error: KafkaError | None = None

    async def next_producer_id(self) -> int:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.next_id += 1
        return self.next_id - 1


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_what_needs_no_producer_id_goes_on_while_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> int:
        raise KafkaError(ErrorCode.kafka_storage_error)

    async with serving(tmp_path) as client:
        assert await client.init() is NONE
        assert await client.add(0) == [NONE]
        monkeypatch.setattr(ProducerIds, "next_producer_id", fail)
        assert await client.end() is NONE
        await client.until("CompleteCommit")
        assert await client.init() is NONE


async def test_the_stock_is_filled_before_it_is_needed_or_after() -> None:
    source = Source()
    stock = ProducerIdStock(source)
    await stock.fill()
    await stock.fill()
    assert stock.take() == 7
    source.error = KafkaError(ErrorCode.kafka_storage_error)
    for _ in range(2):
        with pytest.raises(KafkaError, match="coordinator_load_in_progress"):
            stock.take()
        await until(lambda: stock.task is not None and stock.task.done())
    source.error = None
    with pytest.raises(KafkaError):
        stock.take()
    await until(lambda: stock.task is not None and stock.task.done())
    assert stock.take() == 8
