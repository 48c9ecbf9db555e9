"""PostgreSQL's changes while the task dies around its commits, and the database beside it: each change once,
each key's in order. `tests/faults/test_cdc.py` kills the processes themselves.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator

import pytest
from tests.platform.cdc.bank import DATABASE, Bank, Event, Load
from tests.platform.cdc.postgres import USER, PostgresServer
from tests.platform.connect.task_bench import CONVERTERS, Bench

from ottla import client
from ottla.cdc.postgres.connector import PostgresConnector
from ottla.cdc.postgres.task import PostgresTask
from ottla.client.admin.topics import NewTopic
from ottla.connect.process.source import SourceRunner
from ottla.connect.process.transactions import ExactlyOnce, Transactions
from ottla.connect.sdk import Offset
from ottla.testing import InProcessBroker

OFFSETS = "bank-offsets"
TOPICS = ("bank.public.journal", "bank.public.accounts")
JSON = "org.apache.kafka.connect.json.JsonConverter"


class Killed(Exception):  # noqa: N818 - it is what becomes of it
    pass


class Mortal(ExactlyOnce):
    """`fate` is asked before each commit and behind it, and told whether that is in the snapshot; `rests` is
    called where nothing was to be sent.
    """

    fate: Callable[[bool], None]
    rests: Callable[[], None]

    def _commit(self) -> None:
        assert isinstance(self._task, PostgresTask)
        is_snapshot = self._task._snapshot_rows is not None
        self.fate(is_snapshot)
        super()._commit()
        self.fate(is_snapshot)

    def idle(self) -> None:
        self.rests()


class Context:
    """What the task gets of its worker: the last offset that is committed."""

    transactions = None
    is_stopping = False

    def __init__(self, connected: client.Client) -> None:
        self._connected = connected

    def offset(self, partition: Offset) -> Offset | None:
        found = self._connected.read(OFFSETS, isolation="read_committed").column("value").to_pylist()
        return None if not found else dict(json.loads(found[-1]))

    def offsets(self, partitions: Iterable[Offset]) -> list[Offset | None]:
        return [self.offset(each) for each in partitions]


@pytest.fixture
def bank(server: PostgresServer) -> Iterator[Bank]:
    yield Bank(server)
    server.drop(DATABASE)


def _config(server: PostgresServer) -> dict[str, str]:
    return {
        "database.hostname": "127.0.0.1",
        "database.port": str(server.port),
        "database.user": USER,
        "database.dbname": DATABASE,
        "topic.prefix": "bank",
        "poll.interval.ms": "20",
        "max.batch.size": "7",  # most transactions are left in their midst
        "slot.retry.delay.ms": "50",
        "slot.max.retries": "1000",
        "retriable.restart.connector.wait.ms": "50",
    }


def _run(
    broker: InProcessBroker,
    connected: client.Client,
    config: dict[str, str],
    fate: Callable[[bool], None],
    is_over: Callable[[], bool],
) -> None:
    """A task's life: until it is over, or Killed."""
    converters = dict(CONVERTERS)
    for kind in ("key.converter", "value.converter"):
        converters |= {kind: JSON, f"{kind}.schemas.enable": "false"}
    connector, task = PostgresConnector(), PostgresTask()
    connector.start(config)
    task.context = Context(connected)
    own = {"transactional.id": "bank-0"}
    with contextlib.closing(Bench(broker, own, converters=converters)) as bench:
        ways = Transactions("poll", 60_000, OFFSETS)
        once = Mortal(task, bench.kafka, bench.sender, ways, bench.tolerance, "bank")
        once.fate = fate
        once.rests = lambda: bench.lifecycle.stop() if is_over() else None
        once.prepare()
        task.start(connector.task_configs(1)[0])
        try:
            SourceRunner(task, bench.lifecycle, once, lambda _: None).run()
        except Killed:
            replication = task._replication
            assert replication is not None
            with replication._lock:
                replication._connection.finish()  # the server is not told what is kept
            raise
        finally:
            task.stop()


@pytest.mark.timeout(300)
def test_each_change_is_there_once_whatever_dies(
    broker: InProcessBroker, server: PostgresServer, bank: Bank
) -> None:
    chance, config, load = random.Random(7), _config(server), Load(server, 11)
    left, deaths = 3, 0

    def fate(is_snapshot: bool) -> None:
        nonlocal left, deaths
        if is_snapshot and deaths:
            return  # once is enough: it is taken anew
        left -= 1
        if left:
            return
        left, deaths = chance.randint(1, 9), deaths + 1
        if deaths % 4 == 0:
            server.kill()
            server.start()
        elif deaths < 16:
            raise Killed

    with client.connect(broker.bootstrap_servers) as connected:
        connected.admin.topics.create([NewTopic(each, 1) for each in (OFFSETS, *TOPICS)])

        def events() -> list[list[Event]]:
            read = [connected.read(each, isolation="read_committed").column("value") for each in TOPICS]
            return [[json.loads(each) for each in column.to_pylist()] for column in read]

        load.start()
        try:
            while deaths < 15:
                with contextlib.suppress(Killed):
                    _run(broker, connected, config, fate, lambda: deaths >= 15)
        finally:
            load.end()
        deadline = time.monotonic() + 180

        def is_over() -> bool:
            assert time.monotonic() < deadline, "changes are missing"
            return bank.is_all_in(*events())

        _run(broker, connected, config, lambda _: None, is_over)
        bank.check(*events(), once=True)
    assert load.transactions > 20
