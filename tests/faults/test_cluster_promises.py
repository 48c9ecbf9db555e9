"""What a cluster promises its clients when a leader dies, brokers restart in turn, and etcd is away."""

from __future__ import annotations

import itertools
import statistics
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import KafkaException, TopicPartition

from .clients import Clients, eventually, insist
from .faulty_cluster import LEASE_S, FaultyCluster, is_in_sync, leaders, run_faulty_cluster
from .load import Load, finish

TOPIC, PARTITIONS = "t", 12
WRITES_PER_S = 20
PATIENCE_S = 60.0


class Sent(NamedTuple):
    value: bytes
    at_s: float
    acknowledged_at_s: float


class Writing(Load):
    """A producer that writes to all partitions, over and over."""

    def __init__(self, clients: Clients) -> None:
        super().__init__(clients, "writing")
        self.sent: dict[int, list[Sent]] = defaultdict(list)
        self.errors: Counter[str] = Counter()
        self._number = 0
        self._producer = clients.producer(enable_idempotence=True, message_timeout_ms=120_000)

    def turn(self) -> None:
        for partition in range(PARTITIONS):
            self._number += 1
            value, at_s = b"%d" % self._number, time.monotonic()

            def delivered(error: object, message: object, at_s: float = at_s) -> None:
                if error is not None:
                    self.errors[str(error)] += 1
                else:
                    note = Sent(message.value(), at_s, time.monotonic())
                    self.sent[message.partition()].append(note)

            self._producer.produce(TOPIC, value, partition=partition, on_delivery=delivered)
        self._producer.poll(1 / WRITES_PER_S)

    def finish(self) -> None:
        assert self._producer.flush(PATIENCE_S) == 0

    def resumed_after_s(self, since_s: float, partitions: list[int]) -> float | None:
        """When all of these had taken something that was sent since then; None: not yet."""
        found = [
            next((each.acknowledged_at_s for each in list(self.sent[number]) if each.at_s >= since_s), None)
            for number in partitions
        ]
        return None if None in found else max(found) - since_s

    def longest_pause_s(self, since_s: float) -> float:
        """For which a partition acknowledged nothing."""
        pauses = [0.0]
        for every in self.sent.values():
            times = [each.acknowledged_at_s for each in every if each.acknowledged_at_s >= since_s]
            pauses += [later - earlier for earlier, later in itertools.pairwise(times)]
        return max(pauses)

    def assert_all_is_there(self) -> None:
        """Each once, in the order in which they were sent."""
        for partition in range(PARTITIONS):
            found = [message.value() for message in insist(self.clients.read, TOPIC, partition)]
            assert found == [each.value for each in self.sent[partition]]


def write_to(cluster: FaultyCluster) -> Writing:
    clients = Clients(cluster.bootstrap)
    clients.create_topic(TOPIC, partitions=PARTITIONS, replicas=3)
    writing = Writing(clients)
    writing.start()
    eventually(lambda: writing.resumed_after_s(0, list(range(PARTITIONS))) is not None)
    return writing


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("with_etcd", [False, True], ids=["alone", "with etcd's leader"])
def test_writes_resume_after_a_leader_is_killed(
    with_etcd: bool, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    took: list[float] = []
    with run_faulty_cluster(tmp_path) as cluster:
        writing = write_to(cluster)
        for _ in range(11 if pytestconfig.getoption("--full") else 1):
            led = Counter(leaders(writing.clients, TOPIC).values())
            victim = next(node for node in cluster.nodes if node.node_id == led.most_common(1)[0][0])
            its = [n for n, leader in leaders(writing.clients, TOPIC).items() if leader == victim.node_id]
            etcd = cluster.etcd_leader() if with_etcd else None
            since_s = time.monotonic()
            victim.kill()
            if etcd is not None:
                etcd.kill()
            resumed_s = eventually(lambda: writing.resumed_after_s(since_s, its), PATIENCE_S)  # noqa: B023
            took.append(resumed_s / LEASE_S)
            if etcd is not None:
                etcd.spawn()
                etcd.wait()
            victim.start()
            eventually(lambda: is_in_sync(writing.clients, 3), PATIENCE_S)
        finish([writing])
        writing.assert_all_is_there()
        assert not writing.errors
    print(f"writes resume after {statistics.median(took):.2f} leases (median of {len(took)}, at most")
    print(f"{max(took):.2f}){' with a new leader of etcd' if with_etcd else ''}")


@pytest.mark.timeout(3600)
def test_no_write_fails_while_brokers_restart_in_turn(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    with run_faulty_cluster(tmp_path) as cluster:
        writing = write_to(cluster)
        since_s = time.monotonic()
        for _ in range(10 if pytestconfig.getoption("--full") else 1):
            cluster.restart_in_turn()
        finish([writing])
        writing.assert_all_is_there()
        assert not writing.errors
        print(
            f"restarts in turn: at most {writing.longest_pause_s(since_s):.2f} s without an acknowledgement"
        )


@pytest.mark.timeout(600)
def test_all_waits_while_etcd_is_away_for_long(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Nobody leads whose lease may have ended: reads and writes wait, and go on by themselves."""
    away_s = 60.0 if pytestconfig.getoption("--full") else 3 * LEASE_S
    with run_faulty_cluster(tmp_path) as cluster:
        writing = write_to(cluster)
        for member in cluster.etcd.members:
            member.freeze()
        since_s = time.monotonic()
        time.sleep(0.4 * LEASE_S)
        at_s = time.monotonic()
        eventually(lambda: writing.resumed_after_s(at_s, list(range(PARTITIONS))))  # the leases last yet
        time.sleep(1.6 * LEASE_S)
        stopped_s = time.monotonic()
        assert not _can_be_read(writing.clients)
        time.sleep(away_s - (time.monotonic() - since_s))
        assert writing.resumed_after_s(stopped_s, list(range(PARTITIONS))) is None
        back_s = time.monotonic()
        for member in cluster.etcd.members:
            member.thaw()
        eventually(lambda: writing.resumed_after_s(back_s, list(range(PARTITIONS))), PATIENCE_S)
        print(f"{writing.resumed_after_s(back_s, list(range(PARTITIONS))):.2f} s after etcd is back")
        finish([writing])
        writing.assert_all_is_there()
        assert not writing.errors


def _can_be_read(clients: Clients) -> bool:
    consumer = clients.consumer()
    try:
        consumer.assign([TopicPartition(TOPIC, number, 0) for number in range(PARTITIONS)])
        return consumer.poll(LEASE_S / 2) is not None
    except KafkaException:
        return False
    finally:
        consumer.close()
