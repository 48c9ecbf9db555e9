"""The audit: what it says of denials and changes, where it is kept, and what it never says or holds up."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import re
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import nan
from pathlib import Path
from typing import Any

import pytest
from tests.raw_client import FETCH, connect
from tests.sample_requests import FETCH_DEFAULTS, PARTITION_MAX_BYTES
from tests.unit.broker.cluster import Cluster, ask_peer, run_cluster

from ottla.broker.apis import APIS, load
from ottla.broker.audit import outlets
from ottla.broker.audit import trail as trails
from ottla.broker.audit.outlets import File
from ottla.broker.audit.trail import OutletError, Trail
from ottla.broker.request import RequestContext
from ottla.config.broker import broker_config
from ottla.config.definition import ConfigError
from ottla.config.layers import BrokerLayers
from ottla.network.session import Session
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.alter_client_quotas import (
    AlterClientQuotasRequest,
    OpData,
)
from ottla.protocol.messages.alter_client_quotas import (
    AlterClientQuotasRequestEntryData as Entry,
)
from ottla.protocol.messages.alter_user_scram_credentials import (
    AlterUserScramCredentialsRequest,
    AlterUserScramCredentialsResponse,
    ScramCredentialUpsertion,
)
from ottla.protocol.messages.create_acls import AclCreation, CreateAclsRequest, CreateAclsResponse
from ottla.protocol.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
)
from ottla.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from ottla.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicState
from ottla.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from ottla.records.codec import decode_batch
from ottla.security.access import Denial
from ottla.security.principal import Principal

TOPIC = "_ottla_audit_log"
SECRET = "do-not-tell"

# Changes by which nobody's rights, settings or data are changed by hand.
UNAUDITED = {
    "Metadata": "makes topics that clients only name",
    "WriteTxnMarkers": "is what brokers say to each other",
    "FindCoordinator": "makes internal topics",
}


def test_every_api_that_changes_something_is_audited() -> None:
    changing = re.compile(r"\b(ALTER|CREATE|DELETE|ALTER_CONFIGS)\b")
    for served in APIS:
        api = load(served)
        if changing.search(api.right.text) and served.name not in UNAUDITED:
            assert api.is_audited, f"{served.name}: {api.right.text}"


# -- of real brokers


async def change_things(cluster: Cluster) -> None:
    """Each from broker 2 to 1, and one the other way."""
    one = cluster.brokers[2]
    creation = AclCreation(
        resource_type=2,
        resource_name="hidden",
        resource_pattern_type=3,
        principal="User:ANONYMOUS",
        host="*",
        operation=7,
        permission_type=2,
    )
    await ask_peer(one, 1, CreateAclsRequest(creations=[creation]), CreateAclsResponse)
    configs = [CreatableTopicConfig(name="retention.ms", value="1000")]
    topic = CreatableTopic(name="hidden", num_partitions=1, replication_factor=1, configs=configs)
    await ask_peer(one, 1, CreateTopicsRequest(topics=[topic], timeout_ms=1000), CreateTopicsResponse)
    upsertion = ScramCredentialUpsertion(
        name="ann", mechanism=1, iterations=4096, salt=SECRET.encode(), salted_password=SECRET.encode()
    )
    await ask_peer(
        one, 1, AlterUserScramCredentialsRequest(upsertions=[upsertion]), AlterUserScramCredentialsResponse
    )
    set_ = [AlterableConfig(name=name, value=SECRET) for name in ("ssl.keystore.password", "of.a.plugin")]
    resource = AlterConfigsResource(resource_type=4, resource_name="", configs=set_)
    await ask_peer(
        one, 1, IncrementalAlterConfigsRequest(resources=[resource]), IncrementalAlterConfigsResponse
    )
    await ask_peer(cluster.brokers[1], 2, DeleteTopicsRequest(), DeleteTopicsResponse)
    for _ in range(3):
        more = CreatePartitionsRequest(topics=[CreatePartitionsTopic(name="hidden", count=2)])
        await ask_peer(one, 1, more, CreatePartitionsResponse)


async def read_topic(cluster: Cluster) -> list[dict[str, Any]]:
    """Of all brokers."""
    image = cluster.brokers[1].image
    topic = image.topics.get(TOPIC)
    if topic is None:
        return []
    host, port = next(iter(cluster.brokers[topic.partitions[0].leader].node.addresses.values()))
    async with connect(host, port) as client:
        asked = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": PARTITION_MAX_BYTES}
        of_topic = {"topic": TOPIC, "topic_id": topic.topic_id, "partitions": [asked]}
        response = await client.call(FETCH, 12, {**FETCH_DEFAULTS, "topics": [of_topic]})
    records = memoryview(response["responses"][0]["partitions"][0]["records"] or b"")
    values = []
    while records:
        size = 12 + int.from_bytes(records[8:12], "big")
        values += [record.value for record in decode_batch(bytes(records[:size]), max_bytes=1 << 20)]
        records = records[size:]
    return [json.loads(value) for value in values if value]


async def eventually(read: Callable[[], Awaitable[list[dict[str, Any]]]], count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while len(found := await read()) < count:
            await asyncio.sleep(0.02)
    return found


async def test_what_was_refused_and_changed_is_in_the_file_and_in_the_topic(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "audit.jsonl"

    async def read_file() -> list[dict[str, Any]]:
        return list(map(json.loads, file.read_text().splitlines())) if file.exists() else []

    settings = {
        "authorizer_class_name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow_everyone_if_no_acl_found": "true",
        "ottla_audit_log": str(file),
        "ottla_audit_topic": TOPIC,
    }
    with caplog.at_level(logging.INFO, "ottla.authorizer"):
        async with run_cluster(tmp_path / "brokers", 2, **settings) as cluster:
            await change_things(cluster)
            entries = await eventually(read_file, 6)
            in_topic = await eventually(lambda: read_topic(cluster), 6)
    assert sorted(map(str, in_topic)) == sorted(map(str, entries)), "one of the brokers leads the topic"
    entries = [each for each in entries if each["broker"] == 1]
    lines = [each for each in caplog.records if each.name == "ottla.authorizer"]
    assert not lines, "a denial is told once"
    assert SECRET not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    acls, topic, user, configs, *rest = entries
    assert {name: acls[name] for name in ("event", "broker", "principal", "host", "api")} == {
        "event": "change",
        "broker": 1,
        "principal": "User:ANONYMOUS",
        "host": "127.0.0.1",
        "api": "CreateAcls",
    }
    (entry,) = acls["request"]["creations"]
    assert (entry["resource_type"], entry["operation"], entry["permission_type"]) == (
        "TOPIC",
        "ALTER",
        "DENY",
    )
    assert topic["request"]["topics"][0]["configs"] == [{"name": "retention.ms", "value": "1000"}]
    assert topic["results"]["topics"][0]["error_code"] == "none"
    assert user["request"]["upsertions"] == [
        {"name": "ann", "mechanism": "SCRAM_SHA_256", "iterations": 4096}
    ]
    values = [each["value"] for each in configs["request"]["resources"][0]["configs"]]
    assert values == ["[hidden]", "[hidden]"]
    assert configs["results"]["responses"][0]["error_code"] == "invalid_request"
    assert sum(each["times"] for each in rest) == 3
    assert {(each["event"], each["operation"], each["resource"], each["api"]) for each in rest} == {
        ("denial", "ALTER", "hidden", "CreatePartitions")
    }


# -- of the trail alone


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that has much else to do."""
    monkeypatch.setattr(trails, "_LAST_S", 60)


