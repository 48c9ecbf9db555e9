"""What databases do that is not as usual: clocks, failures, names and values that do not fit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.platform.connect.databases import free_port
from tests.platform.connect.tables import contents, execute, names, record, row, sink, source

from ottla.connect.connectors.sql.databases import database_url
from ottla.connect.connectors.sql.source import SqlSourceTask
from ottla.connect.data import INT32, OPTIONAL_STRING, STRING, Schema, Struct, Type, struct_of
from ottla.connect.errors import ConnectError, DataError, RetriableError
from ottla.connect.records import SinkRecord, SourceRecord
from ottla.connect.sdk import Offset, TransactionContext

NOW = {
    "sqlite": "CURRENT_TIMESTAMP", "postgresql": "date_trunc('second', LOCALTIMESTAMP)", "mariadb": "NOW()",
}  # fmt: skip


class Context:
    """Of a task that has no offsets yet."""

    is_stopping = False
    transactions: TransactionContext | None = None

    def offset(self, partition: Offset) -> Offset | None:
        return None

    def offsets(self, partitions: Iterable[Offset]) -> list[Offset | None]:
        return [None for _ in partitions]


def started(url: str, **settings: str) -> SqlSourceTask:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    task = SqlSourceTask()
    task.context = Context()
    task.start({"connection.url": url, "topic.prefix": "db-", "poll.interval.ms": "0", **named})
    return task


def test_rows_of_a_second_are_read_when_it_is_over(url: str, engine: sa.Engine) -> None:
    """A column that tells no less than seconds may be given the same time as long as one lasts."""
    dialect = engine.dialect.name
    stamp = {"sqlite": "TIMESTAMP", "postgresql": "TIMESTAMP(0)", "mariadb": "DATETIME"}[dialect]
    execute(engine, f"CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20), at {stamp})",
            "INSERT INTO people VALUES (0, 'old', '2024-01-01 00:00:00')")  # fmt: skip
    kit = source(url, mode="timestamp", timestamp_column_name="at", table_whitelist="people")
    assert names(kit.run()) == ["old"]
    for number in range(1, 4):
        execute(engine, f"INSERT INTO people VALUES ({number}, 'new', {NOW[dialect]})")
        read = [one.value["at"] for one in kit.run() if isinstance(one.value, Struct)]
        with engine.connect() as connection:
            now = connection.execute(sa.text(f"SELECT {NOW[dialect]}")).scalar_one()
        now = now if isinstance(now, dt.datetime) else dt.datetime.fromisoformat(now)
        assert all(isinstance(at, dt.datetime) and at < now.replace(tzinfo=dt.UTC) for at in read)


@pytest.mark.parametrize("zone", ["-11:00", "+13:00"])
def test_times_may_be_those_of_the_databases_zone_or_utcs(url: str, engine: sa.Engine, zone: str) -> None:
    """No row is read before the clock is past it, whichever of the two its time is from."""
    if engine.dialect.name == "sqlite":
        pytest.skip("its clock is UTC's")
    if engine.dialect.name == "postgresql":
        sign = "+" if zone[0] == "-" else "-"  # as POSIX has it
        change = f"ALTER ROLE postgres SET timezone = 'UTC{sign}{zone[1:]}'"
        undo = "ALTER ROLE postgres RESET timezone"
        utc = "timezone('UTC', CURRENT_TIMESTAMP)"
    else:
        change, undo = f"SET GLOBAL time_zone = '{zone}'", "SET GLOBAL time_zone = 'SYSTEM'"
        utc = "UTC_TIMESTAMP(6)"
    stamp = "TIMESTAMP" if engine.dialect.name == "postgresql" else "DATETIME(6)"
    execute(engine, change)
    engine.dispose()
    try:
        local, utc = (f"{now} + INTERVAL '1' MINUTE" for now in ("LOCALTIMESTAMP", utc))
        execute(engine, f"CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20), at {stamp})",
                "INSERT INTO people VALUES (0, 'old', '2024-01-01 00:00:00')",
                f"INSERT INTO people VALUES (1, 'local', {local}), (2, 'utc', {utc})")  # fmt: skip
        kit = source(url, mode="timestamp", timestamp_column_name="at", table_whitelist="people")
        assert names(kit.run()) == ["old"]
    finally:
        execute(engine, undo)


def test_rows_of_one_time_are_told_apart_by_their_numbers(url: str, engine: sa.Engine) -> None:
    stamp = "TIMESTAMP" if "mariadb" not in url else "DATETIME(6)"
    execute(engine, f"CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20), at {stamp})")
    kit = source(url, mode="timestamp+incrementing", timestamp_column_name="at",
                 incrementing_column_name="id", table_whitelist="people")  # fmt: skip
    for number, time in enumerate(("00:00:00", "00:00:00", "00:00:00.50", "00:00:00.5", "00:00:00.500")):
        execute(engine, f"INSERT INTO people VALUES ({number}, '{number}', '2024-01-01 {time}')")
        assert names(kit.run()) == [str(number)]


def test_days_are_read_when_they_are_over(url: str, engine: sa.Engine) -> None:
    execute(engine, "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20), at DATE)",
            "INSERT INTO people VALUES (1, 'old', '2024-01-01'), (2, 'new', CURRENT_DATE)")  # fmt: skip
    kit = source(url, mode="timestamp", timestamp_column_name="at", table_whitelist="people")
    assert names(kit.run()) == ["old"]
    assert kit.run() == []


def test_a_put_is_in_the_database_whole_or_not_at_all(
    url: str, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(engine, "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20))")
    with sink(url, batch_size="1") as kit:
        monkeypatch.setattr(type(kit.context), "errant_record_reporter", None)
        with pytest.raises(ConnectError, match="writing into people failed"):
            kit.put("people", [record(0, None, row(1, "a")), record(1, None, row(1, "b"))])
        assert contents(engine, "people") == []


def test_a_table_is_made_again_when_its_making_was_undone(url: str, engine: sa.Engine) -> None:
    wider = struct_of({"id": INT32, "age": Schema(Type.INT32, optional=True)}, name="row")
    with sink(url) as kit:
        kit.put("people", [record(0, None, row(1, "a")), record(1, None, Struct(wider, {"id": 2, "age": 5}))])
        assert [one.offset for one, _ in kit.errant] == [1]
    assert contents(engine, "people") == [{"id": 1, "name": "a"}]


def test_values_that_do_not_fit_their_column_are_reported(url: str, engine: sa.Engine) -> None:
    execute(engine, "CREATE TABLE people (id INTEGER PRIMARY KEY, name NUMERIC(5, 2))",
            "CREATE TABLE texts (id INTEGER PRIMARY KEY, name VARCHAR(20))")  # fmt: skip
    with sink(url) as kit:
        kit.put("people", [record(0, None, row(1, "1.5")), record(1, None, row(2, "abc"))])
        kit.put("texts", [record(2, None, row(1, "\ud800"), topic="texts")])
        listed = Schema(Type.ARRAY, value_schema=STRING)
        schema = struct_of({"id": INT32, "name": listed}, name="row")
        value = Struct(schema, {"id": 1, "name": ["a"]})
        kit.put("texts", [record(3, None, value, topic="texts")])
        assert [one.offset for one, _ in kit.errant] == [1, 2, 3]
        assert all(isinstance(error, DataError) for _, error in kit.errant)
        assert "the column people.name: 'abc' is no " in str(kit.errant[0][1])
    assert [one["id"] for one in contents(engine, "people")] == [1]


NAMES = ("two words", "two_words", 'q"uote', "semi;--", "col:on", "select", "(x)", "k.ey")


def test_names_are_what_they_are(url: str, engine: sa.Engine) -> None:
    """Of tables and columns: whatever is in them, it is a name."""
    # Behind VALUES PyMySQL leaves percent signs doubled, and MariaDB knows no such column.
    more = "'; \\ n" if engine.dialect.name == "mariadb" else "'; \\ %(n)s"
    schema = struct_of(dict.fromkeys(NAMES, OPTIONAL_STRING), name="row")
    wider = struct_of(dict.fromkeys((*NAMES, more), OPTIONAL_STRING), name="row")
    topic = "ta\"b`le; %s '--"
    upsert = {
        "pk_mode": "record_key",
        "insert_mode": "upsert",
        "delete_enabled": "true",
        "auto_evolve": "true",
    }

    def keyed(offset: int, key: str, value: Struct | None) -> SinkRecord:
        of_value = None if value is None else value.schema
        return SinkRecord(topic, 0, offset, key_schema=STRING, key=key, value_schema=of_value, value=value)

    with sink(url, pk_fields=NAMES[0], **upsert) as kit:
        for offset, text in enumerate("ab"):
            kit.put(topic, [keyed(offset, text, Struct(schema, dict.fromkeys(NAMES, text)))])
        kit.put(topic, [keyed(2, "c", Struct(wider, dict.fromkeys((*NAMES, more), "c")))])
        kit.put(topic, [keyed(3, "b", None)])
        assert not kit.errant
    with sink(url, pk_mode="record_value", pk_fields=NAMES[0], insert_mode="update") as kit:
        changed = Struct(schema, {**dict.fromkeys(NAMES, "changed"), NAMES[0]: "a"})
        kit.put(topic, [record(9, None, changed, topic)])
        assert not kit.errant
    read = [one.value for one in source(url, mode="bulk").run() if isinstance(one.value, Struct)]
    assert sorted(str(one[name]) for one in read for name in NAMES[1:]) == ["c"] * 7 + ["changed"] * 7


def test_what_a_database_will_never_take_fails(url: str) -> None:
    wrong = database_url(url).set(database="/nowhere/x" if "sqlite" in url else "nowhere")
    text = wrong.render_as_string(hide_password=False)
    with pytest.raises(ConnectError) as caught, sink(text) as kit:
        kit.put("people", [record(0, None, row(1, "a"))])
    assert not isinstance(caught.value, RetriableError)
    task = started(text, mode="bulk", table_whitelist="people")
    with pytest.raises(ConnectError) as caught:
        task.poll()
    assert not isinstance(caught.value, RetriableError)


def test_a_database_that_is_away_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    task = started(f"postgresql://nobody@127.0.0.1:{free_port()}/x", mode="bulk", table_whitelist="a,b")
    with pytest.raises(RetriableError):
        task.poll()
    assert task.poll() is None
    assert waited
    assert 0 < waited[0] < 1


def test_no_row_is_lost_by_one_that_cannot_be_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    engine = sa.create_engine(url)
    execute(engine, "CREATE TABLE t (id INTEGER PRIMARY KEY, name DECIMAL(5, 2))",
            "INSERT INTO t VALUES (1, 1), (2, 2), (3, 'none')")  # fmt: skip
    task = started(url, mode="incrementing", incrementing_column_name="id", table_whitelist="t")
    with pytest.raises(ConnectError):
        task.poll()
    execute(engine, "UPDATE t SET name = 3 WHERE id = 3")
    read: list[SourceRecord] = list(task.poll() or ())
    assert [one.source_offset["incrementing"] for one in read] == [1, 2, 3]
    task.stop()
    engine.dispose()
