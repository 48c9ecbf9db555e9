"""Records of transactions: appended, ended by markers, and read.

Brokers are told not to verify the transactions of older clients: they take the batches of any producer then,
and no coordinator has a part in this.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from .batches import START_MS, batch
from .scenario import Ask, scenario

NOWHERE = uuid.UUID(int=77)
VERIFICATION = "transaction.partition.verification.enable"
PRODUCER = 4_000
LAST_WITHOUT_ADDING = 11
CONCURRENT_TRANSACTIONS = 51


def unverified(function: Callable[[Ask], None]) -> Callable[[Ask], None]:
    """The scenario, while brokers don't verify transactions."""

    def run(ask: Ask) -> None:
        ask.broker.set_cluster_default(VERIFICATION, "false")
        ask.settle()
        try:
            function(ask)
        finally:
            ask.broker.set_cluster_default(VERIFICATION, "true")
            ask.settle()

    run.__name__ = run.__qualname__ = function.__name__
    run.__module__, run.__doc__ = function.__module__, function.__doc__
    return run


def part(sequence: int, *values: bytes, producer: int = PRODUCER, epoch: int = 0, **fields: Any) -> bytes:
    """A batch of a producer's transaction."""
    given = {"producer_id": producer, "producer_epoch": epoch, "base_sequence": sequence}
    return batch(*(values or (b"v",)), **{"is_transactional": True, **given, **fields})


def produce(
    ask: Ask,
    topic: dict[str, Any],
    *partitions: tuple[int, bytes],
    transactional_id: str | None = "any",
    version: int | None = None,
) -> None:
    version = min(ask.version_of("Produce"), LAST_WITHOUT_ADDING) if version is None else version
    data = [{"index": index, "records": records} for index, records in partitions]
    ask(
        "Produce",
        version,
        transactional_id=transactional_id,
        acks=-1,
        timeout_ms=10_000,
        topic_data=[{**topic, "partition_data": data}],
    )


def marker(
    *places: tuple[str, list[int]],
    committed: bool = True,
    producer: int = PRODUCER,
    epoch: int = 0,
    coordinator_epoch: int = 0,
    transaction_version: int = 0,
) -> dict[str, Any]:
    return {
        "producer_id": producer,
        "producer_epoch": epoch,
        "transaction_result": committed,
        "topics": [{"name": name, "partition_indexes": indexes} for name, indexes in places],
        "coordinator_epoch": coordinator_epoch,
        "transaction_version": transaction_version,
    }


def end(ask: Ask, topic: dict[str, Any], *, partition: int = 0, **fields: Any) -> None:
    ask("WriteTxnMarkers", markers=[marker((topic["name"], [partition]), **fields)])
    time.sleep(0.002)  # so that no two markers are of the same time, which ListOffsets tells


def read(ask: Ask, topic: dict[str, Any], offset: int = 0, *, isolation_level: int = 1) -> None:
    asked = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20}
    topics = [{"topic": topic["name"], "topic_id": topic["topic_id"], "partitions": [asked]}]
    limits = {"max_wait_ms": 0, "min_bytes": 0, "max_bytes": 1 << 20}
    ask("Fetch", isolation_level=isolation_level, topics=topics, **limits)


def describe(ask: Ask, topic: dict[str, Any], version: int | None = None) -> None:
    described = [{"name": topic["name"], "partition_indexes": [0]}]
    answer = ask.quietly("DescribeProducers", version, topics=described)
    for each in answer["topics"][0]["partitions"][0]["active_producers"]:
        each["last_timestamp"] = without_now(each["last_timestamp"])
    ask.note("DescribeProducers", version, answer)


def list_offsets(ask: Ask, topic: dict[str, Any]) -> None:
    for isolation_level in (0, 1):
        for timestamp in (-1, -2, START_MS, START_MS + 1000, -3):
            partition = {"partition_index": 0, "timestamp": timestamp, "current_leader_epoch": -1}
            topics = [{"name": topic["name"], "partitions": [partition]}]
            answer = ask.quietly(
                "ListOffsets", replica_id=-1, isolation_level=isolation_level, topics=topics, timeout_ms=0
            )
            (found,) = answer["topics"][0]["partitions"]
            found["timestamp"] = without_now(found["timestamp"])
            ask.note("ListOffsets", None, answer)