class Held:
    """An outlet that takes what it is given once it is let."""

    name = "held"

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.fails = False
        self.tried = 0
        self.is_closed = False

    async def write(self, lines: Sequence[bytes]) -> None:
        self.tried += 1
        if self.fails:
            raise OutletError("no space left")
        self.written += map(json.loads, lines)

    def close(self) -> None:
        self.is_closed = True


def denied(name: str) -> Denial:
    return Denial("User:ann", "192.0.2.1", "c", 0, Operation.WRITE, ResourceType.TOPIC, name, "DefaultDeny")


def context(api_key: int = 19) -> RequestContext:
    return RequestContext(Session(Principal("User", "ann"), "A", "192.0.2.1"), api_key, 7, 1, "c", 0)


async def test_the_same_denial_is_told_once_with_how_often() -> None:
    held = Held()
    trail = Trail(1, lambda: 0, [held])
    for name in ("a", "b", "a", "a"):
        trail.denied(denied(name))
    trail.failed("192.0.2.1", "A", "wrong")
    await trail.stop()
    told = [(each["event"], each.get("resource"), each["times"]) for each in held.written]
    assert told == [("denial", "a", 3), ("denial", "b", 1), ("authentication", None, 1)]
    assert held.is_closed


async def test_what_cannot_be_written_is_bounded_and_what_is_lost_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trails, "_RETRY_S", 0.001)
    monkeypatch.setattr(trails, "_UNWRITTEN_MAX", 1500)
    held = Held()
    held.fails = True
    trail = Trail(1, lambda: 0, [held])
    for number in range(20):
        trail.changed(context(), DeleteTopicsRequest(topic_names=[f"t{number}"]), ErrorCode.none)
    async with asyncio.timeout(60):
        while held.tried < 3:
            await asyncio.sleep(0.001)
    held.fails = False
    async with asyncio.timeout(60):
        while not held.written:
            await asyncio.sleep(0.001)
    kept = len(held.written)
    trail.changed(context(), DeleteTopicsRequest(), ErrorCode.none)
    await trail.stop()
    assert 0 < kept < 20
    assert [each["event"] for each in held.written[kept:]] == ["lost", "change"]
    assert held.written[kept]["entries"] == 20 - kept


