"""What a cluster promises its clients when a leader dies, brokers restart in turn, and etcd is away."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, TopicPartition

from .clients import Clients, eventually
from .faulty_cluster import LEASE_S, is_in_sync, leaders, run_faulty_cluster
from .load import finish
from .writing import PARTITIONS, PATIENCE_S, TOPIC, write_to


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("with_etcd", [False, True], ids=["alone", "with etcd's leader"])
def test_writes_resume_after_a_leader_is_killed(
    with_etcd: bool, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    took: list[float] = []
    with run_faulty_cluster(tmp_path) as cluster:
        writing = write_to(cluster.bootstrap)
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
        writing = write_to(cluster.bootstrap)
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
        writing = write_to(cluster.bootstrap)
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
