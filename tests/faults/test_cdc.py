"""PostgreSQL's changes while worker, database and broker are killed under load: each change once, each key's
in order.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.faults.broker_process import BrokerProcess
from tests.platform.cdc.postgres import USER, PostgresServer
from tests.platform.connect.worker_process import WorkerProcess

from ottla import client
from ottla.client.errors import ClientError

ACCOUNTS = 20
WAIT_S = 180
DATABASE = "bank"
VICTIMS = ("worker", "database", "broker")


class Load(threading.Thread):
    """Transactions until `end`: accounts' counters that grow by one, and a journal, whose COPY puts many rows
    at one place of the log.
    """

    def __init__(self, server: PostgresServer, seed: int) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._random = random.Random(seed)
        self._end = threading.Event()
        self.transactions = 0

    def run(self) -> None:
        while not self._end.is_set():
            try:
                with self._server.connect(DATABASE) as connection:
                    while not self._end.is_set():
                        with connection.transaction():
                            self._work(connection)
                        self.transactions += 1
                        time.sleep(0.01)
            except psycopg.OperationalError:
                time.sleep(0.1)

    def _work(self, connection: psycopg.Connection[Any]) -> None:
        for _ in range(self._random.randint(1, 6)):
            connection.execute(
                "UPDATE accounts SET n = n + 1 WHERE id = %s", [self._random.randrange(ACCOUNTS)]
            )
        count = self._random.choice((0, 1, 5, 40))
        with connection.cursor() as cursor, cursor.copy("COPY journal (note) FROM STDIN") as copy:
            for _ in range(count):
                copy.write_row((f"note {self._random.random()}",))

    def end(self) -> None:
        self._end.set()
        self.join(60)


class Capture:
    """A worker that runs the connector, started again when it was killed."""

    def __init__(self, broker: BrokerProcess, server: PostgresServer, folder: Path, *, once: bool) -> None:
        self._broker, self._server, self._folder, self._once = broker, server, folder, once
        self.restarts = 0
        self.start()
        self._create()

    def start(self) -> None:
        group = {f"{each}_storage_topic": f"cdc-{each}" for each in ("config", "offset", "status")}
        self.worker = WorkerProcess(
            "distributed", self._broker.bootstrap, self._folder, group_id="cdc", **group,
            exactly_once_source_support="enabled" if self._once else "disabled",
            scheduled_rebalance_max_delay_ms="0",
        )  # fmt: skip
        self.worker.ready()

    def _create(self) -> None:
        converter = "org.apache.kafka.connect.json.JsonConverter"
        self.worker.api.create(
            "bank",
            connector_class="io.debezium.connector.postgresql.PostgresConnector",
            database_hostname="127.0.0.1",
            database_port=str(self._server.port),
            database_user=USER,
            database_dbname=DATABASE,
            topic_prefix="bank",
            key_converter=converter,
            value_converter=converter,
            key_converter_schemas_enable="false",
            value_converter_schemas_enable="false",
            retriable_restart_connector_wait_ms="200",
            poll_interval_ms="50",
            topic_creation_default_partitions="1",
            topic_creation_default_replication_factor="1",
            slot_retry_delay_ms="500",
            slot_max_retries="100",
            **({"exactly_once_support": "required"} if self._once else {}),
        )

    def mend(self) -> None:
        """As an operator does: what has failed is started again."""
        try:
            states = self.worker.api.states("bank")
            if "FAILED" in states:
                self.restarts += 1
                self.worker.api.call("POST", "/connectors/bank/restart?includeTasks=true&onlyFailed=true")
        except (OSError, ValueError):
            return

    def kill(self) -> None:
        self.worker.kill()
        self.worker.close()
        self.start()


def records(broker: BrokerProcess, topic: str) -> list[dict[str, Any]]:
    with client.connect(broker.bootstrap) as connected:
        if topic not in [each.name for each in connected.admin.topics.list()]:
            return []
        read = connected.read(topic, isolation="read_committed").column("value").to_pylist()
    return [json.loads(each) for each in read if each is not None]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    running = PostgresServer()
    running.create(DATABASE)
    running.execute(
        DATABASE,
        [
            "CREATE TABLE accounts (id int PRIMARY KEY, n bigint NOT NULL)",
            "CREATE TABLE journal (id bigserial PRIMARY KEY, note text)",
            f"INSERT INTO accounts SELECT i, 0 FROM generate_series(0, {ACCOUNTS - 1}) i",
            "INSERT INTO journal (note) SELECT 'before' FROM generate_series(1, 500)",
        ],
    )
    yield running
    running.close()


def until(is_so: Callable[[], bool], capture: Capture, what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            if is_so():
                return
        except (ClientError, OSError):
            pass
        capture.mend()
        assert time.monotonic() < deadline, (what, capture.worker.log.read_text()[-5000:])
        time.sleep(0.2)


def wait_for_more(broker: BrokerProcess, capture: Capture) -> None:
    before = len(records(broker, "bank.public.journal"))
    until(lambda: len(records(broker, "bank.public.journal")) > before + 50, capture, "more")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("once", [True, False], ids=["exactly_once", "at_least_once"])
def test_killed(
    once: bool,
    server: PostgresServer,
    start_broker: Callable[..., BrokerProcess],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    full = bool(request.config.getoption("--full"))
    if not once and not full:
        pytest.skip("the stronger promise is tried; both with --full")
    chance = random.Random(7)
    broker = start_broker({"group.min.session.timeout.ms": "1000"})
    capture = Capture(broker, server, tmp_path, once=once)
    load = Load(server, 11)
    load.start()
    try:
        for number in range(100 if full else 3):
            wait_for_more(broker, capture)
            time.sleep(chance.random())
            victim = chance.choice(VICTIMS) if full else VICTIMS[number % 3]
            if victim == "worker":
                capture.kill()
            elif victim == "database":
                server.kill()
                server.start()
            else:
                broker.kill_and_start()
        load.end()
        check(server, broker, capture, once=once)
        assert load.transactions > 20
    finally:
        load.end()
        capture.worker.close()


def check(server: PostgresServer, broker: BrokerProcess, capture: Capture, *, once: bool) -> None:
    with server.connect(DATABASE) as connection:
        journal = [row[0] for row in connection.execute("SELECT id FROM journal ORDER BY id")]
        accounts = dict(connection.execute("SELECT id, n FROM accounts").fetchall())
    wanted = set(journal)

    def all_there() -> bool:
        ids = {each["after"]["id"] for each in records(broker, "bank.public.journal")}
        last = {each["after"]["id"]: each["after"]["n"] for each in records(broker, "bank.public.accounts")}
        return ids >= wanted and last == accounts

    until(all_there, capture, "the rest")
    read, changed = Counter[int](), Counter[int]()
    for each in records(broker, "bank.public.journal"):
        (read if each["op"] == "r" else changed)[each["after"]["id"]] += 1
    assert set(read) | set(changed) == wanted
    assert not set(read) & set(changed), "what the snapshot saw is not streamed"
    assert not once or set(changed.values()) <= {1}
    begins: dict[int, int] = {}
    numbers: dict[int, list[int]] = {number: [] for number in accounts}
    for each in records(broker, "bank.public.accounts"):
        account, number = each["after"]["id"], each["after"]["n"]
        if each["op"] == "r":
            begins[account] = number
        else:
            numbers[account].append(number)
    for account, found in numbers.items():
        # What comes again, without exactly once, comes again in order.
        firsts = found if once else list(dict.fromkeys(found))
        assert firsts == list(range(begins[account] + 1, accounts[account] + 1)), account
