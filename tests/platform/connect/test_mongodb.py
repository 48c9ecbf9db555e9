"""Records as documents, changes as records: beside FerretDB where it is, and a server of our own."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import bson
import pymongo
import pytest
from tests.platform.connect.mongo_server import FERRETDB, Mongo, ferretdb, mongo_server

from ottla.connect.connectors.mongodb.sink import MongoSinkConnector
from ottla.connect.connectors.mongodb.source import MongoSourceConnector
from ottla.connect.connectors.sinks import TargetError
from ottla.connect.data import (
    DATE,
    INT32,
    OPTIONAL_STRING,
    TIMESTAMP,
    Struct,
    Value,
    decimal_schema,
    struct_of,
)
from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.testing import SinkKit, SourceKit

pytestmark = pytest.mark.xdist_group("mongodb")

PERSON = struct_of({"id": INT32, "name": OPTIONAL_STRING})
STRATEGY = "com.mongodb.kafka.connect.sink.processor.id.strategy."
Collection = pymongo.collection.Collection[dict[str, Any]]


@pytest.fixture(scope="module", params=["documented", "ferretdb"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "documented":
        with mongo_server() as server:
            yield server.url
    elif FERRETDB is None:
        pytest.skip("ferretdb is not installed (github.com/FerretDB/FerretDB/cmd/ferretdb)")
    else:
        with ferretdb(tmp_path_factory.mktemp("ferretdb")) as running:
            yield running


@pytest.fixture
def people(url: str) -> Iterator[Collection]:
    client = pymongo.MongoClient[dict[str, Any]](url, tz_aware=True)
    client.shop.drop_collection("people")
    yield client.shop.people
    client.close()


def sink(url: str, **settings: str) -> SinkKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    config = {"connection.uri": url, "database": "shop", "server.selection.timeout.ms": "60000"}
    return SinkKit(MongoSinkConnector, {**config, **named})


def record(key: Value, value: Value, offset: int = 0, **more: Any) -> SinkRecord:
    schema = value.schema if isinstance(value, Struct) else None
    return SinkRecord("people", 0, offset, key=key, value_schema=schema, value=value, **more)


def contents(people: Collection) -> dict[Any, Any]:
    return {str(one.pop("_id")): one for one in people.find()}


def test_a_record_that_comes_again_is_one_document(url: str, people: Collection) -> None:
    records = [record(None, {"n": n}, n, timestamp=1_700_000_000_000 + n) for n in range(3)]
    for write in ("DefaultWriteModelStrategy", "InsertOneDefaultStrategy"):
        with sink(
            url, writemodel_strategy=f"com.mongodb.kafka.connect.sink.writemodel.strategy.{write}"
        ) as kit:
            kit.put("people", records)
            assert kit.errant == []
    found = list(people.find())
    assert sorted(one["n"] for one in found) == [0, 1, 2]
    assert found[0]["_id"].generation_time == dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)
    with sink(url, document_id_strategy=f"{STRATEGY}KafkaMetaDataStrategy", collection="${topic}") as kit:
        kit.put("people", records)
    assert contents(people)["people#0#1"] == {"n": 1}


def test_documents_follow_their_keys(url: str, people: Collection) -> None:
    settings = {"document_id_strategy": f"{STRATEGY}FullKeyStrategy", "delete_on_null_values": "true"}
    with sink(url, **settings, max_batch_size="2") as kit:
        kit.put("people", [
            record("a", Struct(PERSON, {"id": 1, "name": "ä"})), record("b", {"x": [1, {"y": None}]}, 1),
            record("c", '{"at": {"$date": "2024-02-29T12:00:00Z"}}', 2), record("a", {"id": 4}, 3),
            record("b", None, 4), record(None, {"x": 1}, 5), record("d", [1], 6),
            record("e", {"x": 2**70}, 7),
        ])  # fmt: skip
        told = {one.offset: str(error) for one, error in kit.errant}
    assert contents(people) == {"a": {"id": 4}, "c": {"at": dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)}}
    assert sorted(told) == [5, 6, 7]
    assert "no key" in told[5]
    assert "64 bits" in told[7]


def test_a_key_finds_its_own_document_alone(url: str, people: Collection) -> None:
    people.insert_many([{"_id": "a", "x": 1}, {"_id": "b", "x": 2}])
    settings = {"document_id_strategy": f"{STRATEGY}FullKeyStrategy", "delete_on_null_values": "true"}
    with sink(url, **settings) as kit:
        kit.put("people", [record('{"$gt": ""}', None), record({"$gt": ""}, {"x": 3}, 1)])
    assert contents(people)["a"] == {"x": 1}
    assert contents(people)["b"] == {"x": 2}
    with sink(
        url, document_id_strategy="PartialValueStrategy", writemodel_strategy="DeleteOneBusinessKeyStrategy",
        document_id_strategy_partial_value_projection_list="y",
        document_id_strategy_partial_value_projection_type="blocklist",
    ) as kit:  # fmt: skip
        kit.put("people", [record(None, {"x": {"$gt": 0}}), record(None, {"$or": [{"x": 1}]}, 1)])
        assert [one.offset for one, _ in kit.errant] == [1]
    assert {"a", "b"} <= contents(people).keys()


def test_documents_that_are_none_do_not_keep_others_away(url: str, people: Collection) -> None:
    with sink(url) as kit:
        kit.put(
            "people", [record(None, {"n": 0}), record(None, {"$set": {"n": 1}}, 1), record(None, {"n": 2}, 2)]
        )
        assert [(one.offset, "cannot be BSON" in str(error)) for one, error in kit.errant] == [(1, True)]
    assert sorted(one["n"] for one in people.find()) == [0, 2]
    with sink(url, writemodel_strategy="InsertOneDefaultStrategy") as kit:
        kit.put("people", [record(None, {"_id": 1, "n": 3}, 3), record(None, {"_id": 1, "n": 4}, 4)])
        assert [(one.offset, "11000" in str(error)) for one, error in kit.errant] == [(4, True)]


def test_types_are_kept(url: str, people: Collection) -> None:
    at = dt.datetime(2024, 2, 29, 12, 0, 0, 123000, tzinfo=dt.UTC)
    fields = {"_id": (INT32, 1), "day": (DATE, dt.date(2024, 2, 29)), "at": (TIMESTAMP, at),
              "price": (decimal_schema(2), Decimal("1.50"))}  # fmt: skip
    if not _has_decimals(people):
        del fields["price"]
    schema = struct_of({name: schema for name, (schema, _) in fields.items()})
    value = Struct(schema, {name: one for name, (_, one) in fields.items()})
    with sink(url, document_id_strategy=f"{STRATEGY}ProvidedInValueStrategy") as kit:
        kit.put("people", [record(None, value)])
        kit.put("people", [record(None, {"x": 1}, 1)])
        assert "no _id" in str(kit.errant[0][1])
    (found,) = people.find()
    assert (found["_id"], found["day"], found["at"]) == (1, dt.datetime(2024, 2, 29, tzinfo=dt.UTC), at)
    assert found.get("price", bson.Decimal128("1.50")) == bson.Decimal128("1.50")


def _has_decimals(people: Collection) -> bool:
    try:
        people.insert_one({"_id": "probe", "n": bson.Decimal128("1")})
    except pymongo.errors.PyMongoError:
        return False
    people.delete_one({"_id": "probe"})
    return True


def test_updates_keep_what_a_record_has_not(url: str, people: Collection) -> None:
    with sink(
        url, document_id_strategy="FullKeyStrategy", writemodel_strategy="UpdateOneTimestampsStrategy"
    ) as kit:
        kit.put("people", [record("a", {"x": 1, "y": 1}), record("a", {"y": 2}, 1)])
    (found,) = people.find()
    assert (found["x"], found["y"]) == (1, 2)
    assert found["_insertedTS"] <= found["_modifiedTS"]
    people.drop()
    with sink(
        url, document_id_strategy="PartialValueStrategy", writemodel_strategy="ReplaceOneBusinessKeyStrategy",
        document_id_strategy_partial_value_projection_list="x",
    ) as kit:  # fmt: skip
        kit.put("people", [record(None, {"x": 1, "y": 1}), record(None, {"x": 1, "y": 2}, 1)])
    assert list(contents(people).values()) == [{"x": 1, "y": 2}]


@pytest.fixture
def server() -> Iterator[Mongo]:
    with mongo_server() as running:
        yield running


def test_what_a_server_does_not_take_now_is_written_again(server: Mongo) -> None:
    half = {"ok": 1.0, "n": 1, "nModified": 1}
    answers = [
        {"ok": 0.0, "code": 189, "errmsg": "primary steps down"},
        {**half, "writeErrors": [{"index": 1, "code": 14031, "errmsg": "disk full"}]},
        {**half, "writeErrors": [{"index": 1, "code": 121, "errmsg": "Document failed validation"}]},
        None,
        {"ok": 0.0, "code": 13, "errmsg": "not authorized"},
    ]
    server.fail = lambda command: answers.pop(0) if "update" in command and answers else None
    records = [record(None, {"n": n}, n) for n in range(3)]
    with sink(server.url) as kit:
        for told in ("primary steps down", "disk full"):
            with pytest.raises(RetriableError, match=told):
                kit.put("people", records)
        kit.put("people", records)
        assert [(one.offset, "121 Document failed" in str(error)) for one, error in kit.errant] == [(1, True)]
        assert [one["n"] for one in server.collections["shop", "people"].values()] == [2]  # behind it
        with pytest.raises(TargetError, match="not authorized"):
            kit.put("people", records)
    with (
        sink("mongodb://127.0.0.1:1", server_selection_timeout_ms="500") as kit,
        pytest.raises(RetriableError, match="ServerSelectionTimeout"),
    ):
        kit.put("people", records)


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("connection.uri", "http://me:secret@host", r"mongodb://user:password@host"),
        ("document.id.strategy", "KeyStrategy", "there are .*FullKeyStrategy"),
        ("writemodel.strategy", "ReplaceOneBusinessKeyStrategy", "needs document.id.strategy"),
        ("delete.on.null.values", "true", "needs one of document.id.strategy"),
        ("change.data.capture.handler", "com.x.Handler", "transform"),
        ("database", "", "must be given"),
    ],
)
def test_a_wrong_setting_says_what_would_be_right(setting: str, value: str, told: str) -> None:
    with pytest.raises(ConnectError, match=f"{setting}.*{told}") as raised:
        SinkKit(MongoSinkConnector, {"database": "shop", setting: value}).__enter__()
    assert "secret" not in str(raised.value)


def source(url: str, **settings: str) -> SourceKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    config = {"connection.uri": url, "database": "shop", "poll.await.time.ms": "1"}
    return SourceKit(MongoSourceConnector, {**config, **named})


def test_changes_come_once_and_go_on_where_they_were(server: Mongo) -> None:
    client = pymongo.MongoClient[dict[str, Any]](server.url)
    people = client.shop.people
    kit = source(server.url, collection="people", topic_prefix="mongo")
    id_ = bson.ObjectId("64b7f0c0c0c0c0c0c0c0c0c0")
    with kit.running() as task:
        assert task.poll() == []
        people.insert_one({"_id": id_, "n": bson.Int64(1), "at": dt.datetime(2024, 2, 29, tzinfo=dt.UTC)})
        client.shop.other.insert_one({"_id": 1})
        (first,) = task.poll()
        task.commit()
    assert (first.topic, json.loads(str(first.key))) == ("mongo.shop.people", {"_id": {"_data": "1"}})
    event = json.loads(str(first.value))
    assert (event["operationType"], event["fullDocument"]) == (
        "insert", {"_id": {"$oid": str(id_)}, "n": 1, "at": {"$date": 1709164800000}},
    )  # fmt: skip
    assert first.source_partition["ns"] == f"{server.url}/shop.people"
    people.replace_one({"_id": id_}, {"n": 2})
    people.delete_one({"_id": id_})
    assert [json.loads(str(one.value))["operationType"] for one in kit.run()] == ["replace", "delete"]
    assert kit.run() == []
    client.close()


def test_what_is_there_is_copied_before(server: Mongo) -> None:
    client = pymongo.MongoClient[dict[str, Any]](server.url)
    client.shop.a.insert_many([{"_id": n} for n in range(5)])
    client.shop.b.insert_many([{"_id": n, "x": "b"} for n in range(2)])
    kit = source(
        server.url, startup_mode="copy_existing", publish_full_document_only="true", poll_max_batch_size="3",
        publish_full_document_only_tombstone_on_delete="true",
        topic_namespace_map='{"shop.b": "bs", "*": "all"}',
        output_json_formatter="com.mongodb.kafka.connect.source.json.formatter.SimplifiedJson",
    )  # fmt: skip
    first = kit.run()
    ids = [f'{{"_id": {n}}}' for n in range(3)]
    assert [(one.topic, one.key, one.value) for one in first] == [("all", one, one) for one in ids]
    client.shop.a.delete_one({"_id": 0})
    rest = kit.run(polls=4)
    assert [(one.topic, one.value) for one in rest] == [
        ("all", '{"_id": 3}'), ("all", '{"_id": 4}'), ("bs", '{"_id": 0, "x": "b"}'),
        ("bs", '{"_id": 1, "x": "b"}'), ("all", None),
    ]  # fmt: skip
    assert kit.run(polls=2) == []
    client.close()


def test_ids_of_several_types_are_all_copied(server: Mongo) -> None:
    client = pymongo.MongoClient[dict[str, Any]](server.url)
    ids = ["b", 2, bson.ObjectId("64b7f0c0c0c0c0c0c0c0c0c0"), 1, "a"]
    client.shop.people.insert_many([{"_id": id_} for id_ in ids])
    kit = source(server.url, collection="people", startup_mode="copy_existing", poll_max_batch_size="2")
    copied = [json.loads(str(one.value))["documentKey"]["_id"] for _ in range(3) for one in kit.run()]
    assert copied == [1, 2, "a", "b", {"$oid": "64b7f0c0c0c0c0c0c0c0c0c0"}]
    client.close()


def test_changes_that_an_error_overtook_are_read_again(server: Mongo) -> None:
    client = pymongo.MongoClient[dict[str, Any]](server.url)
    kit = source(server.url, collection="people", publish_full_document_only="true")
    with kit.running() as task:
        assert task.poll() == []
        client.shop.people.insert_one({"_id": 1})
        asked = [0]

        def fail(command: dict[str, Any]) -> dict[str, Any] | None:
            asked[0] += "getMore" in command
            is_second = "getMore" in command and asked[0] == 2
            return {"ok": 0.0, "code": 13, "errmsg": "not authorized"} if is_second else None

        server.fail = fail  # behind the first batch, which is in the client then
        with pytest.raises(ConnectError, match="not authorized"):
            task.poll()
        assert [one.value for one in task.poll()] == ['{"_id": 1}']
    client.close()


def test_a_place_that_is_lost_is_told(server: Mongo) -> None:
    kit = source(server.url, collection="people", output_format_value="bson", output_format_key="bson")
    client = pymongo.MongoClient[dict[str, Any]](server.url)
    with kit.running() as task:
        task.poll()
        client.shop.people.insert_one({"_id": 1})
        (one,) = task.poll()
        assert isinstance(one.value, bytes)
        assert bson.decode(one.value)["fullDocument"] == {"_id": 1}
        task.commit()
    server.log.clear()
    with kit.running() as task, pytest.raises(ConnectError, match="mongo.errors.tolerance=all"):
        task.poll()
    tolerant = source(server.url, collection="people", mongo_errors_tolerance="all")
    tolerant._offsets = kit._offsets
    with tolerant.running() as task:
        with pytest.raises(RetriableError):
            task.poll()
        assert task.poll() == []
        client.shop.people.insert_one({"_id": 2})
        assert len(task.poll()) == 1
    with pytest.raises(ConnectError, match=r"pipeline=\{\}.*array of stages"):
        source(server.url, pipeline="{}").run()
    client.close()
