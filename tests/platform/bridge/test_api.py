"""Strimzi's operations, on a real bridge and a real broker."""

from __future__ import annotations

import base64
import http.client
import re
import time
from urllib.parse import urlsplit

import pytest
from tests.platform.bridge.bridge_process import V2, Api, embedded
from tests.platform.bridge.conftest import Start


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_topics_are_made_listed_and_described(api: Api) -> None:
    made = api.call("POST", "/admin/topics", {"topic_name": "made", "partitions_count": 2})
    assert (made.status, made.json) == (201, {})
    again = api.call("POST", "/admin/topics", {"topic_name": "made"})
    assert (again.status, again.code) == (409, 409)
    assert "made" in api.get("/topics").json
    topic = api.get("/topics/made").json
    assert topic["name"] == "made"
    assert topic["configs"]["cleanup.policy"] == "delete"
    assert [each["partition"] for each in topic["partitions"]] == [0, 1]
    (replica,) = topic["partitions"][0]["replicas"]
    assert replica == {"broker": topic["partitions"][0]["leader"], "leader": True, "in_sync": True}
    assert api.get("/topics/made/partitions").json == topic["partitions"]
    assert api.get("/topics/made/partitions/1").json == topic["partitions"][1]
    assert api.get("/topics/made/partitions/1/offsets").json == {"beginning_offset": 0, "end_offset": 0}
    for path, status in (
        ("/topics/nothing", 404),
        ("/topics/nothing/partitions", 404),
        ("/topics/made/partitions/2", 404),
        ("/topics/made/partitions/2/offsets", 404),
        ("/topics/made/partitions/one", 422),
        ("/topics/made/partitions/-1", 422),
        (f"/topics/made/partitions/{1 << 40}", 422),
    ):
        answer = api.get(path)
        assert (answer.status, answer.code) == (status, status), path


@pytest.mark.parametrize(
    ("format_", "key", "value"),
    [
        ("json", {"id": 1}, {"a": [1, None, "ü"], "n": 12345678901234567890}),
        ("json", "k", 0.5),
        ("text", "k", "grüße"),
        ("binary", base64_of(b"\x00k"), base64_of(b"\xff\x00")),
    ],
)
def test_a_record_comes_back_as_it_was_sent(api: Api, format_: str, key: object, value: object) -> None:
    topic = f"round-{format_}-{type(value).__name__}"
    headers = [{"key": "h", "value": base64_of(b"\x01")}]
    record = {"key": key, "value": value, "timestamp": 1_700_000_000_000, "headers": headers}
    sent = api.send(topic, [record, {"key": key, "value": None}], format_)
    assert (sent.status, sent.json) == (
        200,
        {"offsets": [{"partition": 0, "offset": 0}, {"partition": 0, "offset": 1}]},
    )
    consumer = api.consumer(f"group-{topic}", format=format_)
    assert consumer.post("subscription", {"topics": [topic]}).status == 204
    first, second = consumer.take(2)
    assert first == {
        "topic": topic,
        "key": key,
        "value": value,
        "partition": 0,
        "offset": 0,
        "timestamp": 1_700_000_000_000,
        "headers": headers,
    }
    assert (second["key"], second["value"], "headers" in second) == (key, None, False)
    assert consumer.delete().status == 204


def test_each_record_has_its_own_outcome(api: Api) -> None:
    api.call("POST", "/admin/topics", {"topic_name": "outcomes", "partitions_count": 2})
    answer = api.send("outcomes", [{"value": 1, "partition": 1}, {"value": 2, "partition": 7}, {"value": 3}])
    assert answer.status == 200
    first, second, third = answer.json["offsets"]
    assert first == {"partition": 1, "offset": 0}
    assert second["error_code"] == 404
    assert "7" in second["message"]
    assert third["offset"] in (0, 1)
    assert api.send("outcomes/partitions/1", [{"value": 4}]).json["offsets"][0]["partition"] == 1
    assert api.send("outcomes", [{"value": 5}], query="?async=true").status == 204


