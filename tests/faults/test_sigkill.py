"""SIGKILL at random moments under load: what was acknowledged stays, once and in order."""

import random
import time
from collections.abc import Callable

import pytest

from .broker_process import BrokerProcess
from .clients import Clients
from .load import Committer, KeyedWriter, Load, TopicChurn, Verdict, Writer, finish
from .transactions import KeyedTransactionalWriter, TransactionalWriter

SHORT_KILLS, FULL_KILLS = 10, 200

# Everything that a broker does on its own is done all the time, so that kills fall into it.
BUSY = {
    "log.initial.task.delay.ms": "0",
    "log.flush.start.offset.checkpoint.interval.ms": "100",
    "log.flush.offset.checkpoint.interval.ms": "100",
    "log.flush.scheduler.interval.ms": "50",
    "log.retention.check.interval.ms": "100",
    "log.cleaner.backoff.ms": "50",
    "log.cleaner.min.cleanable.ratio": "0.01",
    "log.segment.delete.delay.ms": "100",
    # So that a broker that is killed all the time is not only starting.
    "transaction.state.log.num.partitions": "3",
}
SMALL_SEGMENTS = {"internal.segment.bytes": "30000", "index.interval.bytes": "500"}
RETENTION = {**SMALL_SEGMENTS, "retention.bytes": "100000", "flush.messages": "200"}
COMPACTION = {**SMALL_SEGMENTS, "cleanup.policy": "compact"}
PARTITIONS = 2


@pytest.fixture
def kills(pytestconfig: pytest.Config) -> int:
    return FULL_KILLS if pytestconfig.getoption("--full") else SHORT_KILLS


def make_load(clients: Clients) -> list[Load]:
    clients.create_topic("kept", SMALL_SEGMENTS, partitions=PARTITIONS)
    clients.create_topic("expiring", RETENTION, partitions=PARTITIONS)
    clients.create_topic("compacted", COMPACTION, partitions=PARTITIONS)
    return [
        Writer(clients, "w1", "kept", PARTITIONS),
        Writer(clients, "w2", "kept", PARTITIONS),
        Writer(clients, "w3", "expiring", PARTITIONS),
        KeyedWriter(clients, "w4", "compacted", PARTITIONS),
        TransactionalWriter(clients, "x1", "kept", PARTITIONS),
        KeyedTransactionalWriter(clients, "x2", "compacted", PARTITIONS),
        Committer(clients, "group-1", "kept"),
        Committer(clients, "group-2", "kept"),
        TopicChurn(clients, "churn"),
    ]


def check(loads: list[Load]) -> Verdict:
    verdict = Verdict()
    for load in loads:
        load.check(verdict)
    return verdict


def report(title: str, count: int, verdict: Verdict, began: float) -> None:
    print(
        f"{title}: {count} kills, {verdict.records_acked} records and {verdict.commits_acked} commits "
        f"acknowledged, {verdict.transactions_ended} transactions, {verdict.topics_churned} topics made and "
        f"deleted, {len(verdict.lost)} lost, "
        f"{len(verdict.duplicated)} duplicated, {time.monotonic() - began:.0f} s"
    )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("flush", ["false", "true"], ids=["page-cache", "group-commit"])
def test_nothing_acknowledged_is_lost_or_doubled(
    start_broker: Callable[..., BrokerProcess],
    clients: Callable[[BrokerProcess], Clients],
    kills: int,
    flush: str,
) -> None:
    if flush == "true" and kills == SHORT_KILLS:
        pytest.skip("only with --full")
    began = time.monotonic()
    broker = start_broker({**BUSY, "ottla.acks.all.flush": flush})
    loads = make_load(clients(broker))
    for load in loads:
        load.start()
    killed = 0
    while killed < kills:
        time.sleep(random.uniform(0, 0.8))
        broker.kill()
        killed += 1
        broker.spawn()
        while random.random() < 0.3:
            # A kill while the broker starts, which is while it recovers.
            time.sleep(random.uniform(0.1, 0.5))
            broker.kill()
            killed += 1
            broker.spawn()
        broker.wait_until_ready()
    finish(loads)
    broker.kill_and_start()
    verdict = check(loads)
    report(f"SIGKILL, flush={flush}", killed, verdict, began)
    assert verdict.is_good, verdict
    broker.restart()
    assert check(loads).is_good
    assert "Traceback" not in broker.all_stderr()