def without_now(timestamp: int) -> int | str:
    """Records have times of the last hour but one, markers that of the broker."""
    return "<now>" if timestamp >= START_MS + 3_600_000 else timestamp


def a_history(ask: Ask, topic: dict[str, Any]) -> None:
    """Three producers: one commits, one aborts, one is still at it; and plain records in between."""
    produce(ask, topic, (0, part(0, b"a", b"b")))
    produce(ask, topic, (0, part(0, b"c", producer=PRODUCER + 1)))
    ask.produce(topic, batch(b"plain"))
    produce(ask, topic, (0, part(2, b"d", codec="gzip")))
    read(ask, topic)
    end(ask, topic, producer=PRODUCER + 1, committed=False)
    read(ask, topic)
    produce(ask, topic, (0, part(0, b"e", producer=PRODUCER + 2)))
    end(ask, topic, epoch=1, transaction_version=2)


@scenario("Produce", versions=(3, 8, 11))
@unverified
def test_transactions(ask: Ask) -> None:
    topic = ask.topic()
    a_history(ask, topic)
    for offset in (0, 2, 5, 7, 8):
        read(ask, topic, offset)
    describe(ask, topic)


@scenario("Produce", versions=(3, 8, 11))
@unverified
def test_produce_in_and_beside_a_transaction(ask: Ask) -> None:
    topic = ask.topic()
    produce(ask, topic, (0, part(0, b"a")))
    produce(ask, topic, (0, part(0, b"a")))
    produce(ask, topic, (0, part(2, b"c")))
    produce(ask, topic, (0, part(1, b"b", is_transactional=False)))
    produce(ask, topic, (0, part(1, b"b")))
    produce(ask, topic, (0, part(1, b"z", epoch=1)))
    produce(ask, topic, (0, part(0, b"n", epoch=1)))
    produce(ask, topic, (0, part(2, b"o")))
    end(ask, topic, epoch=0)
    end(ask, topic, epoch=1, committed=False)
    produce(ask, topic, (0, part(1, b"p", epoch=1)))
    end(ask, topic, epoch=3, committed=False)
    produce(ask, topic, (0, part(2, b"q", epoch=1)))
    produce(ask, topic, (0, part(1, b"q", epoch=3)))
    produce(ask, topic, (0, part(0, b"q", epoch=3, is_transactional=False)))
    produce(ask, topic, (0, part(1, b"q", epoch=3)))
    read(ask, topic)
    describe(ask, topic)


@scenario("Produce", versions=(3, 8, 13))
def test_produce_without_a_transactional_id(ask: Ask) -> None:
    topic, version = ask.topic(partitions=2), ask.version
    produce(ask, topic, (0, part(0)), transactional_id=None, version=version)
    produce(ask, topic, (0, part(0)), (1, batch(b"plain")), transactional_id=None, version=version)
    produce(ask, topic, (1, batch(b"plain")), (0, part(0)), transactional_id=None, version=version)
    read(ask, topic, isolation_level=0)


@scenario("Produce", versions=(3, 8, 13))
def test_produce_of_two_producers(ask: Ask) -> None:
    topic, version = ask.topic(partitions=2), ask.version
    for other in (part(0, producer=PRODUCER + 1), part(0, epoch=1)):
        produce(ask, topic, (0, part(0)), (1, other), version=version)
    produce(ask, topic, (0, batch(b"plain")), (1, batch(b"plain")), version=version)
    produce(ask, topic, (0, part(-1)), version=version)
    produce(ask, topic, (0, part(0, producer=-1)), version=version)


@scenario("ListOffsets", versions=(2, 7, 11))
@unverified
def test_list_offsets_of_transactions(ask: Ask) -> None:
    topic = ask.topic()
    a_history(ask, topic)
    list_offsets(ask, topic)
    end(ask, topic, producer=PRODUCER + 2)
    list_offsets(ask, topic)