def test_nothing_is_sent_of_a_request_that_is_wrong(api: Api) -> None:
    api.call("POST", "/admin/topics", {"topic_name": "whole"})
    for format_, records, status in (
        ("text", [{"value": "a"}, {"value": 1}], 422),
        ("binary", [{"value": "YQ=="}, {"value": "not Base64!"}], 422),
        ("json", [{"value": 1}, {"key": 1}], 422),
        ("json", [{"value": 1}, {"value": 2, "offset": 3}], 422),
        ("json", [{"value": 1}, {"value": 2, "partition": -1}], 422),
    ):
        answer = api.send("whole", records, format_)
        assert (answer.status, answer.code) == (status, status), records
    both = api.send("whole/partitions/0", [{"value": 1, "partition": 0}])
    assert (both.status, both.json["message"]) == (422, "Partition specified in body and in request path")
    assert api.get("/topics/whole/partitions/0/offsets").json["end_offset"] == 0


def test_a_consumer_commits_and_goes_on_there(api: Api) -> None:
    assert api.send("commits", [{"value": n} for n in range(6)]).status == 200
    consumer = api.consumer("committer", name="c", format="json", enable_auto_commit=False)
    assert consumer.path.endswith("/instances/c")
    assert consumer.post("subscription", {"topics": ["commits"]}).status == 204
    assert [each["value"] for each in consumer.take(6)] == list(range(6))
    assert consumer.get("subscription").json == {"topics": ["commits"], "partitions": [{"commits": [0]}]}
    offsets = [{"topic": "commits", "partition": 0, "offset": 4}]
    assert consumer.post("offsets", {"offsets": offsets}).status == 204
    consumer.delete()
    again = api.consumer("committer", name="c", format="json", enable_auto_commit=False)
    again.post("subscription", {"topics": ["commits"]})
    assert [each["value"] for each in again.take(2)] == [4, 5]
    assert again.post("offsets").status == 204  # what was read
    again.delete()
    last = api.consumer("committer", format="json")
    last.post("subscription", {"topic_pattern": "commi.*"})
    assert api.send("commits", [{"value": "new"}]).status == 200
    assert [each["value"] for each in last.take(1)] == ["new"]
    last.delete()


def test_assigned_partitions_are_sought(api: Api) -> None:
    api.send("seeks", [{"value": n} for n in range(5)])
    partition = {"topic": "seeks", "partition": 0}
    consumer = api.consumer("seeker", format="json")
    assert consumer.poll().status == 500  # neither subscribed nor assigned
    assert consumer.post("positions/end", {"partitions": [partition]}).status == 404
    assert consumer.post("assignments", {"partitions": [partition]}).status == 204
    assert consumer.post("subscription", {"topics": ["seeks"]}).status == 409
    assert consumer.post("positions", {"offsets": [{**partition, "offset": 3}]}).status == 204
    assert [each["value"] for each in consumer.take(2)] == [3, 4]
    assert consumer.post("positions/beginning", {"partitions": [partition]}).status == 204
    assert [each["value"] for each in consumer.take(5)] == [0, 1, 2, 3, 4]
    assert consumer.post("positions/end", {"partitions": [partition]}).status == 204
    assert consumer.poll("?timeout=100").json == []
    other = {"topic": "seeks", "partition": 9}
    missing = consumer.post("positions", {"offsets": [{**other, "offset": 0}]})
    assert (missing.status, missing.json["message"]) == (404, "No current assignment for partition seeks-9")
    assert consumer.delete("/subscription").status == 204
    assert consumer.post("subscription", {"topics": ["seeks"], "topic_pattern": "x"}).status == 409
    assert consumer.post("subscription", {}).status == 422
    assert consumer.post("subscription", {"topic_pattern": "("}).status == 422
    consumer.delete()


def test_what_has_no_room_comes_with_the_next_poll(api: Api) -> None:
    api.send("rooms", [{"value": "x" * 100, "key": n} for n in range(5)])
    consumer = api.consumer("roomy", format="json")
    consumer.post("subscription", {"topics": ["rooms"]})
    keys: list[int] = []
    for _ in range(200):
        answer = consumer.poll("?timeout=500&max_bytes=400")
        assert answer.status == 200
        assert len(answer.json) <= 2
        keys += [each["key"] for each in answer.json]
        if len(keys) >= 5:
            break
    assert keys == [0, 1, 2, 3, 4]
    consumer.post("positions/beginning", {"partitions": [{"topic": "rooms", "partition": 0}]})
    for _ in range(2):  # nothing is lost by being asked for in vain
        assert consumer.poll("?timeout=5000&max_bytes=50").status == 422
    assert [each["key"] for each in consumer.take(5)] == [0, 1, 2, 3, 4]
    consumer.delete()