async def test_denials_of_very_many_things_are_counted_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trails, "_DIFFERENT_MAX", 2)
    held = Held()
    trail = Trail(1, lambda: 0, [held])
    for number in range(5):
        trail.denied(denied(str(number)))
    await trail.stop()
    assert [each["event"] for each in held.written] == ["denial", "denial", "lost"]
    assert held.written[-1]["entries"] == 3


async def test_an_entry_is_no_larger_than_a_batch_may_be() -> None:
    held = Held()
    trail = Trail(1, lambda: 0, [held])
    long = [CreatableTopic(name="n" * 5000) for _ in range(1100)]
    trail.changed(context(), CreateTopicsRequest(topics=long[:20]), CreateTopicsResponse())
    trail.changed(context(), CreateTopicsRequest(topics=long), CreateTopicsResponse())
    few = [DeleteTopicState(name=str(number)) for number in range(1003)]
    trail.changed(context(), DeleteTopicsRequest(topics=few), DeleteTopicsResponse())
    await trail.stop()
    cut, left, many = held.written
    assert cut["request"]["topics"][0]["name"] == "n" * 2000 + "..."
    assert left["too_large"] > 1 << 20
    assert "request" not in left
    assert many["request"]["topics"][1000:] == ["and 3 more"]


async def test_numbers_that_json_has_not_are_told_as_texts() -> None:
    held = Held()
    trail = Trail(1, lambda: 0, [held])
    entries = [Entry(ops=[OpData(key="request_percentage", value=each)]) for each in (nan, 1.5)]
    trail.changed(context(), AlterClientQuotasRequest(entries=entries), ErrorCode.invalid_request)
    await trail.stop()
    (told,) = held.written
    assert [each["ops"][0]["value"] for each in told["request"]["entries"]] == ["nan", 1.5]


async def test_codes_are_told_by_their_names_and_those_of_nobody_as_they_came() -> None:
    held = Held()
    trail = Trail(1, lambda: 0, [held])
    asked = [AclCreation(resource_type=kind, operation=3) for kind in (2, 99)]
    trail.changed(
        context(CreateAclsRequest.__key__), CreateAclsRequest(creations=asked), CreateAclsResponse()
    )
    await trail.stop()
    (told,) = held.written
    assert [(each["resource_type"], each["operation"]) for each in told["request"]["creations"]] == [
        ("TOPIC", "READ"),
        (99, "READ"),
    ]