@scenario("Fetch", versions=(4, 12, 18))
@unverified
def test_fetch_transactions(ask: Ask) -> None:
    topic = ask.topic()
    a_history(ask, topic)
    for isolation_level in (0, 1):
        for offset in (0, 1, 3, 6, 7, 9):
            read(ask, topic, offset, isolation_level=isolation_level)
    deleted = [{"name": topic["name"], "partitions": [{"partition_index": 0, "offset": 2}]}]
    ask("DeleteRecords", topics=deleted, timeout_ms=10_000)
    for offset in (0, 2, 4):
        read(ask, topic, offset)
    deleted[0]["partitions"] = [{"partition_index": 0, "offset": -1}]
    ask("DeleteRecords", topics=deleted, timeout_ms=10_000)
    for isolation_level in (0, 1):
        read(ask, topic, 8, isolation_level=isolation_level)
    list_offsets(ask, topic)
    describe(ask, topic)


@scenario("Fetch", versions=(7, 12, 18))
@unverified
def test_fetch_transactions_in_a_session(ask: Ask) -> None:
    topic = ask.topic()
    asked = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20}
    topics = [{"topic": topic["name"], "topic_id": topic["topic_id"], "partitions": [asked]}]
    limits = {"max_wait_ms": 0, "min_bytes": 0, "max_bytes": 1 << 20, "isolation_level": 1}
    session_id = ask("Fetch", topics=topics, session_epoch=0, **limits)["session_id"]

    def again(epoch: int, **fields: Any) -> None:
        given = {"session_id": session_id, "session_epoch": epoch, "topics": [], **limits, **fields}
        ask("Fetch", **given)

    produce(ask, topic, (0, part(0, b"a")))
    again(1)
    again(2)
    end(ask, topic)
    again(3)
    again(4)
    produce(ask, topic, (0, part(1, b"b")))
    again(5)
    topics[0]["partitions"] = [{**asked, "fetch_offset": 2}]
    again(6, topics=topics)
    end(ask, topic, committed=False, epoch=1, transaction_version=2)
    again(7)


