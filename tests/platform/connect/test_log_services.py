"""Splunk's HTTP event collector and Datadog's logs, as their documentation says that they answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import pytest
from tests.platform.connect.web import Answer, Request, Web, web_server

from ottla.connect.connectors.datadog import DatadogLogsSinkConnector
from ottla.connect.connectors.sinks import TargetError
from ottla.connect.connectors.splunk import SplunkSinkConnector
from ottla.connect.data import Value
from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.records import Header, SinkRecord
from ottla.connect.testing import SinkKit


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as running:
        running.answer = lambda request: Answer(200, b'{"text":"Success","code":0}')
        yield running


def record(value: Value, offset: int = 0, topic: str = "t") -> SinkRecord:
    return SinkRecord(topic, 0, offset, value=value, timestamp=1500, headers=[Header("h", None, 1)])


def splunk(url: str, **settings: str) -> SinkKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return SinkKit(SplunkSinkConnector, {"splunk.hec.uri": url, "splunk.hec.token": "secret", **named})


def events(request: Request) -> list[object]:
    return [json.loads(line) for line in request.body.splitlines()]


def test_events_of_splunk(web: Web) -> None:
    settings = {"topics": "t,u", "splunk_indexes": "main,other", "splunk_sourcetypes": "kafka",
                "splunk_hec_json_event_enrichment": "env=prod", "splunk_hec_max_batch_size": "3"}  # fmt: skip
    with splunk(f"http://127.0.0.1:1,{web.url}", **settings) as kit:
        kit.put(
            "t",
            [record({"a": 1}), record('{"b": 2}', 1, "u"), record("{no", 2), record(b"raw", 3), record(None)],
        )
    first, second = web.asked
    assert first.path == "/services/collector/event"
    assert first.headers["authorization"] == "Splunk secret"
    more = {"sourcetype": "kafka", "time": 1.5, "fields": {"env": "prod", "h": "1"}}
    assert events(first) == [
        {"index": "main", "event": {"a": 1}, **more}, {"index": "other", "event": {"b": 2}, **more},
        {"index": "main", "event": "{no", **more},
    ]  # fmt: skip
    assert events(second) == [{"index": "main", "event": "raw", **more}]
    web.asked.clear()
    with splunk(web.url, splunk_hec_raw="true", splunk_sources="s") as kit:
        kit.put("t", [record("one"), record("two", 1)])
    assert web.asked[0].path.startswith("/services/collector/raw?channel=")
    assert web.asked[0].path.endswith("&source=s")
    assert web.asked[0].body == b"one\ntwo"
    with splunk(web.url, splunk_hec_json_event_formatted="true") as kit:
        kit.put("t", [record('{"event": 1, "host": "x"}'), record("no", 1)])
        assert [one.offset for one, _ in kit.errant] == [1]
    assert events(web.asked[1]) == [{"event": 1, "host": "x"}]


def test_events_are_waited_for_until_splunk_has_indexed_them(web: Web) -> None:
    settings = {"splunk_hec_ack_enabled": "true", "splunk_hec_ack_poll_interval": "0"}
    taken = Answer(200, b'{"text":"Success","code":0,"ackId":7}')
    web.answers = [taken, Answer(200, b'{"acks":{"7":false}}'), Answer(200, b'{"acks":{"7":true}}')]
    with splunk(web.url, **settings) as kit:
        kit.put("t", [record("x")])
    assert [one.path.partition("?")[0] for one in web.asked] == [
        "/services/collector/event", "/services/collector/ack", "/services/collector/ack",
    ]  # fmt: skip
    channel = web.asked[0].headers["x-splunk-request-channel"]
    assert web.asked[1].path.endswith(f"?channel={channel}")
    assert web.asked[1].json == {"acks": [7]}
    web.answers = [taken, Answer(200, b'{"acks":{"7":false}}')]
    with splunk(web.url, **settings, splunk_hec_event_timeout="0") as kit:
        with pytest.raises(RetriableError, match="not indexed"):
            kit.put("t", [record("x")])
        with pytest.raises(TargetError, match="does not acknowledge"):
            kit.put("t", [record("x")])


def test_errors_of_splunk(web: Web) -> None:
    web.answers = [
        Answer(503, b'{"text":"Server is busy","code":9}'),
        Answer(403, b'{"text":"Invalid token","code":4}'),
    ]
    with splunk(web.url) as kit:
        with pytest.raises(RetriableError, match="Server is busy"):
            kit.put("t", [record("x")])
        with pytest.raises(TargetError, match="Invalid token"):
            kit.put("t", [record("x")])
    web.answer = lambda request: (
        Answer(400, b'{"text":"Incorrect index","code":7}') if b"bad" in request.body else Answer()
    )
    with splunk(web.url) as kit:
        kit.put("t", [record("good"), record("bad", 1)])
        assert [(one.offset, "Incorrect index" in str(error)) for one, error in kit.errant] == [(1, True)]
    with pytest.raises(ConnectError, match="splunk.indexes has 2 elements, and topics has 1"):
        splunk(web.url, topics="t", splunk_indexes="a,b").__enter__()


def datadog(url: str, **settings: str) -> SinkKit:
    named = {f"datadog.{name}": value for name, value in settings.items()}
    return SinkKit(DatadogLogsSinkConnector, {"datadog.api_key": "secret", "datadog.url": url, **named})


def logs(request: Request) -> list[dict[str, object]]:
    assert request.headers["content-encoding"] == "gzip"
    found: list[dict[str, object]] = json.loads(gzip.decompress(request.body))
    return found


def test_logs_of_datadog(web: Web) -> None:
    web.answer = lambda request: Answer(202)
    with datadog(web.url, tags="env:prod,team:a", service="shop", add_published_date="true") as kit:
        kit.put("t", [record({"a": 1}), record("text", 1), record(None, 2), record("x" * 1_100_000, 3)])
        kit.put("t", [record("y" * 900_000, n) for n in range(6)])
        assert [(one.offset, "1000000" in str(error)) for one, error in kit.errant] == [(3, True)]
    assert web.asked[0].headers["dd-api-key"] == "secret"
    more = {"ddsource": "kafka-connect", "ddtags": "topic:t,env:prod,team:a", "service": "shop",
            "published_date": "1970-01-01T00:00:01.500000Z"}  # fmt: skip
    assert logs(web.asked[0]) == [{"message": {"a": 1}, **more}, {"message": "text", **more}]
    assert [len(logs(one)) for one in web.asked[1:]] == [5, 1]


def test_errors_of_datadog(web: Web) -> None:
    web.answers = [Answer(429, b""), Answer(403, b'{"errors":["Forbidden"]}')]
    with datadog(web.url, **{"retry.backoff_ms": "10"}) as kit:
        with pytest.raises(RetriableError):
            kit.put("t", [record("x")])
        assert kit.context.timeout_ms is not None
        assert kit.context.timeout_ms <= 10
        with pytest.raises(TargetError, match="Forbidden"):
            kit.put("t", [record("x")])
    with pytest.raises(ConnectError, match="datadog.url: it has to begin"):
        datadog("host").__enter__()
    config = {"datadog.api_key": "secret", "datadog.site": "datadoghq.eu"}
    with SinkKit(DatadogLogsSinkConnector, config) as kit:
        assert kit._task._url == "https://http-intake.logs.datadoghq.eu/api/v2/logs"  # type: ignore[attr-defined]
