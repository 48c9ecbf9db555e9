"""Records as documents: with OpenSearch (`--full`), or with what is written after its documentation."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from tests.platform.connect.search_engine import asked, documented_engine, opensearch
from tests.platform.connect.web import Answer, web_server

from ottla.connect.connectors.elasticsearch.sink import ElasticsearchSinkConnector
from ottla.connect.connectors.sinks import TargetError
from ottla.connect.data import (
    DATE,
    INT32,
    OPTIONAL_STRING,
    STRING,
    TIMESTAMP,
    Struct,
    Value,
    array_of,
    decimal_schema,
    struct_of,
)
from ottla.connect.errors import ConnectError, RejectedError, RetriableError
from ottla.connect.records import Header, SinkRecord
from ottla.connect.testing import SinkKit

pytestmark = pytest.mark.xdist_group("search")

PERSON = struct_of({"id": INT32, "name": OPTIONAL_STRING})


@pytest.fixture(scope="module")
def server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    engine = (
        opensearch(tmp_path_factory.mktemp("opensearch"))
        if pytestconfig.getoption("--full")
        else documented_engine()
    )
    with engine as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    asked(server, "DELETE", "/people?ignore_unavailable=true")
    return server


def sink(url: str, *, tolerant: bool = True, **settings: str) -> SinkKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return SinkKit(ElasticsearchSinkConnector, {"connection.url": url, **named}, tolerant=tolerant)


def record(key: Value, value: Value, offset: int = 0, **more: Any) -> SinkRecord:
    schema = value.schema if isinstance(value, Struct) else None
    return SinkRecord("People", 0, offset, key=key, value_schema=schema, value=value, **more)


def documents(url: str, index: str = "people") -> dict[str, Any]:
    asked(url, "POST", f"/{index}/_refresh")
    found = asked(url, "GET", f"/{index}/_search?size=100")
    return {hit["_id"]: hit["_source"] for hit in found["hits"]["hits"]}


def test_documents_have_the_newest_of_their_key(url: str) -> None:
    settings = {"behavior_on_null_values": "delete", "batch_size": "3"}
    with sink(url, **settings) as kit:
        kit.put("People", [
            record("a", Struct(PERSON, {"id": 1, "name": "ä"}), 10), record(2, {"id": 2}, 11),
            record("c", '{"id": 3}', 12), record("a", Struct(PERSON, {"id": 4}), 13), record("c", None, 14),
        ])  # fmt: skip
    assert documents(url) == {"a": {"id": 4, "name": None}, "2": {"id": 2}}
    with sink(url, **settings) as kit:  # a worker that begins again with what was written before
        kit.put(
            "People", [record("a", {"id": 1}, 10), record("c", {"id": 3}, 12), record("a", {"id": 5}, 15)]
        )
        assert kit.errant == []
    assert documents(url) == {"a": {"id": 5}, "2": {"id": 2}}


def test_without_keys_each_record_is_a_document(url: str) -> None:
    with sink(url, key_ignore="true") as kit:
        kit.put("People", [record(None, {"n": n}, n) for n in range(3)])
        kit.put("People", [record(None, {"n": n}, n) for n in range(4)])
    assert documents(url) == {f"People+0+{n}": {"n": n} for n in range(4)}


def test_upserts_change_what_a_record_has(url: str) -> None:
    with sink(url, write_method="upsert") as kit:
        kit.put("People", [record("a", {"x": 1, "y": 1}), record("a", {"y": 2}, 1), record("b", {"y": 3}, 2)])
    assert documents(url) == {"a": {"x": 1, "y": 2}, "b": {"y": 3}}


def test_indices_are_made_for_schemas(url: str) -> None:
    schema = struct_of({"n": INT32, "day": DATE, "at": TIMESTAMP, "price": decimal_schema(2),
                        "tags": array_of(STRING), "inner": PERSON})  # fmt: skip
    value = Struct(schema, {
        "n": 1, "day": dt.date(2024, 2, 29), "at": dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC),
        "price": Decimal("1.50"), "tags": ["a", "b"], "inner": Struct(PERSON, {"id": 7}),
    })  # fmt: skip
    with sink(url) as kit:
        kit.put("People", [record("a", value)])
    text = {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
    assert asked(url, "GET", "/people/_mapping")["people"]["mappings"]["properties"] == {
        "n": {"type": "integer"}, "day": {"type": "date"}, "at": {"type": "date"},
        "price": {"type": "double"}, "tags": text,
        "inner": {"properties": {"id": {"type": "integer"}, "name": text}},
    }  # fmt: skip
    assert documents(url)["a"] == {
        "n": 1, "day": "2024-02-29", "at": "2024-02-29T12:00:00Z", "price": 1.5, "tags": ["a", "b"],
        "inner": {"id": 7, "name": None},
    }  # fmt: skip


def test_versions_may_be_a_headers(url: str) -> None:
    with sink(url, external_version_header="v") as kit:
        kit.put("People", [record("a", {"n": 1}, 1, headers=[Header("v", None, 7)]),
                           record("a", {"n": 2}, 2, headers=[Header("v", None, "3")]),
                           record("b", {"n": 3}, 3)])  # fmt: skip
        assert "external.version.header=v: None is no number" in str(kit.errant[0][1])
    assert documents(url) == {"a": {"n": 1}}


def test_a_document_that_cannot_be_mapped_is_told_alone(url: str) -> None:
    records = [record("a", {"n": 1}, 1), record("b", {"n": "x"}, 2), record("c", {"n": 2}, 3),
               record(None, {"n": 3}, 4), record("d", "text", 5), record("e", None, 6)]  # fmt: skip
    with sink(url) as kit:
        kit.put("People", records)
        told = {one.offset: str(error) for one, error in kit.errant}
        assert sorted(told) == [2, 4, 5, 6]
        assert "mapper_parsing_exception: failed to parse field [n]" in told[2]
    assert documents(url) == {"a": {"n": 1}, "c": {"n": 2}}
    with sink(url, behavior_on_malformed_documents="ignore", drop_invalid_message="true",
              behavior_on_null_values="ignore") as kit:  # fmt: skip
        kit.put("People", records)
        assert kit.errant == []
    strict = sink(url, tolerant=False)
    with strict as kit, pytest.raises(RejectedError, match=r"failed to parse.*record 2 of People-0"):
        kit.put("People", records[:3])


def test_data_streams_have_a_time(url: str) -> None:
    template = {"index_patterns": ["logs-app-*"], "data_stream": {}, "priority": 500}
    asked(url, "PUT", "/_index_template/app", template)
    index = "logs-app-people"
    with sink(url, data_stream_type="logs", data_stream_dataset="app", key_ignore="true",
              data_stream_timestamp_field="none,at") as kit:  # fmt: skip
        records = [record(None, {"at": 5, "n": 1}, 0), record(None, {"n": 2}, 1, timestamp=7)]
        kit.put("People", records)
        kit.put("People", records)
        assert kit.errant == []
    assert sorted(one["@timestamp"] for one in documents(url, index).values()) == [5, 7]
    with pytest.raises(ConnectError, match="needs data.stream.dataset"), sink(url, data_stream_type="logs"):
        pass


def _items(*errors: tuple[int, str] | None) -> Answer:
    items = [
        {
            "index": {"status": 201}
            if one is None
            else {"status": one[0], "error": {"type": one[1], "reason": "r"}}
        }
        for one in errors
    ]
    return Answer(200, json.dumps({"errors": any(errors), "items": items}).encode())


def test_what_a_server_does_not_take_now_is_sent_again() -> None:
    with web_server() as web:
        busy = (429, "es_rejected_execution_exception")
        web.answers = [_items(None, busy), Answer(503, b"no master"), _items(None, (409, "conflict"))]
        with sink(f"http://127.0.0.1:1,{web.url}") as kit:
            for told in ("es_rejected_execution_exception", "503 no master"):
                with pytest.raises(RetriableError, match=told):
                    kit.put("People", [record("a", {"n": 1}), record("b", {"n": 2}, 1)])
            kit.put("People", [record("a", {"n": 1}), record("b", {"n": 2}, 1)])
            assert kit.errant == []
        assert len({one.body for one in web.asked}) == 1
        conflict = {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "r"}}
        told = {"errors": True, "items": [{"update": conflict}]}
        web.answers = [Answer(200, json.dumps(told).encode())]
        with sink(web.url, write_method="upsert") as kit, pytest.raises(RetriableError, match="conflict"):
            kit.put("People", [record("a", {"n": 1})])
        web.answers = [_items(None), _items(None), Answer(401, b"who?")]
        web.asked.clear()
        with sink(web.url, bulk_size_bytes="10", connection_username="me", connection_password="x") as kit:
            kit.put("People", [record("a", {"n": 1}), record("b", {"n": 2}, 1)])
            assert [len(one.body.splitlines()) for one in web.asked] == [2, 2]
            assert web.asked[0].headers["authorization"] == "Basic bWU6eA=="
            with pytest.raises(TargetError, match="401 who"):
                kit.put("People", [record("a", {"n": 1}), record("b", {"n": 2}, 1)])