def test_a_value_that_is_no_json_is_told_and_stays(api: Api) -> None:
    api.send("mixed", [{"value": "{}"}, {"value": "oops"}], "text")
    consumer = api.consumer("strict", format="json")
    consumer.post("subscription", {"topics": ["mixed"]})
    assert [each["value"] for each in consumer.take(1)] == [{}]
    for _ in range(2):
        refused = consumer.poll("?timeout=5000")
        assert refused.status == 406
        assert "offset 1 of mixed-0" in refused.json["message"]
    consumer.post("positions", {"offsets": [{"topic": "mixed", "partition": 0, "offset": 2}]})
    assert consumer.poll("?timeout=100").json == []
    consumer.delete()


def test_types_and_formats_are_held_to(api: Api) -> None:
    consumer = api.consumer("typed", name="typed", format="text")
    assert api.call("POST", "/consumers/typed", {"name": "typed"}).status == 409
    assert api.call("POST", "/consumers/typed", {"format": "xml"}).status == 422
    wrong = api.call("POST", "/consumers/typed", {"auto.offset.reset": "sometimes"})
    assert wrong.status == 422
    assert "auto.offset.reset" in wrong.json["message"]
    consumer.post("subscription", {"topics": ["typed"]})
    assert consumer.poll(Accept=embedded("json")).status == 406
    assert consumer.poll(Accept="application/xml").status == 406
    assert consumer.poll("?timeout=soon").status == 400
    assert api.call("POST", "/topics/typed", {"records": []}, {"Content-Type": V2}).status == 415
    assert api.call("POST", "/topics/typed", b"x", {"Content-Type": "text/plain"}).status == 415
    consumer.delete()
    assert consumer.poll().status == 404
    assert consumer.delete().status == 404


def test_it_says_what_it_is(api: Api) -> None:
    assert set(api.get("/").json) == {"bridge_version"}
    assert api.get("/healthy").status == 200
    assert api.get("/ready").status == 200
    document = api.get("/openapi").json
    assert document == api.get("/openapi/v3").json
    assert "/consumers/{groupid}/instances/{name}/records" in document["paths"]
    prefixed = api.get("/openapi", **{"x-forwarded-prefix": "/kafka"}).json
    assert prefixed["servers"] == [{"url": "/kafka"}]


def plain(api: Api, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=30)
    try:
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return response.status, named, response.read().decode()
    finally:
        connection.close()


def test_requests_are_counted(api: Api) -> None:
    api.get("/topics/nothing-of-this-name")
    status, headers, page = plain(api, "GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    counted = re.search(
        r'strimzi_bridge_http_server_requests_total\{code="404",method="GET",path="/topics/{}"\} (\S+)', page
    )
    assert counted, page
    assert float(counted[1]) >= 1


def test_pages_of_other_origins_are_let_in_where_they_are_named(api: Api) -> None:
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type"}
    _, headers, _ = plain(api, "OPTIONS", "/topics/t", Origin="https://shop.example", **asked)
    assert headers["access-control-allow-origin"] == "https://shop.example"
    _, headers, _ = plain(api, "GET", "/topics", Origin="https://shop.other")
    assert "access-control-allow-origin" not in headers


def test_forgotten_consumers_are_closed(start: Start) -> None:
    api = start(http_timeoutSeconds="1", ottla_bridge_consumers_max="1").api
    consumer = api.consumer("forgotten", name="f")
    until = time.monotonic() + 60
    while api.call("POST", "/consumers/forgotten", {"name": "g"}).status == 503:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert consumer.poll().status == 404


def test_parts_are_switched_off(start: Start) -> None:
    api = start(http_consumer_enabled="false", http_producer_enabled="false").api
    assert api.send("t", [{"value": 1}]).status == 503
    assert api.call("POST", "/consumers/g", {}).status == 503
    assert api.get("/topics").status == 200