@scenario("WriteTxnMarkers", versions=(1, 2))
def test_markers(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    name = topic["name"]
    ask("WriteTxnMarkers", markers=[])
    for committed in (True, False):
        ask("WriteTxnMarkers", markers=[marker((name, [0, 1]), committed=committed)])
    ask("WriteTxnMarkers", markers=[marker((name, [1, 2, -1]), (ask.name("nowhere"), [0]), ("", [0]))])
    ask("WriteTxnMarkers", markers=[marker((name, []))])
    two = [marker((name, [0])), marker((name, [1]), producer=PRODUCER + 1, epoch=5)]
    ask("WriteTxnMarkers", markers=two)
    ask("WriteTxnMarkers", markers=[marker((name, [0])), marker((name, [1]), epoch=3)])
    ask("WriteTxnMarkers", markers=[marker(("__consumer_offsets", [0, 1]), producer=PRODUCER + 7)])
    read(ask, topic)
    describe(ask, topic)


@scenario("WriteTxnMarkers", versions=(1, 2))
@unverified
def test_markers_that_are_out_of_date(ask: Ask) -> None:
    topic = ask.topic()
    produce(ask, topic, (0, part(0, epoch=5)))
    for epoch, coordinator_epoch, transaction_version in (
        (4, 0, 0),
        (5, 0, 2),
        (6, 7, 2),
        (6, 7, 2),
        (6, 6, 2),
        (5, 7, 2),
        (5, 7, 0),
        (6, 8, 1),
        (-1, 9, 0),
        (7, -1, 0),
    ):
        end(
            ask,
            topic,
            epoch=epoch,
            coordinator_epoch=coordinator_epoch,
            transaction_version=transaction_version,
        )
        describe(ask, topic)
    produce(ask, topic, (0, part(0, epoch=6)))
    end(ask, topic, epoch=32767, transaction_version=2, coordinator_epoch=9)
    produce(ask, topic, (0, part(0, epoch=32767)))
    end(ask, topic, epoch=32767, transaction_version=2, coordinator_epoch=9)
    read(ask, topic)
    describe(ask, topic)


@scenario("DescribeProducers", versions=(0,))
@unverified
def test_producers_of_transactions(ask: Ask) -> None:
    topic = ask.topic()
    a_history(ask, topic)
    describe(ask, topic, 0)
    for number in range(3):
        end(ask, topic, producer=PRODUCER + number, epoch=9, committed=False, coordinator_epoch=number)
    describe(ask, topic, 0)


def begin(ask: Ask, name: str) -> dict[str, Any]:
    """A producer of a transactional id: `producer` and `epoch`, as `part` takes them."""
    ask.broker.eventually(lambda: ask.quietly("FindCoordinator", 4, key_type=1, coordinator_keys=[name]))
    asked = {"transactional_id": name, "transaction_timeout_ms": 60_000}

    def given_one() -> dict[str, Any] | None:
        answer = ask.quietly("InitProducerId", 4, **asked)
        return None if answer["error_code"] == CONCURRENT_TRANSACTIONS else answer

    given = ask.broker.eventually(given_one)
    return {"producer": given["producer_id"], "epoch": given["producer_epoch"]}


def add(ask: Ask, name: str, who: dict[str, Any], topic: dict[str, Any]) -> None:
    ask(
        "AddPartitionsToTxn",
        3,
        v3_and_below_transactional_id=name,
        v3_and_below_producer_id=who["producer"],
        v3_and_below_producer_epoch=who["epoch"],
        v3_and_below_topics=[{"name": topic["name"], "partitions": [0]}],
    )


def finish(ask: Ask, name: str, who: dict[str, Any], version: int, *, committed: bool) -> dict[str, Any]:
    """EndTxn, until the markers are written; the producer with the epoch that it has then."""
    ended = ask(
        "EndTxn",
        version,
        transactional_id=name,
        producer_id=who["producer"],
        producer_epoch=who["epoch"],
        committed=committed,
    )

    def is_over() -> bool | None:
        (state,) = ask.quietly("DescribeTransactions", transactional_ids=[name])["transaction_states"]
        return state["transaction_state"].startswith("Complete") or None

    ask.broker.eventually(is_over)
    return {**who, "epoch": ended["producer_epoch"]} if version >= 5 else who


@scenario("Produce", versions=(3, 10, 11))
def test_produce_of_older_clients_is_verified(ask: Ask) -> None:
    topic, name = ask.topic(), ask.name("id")
    who = begin(ask, name)
    produce(ask, topic, (0, part(0, **who)), transactional_id=name)
    add(ask, name, who, topic)
    for transactional_id in (name, name, ask.name("other")):
        produce(ask, topic, (0, part(0, **who)), transactional_id=transactional_id)
    produce(ask, topic, (0, part(1, **who)), transactional_id=name)
    who = finish(ask, name, who, 3, committed=True)
    produce(ask, topic, (0, part(2, **who)), transactional_id=name)
    add(ask, name, who, topic)
    for sequence in (3, 2):
        produce(ask, topic, (0, part(sequence, **who)), transactional_id=name)
    newer = begin(ask, name)
    assert newer["epoch"] > who["epoch"]
    for each in (who, newer):
        produce(ask, topic, (0, part(3, **each)), transactional_id=name)
    strange = {**newer, "producer": newer["producer"] + 100_000}
    produce(ask, topic, (0, part(0, **strange)), transactional_id=name)
    produce(ask, topic, (0, part(0, **newer)), transactional_id="")
    read(ask, topic)


@scenario("Produce", versions=(12, 13))
def test_produce_adds_its_partition(ask: Ask) -> None:
    topic, name, version = ask.topic(partitions=2), ask.name("id"), ask.version
    who = begin(ask, name)

    def send(*parts: tuple[int, bytes], transactional_id: str = name) -> None:
        produce(ask, topic, *parts, transactional_id=transactional_id, version=version)

    send((0, part(0, **who)))
    send((0, part(0, **who)), (1, part(0, **who)))
    send((0, part(1, **who)), (1, batch(b"plain")))
    later = finish(ask, name, who, 5, committed=True)
    send((0, part(2, **who)))
    send((0, part(2, **later)))
    send((0, part(0, **later)))
    last = finish(ask, name, later, 5, committed=False)
    send((1, part(0, **later)))
    send((1, part(0, **last)), transactional_id=ask.name("other"))
    send((1, part(0, **{**last, "epoch": last["epoch"] + 1})))
    send((1, part(5, **last)))
    send((1, part(0, **last)))
    read(ask, topic)
    describe(ask, topic)
