"""Records as requests, and answers as records, with a web server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from tests.platform.connect.web import Answer, Request, Web, web_server

from ottla.connect.connectors.http.sink import HttpSinkConnector
from ottla.connect.connectors.http.source import HttpSourceConnector
from ottla.connect.connectors.sinks import TargetError
from ottla.connect.data import INT32, OPTIONAL_STRING, Struct, Value, struct_of
from ottla.connect.errors import ConnectError, RejectedError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.testing import SinkKit, SourceKit

PERSON = struct_of({"id": INT32, "name": OPTIONAL_STRING})


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as running:
        yield running


def sink(url: str, *, tolerant: bool = True, **settings: str) -> SinkKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return SinkKit(HttpSinkConnector, {"http.api.url": url, **named}, tolerant=tolerant)


def record(key: Value, value: Value, offset: int = 0) -> SinkRecord:
    schema = value.schema if isinstance(value, Struct) else None
    return SinkRecord("t", 0, offset, key=key, value_schema=schema, value=value)


def test_each_record_is_a_request(web: Web) -> None:
    url = f"{web.url}/${{topic}}/${{key}}"
    settings = {
        "headers": "X-One: 1|X-Two: a:b",
        "behavior_on_null_values": "delete",
        "request_method": "put",
    }
    with sink(url, **settings) as kit:
        kit.put("t", [record("a/b", Struct(PERSON, {"id": 1, "name": "ä"})), record(2, {"x": [1]}),
                      record(2, None), record(3, '{"raw": 1}')])  # fmt: skip
        kit.put("t", [record(None, {"x": 1})])
        assert [str(error) for _, error in kit.errant] == [
            "the record has no key, which names its place in the target"
        ]
    assert [(one.method, one.path) for one in web.asked] == [
        ("PUT", "/t/a%2Fb"), ("PUT", "/t/2"), ("DELETE", "/t/2"), ("PUT", "/t/3"),
    ]  # fmt: skip
    assert [one.json for one in web.asked if one.body] == [{"id": 1, "name": "ä"}, {"x": [1]}, {"raw": 1}]
    assert web.asked[0].headers["content-type"] == "application/json"
    assert (web.asked[0].headers["x-one"], web.asked[0].headers["x-two"]) == ("1", "a:b")


def test_a_key_leads_to_no_other_place(web: Web) -> None:
    with sink(f"{web.url}/api/${{key}}", behavior_on_null_values="delete") as kit:
        kit.put("t", [record("..", None), record(".", None), record("../x?y#z", None), record("...", None)])
        assert [one.key for one, _ in kit.errant] == ["..", "."]
    assert [one.path for one in web.asked] == ["/api/..%2Fx%3Fy%23z", "/api/..."]


def test_errors_tell_no_secret() -> None:
    token = {"auth_type": "BEARER", "bearer_token": "secret\nsecret"}
    with sink("http://127.0.0.1:1/x", **token) as kit, pytest.raises(TargetError, match="Auth") as raised:
        kit.put("t", [record(0, {})])
    assert "secret" not in str(raised.value)
    with (
        sink("http://127.0.0.1:1/x?key=secret") as kit,
        pytest.raises(RetriableError, match="POST http://127.0.0.1/x: .*refused") as away,
    ):
        kit.put("t", [record(0, {})])
    assert "secret" not in str(away.value)


def test_batches_keep_the_order_of_their_key(web: Web) -> None:
    records = [record(n % 2, {"n": n}, n) for n in range(5)]
    with sink(web.url, batch_max_size="2", batch_key_pattern="${key}", batch_json_as_array="true") as kit:
        kit.put("t", records)
    assert [one.json for one in web.asked] == [
        [{"n": 0}, {"n": 2}], [{"n": 4}], [{"n": 1}, {"n": 3}],
    ]  # fmt: skip
    web.asked.clear()
    with sink(
        web.url, batch_max_size="10", batch_key_pattern="${topic}", request_body_format="string",
        batch_prefix="<", batch_suffix=">", batch_separator="\\n",
    ) as kit:  # fmt: skip
        kit.put("t", [record(1, "a"), record(1, b"\xff"), record(1, None), record(1, 3)])
    assert [one.body for one in web.asked] == [b"<a\n\xff\n3>"]


def test_what_was_taken_is_not_sent_again(web: Web) -> None:
    web.answers = [Answer(), Answer(503, b"later", {"Retry-After": "7"})]
    with sink(web.url, batch_max_size="2", batch_key_pattern="", batch_json_as_array="true") as kit:
        records = [record(0, {"n": n}, n) for n in range(6)]
        with pytest.raises(RetriableError, match="503 later"):
            kit.put("t", records)
        assert kit.context.timeout_ms == 7000
        kit.put("t", records)
    assert [[each["n"] for each in one.json] for one in web.asked] == [[0, 1], [2, 3], [2, 3], [4, 5]]


def test_a_server_that_is_away_is_retriable_and_retries_end(web: Web) -> None:
    web.answer = lambda request: Answer(500)
    with sink(web.url, max_retries="1", retry_backoff_ms="10") as kit:
        with pytest.raises(RetriableError):
            kit.put("t", [record(0, {"n": 0})])
        with pytest.raises(ConnectError, match="max.retries=1 is used up"):
            kit.put("t", [record(0, {"n": 0})])
    with sink("http://127.0.0.1:1/x") as kit, pytest.raises(RetriableError, match=r"http://127\.0\.0\.1"):
        kit.put("t", [record(0, {"n": 0})])


def _picky(request: Request) -> Answer:
    return Answer(422, b"no 2") if 2 in [each["n"] for each in request.json] else Answer()


def test_a_record_that_the_server_refuses_is_found_in_its_batch(web: Web) -> None:
    web.answer = _picky
    settings = {"batch_max_size": "4", "batch_key_pattern": "", "batch_json_as_array": "true"}
    records = [record(0, {"n": n}, n) for n in range(4)]
    with sink(web.url, **settings) as kit:
        kit.put("t", records)
        assert [(one.value, "422 no 2" in str(error)) for one, error in kit.errant] == [({"n": 2}, True)]
    assert [[each["n"] for each in one.json] for one in web.asked] == [[0, 1, 2, 3], [0], [1], [2], [3]]
    with sink(web.url, **settings, behavior_on_error="ignore") as kit:
        kit.put("t", records)
        assert kit.errant == []
    told = r"422 no 2 \(one of 4 records, record 0 of t-0 on\)"
    with sink(web.url, tolerant=False, **settings) as kit, pytest.raises(RejectedError, match=told):
        kit.put("t", records)
    web.answer = lambda request: Answer(401, b"who?")
    with sink(web.url, **settings) as kit, pytest.raises(TargetError, match="401 who"):
        kit.put("t", records)


def test_servers_are_told_who_this_is(web: Web) -> None:
    with sink(web.url, auth_type="BASIC", connection_user="me", connection_password="secret") as kit:
        kit.put("t", [record(0, {})])
    assert web.asked[0].headers["authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()
    web.asked.clear()
    tokens = iter(["first", "second"])

    def answer(request: Request) -> Answer:
        if request.path == "/token":
            return Answer(200, json.dumps({"access_token": next(tokens), "expires_in": 3600}).encode())
        return Answer(
            401 if request.headers["authorization"] == "Bearer first" and len(web.asked) > 2 else 200
        )

    web.answer = answer
    config = {
        "http.api.url": f"{web.url}/x", "auth.type": "oauth2", "oauth2.token.url": f"{web.url}/token",
        "oauth2.client.id": "me", "oauth2.client.secret": "secret", "oauth2.client.scope": "write",
    }  # fmt: skip
    with SinkKit(HttpSinkConnector, config) as kit:
        kit.put("t", [record(0, {})])
        kit.put("t", [record(0, {})])
    assert [one.path for one in web.asked] == ["/token", "/x", "/x", "/token", "/x"]
    assert web.asked[0].body == b"grant_type=client_credentials&scope=write"
    assert [one.headers["authorization"] for one in web.asked[1:3]] == ["Bearer first"] * 2
    assert web.asked[4].headers["authorization"] == "Bearer second"
    web.answer = lambda request: Answer(400, b"bad client")
    with SinkKit(HttpSinkConnector, config) as kit, pytest.raises(TargetError, match="400 bad client"):
        kit.put("t", [record(0, {})])


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("http.api.url", "host/path", "http://HOST"),
        ("http.api.url", "http://[host", "http://HOST"),
        ("http.api.url", "http://host:x", "http://HOST"),
        ("http.api.url", "http://host/${id}", r"\$\{id\}"),
        ("headers", "X-One", "NAME:VALUE"),
        ("retry.on.status.codes", "5xx", "500-599"),
        ("auth.type", "BASIC", "needs connection.user"),
        ("auth.type", "KERBEROS", "must be one of"),
        ("ssl.ca.location", "/nowhere.pem", "cannot be read"),
    ],
)
def test_a_wrong_setting_says_what_would_be_right(setting: str, value: str, told: str) -> None:
    config = {"http.api.url": "http://host", setting: value}
    with pytest.raises(ConnectError, match=f"{setting}.*{told}"), SinkKit(HttpSinkConnector, config):
        pass


def source(url: str, **settings: str) -> SourceKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    fixed = {"url": url, "topic.name.pattern": "web-${entityName}", "request.interval.ms": "0"}
    return SourceKit(HttpSourceConnector, {**fixed, **named})


def test_records_are_counted(web: Web) -> None:
    items = [{"id": n} for n in range(5)]

    def answer(request: Request) -> Answer:
        offset = int(request.path.rpartition("=")[2])
        return Answer(200, json.dumps(items[offset : offset + 2]).encode())

    web.answer = answer
    kit = source(f"{web.url}/items?from=${{offset}}", entity_names="a")
    assert [one.value for one in kit.run(polls=2)] == items[:4]
    assert [one.value for one in kit.run(polls=2)] == items[4:]
    assert list(kit.offsets.values()) == [{"offset": 5}]


def test_each_record_may_say_its_offset(web: Web) -> None:
    web.answers = [
        Answer(200, b'{"hits": {"hits": [{"sort": [7]}, {"sort": [9]}]}}'),
        Answer(200, b'{"hits": {}}'),
    ]
    kit = source(
        f"{web.url}/_search", http_offset_mode="CHAINING", http_request_method="POST",
        http_request_body='{"search_after": [${offset}]}', http_initial_offset="5",
        http_response_data_json_pointer="/hits/hits", http_offset_json_pointer="/sort/0",
    )  # fmt: skip
    records = kit.run(polls=1)
    assert [one.source_offset for one in records] == [{"offset": 7}, {"offset": 9}]
    assert records[0].topic == "web-"
    assert kit.run() == []
    assert [one.json for one in web.asked] == [{"search_after": [5]}, {"search_after": [9]}]
    assert web.asked[0].headers["content-type"] == "application/json"


def test_pages_are_followed_and_the_last_one_is_read_on(web: Web) -> None:
    pages: dict[str, dict[str, object]] = {
        "": {"data": [1, 2], "next": "p2"}, "p2": {"data": [], "next": "p3"}, "p3": {"data": [3]},
    }  # fmt: skip
    web.answer = lambda request: Answer(200, json.dumps(pages[request.path.rpartition("=")[2]]).encode())
    kit = source(
        f"{web.url}/list", http_offset_mode="CURSOR_PAGINATION", http_next_page_json_pointer="/next",
        http_response_data_json_pointer="/data", http_request_parameters="size=2&cursor=${offset}",
    )  # fmt: skip
    assert [one.value for one in kit.run(polls=4)] == [1, 2, 3]
    assert list(kit.offsets.values()) == [{"offset": "p3", "read": 1}]
    pages["p3"]["data"] = [3, 4]
    assert [one.value for one in kit.run(polls=2)] == [4]
    assert web.asked[0].path == "/list?size=2&cursor="


def test_headers_do_not_follow_to_another_server(web: Web) -> None:
    settings = {"http_request_headers": "X-Key: secret", "auth_type": "BEARER", "bearer_token": "secret"}
    with web_server() as other:
        other.answer = lambda request: Answer(200, b'[{"a": 1}]')
        web.answers = [Answer(302, b"", {"Location": "/there"}), Answer(302, b"", {"Location": other.url})]
        assert [one.value for one in source(web.url, **settings).run()] == [{"a": 1}]
        assert [one.headers["x-key"] for one in web.asked] == ["secret", "secret"]
        assert [one.path for one in web.asked] == ["/", "/there"]
        assert "secret" not in str(other.asked)


def test_a_page_that_names_itself_is_the_last(web: Web) -> None:
    web.answer = lambda request: Answer(200, b'{"data": [1, 2], "next": "end"}')
    kit = source(
        web.url, http_offset_mode="CURSOR_PAGINATION", http_next_page_json_pointer="/next",
        http_response_data_json_pointer="/data", http_initial_offset="end", request_interval_ms="60000",
    )  # fmt: skip
    with kit.running() as task:
        assert [one.value for one in task.poll()] == [1, 2]
        task.task.context.is_stopping = True  # it waits no longer than for that
        assert task.poll(polls=3) == []
        task.commit()
    assert len(web.asked) == 1
    assert kit.run() == []


def test_errors_of_a_server_are_waited_after_or_raised(web: Web) -> None:
    web.answers = [Answer(503, b"", {"Retry-After": "0"}), Answer(200, b'[{"a": 1}]'), Answer(404, b"gone"),
                   Answer(200, b"<html>")]  # fmt: skip
    with source(web.url).running() as task:
        with pytest.raises(RetriableError):
            task.poll()
        assert [one.value for one in task.poll()] == [{"a": 1}]
        with pytest.raises(ConnectError, match="404 gone"):
            task.poll()
        with pytest.raises(ConnectError, match="no JSON"):
            task.poll()
    with pytest.raises(ConnectError, match="CHAINING needs http.offset.json.pointer"):
        source(web.url, http_offset_mode="CHAINING").run()
