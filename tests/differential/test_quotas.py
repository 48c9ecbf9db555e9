"""Quotas: what may be set of whom, which are found again, and how long who takes too much has to wait."""

from __future__ import annotations

from typing import Any

from .batches import batch
from .scenario import Ask, scenario

EXACT, DEFAULT, SPECIFIED = range(3)


def entity(**names: str | None) -> list[dict[str, Any]]:
    return [{"entity_type": kind.replace("_", "-"), "entity_name": name} for kind, name in names.items()]


def op(key: str, value: float | None) -> dict[str, Any]:
    return {"key": key, "value": value or 0.0, "remove": value is None}


def altered(ask: Ask, parts: list[dict[str, Any]], *ops: dict[str, Any], **fields: Any) -> None:
    ask("AlterClientQuotas", entries=[{"entity": parts, "ops": list(ops)}], **fields)


def described(ask: Ask, *components: tuple[str, int, str | None], strict: bool = False) -> None:
    """In the order that the answers would have if Kafka had one."""
    ask.settle()
    asked = [{"entity_type": kind, "match_type": how, "match": name} for kind, how, name in components]
    answer = ask.quietly("DescribeClientQuotas", components=asked, strict=strict)
    for entry in answer["entries"] or ():
        entry["entity"].sort(key=lambda part: part["entity_type"])
        entry["values"].sort(key=lambda each: each["key"])
    if answer["entries"]:
        answer["entries"].sort(key=repr)
    ask.note("DescribeClientQuotas", None, {**answer, "entries": repr(answer["entries"])})


@scenario("AlterClientQuotas")
def test_quotas_come_change_and_go(ask: Ask) -> None:
    user, client = ask.name("user"), ask.name("client")
    both = entity(user=user, client_id=client)
    altered(ask, entity(user=user), op("producer_byte_rate", 1000.0), op("request_percentage", 12.5))
    altered(ask, both, op("consumer_byte_rate", 2000.0))
    altered(ask, entity(user=user, client_id=None), op("controller_mutation_rate", 0.5))
    altered(ask, entity(client_id=client), op("consumer_byte_rate", 5.0), validate_only=True)
    for strict in (False, True):
        described(ask, ("user", EXACT, user), strict=strict)
        described(ask, ("user", EXACT, user), ("client-id", SPECIFIED, None), strict=strict)
        described(ask, ("user", EXACT, user), ("client-id", DEFAULT, None), strict=strict)
        described(ask, ("user", EXACT, user), ("client-id", EXACT, client), strict=strict)
        described(ask, ("client-id", EXACT, client), strict=strict)
        described(ask, ("user", EXACT, ask.name("nobody")), strict=strict)
    altered(ask, entity(user=user), op("producer_byte_rate", None), op("consumer_byte_rate", None))
    altered(ask, both, op("consumer_byte_rate", 3000.0), op("producer_byte_rate", 1.0))
    described(ask, ("user", EXACT, user))
    altered(ask, entity(user=user), op("request_percentage", None))
    altered(ask, both, op("consumer_byte_rate", None), op("producer_byte_rate", None))
    altered(ask, entity(user=user, client_id=None), op("controller_mutation_rate", None))
    described(ask, ("user", EXACT, user))


@scenario("AlterClientQuotas")
def test_what_is_refused_of_quotas(ask: Ask) -> None:
    user = entity(user=ask.name("user"))
    address = entity(ip="192.0.2.7")
    for key, value in (
        ("no.such.quota", 1.0),
        ("connection_creation_rate", 1.0),
        ("producer_byte_rate", 0.0),
        ("producer_byte_rate", -1.0),
        ("producer_byte_rate", 1.5),
        ("consumer_byte_rate", 1e30),
        ("request_percentage", -0.5),
    ):
        altered(ask, user, op(key, value))
    altered(ask, address, op("producer_byte_rate", 1.0))
    altered(ask, address, op("connection_creation_rate", 1.5))
    altered(ask, address, op("connection_creation_rate", 2.0**31))
    altered(ask, entity(ip="no such host"), op("connection_creation_rate", 1.0))
    altered(ask, entity(ip="192.0.2.7", user="u"), op("connection_creation_rate", 1.0))
    altered(ask, entity(user=""), op("producer_byte_rate", 1.0))
    altered(ask, user, op("no.such.quota", None))
    altered(ask, user)
    described(ask, ("user", EXACT, user[0]["entity_name"]))
    described(ask, ("ip", EXACT, "192.0.2.7"))


