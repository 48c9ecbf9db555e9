"""A connector's state goes from Debezium to ours and back: each change once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.kafka.install import KafkaUnavailableError
from tests.differential.cdc import Debezium
from tests.platform.cdc.ours import Ours
from tests.platform.cdc.postgres import PostgresServer
from tests.platform.cdc.running import Shown, config_of
from tests.platform.cdc.scenarios import Scenario

pytestmark = [
    pytest.mark.skipif(shutil.which("javac") is None, reason="needs Java 17 or newer"),
    pytest.mark.timeout(400),
]

DATABASE = "moving"
SCENARIO = Scenario("moving", ("CREATE TABLE people (id serial PRIMARY KEY, name text)",))


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    running = PostgresServer()
    running.create(DATABASE)
    running.execute(DATABASE, [*SCENARIO.before, "INSERT INTO people (name) VALUES ('before')"])
    yield running
    running.close()


@pytest.fixture
def debezium(tmp_path: Path) -> Iterator[Debezium]:
    try:
        made = Debezium(tmp_path)
    except KafkaUnavailableError as reason:
        pytest.skip(str(reason))
    with made as running:
        yield running


def _ids(records: list[Shown]) -> list[tuple[str, int]]:
    found = []
    for each in records:
        payload: dict[str, Any] = each["value"]["payload"]
        found.append((payload["op"], payload["after"]["id"]))
    return found


@pytest.mark.slow
def test_state_moves(server: PostgresServer, debezium: Debezium, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("takes half a minute of Java: --full")
    config = config_of(SCENARIO, server, DATABASE)
    ours = Ours(server)
    batch = [
        "INSERT INTO people (name) SELECT 'n' FROM generate_series(1, 3)",
        "INSERT INTO people (name) VALUES ('x')",
    ]
    debezium.start(config)
    seen = _ids(debezium.poll())
    for _ in range(2):
        server.execute(DATABASE, batch)
        seen += _ids(debezium.poll())
        ((partition, offset),) = debezium.stop()
        assert partition == {"server": "srv"}
        server.execute(DATABASE, batch)  # while nobody is there
        ours.context.kept = offset
        ours.start(config, fresh=False)
        server.execute(DATABASE, batch)
        seen += _ids(ours.poll())
        ours.stop()
        server.execute(DATABASE, batch)
        debezium.start(config, offsets=[[partition, ours.context.kept]])
        seen += _ids(debezium.poll(quiet_ms=6000))
    debezium.stop()
    assert seen == [("r", 1), *(("c", number) for number in range(2, 34))]
