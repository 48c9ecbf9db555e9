"""This client and three brokers: it follows leaders that are killed, and topics that are made again."""

from __future__ import annotations

import threading
import time

import pytest
from tests.etcd_server import SHORT_LEASE, needs_etcd

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.client.sync.client import Client
from ottla.client.sync.consumer import Consumer
from ottla.testing import LocalCluster

pytestmark = [needs_etcd, pytest.mark.ottla(SHORT_LEASE)]
RECORDS = 3_000
"""While each broker goes and comes back"""
PARTITIONS = 3


def test_every_record_is_there_once_and_in_order_whoever_leads(ottla_cluster: LocalCluster) -> None:
    found: list[list[int]] = [[] for _ in range(PARTITIONS)]
    total = RECORDS * len(ottla_cluster.nodes)
    with client.connect(ottla_cluster.bootstrap_servers) as c:
        c.admin.topics.create([NewTopic("t", PARTITIONS, 3)]).check()

        def read() -> None:
            with c.consumer(["t"], group="g", auto_offset_reset="earliest") as consumer:
                for batch in consumer.batches(timeout_s=60):
                    for record in batch:
                        found[record.partition].append(int(record.value or b"-1"))
                    batch.commit()
                    if sum(map(len, found)) >= total:
                        return

        reader = threading.Thread(target=read)
        reader.start()
        with c.producer(linger_ms=5) as producer:
            for turn, node in enumerate(ottla_cluster.nodes):
                sent = []
                for number in range(turn * RECORDS, (turn + 1) * RECORDS):
                    sent.append(producer.send("t", b"%d" % number, partition=number % PARTITIONS))
                    if number % RECORDS == RECORDS // 2:
                        node.kill()
                for each in sent:
                    each.result(60)
                node.start()
                until_in_sync(c, "t")
        reader.join(90)
        assert not reader.is_alive()
        assert found == [list(range(partition, total, PARTITIONS)) for partition in range(PARTITIONS)]


def test_a_topic_that_is_made_again_is_read_and_written_from_its_start(ottla_cluster: LocalCluster) -> None:
    with client.connect(ottla_cluster.bootstrap_servers) as c:
        c.admin.topics.create([NewTopic("again", 2, 3)]).check()
        with c.producer() as producer, c.consumer(auto_offset_reset="earliest") as consumer:
            for number in range(10):
                producer.send("again", b"old %d" % number, partition=number % 2).result(60)
            consumer.assign([("again", 0), ("again", 1)])
            assert take(consumer, 10) == sorted(b"old %d" % number for number in range(10))
            c.admin.topics.delete(["again"]).check()
            end = time.monotonic() + 60
            while c.admin.topics.create([NewTopic("again", 2, 3)]).errors:
                assert time.monotonic() < end
                time.sleep(0.1)
            metadata = [producer.send("again", b"new %d" % n, partition=n % 2).result(60) for n in range(4)]
            assert [each.offset for each in metadata] == [0, 0, 1, 1]
            assert take(consumer, 4) == [b"new %d" % number for number in range(4)]


def take(consumer: Consumer, count: int) -> list[bytes]:
    values: list[bytes] = []
    while len(values) < count:
        batch = consumer.poll(timeout_s=30)
        assert batch is not None, f"only {len(values)} of {count} came"
        values += [record.value or b"" for record in batch]
    return sorted(values)


def until_in_sync(c: Client, topic: str) -> None:
    end = time.monotonic() + 60
    while True:
        described = c.admin.topics.describe([topic]).get(topic)
        if described is not None and all(len(each.isr) == 3 for each in described.partitions):
            return
        assert time.monotonic() < end, described
        time.sleep(0.2)
