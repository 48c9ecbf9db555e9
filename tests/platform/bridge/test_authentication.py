"""Who asks the bridge is who asks Kafka."""

from __future__ import annotations

import base64
import re
import time
import urllib.request
from collections.abc import Iterator

import pytest
from tests.platform.bridge.bridge_process import Api, BridgeProcess, embedded
from tests.platform.server_process import Answer

from ottla.testing import run_broker

_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_USERS = f'{_LOGIN} required user_ann="ann:s" user_bob="bobs";'


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


ANN, BOB = basic("ann", "ann:s"), basic("bob", "bobs")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    settings = {
        "listeners": "SASL_PLAINTEXT://127.0.0.1:0",
        "security.inter.broker.protocol": "SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": _USERS,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ann;User:ANONYMOUS",
        "group.initial.rebalance.delay.ms": 0,
    }
    with run_broker(settings) as broker:
        made = BridgeProcess(
            broker.bootstrap_servers,
            tmp_path_factory.mktemp("bridge"),
            ottla_bridge_authentication="kafka",
            ottla_bridge_principals_max="2",
            ottla_bridge_principals_idle_ms="1000",
            kafka_security_protocol="SASL_PLAINTEXT",
            kafka_sasl_mechanism="PLAIN",
        )
        try:
            made.ready()
            yield made
        finally:
            made.close()


def send(api: Api, who: dict[str, str]) -> Answer:
    body = {"records": [{"value": 1}]}
    return api.call("POST", "/topics/orders", body, {"Content-Type": embedded("json"), **who})


def test_everybody_may_what_kafka_lets_him(process: BridgeProcess) -> None:
    api = process.api
    assert send(api, ANN).json == {"offsets": [{"partition": 0, "offset": 0}]}
    (refused,) = send(api, BOB).json["offsets"]
    assert refused["error_code"] == 403
    assert api.call("POST", "/admin/topics", {"topic_name": "bobs"}, BOB).status == 403
    assert api.call("GET", "/topics", headers=BOB).json == []
    assert api.call("GET", "/topics", headers=ANN).json == ["orders"]


@pytest.mark.parametrize(
    "who", [{}, basic("ann", "wrong"), {"Authorization": "Basic ?"}, {"Authorization": "Bearer x"}]
)
def test_nobody_is_nobody(process: BridgeProcess, who: dict[str, str]) -> None:
    until = time.monotonic() + 60
    while (answer := process.api.call("GET", "/topics", headers=who)).status == 503:
        assert time.monotonic() < until  # others are connected yet
    assert (answer.status, answer.code) == (401, 401)
    assert "wrong" not in process.log.read_text()


def test_a_consumer_is_its_makers(process: BridgeProcess) -> None:
    api = process.api
    path = "/consumers/g/instances/c"
    made = api.call("POST", "/consumers/g", {"name": "c", "format": "json"}, ANN)
    assert made.status == 200
    partitions = {"partitions": [{"topic": "orders", "partition": 0}]}
    assert api.call("POST", f"{path}/assignments", partitions, BOB).status == 404
    assert api.call("POST", f"{path}/assignments", partitions, ANN).status == 204
    assert api.call("DELETE", path, headers=BOB).status == 404
    assert api.call("DELETE", path, headers=ANN).status == 204


def test_connections_of_who_asks_no_more_make_room(process: BridgeProcess) -> None:
    def count() -> int:
        found = re.search(r"^ottla_bridge_principals (\S+)", text(process.api, "/metrics"), re.MULTILINE)
        assert found
        return int(float(found[1]))

    until = time.monotonic() + 60
    while count() < 2:
        for who in (ANN, BOB):
            process.api.call("GET", "/topics", headers=who)
        assert time.monotonic() < until
    while count() > 0:
        assert time.monotonic() < until
        time.sleep(0.1)


def text(api: Api, path: str) -> str:
    with urllib.request.urlopen(api.url + path, timeout=30) as answer:
        content: bytes = answer.read()
    return content.decode()
