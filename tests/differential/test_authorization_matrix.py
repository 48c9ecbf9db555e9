"""Every API of the table, asked by one who may do everything and by one who may do nothing: of what there is,
and of what there is not, which the latter must not be able to tell apart any better than with Kafka.

Both are `User:ANONYMOUS`; they are told apart by their addresses.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.raw_client import error_codes, request_body
from tests.sample_requests import REQUESTS, Case

from ottla.broker.apis import APIS, load
from ottla.broker.request import ServedApi
from ottla.broker.rights import Open

from .brokers import Broker, Connection, Unanswered
from .deviations import DEVIATIONS
from .normal import Normaliser, differences
from .test_authorization import (
    ALL,
    ALLOW,
    ANY,
    CLUSTER,
    DENY,
    GROUP,
    READ,
    TOPIC,
    TRANSACTIONAL_ID,
    entry,
)

STRANGER = "127.0.0.2"
REFUSALS = {29, 30, 31, 53, 65}
"""Of topics, groups, the cluster, transactional ids and delegation tokens"""
NAMES = {TOPIC: "*", GROUP: "*", CLUSTER: "kafka-cluster", TRANSACTIONAL_ID: "*"}
FOUND_NOTHING = {"ListTransactions"}
"""Of what the requests ask for there is nothing to be hidden"""
TOKENS = {f"{each}DelegationToken" for each in ("Create", "Renew", "Expire", "Describe")}
"""Nobody has one who did not prove who he is, whatever he may"""
FILTER = {
    "resource_type_filter": TOPIC,
    "pattern_type_filter": 3,
    "resource_name_filter": "matrix",
    "operation": READ,
    "permission_type": ALLOW,
}
WANTED: dict[str, dict[str, Any]] = {
    "CreateAcls": {"creations": [entry(TOPIC, "matrix", READ, ALLOW)]},
    "DeleteAcls": {"filters": [FILTER]},
    "DescribeUserScramCredentials": {"users": [{"name": "matrix"}]},
}
"""Where the samples are not what Kafka takes"""


@pytest.fixture(scope="module")
def told_apart(guarded_brokers: tuple[Broker, Broker]) -> Iterator[tuple[Broker, Broker]]:
    """Nothing is allowed from STRANGER, and everything from elsewhere."""
    entries = [
        entry(kind, name, ALL, permission, host=host)
        for kind, name in NAMES.items()
        for permission, host in ((ALLOW, "*"), (DENY, STRANGER))
    ]
    for broker in guarded_brokers:
        connection = Connection(broker)
        answer = connection.ask("CreateAcls", 3, {"creations": entries})
        assert not any(error_codes(answer)), answer
        connection.close()
        broker.settle()
    yield guarded_brokers
    for broker in guarded_brokers:
        connection = Connection(broker)
        connection.ask(
            "DeleteAcls", 3, {"filters": [{**ANY, "resource_type_filter": each} for each in NAMES]}
        )
        connection.close()


def case_of(broker: Broker, api: ServedApi, version: int) -> Case:
    """With a topic that is there."""
    name = f"matrix-{api.name}-{version}"
    connection = Connection(broker)
    wanted = {"name": name, "num_partitions": 1, "replication_factor": 1}
    (made,) = connection.ask("CreateTopics", 7, {"topics": [wanted], "timeout_ms": 10_000})["topics"]
    listed = [{"name": name, "partitions": [{"partition_index": 0, "timestamp": -1}]}]
    broker.eventually(lambda: connection.ask("ListOffsets", 5, {"replica_id": -1, "topics": listed}))
    connection.close()
    return Case(version, name, made["topic_id"], f"{name}-group")


def asked(broker: Broker, api: ServedApi, case: Case, host: str | None) -> dict[str, Any]:
    request = WANTED.get(api.name) or REQUESTS[api.name](case)
    connection = Connection(broker, host)
    try:
        connection.send(request_body(api.key, case.version, 1, request))
        return broker.codec.response(api.name, case.version, connection.receive())[1]
    except Unanswered as how:
        return {"connection": str(how)}
    finally:
        connection.close()


def versions(api: ServedApi) -> list[int]:
    return sorted({api.lowest, api.highest})


@pytest.mark.xdist_group("differential")
@pytest.mark.parametrize(
    ("api", "version"),
    [pytest.param(api, version, id=f"{api.name}-{version}") for api in APIS for version in versions(api)],
)
def test_who_may_and_who_may_not(told_apart: tuple[Broker, Broker], api: ServedApi, version: int) -> None:
    notes = []
    for broker in told_apart:
        if api.name not in broker.served:
            pytest.skip(f"{broker.name} has no {api.name}")
        lowest, highest = broker.served[api.name]
        if not lowest <= version <= highest:
            pytest.skip(f"{broker.name} has {api.name} from {lowest} to {highest}")
        case = case_of(broker, api, version)
        nothing = dataclasses.replace(
            case, topic=f"{case.topic}-none", topic_id=uuid.UUID(int=77), group=f"{case.group}-none"
        )
        denied = asked(broker, api, case, STRANGER)
        hidden = asked(broker, api, nothing, STRANGER)
        allowed = asked(broker, api, case, None)
        refused = not REFUSALS.isdisjoint(error_codes(allowed))
        normalise = Normaliser()
        notes.append({"denied": normalise(denied), "hidden": normalise(hidden), "is refused": refused})
        if isinstance(load(api).right, Open):
            return  # there is nothing to be refused
        if api.name not in FOUND_NOTHING | TOKENS:
            assert normalise(denied) != normalise(allowed), "who may not is answered as who may"
    here = [each for each in DEVIATIONS if each.everywhere or each.scenario == "test_who_may_and_who_may_not"]
    unexpected = [
        f"{path}: Kafka {theirs!r}, Ottla {ours!r}"
        for path, theirs, ours in differences(notes[0], notes[1])
        if not any(each.allows(f"{api.name}.{path.partition('.')[2]}", theirs, ours) for each in here)
    ]
    if unexpected:
        pytest.fail("\n".join(unexpected), pytrace=False)
