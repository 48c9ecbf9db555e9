"""Where a connector goes on: after its first end, without its slot, and in the midst of a snapshot."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.platform.cdc.ours import Ours
from tests.platform.cdc.postgres import USER, PostgresServer

from ottla.cdc.postgres import replication, snapshot
from ottla.connect.errors import ConnectError

DATABASE = "cdc-going-on"
PEOPLE = "CREATE TABLE people (id int PRIMARY KEY, name text)"


@pytest.fixture
def database(server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    server.create(DATABASE)
    with server.connect(DATABASE) as connection:
        connection.execute(PEOPLE)
        connection.execute("INSERT INTO people VALUES (1, 'Ada'), (2, 'Bob')")
        yield connection
    server.drop(DATABASE)


@pytest.fixture
def ours(server: PostgresServer, database: psycopg.Connection[Any]) -> Iterator[Ours]:
    made = Ours(server)
    yield made
    made.stop()


def _config(server: PostgresServer, **more: str) -> dict[str, str]:
    return {
        "database.hostname": "127.0.0.1",
        "database.port": str(server.port),
        "database.user": USER,
        "database.dbname": DATABASE,
        "topic.prefix": "srv",
        "slot.name": "going_on",
        "poll.interval.ms": "20",
        **{name.replace("_", "."): value for name, value in more.items()},
    }


def _events(ours: Ours) -> list[tuple[str, int]]:
    payloads = [each["value"]["payload"] for each in ours.poll()]
    return [(each["op"], (each["after"] or each["before"])["id"]) for each in payloads]


def _slots(database: psycopg.Connection[Any]) -> list[str]:
    rows = database.execute("SELECT slot_name FROM pg_replication_slots WHERE database = %s", [DATABASE])
    return [row[0] for row in rows]


def _drop_slot(database: psycopg.Connection[Any]) -> None:
    for _ in range(600):  # the server notices after a moment that nobody reads it
        try:
            database.execute("SELECT pg_drop_replication_slot('going_on')")
        except psycopg.errors.ObjectInUse:
            time.sleep(0.1)
        else:
            return


def _wait_until_sent(database: psycopg.Connection[Any]) -> None:
    query = "SELECT bool_and(sent_lsn >= pg_current_wal_flush_lsn()) FROM pg_stat_replication"
    for _ in range(600):
        row = database.execute(query).fetchone()
        if row is not None and row[0]:
            return
        time.sleep(0.1)


def test_initial_only_is_over_when_it_is_started_again(
    ours: Ours, server: PostgresServer, database: psycopg.Connection[Any]
) -> None:
    config = _config(server, snapshot_mode="initial_only")
    ours.start(config)
    assert _events(ours) == [("r", 1), ("r", 2)]
    ours.stop()
    database.execute("INSERT INTO people VALUES (3, 'Eve')")
    ours.start(config, fresh=False)
    assert _events(ours) == []
    assert _slots(database) == []


def test_without_its_slot_changes_are_missing_and_that_is_said(
    ours: Ours, server: PostgresServer, database: psycopg.Connection[Any]
) -> None:
    ours.start(_config(server))
    assert _events(ours) == [("r", 1), ("r", 2)]
    ours.stop()
    _drop_slot(database)
    with pytest.raises(ConnectError, match="the slot going_on that the offset goes on with is not there"):
        ours.start(_config(server), fresh=False)


def test_a_slot_that_is_dropped_with_each_stop_is_made_anew(
    ours: Ours, server: PostgresServer, database: psycopg.Connection[Any]
) -> None:
    config = _config(server, slot_drop_on_stop="true")
    ours.start(config)
    assert _events(ours) == [("r", 1), ("r", 2)]
    ours.stop()
    assert _slots(database) == []
    database.execute("INSERT INTO people VALUES (3, 'Eve')")  # lost, as the setting has it
    ours.start(config, fresh=False)
    database.execute("INSERT INTO people VALUES (4, 'Fay')")
    assert _events(ours) == [("c", 4)]


def test_a_snapshot_that_is_needed_and_broke_off_before_its_first_offset_is_taken_again(
    ours: Ours, server: PostgresServer, database: psycopg.Connection[Any]
) -> None:
    config = _config(server, snapshot_mode="when_needed")
    ours.start(config)
    assert _events(ours) == [("r", 1), ("r", 2)]
    database.execute("UPDATE people SET name = 'x' WHERE id = 1")
    assert _events(ours) == [("u", 1)]
    ours.stop()
    ours.start(config, fresh=False)
    assert _events(ours) == [], "the slot is there: no snapshot"
    ours.stop()
    _drop_slot(database)
    database.execute("INSERT INTO people VALUES (3, 'Eve')")  # which no slot has
    ours.start(config, fresh=False)
    assert _slots(database) == ["going_on"]
    ours.stop()  # killed, before an offset of the snapshot was kept
    ours.start(config, fresh=False)
    assert sorted(_events(ours)) == [("r", 1), ("r", 2), ("r", 3)]
    database.execute("INSERT INTO people VALUES (4, 'Fay')")
    assert _events(ours) == [("c", 4)]


def test_a_snapshot_with_each_start_and_the_log_behind_it_overlap_nowhere(
    ours: Ours, server: PostgresServer, database: psycopg.Connection[Any]
) -> None:
    config = _config(server, snapshot_mode="always")
    ours.start(config)
    assert _events(ours) == [("r", 1), ("r", 2)]
    ours.stop()
    database.execute("INSERT INTO people VALUES (3, 'Eve')")  # which the slot has, and the snapshot sees
    ours.start(config, fresh=False)
    assert _events(ours) == [("r", 1), ("r", 2), ("r", 3)]
    database.execute("INSERT INTO people VALUES (4, 'Fay')")
    assert _events(ours) == [("c", 4)]
    assert _slots(database) == ["going_on"]


def test_a_database_need_not_keep_its_log_for_a_connector_that_wants_nothing_of_it(
    ours: Ours, server: PostgresServer, database: psycopg.Connection[Any]
) -> None:
    database.execute("CREATE TABLE others (id int)")
    ours.start(_config(server, snapshot_mode="no_data", table_include_list="public.people"))
    database.execute("INSERT INTO others SELECT * FROM generate_series(1, 1000)")
    row = database.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
    assert _events(ours) == []
    ours.stop()  # which tells the server
    kept = "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = 'going_on'"
    for _ in range(600):  # it hears that after a moment
        if database.execute(kept, row).fetchone() == (True,):
            return
        time.sleep(0.1)
    pytest.fail("the server keeps its log")


def test_large_rows_are_read_few_at_a_time(
    ours: Ours,
    server: PostgresServer,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database.execute("INSERT INTO people SELECT i, repeat('x', 1000) FROM generate_series(3, 400) i")
    monkeypatch.setattr(snapshot, "_FETCH_BYTES", 20_000)
    asked: list[bytes] = []
    fetch = snapshot.Snapshot._fetch

    def spied(self: snapshot.Snapshot, command: bytes) -> object:
        asked.append(command)
        return fetch(self, command)

    monkeypatch.setattr(snapshot.Snapshot, "_fetch", spied)
    ours.start(_config(server))
    assert _events(ours) == [("r", number) for number in range(1, 401)]
    rows = [int(each.split()[1]) for each in asked]
    assert all(each <= 25 for each in rows[1:]), rows


def test_changes_are_read_many_at_a_time_but_not_where_they_are_large(
    ours: Ours,
    server: PostgresServer,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def polled(until: int) -> list[int]:
        batches: list[int] = []
        while sum(batches) < until:
            batches.append(len(ours.task.poll() or ()))
        return batches

    ours.start(_config(server, snapshot_mode="no_data"))
    database.execute("INSERT INTO people SELECT i FROM generate_series(11, 5010) i")
    _wait_until_sent(database)
    assert max(polled(5_000)) > 1_000, "a transaction of Kafka's for each would cost much"
    monkeypatch.setattr(replication, "_MOST_BYTES", 1)
    database.execute("INSERT INTO people SELECT i FROM generate_series(5011, 5020) i")
    assert max(polled(10)) == 1


def test_a_publication_may_have_any_name(
    ours: Ours, server: PostgresServer, database: psycopg.Connection[Any]
) -> None:
    ours.start(_config(server, publication_name='it\'s "one"', snapshot_mode="no_data"))
    database.execute("INSERT INTO people VALUES (3, 'Eve')")
    assert _events(ours) == [("c", 3)]
