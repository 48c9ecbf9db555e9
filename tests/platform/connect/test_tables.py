"""Tables into records and records into tables, in each database that is here."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.platform.connect.databases import free_port
from tests.platform.connect.tables import contents, execute, names, record, row, sink, source

from ottla.connect.connectors.sql.sink import SqlSinkConnector
from ottla.connect.connectors.sql.source import SqlSourceConnector
from ottla.connect.data import (
    DATE,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    OPTIONAL_STRING,
    STRING,
    TIME,
    TIMESTAMP,
    Schema,
    Struct,
    Type,
    decimal_schema,
    struct_of,
)
from ottla.connect.errors import ConfigError, ConnectError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.testing import SourceKit

NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 123000, tzinfo=dt.UTC)


def test_rows_come_in_the_order_of_the_column_that_grows(url: str, engine: sa.Engine) -> None:
    execute(engine, "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20))",
            "INSERT INTO people VALUES (2, 'b'), (1, 'a')")  # fmt: skip
    kit = source(url, mode="incrementing", incrementing_column_name="id", table_whitelist="people")
    records = kit.run(polls=2)
    assert [one.topic for one in records] == ["db-people"] * 2
    assert names(records) == ["a", "b"]
    assert records[-1].source_offset == {"incrementing": 2}
    assert records[-1].source_partition == {"protocol": "1", "table": "people"}
    execute(engine, "INSERT INTO people VALUES (3, NULL)")
    again = kit.run(polls=2)
    assert names(again) == [None]
    assert again[0].value_schema is not None
    assert [(field.name, field.schema.optional) for field in again[0].value_schema.fields] == [
        ("id", False),
        ("name", True),
    ]


def test_rows_come_again_when_their_time_changes(url: str, engine: sa.Engine) -> None:
    stamp = "TIMESTAMP" if "mariadb" not in url else "DATETIME(6)"
    execute(engine, f"CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20), at {stamp})",
            "INSERT INTO people VALUES (1, 'a', '2024-01-01 00:00:00.000'),"
            " (2, 'b', '2024-01-02 00:00:00.000'),"
            " (3, 'c', '2024-01-02 00:00:00.000'), (4, 'later', '2999-01-01 00:00:00.000')")  # fmt: skip
    kit = source(
        url, mode="timestamp", timestamp_column_name="at", table_whitelist="people", batch_max_rows="1"
    )
    records = kit.run(polls=4)
    assert names(records) == ["a", "b", "c"]
    # The second of two rows with one time ends it.
    stamps = [one.source_offset["timestamp"] for one in records]
    assert stamps[0] == stamps[1] == 1704067200000
    assert stamps[2] == 1704153600000
    execute(engine, "UPDATE people SET name = 'a2', at = '2024-01-03 00:00:00.5' WHERE id = 1")
    changed = kit.run(polls=2)
    assert names(changed) == ["a2"]
    assert changed[0].source_offset["timestamp_nanos"] == 500_000_000
    both = source(url, mode="timestamp+incrementing", timestamp_column_name="at",
                  incrementing_column_name="id", table_whitelist="people", batch_max_rows="1")  # fmt: skip
    assert names(both.run(polls=2)) == ["b", "c"]
    assert names(both.run(polls=3)) == ["a2"]


def test_bulk_reads_all_rows_of_all_tables_each_time(url: str, engine: sa.Engine) -> None:
    execute(engine, "CREATE TABLE a (name VARCHAR(20))", "CREATE TABLE b (name VARCHAR(20))",
            "CREATE TABLE c (name VARCHAR(20))", "INSERT INTO a VALUES ('1')", "INSERT INTO b VALUES ('2')",
            "INSERT INTO c VALUES ('3')")  # fmt: skip
    kit = SourceKit(SqlSourceConnector, {"connection.url": url, "topic.prefix": "db-",
                                         "poll.interval.ms": "0", "mode": "bulk", "table.blacklist": "c"},
                    max_tasks=5)  # fmt: skip
    assert sorted(one.topic for one in kit.run(polls=1)) == ["db-a", "db-b"]
    assert sorted(one.topic for one in kit.run(polls=1)) == ["db-a", "db-b"]


ALL_TYPES = {
    "i8": (INT8, -5), "i16": (INT16, 300), "i32": (INT32, 70000), "i64": (INT64, 5_000_000_000),
    "f32": (FLOAT32, 1.5),
    "f64": (FLOAT64, 0.1), "b": (Schema(Type.BOOLEAN), True), "s": (STRING, "é\"'%(x)s:y"),
    "raw": (Schema(Type.BYTES), b"\0\xff"), "d": (decimal_schema(2), Decimal("12345678901234567.50")),
    "day": (DATE, dt.date(2024, 2, 29)), "t": (TIME, dt.time(12, 30, 0, 5000)), "at": (TIMESTAMP, NOON),
}  # fmt: skip


def test_every_type_comes_back_as_it_went_in(url: str, engine: sa.Engine) -> None:
    fields = {"id": INT32} | {name: schema.replace(optional=True) for name, (schema, _) in ALL_TYPES.items()}
    schema = struct_of(fields, name="types")
    full = Struct(schema, {"id": 1} | {name: value for name, (_, value) in ALL_TYPES.items()})
    empty = Struct(schema, {"id": 2})
    with sink(url, pk_mode="record_value", pk_fields="id", insert_mode="upsert") as kit:
        kit.put(
            "types",
            [
                SinkRecord("types", 0, n, value_schema=schema, value=one)
                for n, one in enumerate([full, empty])
            ],
        )
    records = source(url, mode="incrementing", incrementing_column_name="id", table_whitelist="types").run(
        polls=2
    )
    assert len(records) == 2
    first, second = (one.value for one in records)
    assert isinstance(first, Struct)
    assert isinstance(second, Struct)
    for name, (_, value) in ALL_TYPES.items():
        came = first[name]
        if "sqlite" in url and name == "d":
            assert abs(Decimal(str(came)) - Decimal(str(value))) < 10  # it has floats only
        else:
            assert came == value, name
        assert second[name] is None
    kinds = {field.name: field.schema.name or field.schema.type.value for field in first.schema.fields}
    assert kinds["at"] == TIMESTAMP.name
    assert kinds["d"] == decimal_schema(2).name


def test_rows_are_put_in_place_of_others_and_deleted(url: str, engine: sa.Engine) -> None:
    settings = {"pk_mode": "record_key", "pk_fields": "id", "insert_mode": "upsert", "delete_enabled": "true"}
    with sink(url, **settings) as kit:
        kit.put("people", [record(0, 1, row(1, "a")), record(1, 2, row(2, "b")), record(2, 1, row(1, "a2")),
                           record(3, 2, None), record(4, 3, row(3, "c")), record(5, 3, None),
                           record(6, 3, row(3, "c2"))])  # fmt: skip
        assert contents(engine, "people") == [{"id": 1, "name": "a2"}, {"id": 3, "name": "c2"}]
        kit.put("people", [record(7, 1, row(1, "a3"))])
    assert contents(engine, "people")[0] == {"id": 1, "name": "a3"}


def test_tables_that_are_created_take_any_text(url: str, engine: sa.Engine) -> None:
    with sink(url) as kit:
        kit.put("people", [record(0, 1, row(1, "\u0151 \u4e2d \U0001f600"))])
    assert contents(engine, "people") == [{"id": 1, "name": "\u0151 \u4e2d \U0001f600"}]


def test_updates_change_only_what_is_there(url: str, engine: sa.Engine) -> None:
    execute(engine, "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20))",
            "INSERT INTO people VALUES (1, 'a')")  # fmt: skip
    with sink(url, pk_mode="record_value", pk_fields="id", insert_mode="update") as kit:
        kit.put("people", [record(0, None, row(1, "new")), record(1, None, row(2, "none"))])
    assert contents(engine, "people") == [{"id": 1, "name": "new"}]


def test_places_in_topics_make_inserts_safe_to_repeat(url: str, engine: sa.Engine) -> None:
    records = [record(n, None, row(n, "x")) for n in range(3)]
    with sink(url, pk_mode="kafka", insert_mode="upsert") as kit:
        kit.put("people", records)
        kit.put("people", records[1:])
    assert [one["__connect_offset"] for one in contents(engine, "people")] == [0, 1, 2]


def test_columns_are_added_for_fields_that_may_be_null(url: str, engine: sa.Engine) -> None:
    wider = struct_of(
        {"id": INT32, "name": OPTIONAL_STRING, "age": Schema(Type.INT32, optional=True)}, name="row"
    )
    strict = struct_of({"id": INT32, "must": STRING}, name="row")
    with sink(url, auto_evolve="true") as kit:
        kit.put("people", [record(0, None, row(1, "a")), record(1, None, Struct(wider, {"id": 2, "age": 5}))])
        assert contents(engine, "people") == [
            {"id": 1, "name": "a", "age": None}, {"id": 2, "name": None, "age": 5},
        ]  # fmt: skip
    for evolves, text in (
        ("false", "no column must, and auto.evolve is false"),
        ("true", "neither optional nor"),
    ):
        with sink(url, auto_evolve=evolves) as kit:
            kit.put("people", [record(2, None, Struct(strict, {"id": 1, "must": "x"}))])
            assert text in str(kit.errant[0][1])


def test_a_record_that_the_database_refuses_is_reported_alone(url: str, engine: sa.Engine) -> None:
    execute(engine, "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL)")
    with sink(url) as kit:
        kit.put(
            "people",
            [record(0, None, row(1, "a")), record(1, None, row(2, None)), record(2, None, row(3, "c"))],
        )
        reported = [one.offset for one, _ in kit.errant]
    assert reported == [1]
    assert [one["id"] for one in contents(engine, "people")] == [1, 3]


def test_what_cannot_be_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    for settings, text in (
        ({"insert.mode": "upsert"}, "insert.mode=upsert needs a pk.mode"),
        ({"delete.enabled": "true"}, "delete.enabled needs pk.mode=record_key"),
        ({"pk.mode": "record_value"}, "pk.mode=record_value needs pk.fields"),
    ):
        errors = {
            one.name: one.errors for one in SqlSinkConnector().validate({"connection.url": url, **settings})
        }
        assert text in str(errors["insert.mode"])
    for settings, name, text in (
        ({"mode": "incrementing"}, "mode", "mode incrementing needs incrementing.column.name"),
        ({"mode": "bulk", "query": "select 1"}, "query", "make it a view"),
        ({"mode": "bulk", "connection.url": "db2://h/x"}, "connection.url", "of a database 'db2'"),
        ({"mode": "bulk", "connection.url": "nonsense"}, "connection.url", "is no URL"),
    ):
        config = {"connection.url": url, "topic.prefix": "x", **settings}
        errors = {one.name: one.errors for one in SqlSourceConnector().validate(config)}
        assert text in str(errors[name])
    with pytest.raises(ConfigError, match="there is no table none"):
        source(url, mode="bulk", table_whitelist="none").run()
    execute(sa.create_engine(url), "CREATE TABLE t (a INTEGER)")
    with pytest.raises(ConnectError, match="has no column nope; there are a"):
        source(url, mode="incrementing", incrementing_column_name="nope", table_whitelist="t").run()


def test_a_database_that_is_away_may_come_back() -> None:
    url = f"postgresql://nobody:secret@127.0.0.1:{free_port()}/x"
    with pytest.raises(RetriableError) as caught, sink(url) as kit:
        kit.put("people", [record(0, None, row(1, "a"))])
    assert "secret" not in str(caught.value)
