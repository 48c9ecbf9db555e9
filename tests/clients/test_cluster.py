"""Three brokers on this host: what `ottla cluster` runs and shows; clients go on when one is killed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from tests.etcd_server import SHORT_LEASE, needs_etcd

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.testing import LocalCluster
from ottla.testing.cluster import ClusterError

pytestmark = needs_etcd
OTTLA = (sys.executable, "-m", "ottla")


@pytest.mark.ottla(SHORT_LEASE)
def test_nothing_acknowledged_is_lost_when_brokers_are_killed(ottla_cluster: LocalCluster) -> None:
    bootstrap = ottla_cluster.bootstrap_servers
    with client.connect(bootstrap) as connected:
        connected.admin.topics.create([NewTopic("t", 3, 3)]).check()
    acknowledged: list[bytes] = []
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0})
    number = 0
    for node in ottla_cluster.nodes:
        for _ in range(2_000):
            number += 1
            value = b"%d" % number
            producer.produce("t", value, on_delivery=_note(acknowledged))
            producer.poll(0)
        node.kill()
        assert producer.flush(60) == 0
        node.start()
        _wait_until_in_sync(bootstrap)
    assert len(acknowledged) == number
    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": "g",
        "auto.offset.reset": "earliest",
        "log_level": 0,
    }
    consumer = Consumer(settings)
    consumer.subscribe(["t"])
    found: list[bytes] = []
    end = time.monotonic() + 60
    while len(found) < number:
        assert time.monotonic() < end, f"{len(found)} of {number} came"
        found += [message.value() for message in consumer.consume(1000, 1.0) if message.error() is None]
    consumer.close()
    assert sorted(found) == sorted(acknowledged)


def _note(acknowledged: list[bytes]):
    def note(error, message) -> None:
        assert error is None, error
        acknowledged.append(message.value())

    return note


def _wait_until_in_sync(bootstrap: str) -> None:
    end = time.monotonic() + 60
    while True:
        shown = subprocess.run(
            [*OTTLA, "cluster", "status", "-b", bootstrap, "--json"], capture_output=True, check=True
        )
        status = json.loads(shown.stdout)
        if len(status["brokers"]) == 3 and not status["under_replicated"]:
            return
        assert time.monotonic() < end, status
        time.sleep(0.2)


def test_up_until_it_is_stopped(tmp_path: Path) -> None:
    command = [*OTTLA, "cluster", "up", "--nodes", "3", "--port", "0", "--data", str(tmp_path / "cluster")]
    for _ in range(2):  # the second time with what is there
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(4)]
        assert [re.match(r"node (\d) is ready on 127\.0\.0\.1:\d+", line)[1] for line in lines[:3]] == [
            "1",
            "2",
            "3",
        ]
        bootstrap = lines[3].removeprefix("the cluster is ready: ").strip()
        with client.connect(bootstrap) as connected:
            assert len(connected.admin.cluster.describe().brokers) == 3
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
        assert (running.returncode, errors) == (0, "stopping\n")


def test_a_node_that_cannot_start_stops_all(tmp_path: Path) -> None:
    cluster = LocalCluster(2, tmp_path, settings={"no.such.directory": "1", "log.segment.bytes": "x"})
    with pytest.raises(ClusterError, match="log.segment.bytes"), cluster:
        pass
    assert not any(node.is_running for node in cluster.nodes)
