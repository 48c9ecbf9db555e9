"""What tests of tables share: each database in turn, connectors on it, and rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from ottla.connect.connectors.sql.databases import database_url
from ottla.connect.connectors.sql.sink import SqlSinkConnector
from ottla.connect.connectors.sql.source import SqlSourceConnector
from ottla.connect.data import INT32, OPTIONAL_STRING, Struct, Value, struct_of
from ottla.connect.records import SinkRecord, SourceRecord
from ottla.connect.testing import SinkKit, SourceKit


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    made = sa.create_engine(database_url(url))
    metadata = sa.MetaData()
    metadata.reflect(made)
    metadata.drop_all(made)
    yield made
    made.dispose()


def source(url: str, **settings: str) -> SourceKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    fixed = {"connection.url": url, "topic.prefix": "db-", "poll.interval.ms": "0"}
    return SourceKit(SqlSourceConnector, {**fixed, **named})


def sink(url: str, **settings: str) -> SinkKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return SinkKit(SqlSinkConnector, {"connection.url": url, "auto.create": "true", **named})


def execute(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def contents(engine: sa.Engine, table: str) -> list[dict[str, object]]:
    with engine.connect() as connection:
        found = connection.execute(sa.select(sa.Table(table, sa.MetaData(), autoload_with=engine)))
        rows = [dict(row._mapping) for row in found]
    return sorted(rows, key=lambda one: str(one.get("id")))


def names(records: list[SourceRecord]) -> list[Value]:
    return [record.value["name"] for record in records if isinstance(record.value, Struct)]


ROW = struct_of({"id": INT32, "name": OPTIONAL_STRING}, name="row")


def record(offset: int, key: Value, value: Struct | None, topic: str = "people") -> SinkRecord:
    schema = None if value is None else value.schema
    return SinkRecord(topic, 0, offset, key_schema=INT32, key=key, value_schema=schema, value=value)


def row(number: int, name: str | None) -> Struct:
    return Struct(ROW, {"id": number, "name": name})
