"""A table of one database through a topic into another, by a worker."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from tests.platform.connect.conftest import Start
from tests.platform.connect.worker_process import wait_until

from ottla.connect.connectors.sql.databases import database_url

ROWS = 2_000


def test_every_row_arrives_once_and_changes_follow(start: Start, postgresql: str, mariadb: str) -> None:
    source, target = (sa.create_engine(database_url(url)) for url in (postgresql, mariadb))
    with source.begin() as connection:
        connection.execute(sa.text("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, "
                                   "price NUMERIC(12,2) NOT NULL, "
                                   "at TIMESTAMP(3) NOT NULL)"))  # fmt: skip
        connection.execute(
            sa.text("INSERT INTO items "
                    "SELECT n, CASE WHEN n % 7 = 0 THEN NULL ELSE 'item ' || n END, n * 1.25, "
                    "TIMESTAMP '2024-01-01' + n * INTERVAL '1 second' FROM generate_series(1, :rows) n"),
            {"rows": ROWS},
        )  # fmt: skip
    json = "org.apache.kafka.connect.json.JsonConverter"
    worker = start("standalone", key_converter=json, value_converter=json)
    worker.ready()
    worker.api.create(
        "out", connector_class="io.confluent.connect.jdbc.JdbcSourceConnector", connection_url=postgresql,
        mode="timestamp+incrementing", timestamp_column_name="at", incrementing_column_name="id",
        table_whitelist="items", topic_prefix="db-", poll_interval_ms="100", transforms="key,id",
        transforms_key_type="org.apache.kafka.connect.transforms.ValueToKey", transforms_key_fields="id",
        transforms_id_type="org.apache.kafka.connect.transforms.ExtractField$Key", transforms_id_field="id",
    )  # fmt: skip
    worker.api.create(
        "in", connector_class="io.confluent.connect.jdbc.JdbcSinkConnector", connection_url=mariadb,
        topics="db-items", table_name_format="items", auto_create="true", insert_mode="upsert",
        pk_mode="record_key", pk_fields="id",
    )  # fmt: skip

    def rows(engine: sa.Engine) -> list[tuple[object, ...]]:
        if not sa.inspect(engine).has_table("items"):
            return []
        with engine.connect() as connection:
            return [
                tuple(row)
                for row in connection.execute(sa.text("SELECT id, name, price, at FROM items ORDER BY id"))
            ]

    def tell() -> object:
        states = [worker.api.call("GET", f"/connectors/{name}/status") for name in ("out", "in")]
        return len(rows(target)), states

    wait_until(lambda: rows(target) == rows(source), tell)
    assert len(rows(target)) == ROWS
    with source.begin() as connection:
        moment = dt.datetime(2025, 1, 1)
        connection.execute(sa.text("UPDATE items SET name = 'new', at = :at WHERE id = 5"), {"at": moment})
    wait_until(lambda: rows(target) == rows(source), tell)
    assert rows(target)[4][1] == "new"
    for engine in (source, target):
        engine.dispose()
    assert worker.stop() == 0
