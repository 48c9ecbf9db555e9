"""What no client should send: a 4xx in JSON, never a traceback, and the bridge goes on."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import positive_data_acceptance
from tests.platform.bridge.bridge_process import V2, Api, BridgeProcess, embedded
from tests.platform.bridge.conftest import Start

from ottla.bridge.openapi import document

JSON = {"Content-Type": embedded("json")}
DOCUMENTED = schemathesis.openapi.from_dict(document())
DEEP = b'{"records":[{"value":' + b"[" * 100_000


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/topics/t", b"", JSON, 400),
        ("POST", "/topics/t", b"{", JSON, 400),
        ("POST", "/topics/t", b"\xff", JSON, 400),
        ("POST", "/topics/t", DEEP, JSON, 400),
        ("POST", "/topics/t", b"[]", JSON, 422),
        ("POST", "/topics/t", b'{"records":7}', JSON, 422),
        ("POST", "/topics/t", b'{"records":[7]}', JSON, 422),
        ("POST", "/topics/t", b'{"records":[{"value":1,"timestamp":-5}]}', JSON, 422),
        ("POST", "/topics/t", b'{"records":[{"value":1,"partition":9999999999}]}', JSON, 422),
        ("POST", "/topics/t", b'{"records":[{"value":1,"headers":[{"key":"a","value":"?"}]}]}', JSON, 422),
        ("POST", "/topics/t", b'{"records":[{"value":"\\ud800"}]}', JSON, 400),
        ("POST", "/topics/t?async=perhaps", b'{"records":[]}', JSON, 400),
        ("POST", "/topics/t/partitions/x", b'{"records":[]}', JSON, 422),
        ("POST", f"/topics/{quote('a/b', safe='')}", b'{"records":[{"value":1}]}', JSON, 422),
        ("POST", "/topics/%ff", b'{"records":[{"value":1}]}', JSON, 400),
        ("POST", "/admin/topics", b"{}", {}, 422),
        ("POST", "/admin/topics", b'{"topic_name":"a b"}', {}, 422),
        ("POST", "/admin/topics", b'{"topic_name":"many","partitions_count":2147483647}', {}, 422),
        ("POST", "/admin/topics", b'{"topic_name":"r","replication_factor":9}', {}, 422),
        ("POST", "/consumers/g", b'{"name":""}', {}, 422),
        ("POST", "/consumers/g", b'{"name":7}', {}, 422),
        ("POST", "/consumers/g", b'{"enable.auto.commit":"perhaps"}', {}, 422),
        ("POST", "/consumers/g", b'{"fetch.min.bytes":-1}', {}, 422),
        ("POST", "/consumers/g", b'{"group.instance.id":"x"}', {}, 422),
        ("POST", "/consumers/g/instances/none/subscription", b'{"topics":["t"]}', {}, 404),
        ("GET", "/nothing", None, {}, 404),
        ("PUT", "/topics", b"{}", {}, 405),
        ("GET", "/topics", None, {"Accept": "text/html"}, 406),
        ("GET", "/" + "x" * 20_000, None, {}, 414),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, bytes | str) else "",
)
@pytest.mark.usefixtures("no_collection")
def test_it_is_refused_in_words(
    api: Api, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    answer = api.call(method, path, body, headers)
    assert answer.status == status
    if status >= 400:
        assert answer.code == status
        assert answer.json["message"]


def test_a_body_that_is_too_large_is_not_read(start: Start) -> None:
    process = start(ottla_bridge_request_max_bytes="2000")
    assert process.api.send("large", [{"value": "x" * 3000}]).status == 413
    host, port = urlsplit(process.api.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /topics/t HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n"
            b"Content-Type: application/vnd.kafka.json.v2+json\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("headers", "uri"),
    [
        ({"Host": "proxy"}, "http://proxy:80/consumers/g/instances/{}"),
        ({"X-Forwarded-Host": "h:1", "X-Forwarded-Proto": "https"}, "https://h:1/consumers/g/instances/{}"),
        ({"Forwarded": "for=1.2.3.4;host=f;proto=https"}, "https://f:443/consumers/g/instances/{}"),
        ({"Host": "h:1", "X-Forwarded-Path": "/kafka/g"}, "http://h:1/kafka/g/instances/{}"),
        ({"Host": "h:1", "X-Forwarded-Proto": "javascript"}, "http://h:1/consumers/g/instances/{}"),
    ],
)
def test_the_base_uri_is_the_one_that_the_client_sees(api: Api, headers: dict[str, str], uri: str) -> None:
    made = api.call("POST", "/consumers/g", {}, headers).json
    assert made["base_uri"] == uri.format(made["instance_id"])
    assert api.call("DELETE", f"/consumers/g/instances/{made['instance_id']}").status == 204


@DOCUMENTED.parametrize()
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_requests_of_the_document_are_answered_as_it_says(case: Any, bridge: BridgeProcess) -> None:
    """Right ones and wrong ones, which schemathesis makes up."""
    case.call_and_validate(
        base_url=bridge.api.url,
        timeout=60,
        excluded_checks=[positive_data_acceptance],  # a replication factor asks for more than there is
    )


def test_v2_is_what_is_answered(api: Api) -> None:
    assert api.get("/topics", Accept=f"{V2}, */*").status == 200