@pytest.mark.parametrize("name", ["__consumer_offsets", "__cluster_metadata", ".", "a/b", "a" * 250])
def test_a_topic_that_is_not_for_the_audit(name: str) -> None:
    with pytest.raises(ConfigError, match="of its own"):
        broker_config(BrokerLayers(static={"ottla.audit.topic": name}))


async def test_a_refused_request_is_told_with_its_error_and_a_mere_check_is_not() -> None:
    held = Held()
    trail = Trail(1, lambda: 0, [held])

    def refuse(_context: RequestContext, _message: object) -> CreateTopicsResponse:
        raise KafkaError(ErrorCode.policy_violation)

    async def later(_context: RequestContext, _message: object) -> CreateTopicsResponse:
        return CreateTopicsResponse()

    with pytest.raises(KafkaError):
        trail.watch(refuse)(context(), CreateTopicsRequest())
    for validate_only in (True, False):
        result = trail.watch(later)(context(), CreateTopicsRequest(validate_only=validate_only))
        assert isinstance(result, Awaitable)
        await result
    await trail.stop()
    assert [each.get("error") for each in held.written] == ["policy_violation", None]


async def test_what_fails_without_saying_what_it_did_is_told() -> None:
    held = Held()
    trail = Trail(1, lambda: 0, [held])

    def fail(_context: RequestContext, _message: object) -> CreateTopicsResponse:
        raise RuntimeError

    async def fail_later(_context: RequestContext, _message: object) -> CreateTopicsResponse:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        trail.watch(fail)(context(), CreateTopicsRequest())
    result = trail.watch(fail_later)(context(), CreateTopicsRequest())
    assert isinstance(result, Awaitable)
    with pytest.raises(RuntimeError):
        await result
    await trail.stop()
    assert [each["error"] for each in held.written] == ["unknown_server_error"] * 2


async def test_an_outlet_that_stumbles_is_given_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trails, "_RETRY_S", 0.001)
    held = Held()
    write, failures = held.write, [ZeroDivisionError()]

    async def stumble(lines: Sequence[bytes]) -> None:
        if failures:
            raise failures.pop()
        await write(lines)

    monkeypatch.setattr(held, "write", stumble)
    trail = Trail(1, lambda: 0, [held])
    trail.changed(context(), DeleteTopicsRequest(), ErrorCode.none)
    await trail.stop()
    assert [each["event"] for each in held.written] == ["change"]


async def test_what_a_full_disk_took_in_part_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, room = os.write, [3, 0]

    def write_what_fits(descriptor: int, data: memoryview) -> int:
        fits = room.pop(0) if room else len(data)
        if not fits:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:fits])

    path = tmp_path / "audit.jsonl"
    file = File(str(path), ThreadPoolExecutor(1))
    monkeypatch.setattr(outlets.os, "write", write_what_fits)
    with pytest.raises(OutletError):
        await file.write([b"one\n", b"two\n"])
    assert path.read_bytes() == b"one"
    await file.write([b"one\n", b"two\n", b"three\n"])
    await file.write([b"four\n"])
    file.close()
    assert path.read_bytes() == b"one\ntwo\nthree\nfour\n"


async def test_a_file_that_nobody_takes_from_does_not_keep_a_broker_from_ending(tmp_path: Path) -> None:
    thread, is_read = ThreadPoolExecutor(1), threading.Event()
    thread.submit(is_read.wait)
    File(str(tmp_path / "audit.jsonl"), thread).close()
    is_read.set()


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "audit.jsonl"
        file = File(str(path), ThreadPoolExecutor(1))
        await file.write([b"1\n", b"2\n"])
        path.rename(tmp_path / "audit.1")
        await file.write([b"3\n"])
        path.unlink()
        path.mkdir()
        with pytest.raises(OutletError):
            await file.write([b"4\n"])
        file.close()
        assert (tmp_path / "audit.1").read_bytes() == b"1\n2\n"

    asyncio.run(run())