@scenario("DescribeClientQuotas")
def test_quotas_of_addresses(ask: Ask) -> None:
    address = entity(ip="192.0.2.9")
    altered(ask, address, op("connection_creation_rate", 7.0))
    altered(ask, entity(ip=None), op("connection_creation_rate", 1000.0))
    described(ask, ("ip", EXACT, "192.0.2.9"))
    described(ask, ("ip", DEFAULT, None))
    described(ask, ("ip", SPECIFIED, None), strict=True)
    altered(ask, address, op("connection_creation_rate", None))
    altered(ask, entity(ip=None), op("connection_creation_rate", None))
    described(ask, ("ip", SPECIFIED, None))


RATE = 100_000
"""Bytes a second. Ten seconds with nothing in them before take ten times as many."""


def limited(ask: Ask, *ops: dict[str, Any]) -> None:
    """A client of its own from now on: Kafka remembers what it was given for as long as the window is."""
    ask.client_id = ask.name("client")
    ask.quietly("AlterClientQuotas", entries=[{"entity": entity(client_id=ask.client_id), "ops": list(ops)}])
    ask.settle()


def waits(ask: Ask, answer: dict[str, Any], expected_ms: int) -> None:
    """Notes whether it has to wait about so long: by what passes between requests it is a little less."""
    wait_ms = answer["throttle_time_ms"]
    is_so = expected_ms - 1000 < wait_ms <= expected_ms if expected_ms else wait_ms == 0
    ask.note("wait", 0, {"wait_ms": expected_ms if is_so else wait_ms})
    assert is_so, (ask.broker.name, wait_ms)
    ask.reconnect()  # the other connection is muted meanwhile


@scenario("Produce", versions=(3, 9, 13))
def test_who_produces_more_than_the_quota_has_to_wait(ask: Ask) -> None:
    topic = ask.topic("topic", 1, max_message_bytes="3000000")
    limited(ask, op("producer_byte_rate", RATE))
    for size, wait_ms in ((900_000, 0), (400_000, 3010)):
        data = [{"index": 0, "records": batch(b"v" * size)}]
        asked = [{**topic, "partition_data": data}]
        answer = ask.quietly("Produce", acks=-1, timeout_ms=5_000, topic_data=asked)
        # 30,000 a second too many, of ten seconds.
        waits(ask, answer, wait_ms)


@scenario("Fetch", versions=(4, 12, 16))
def test_who_fetches_more_than_the_quota_gets_nothing_and_has_to_wait(ask: Ask) -> None:
    topic = ask.topic("topic", 1, max_message_bytes="3000000")
    for _ in range(2):
        ask.produce(topic, batch(b"v" * 600_000))
    limited(ask, op("consumer_byte_rate", RATE))
    for offset, wait_ms in ((0, 0), (1, 3010)):
        asked = [{"partition": 0, "fetch_offset": offset, "partition_max_bytes": 700_000}]
        named = {"topic_id": topic["topic_id"]} if ask.version >= 13 else {"topic": topic["name"]}
        answer = ask.quietly(
            "Fetch",
            replica_id=-1, max_wait_ms=0, min_bytes=0, max_bytes=5_000_000,
            session_id=0, session_epoch=-1,
            topics=[{**named, "partitions": asked}],
        )  # fmt: skip
        ask.note("Fetch", None, {"topics": len(answer["responses"])})
        waits(ask, answer, wait_ms)


@scenario("CreateTopics", versions=(5, 6, 7))
def test_who_creates_more_partitions_than_the_quota(ask: Ask) -> None:
    limited(ask, op("controller_mutation_rate", 2.0))  # a bucket of 22
    permissive, strict = {"large": 3000, "late": 3500}, {"late": 3000}
    wanted = strict if ask.version >= 6 else permissive
    for name, partitions in (("small", 4), ("large", 24), ("late", 1)):
        new = [{"name": ask.name(name), "num_partitions": partitions, "replication_factor": 1}]
        answer = ask("CreateTopics", topics=new, timeout_ms=5_000)
        waits(ask, answer, wanted.get(name, 0))
