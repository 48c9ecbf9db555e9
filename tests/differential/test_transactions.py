"""Transactional ids and their transactions: who may use them, what they write to, how they end."""

from __future__ import annotations

import time
from typing import Any

from .scenario import Ask, scenario
from .test_transactional_records import describe as describe_producers
from .test_transactional_records import part, produce, read

_OLD = "v3_and_below_"
Producer = dict[str, Any]


def begin(ask: Ask, name: str = "x", **more: Any) -> Producer:
    """A producer with a transactional id of the scenario: what its requests begin with."""
    transactional_id = ask.name(name)
    ask.broker.eventually(
        lambda: ask.quietly("FindCoordinator", 4, key_type=1, coordinator_keys=[transactional_id])
    )
    while True:
        answer = ask.broker.eventually(
            lambda: ask.quietly(
                "InitProducerId", 4, transactional_id=transactional_id, transaction_timeout_ms=60_000, **more
            )
        )
        if answer["error_code"] != 51:
            break
        time.sleep(0.01)
    return {
        "transactional_id": transactional_id,
        "producer_id": answer["producer_id"],
        "producer_epoch": answer["producer_epoch"],
    }


def add(ask: Ask, producer: Producer, topics: list[dict[str, Any]], version: int = 3, **more: Any) -> Any:
    """Partitions of a transaction, as a version asks for them; not compared."""
    return ask.quietly("AddPartitionsToTxn", version, **added(version, producer, topics, **more))


