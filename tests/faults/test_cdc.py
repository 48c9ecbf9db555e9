"""PostgreSQL's changes while worker, database and broker are killed under load: each change once, each key's
in order.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.broker_process import BrokerProcess
from tests.platform.cdc.bank import DATABASE, Bank, Load
from tests.platform.cdc.postgres import USER, PostgresServer
from tests.platform.connect.worker_process import WorkerProcess

from ottla import client
from ottla.client.errors import ClientError

WAIT_S = 180
VICTIMS = ("worker", "database", "broker")


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
    if not request.config.getoption("--full"):
        pytest.skip("tests/platform/cdc/test_kills.py tries it in one process; processes with --full")
    bank, chance = Bank(server), random.Random(7)
    broker = start_broker({"group.min.session.timeout.ms": "1000"})
    capture = Capture(broker, server, tmp_path, once=once)
    load = Load(server, 11)
    load.start()

    def events() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return records(broker, "bank.public.journal"), records(broker, "bank.public.accounts")

    try:
        for _ in range(100):
            wait_for_more(broker, capture)
            time.sleep(chance.random())
            victim = chance.choice(VICTIMS)
            if victim == "worker":
                capture.kill()
            elif victim == "database":
                server.kill()
                server.start()
            else:
                broker.kill_and_start()
        load.end()
        until(lambda: bank.is_all_in(*events()), capture, "the rest")
        bank.check(*events(), once=once)
        assert load.transactions > 20
    finally:
        load.end()
        capture.worker.close()
