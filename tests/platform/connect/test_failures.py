"""What goes wrong around connectors is told, nothing is skipped silently, and all goes on where it was."""

from __future__ import annotations

import json
import os
import resource
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.platform.connect.conftest import Start
from tests.platform.connect.databases import POSTGRES, Postgres
from tests.platform.connect.worker_process import Api, WorkerProcess, wait_until

from ottla import client
from ottla.connect.connectors.sql.databases import database_url
from ottla.testing import InProcessBroker

SCHEMA = {"type": "struct", "fields": [{"type": "int32", "field": "id"}, {"type": "string", "field": "name"}]}
JSON = "org.apache.kafka.connect.json.JsonConverter"


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """One that may be stopped."""
    if not POSTGRES:
        pytest.skip("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="ottla-postgresql-") as folder:
        server = Postgres(Path(folder))
        server.start()
        yield server
        server.stop()


def _produce(broker: InProcessBroker, topic: str, numbers: range) -> None:
    with client.connect(broker.bootstrap_servers) as connected, connected.producer() as producer:
        for number in numbers:
            value = {"schema": SCHEMA, "payload": {"id": number, "name": f"n{number}"}}
            producer.send(topic, json.dumps(value).encode())


def _ids(engine: sa.Engine, table: str) -> list[int]:
    try:
        if not sa.inspect(engine).has_table(table):
            return []
        with engine.connect() as connection:
            return [row[0] for row in connection.execute(sa.text(f"SELECT id FROM {table} ORDER BY id"))]
    except sa.exc.OperationalError:  # it is away
        engine.dispose()
        return []


def _trace(api: Api, name: str) -> str:
    return str(api.get(f"/connectors/{name}/status")["tasks"][0]["trace"])


@pytest.mark.timeout(240)
def test_a_database_that_is_lost_is_waited_for_and_no_row_is_missing(
    start: Start, broker: InProcessBroker, postgres: Postgres
) -> None:
    engine = sa.create_engine(database_url(postgres.url))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE origin (id INTEGER PRIMARY KEY, name TEXT)"))
        connection.execute(sa.text("INSERT INTO origin SELECT n, 'a' FROM generate_series(1, 50) n"))
    _produce(broker, "lost", range(100))
    api = start("standalone", value_converter=JSON).ready()
    sink = {
        "connector_class": "io.confluent.connect.jdbc.JdbcSinkConnector", "connection_url": postgres.url,
        "topics": "lost", "auto_create": "true", "insert_mode": "insert",
    }  # fmt: skip
    api.create("patient", **sink, table_name_format="patient", max_retries="1000", retry_backoff_ms="200")
    api.create("hasty", **sink, table_name_format="hasty", max_retries="0")
    api.create(
        "origin", connector_class="io.confluent.connect.jdbc.JdbcSourceConnector",
        connection_url=postgres.url, mode="incrementing",
        incrementing_column_name="id", table_whitelist="origin", topic_prefix="lost-",
        poll_interval_ms="100",
    )  # fmt: skip
    for table in ("patient", "hasty"):
        wait_until(lambda: _ids(engine, table) == list(range(100)))  # noqa: B023 - called at once
    api.wait_for("origin", "RUNNING", "RUNNING")
    postgres.stop()
    _produce(broker, "lost", range(100, 200))
    api.wait_for("hasty", "RUNNING", "FAILED")
    assert "max.retries=0 is used up" in _trace(api, "hasty")
    assert api.states("patient") == api.states("origin") == ["RUNNING", "RUNNING"]
    postgres.start()
    wait_until(lambda: _ids(engine, "patient") == list(range(200)))
    assert _ids(engine, "hasty") == list(range(100))
    assert api.call("POST", "/connectors/hasty/restart?includeTasks=true&onlyFailed=true").status == 202
    wait_until(lambda: _ids(engine, "hasty") == list(range(200)))
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO origin SELECT n, 'b' FROM generate_series(51, 100) n"))
    with client.connect(broker.bootstrap_servers) as connected:

        def read() -> list[int]:
            values = connected.read("lost-origin").column("value").to_pylist()
            return [json.loads(value)["payload"]["id"] for value in values]

        wait_until(lambda: read() == list(range(1, 101)), read)
    assert api.states("origin") == ["RUNNING", "RUNNING"]
    engine.dispose()


def test_a_record_that_a_target_refuses_goes_where_the_policy_says(
    start: Start, broker: InProcessBroker, postgresql: str
) -> None:
    engine = sa.create_engine(database_url(postgresql))
    with engine.begin() as connection:
        for table in ("strict", "lenient"):
            connection.execute(sa.text(f"CREATE TABLE {table} (id INTEGER CHECK (id <> 5), name TEXT)"))
    _produce(broker, "refused", range(10))
    api = start("standalone", value_converter=JSON).ready()
    sink = {
        "connector_class": "io.confluent.connect.jdbc.JdbcSinkConnector", "connection_url": postgresql,
        "topics": "refused", "insert_mode": "insert",
    }  # fmt: skip
    api.create("strict", **sink, table_name_format="strict")
    api.create(
        "lenient", **sink, table_name_format="lenient", errors_tolerance="all",
        errors_deadletterqueue_topic_name="refused-letters",
        errors_deadletterqueue_topic_replication_factor="1",
    )  # fmt: skip
    api.wait_for("strict", "RUNNING", "FAILED")
    assert "strict_id_check" in _trace(api, "strict")
    assert _ids(engine, "strict") in ([], list(range(5)))
    wait_until(lambda: _ids(engine, "lenient") == [0, 1, 2, 3, 4, 6, 7, 8, 9])
    with client.connect(broker.bootstrap_servers) as connected:

        def letters() -> list[int]:
            values = connected.read("refused-letters").column("value").to_pylist()
            return [json.loads(value)["payload"]["id"] for value in values]

        wait_until(lambda: letters() == [5], letters)
    engine.dispose()


def _task_with(worker: WorkerProcess, file: Path) -> int | None:
    """The process that has the file open."""
    for pid in worker.children():
        try:
            if any(os.path.realpath(each) == str(file) for each in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
        except OSError:
            continue  # it has ended
    return None


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_a_full_disk_fails_the_task_and_no_line_is_lost_or_torn(
    start: Start, broker: InProcessBroker, tmp_path: Path
) -> None:
    file, wanted = tmp_path / "out", [f"line {number:06d}" for number in range(3_000)]
    worker = start("standalone")
    api = worker.ready()
    with client.connect(broker.bootstrap_servers) as connected, connected.producer() as producer:
        producer.send("full", wanted[0].encode()).result()
        api.create("full", connector_class="FileStreamSink", topics="full", file=str(file))
        wait_until(lambda: _lines(file) == wanted[:1])
        task = _task_with(worker, file)
        assert task is not None
        resource.prlimit(task, resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))  # the disk is full
        for line in wanted[1:]:
            producer.send("full", line.encode())
    api.wait_for("full", "RUNNING", "FAILED")
    assert f"file={file} cannot be written" in _trace(api, "full")
    before = _lines(file)
    assert before == wanted[: len(before)]
    assert len(before) < len(wanted)
    assert api.call("POST", "/connectors/full/tasks/0/restart").status == 204  # there is room again
    wait_until(lambda: list(dict.fromkeys(_lines(file))) == wanted, lambda: len(_lines(file)))
    api.wait_for("full", "RUNNING", "RUNNING")


def test_a_task_that_hangs_is_ended_and_started_again(
    start: Start, broker: InProcessBroker, tmp_path: Path
) -> None:
    file, other = tmp_path / "out", tmp_path / "other"
    worker = start("standalone", task_shutdown_graceful_timeout_ms="500")
    api = worker.ready()
    group = {"consumer_override_session_timeout_ms": "6000"}
    for name, path in (("hangs", file), ("goes", other)):
        api.create(name, connector_class="FileStreamSink", topics="hangs", file=str(path), **group)
    with client.connect(broker.bootstrap_servers) as connected, connected.producer() as producer:
        producer.send("hangs", b"one").result()
        for path in (file, other):
            wait_until(lambda: _lines(path) == ["one"])  # noqa: B023 - called at once
        task = _task_with(worker, file)
        assert task is not None
        os.kill(task, signal.SIGSTOP)
        producer.send("hangs", b"two").result()
        wait_until(lambda: _lines(other) == ["one", "two"])
        assert _lines(file) == ["one"]

        def state() -> str:
            """What a cluster says of who is silent: the group has no member any more."""
            return str(connected.admin.groups.describe(["connect-hangs"])["connect-hangs"].state)

        wait_until(lambda: "EMPTY" in state().upper() or "DEAD" in state().upper(), state)
    assert api.call("POST", "/connectors/hangs/tasks/0/restart").status == 204
    wait_until(lambda: _task_with(worker, file) not in (None, task))
    wait_until(lambda: list(dict.fromkeys(_lines(file))) == ["one", "two"])
    api.wait_for("hangs", "RUNNING", "RUNNING")