def added(version: int, producer: Producer, topics: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    if version >= 4:
        return {"transactions": [{**producer, "topics": topics, "verify_only": False, **more}]}
    return {f"{_OLD}{name}": value for name, value in producer.items()} | {f"{_OLD}topics": topics}


def settled(ask: Ask, producer: Producer) -> None:
    """Once no transaction is being ended: the markers of Kafka take a moment."""
    asked = [producer["transactional_id"]]

    def state() -> str | None:
        (found,) = ask.quietly("DescribeTransactions", 0, transactional_ids=asked)["transaction_states"]
        name: str = found["transaction_state"] or "none"
        return None if name.startswith("Prepare") else name

    ask.broker.eventually(state)


def described(ask: Ask, producer: Producer) -> None:
    """Note what a transaction is now."""
    settled(ask, producer)
    describe(ask, producer["transactional_id"])


def describe(ask: Ask, *transactional_ids: str) -> None:
    answer = ask.quietly("DescribeTransactions", 0, transactional_ids=list(transactional_ids))
    for state in answer["transaction_states"]:
        for topic in state["topics"]:
            topic["partitions"].sort()  # Kafka's are in the order of its hash tables
    ask.note("DescribeTransactions", 0, answer)


def of(topic: dict[str, Any], *partitions: int) -> dict[str, Any]:
    return {"name": topic["name"], "partitions": list(partitions)}


@scenario("InitProducerId")
def test_init_with_a_transactional_id(ask: Ask) -> None:
    begin(ask)
    for name in ("x", "x", "y", "ä b/%\0"):
        ask("InitProducerId", transactional_id=ask.name(name), transaction_timeout_ms=60_000)
    for timeout_ms in (0, -1, 900_000, 900_001, 2**31 - 1):
        ask("InitProducerId", transactional_id=ask.name("x"), transaction_timeout_ms=timeout_ms)
    ask("InitProducerId", transactional_id="", transaction_timeout_ms=60_000)


@scenario("InitProducerId", versions=(3, 4, 5))
def test_init_of_a_producer_that_goes_on(ask: Ask) -> None:
    x = begin(ask)
    asked = {"transactional_id": x["transactional_id"], "transaction_timeout_ms": 60_000}
    producer_id = x["producer_id"]
    steps = (
        (producer_id, 0), (producer_id, 0), (producer_id, 1), (producer_id, 0), (producer_id, 7), (-1, -1),
        (producer_id, 2), (producer_id, 3), (producer_id + 500_000, 4), (producer_id, 32_766), (5, -1),
        (-1, 5),
    )  # fmt: skip
    for expected_id, epoch in steps:
        ask("InitProducerId", **asked, producer_id=expected_id, producer_epoch=epoch)
    new = {**asked, "transactional_id": ask.name("new")}
    ask("InitProducerId", **new, producer_id=producer_id + 500_000, producer_epoch=9)
    described(ask, x)


@scenario("InitProducerId")
def test_init_ends_what_was_begun(ask: Ask) -> None:
    topic = ask.topic()
    x = begin(ask)
    add(ask, x, [of(topic, 0)])
    asked = {"transactional_id": x["transactional_id"], "transaction_timeout_ms": 60_000}
    ask("InitProducerId", **asked)
    described(ask, x)
    ask("InitProducerId", **asked)
    described(ask, x)


@scenario("AddPartitionsToTxn")
def test_add_partitions(ask: Ask) -> None:
    topic, other = ask.topic(partitions=3), ask.topic("other")
    x = begin(ask)

    def asked(producer: Producer, *topics: dict[str, Any]) -> None:
        ask("AddPartitionsToTxn", **added(ask.version, producer, list(topics)))

    asked(x, of({"name": ask.name("nowhere")}, 0))
    asked(x, of(topic, 0, 3), of(other, 0))
    asked(x, of(topic, -1))
    asked(x, of({"name": "__consumer_offsets"}, 0), of({"name": ""}, 0))
    asked(x)
    described(ask, x)
    asked(x, of(topic, 0, 1))
    asked(x, of(topic, 0))
    asked(x, of(topic, 2), of(other, 0))
    described(ask, x)
    for changed in (
        {"producer_epoch": x["producer_epoch"] + 1},
        {"producer_epoch": -1},
        {"producer_id": x["producer_id"] + 500_000},
        {"transactional_id": ask.name("unknown")},
        {"transactional_id": ""},
    ):
        asked({**x, **changed}, of(topic, 0))
    old, x = x, begin(ask)
    asked(old, of(topic, 0))
    asked(x, of(topic, 0))
    described(ask, x)


@scenario("AddPartitionsToTxn", versions=(4, 5))
def test_add_or_verify_partitions_of_several_transactions(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    x, y = begin(ask, "x"), begin(ask, "y")
    add(ask, x, [of(topic, 0)])
    verified = {"verify_only": True, "topics": [of(topic, 0, 1)]}
    nowhere = of({"name": ask.name("nowhere")}, 0)
    ask("AddPartitionsToTxn", transactions=[{**x, **verified}, {**y, **verified}])
    ask(
        "AddPartitionsToTxn",
        transactions=[
            {**x, "verify_only": True, "topics": [of(topic, 0), nowhere]},
            {**y, "verify_only": False, "topics": [of(topic, 1)]},
        ],
    )
    for changed in ({"producer_epoch": 7}, {"producer_id": 5}, {"transactional_id": ask.name("unknown")}):
        ask("AddPartitionsToTxn", transactions=[{**y, **verified, **changed}])
    described(ask, y)


@scenario("AddPartitionsToTxn", versions=(4, 5))
def test_add_partitions_of_no_transaction(ask: Ask) -> None:
    ask("AddPartitionsToTxn", transactions=[])


@scenario("AddOffsetsToTxn")
def test_add_offsets(ask: Ask) -> None:
    x = begin(ask)
    for changed in (
        {},
        {},
        {"producer_epoch": 7},
        {"producer_id": x["producer_id"] + 500_000},
        {"transactional_id": ask.name("unknown")},
        {"transactional_id": ""},
    ):
        ask("AddOffsetsToTxn", **{**x, **changed}, group_id=ask.name("g"))
    ask("AddOffsetsToTxn", **x, group_id="")
    described(ask, x)
    old = x
    begin(ask)
    ask("AddOffsetsToTxn", **old, group_id=ask.name("g"))


@scenario("EndTxn")
def test_end(ask: Ask) -> None:
    topic = ask.topic()
    x = begin(ask)

    def ended(*, committed: bool, **changed: Any) -> None:
        settled(ask, x)
        answer = ask("EndTxn", **{**x, **changed}, committed=committed)
        if answer.get("producer_id", -1) >= 0 and not changed:
            x.update(producer_id=answer["producer_id"], producer_epoch=answer["producer_epoch"])

    for changed in (
        {"producer_epoch": 7},
        {"producer_epoch": -1},
        {"producer_id": x["producer_id"] + 500_000},
        {"transactional_id": ask.name("unknown")},
        {"transactional_id": ""},
    ):
        ended(committed=True, **changed)
        ended(committed=False, **changed)
    ended(committed=True)
    ended(committed=False)
    described(ask, x)
    for first in (True, False):
        for second in (True, False):
            add(ask, x, [of(topic, 0)], version=5 if ask.version >= 5 else 3)
            last = x["producer_epoch"]
            ended(committed=first)
            described(ask, x)
            ended(committed=first, producer_epoch=last)
            ended(committed=not first, producer_epoch=last)
            ended(committed=second)
            described(ask, x)


@scenario("EndTxn")
def test_end_by_a_producer_that_was_fenced(ask: Ask) -> None:
    topic = ask.topic()
    old = begin(ask)
    add(ask, old, [of(topic, 0)])
    new = begin(ask)
    for producer in (old, new):
        for committed in (True, False):
            settled(ask, new)
            ask("EndTxn", **producer, committed=committed)
    described(ask, new)


@scenario("EndTxn", versions=(4, 5))
def test_what_takes_too_long(ask: Ask) -> None:
    topic = ask.topic()
    x = begin(ask)
    asked = {"transactional_id": x["transactional_id"], "transaction_timeout_ms": 1}
    x["producer_epoch"] = ask.quietly("InitProducerId", 4, **asked)["producer_epoch"]
    add(ask, x, [of(topic, 0)])

    def aborted() -> bool | None:
        names = [x["transactional_id"]]
        (found,) = ask.quietly("DescribeTransactions", 0, transactional_ids=names)["transaction_states"]
        return found["transaction_state"] == "CompleteAbort" or None

    ask.broker.eventually(aborted)
    described(ask, x)
    for committed in (True, False):
        settled(ask, x)
        ask("EndTxn", **x, committed=committed)
    add(ask, x, [of(topic, 0)])
    described(ask, x)


@scenario("DescribeTransactions")
def test_describe_transactions(ask: Ask) -> None:
    topic = ask.topic(partitions=2)
    x, y = begin(ask, "x"), begin(ask, "y")
    add(ask, x, [of(topic, 1, 0)])
    names = [x["transactional_id"], y["transactional_id"], ask.name("unknown"), ""]
    describe(ask, *names)
    describe(ask)
    ask.quietly("EndTxn", 4, **x, committed=True)
    settled(ask, x)
    describe(ask, *names)


@scenario("ListTransactions")
def test_list(ask: Ask) -> None:
    topic = ask.topic()
    x, y, z = begin(ask, "x"), begin(ask, "y"), begin(ask, "z")
    for producer, committed in ((x, None), (y, True), (z, False)):
        add(ask, producer, [of(topic, 0)])
        if committed is not None:
            ask.quietly("EndTxn", 4, **producer, committed=committed)
            settled(ask, producer)
    mine = [each["producer_id"] for each in (x, y, z)]

    def asked(*states: str, producer_ids: list[int] = mine, **more: Any) -> None:
        ask("ListTransactions", state_filters=list(states), producer_id_filters=producer_ids, **more)

    asked()
    asked("Ongoing")
    asked("CompleteCommit", "CompleteAbort", "ongoing", "Dead", "PrepareEpochFence")
    asked("Nonsense")
    asked(producer_ids=[x["producer_id"], 2**62])
    asked(producer_ids=[-1])
    for duration_filter in (-2, -1, 0, 3_600_000, 2**63 - 1):
        asked(duration_filter=duration_filter)
    for pattern in (None, "", ".*", ask.name("x"), ask.name("[xy]"), "x", "(", "\\"):
        asked(transactional_id_pattern=pattern)


@scenario("FindCoordinator")
def test_find_the_coordinator_of_a_transaction(ask: Ask) -> None:
    for name in ("x", "y"):
        key = ask.name(name)
        ask.eventually("FindCoordinator", key=key, key_type=1, coordinator_keys=[key, ""])


@scenario("EndTxn", versions=(4, 5))
def test_records_of_transactions(ask: Ask) -> None:
    """Older clients add partitions, which leaders verify; with version 5 leaders add them themselves."""
    is_new = ask.version >= 5
    topic = ask.topic(partitions=2)
    x = begin(ask)
    sequence = 0

    def write(*values: bytes, partition: int = 0, **fields: Any) -> None:
        nonlocal sequence
        at = {"producer_id": x["producer_id"], "producer_epoch": x["producer_epoch"], **fields}
        records = part(sequence, *values, producer=at["producer_id"], epoch=at["producer_epoch"])
        id_ = x["transactional_id"]
        produce(ask, topic, (partition, records), transactional_id=id_, version=13 if is_new else 11)

    def end(*, committed: bool) -> None:
        nonlocal sequence
        answer = ask("EndTxn", **x, committed=committed)
        settled(ask, x)
        if is_new:
            x.update(producer_id=answer["producer_id"], producer_epoch=answer["producer_epoch"])
        sequence = 0 if is_new else 2

    def look() -> None:
        for isolation_level in (0, 1):
            read(ask, topic, isolation_level=isolation_level)
        describe_producers(ask, topic)

    if not is_new:
        write(b"not added")
        add(ask, x, [of(topic, 0)])
    write(b"a", b"b")
    look()
    end(committed=True)
    look()
    if not is_new:
        write(b"not added again")
        add(ask, x, [of(topic, 0, 1)])
    write(b"c", b"d")
    write(b"of another epoch", producer_epoch=x["producer_epoch"] + 1)
    write(b"of another producer", producer_id=x["producer_id"] + 500_000)
    end(committed=False)
    look()
    begin(ask)
    sequence = 0 if is_new else 4
    write(b"zombie")
    if not is_new:
        add(ask, x, [of(topic, 0)])
        write(b"zombie")
    look()
