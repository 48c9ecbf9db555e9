"""What an operator does with a cluster of real processes: spreads replicas, retires brokers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import Any

from tests.etcd_server import needs_etcd

from ottla import client
from ottla.client.admin.configs import ConfigChange, ConfigKind, ConfigResource
from ottla.client.admin.topics import NewTopic
from ottla.testing import LocalCluster, run_cluster

pytestmark = needs_etcd


def ottla(cluster: LocalCluster, *arguments: str, code: int = 0) -> tuple[str, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "ottla", *arguments, "-b", cluster.bootstrap_servers],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert ran.returncode == code, ran.stderr
    return ran.stdout, ran.stderr


def kept(cluster: LocalCluster) -> tuple[Counter[int], Counter[int]]:
    """How many replicas each broker has, and how many partitions it leads."""
    with client.connect(cluster.bootstrap_servers) as connected:
        partitions = connected.admin.topics.describe(["t", "u"])
        found = [each for topic in partitions.values() for each in topic.partitions]
    replicas = Counter(broker for each in found for broker in each.replicas)
    return replicas, Counter(each.leader for each in found if each.leader is not None)


def configs_of(cluster: LocalCluster, kind: ConfigKind, name: str) -> dict[str, Any]:
    resource = ConfigResource(kind, name)
    with client.connect(cluster.bootstrap_servers) as connected:
        found = connected.admin.configs.describe([resource])[resource]
    return {each.name: each.value for each in found.values() if "throttled" in each.name}


def cordon(cluster: LocalCluster, broker: int, folders: str) -> None:
    resource = ConfigResource(ConfigKind.BROKER, str(broker))
    with client.connect(cluster.bootstrap_servers) as connected:
        connected.admin.configs.alter({resource: [ConfigChange("cordoned.log.dirs", folders)]}).check()


def test_brokers_get_their_share_and_are_retired() -> None:
    with run_cluster(4) as cluster:
        with client.connect(cluster.bootstrap_servers) as connected:
            placed = dict(enumerate([[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 3, 2]]))
            wanted = [NewTopic(name, assignment=placed) for name in ("t", "u")]
            connected.admin.topics.create(wanted).check()
            with connected.producer() as producer:
                for number in range(1_000):
                    producer.send("t", b"%d" % number)

        cordon(cluster, 4, "*")
        planned, _ = ottla(cluster, "cluster", "rebalance", "--json")
        assert all(4 not in each["replicas"] for each in json.loads(planned)["partitions"])
        cordon(cluster, 4, "")
        planned, said = ottla(cluster, "cluster", "rebalance")
        assert "Nothing was changed" in said
        assert planned.splitlines()[0].split() == (
            ["BROKER", "RACK", "REPLICAS", "THEN", "LEADS", "WILL", "LEAD", "COPIES", "BYTES"]
        )
        assert kept(cluster)[0] == {1: 8, 2: 8, 3: 8}
        document = json.loads(ottla(cluster, "cluster", "rebalance", "--json")[0])
        assert sum(4 in each["replicas"] for each in document["partitions"]) == 6

        throttle = ("--throttle", "100000000")
        _, said = ottla(cluster, "cluster", "rebalance", "--execute", *throttle, "--at-once", "2")
        assert "6 of 6 partitions have moved" in said
        assert kept(cluster) == (dict.fromkeys(range(1, 5), 6), dict.fromkeys(range(1, 5), 2))
        assert ottla(cluster, "cluster", "rebalance")[0] == "Nothing has to move.\n"
        unset = {"leader.replication.throttled.replicas": "", "follower.replication.throttled.replicas": ""}
        assert configs_of(cluster, ConfigKind.TOPIC, "t") == unset

        _, said = ottla(cluster, "cluster", "retire", "2", "--execute")
        assert "Stop it, and run this again" in said
        assert kept(cluster)[0] == {1: 8, 3: 8, 4: 8}
        cluster.nodes[1].stop()
        _, said = ottla(cluster, "cluster", "retire", "2", "--execute")
        assert "Broker 2 is forgotten" in said
        _, said = ottla(cluster, "cluster", "retire", "3", "--execute", code=1)
        assert "8 partitions would have to stay" in said

        with client.connect(cluster.bootstrap_servers) as connected:
            rows = connected.read("t", start="earliest")
            assert sorted(int(value) for value in rows.column("value").to_pylist()) == list(range(1_000))


def test_brokers_that_are_away_are_not_emptied_unasked() -> None:
    with run_cluster(3) as cluster:
        with client.connect(cluster.bootstrap_servers) as connected:
            created = [NewTopic("t", assignment={0: [1, 2], 1: [2, 1]}), NewTopic("u", assignment={0: [2]})]
            connected.admin.topics.create(created).check()
        cluster.nodes[1].stop()
        _, said = ottla(cluster, "cluster", "rebalance", "--execute", code=1)
        assert "brokers that keep replicas are not there: 2" in said
        _, said = ottla(cluster, "cluster", "retire", "2", "--execute", code=1)
        assert "1 partitions would have to stay (u-0)" in said
        ottla(cluster, "cluster", "rebalance", "--topic", "t", "--retire", "2", "--execute")
        replicas, _ = kept(cluster)
        assert replicas == {1: 2, 3: 2, 2: 1}
