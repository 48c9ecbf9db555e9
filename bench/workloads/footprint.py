"""What a broker costs by being there: start, memory, many partitions."""

from __future__ import annotations

import tempfile
import time

from confluent_kafka.admin import NewTopic

from bench import wire
from bench.brokers import Running
from bench.workloads.model import LIBRDKAFKA, Context, Row, Workload, admin_of, create_topics, each_round

_IDLE_S = 2
_MANY = 10_000
_TOPIC_PARTITIONS = 100
_TOPICS_AT_ONCE = 20
"""Kafka's controller refuses 10,000 partitions in one request."""
BY_HAND = "Metadata by hand"


def _start(context: Context) -> Row:
    """In a new folder; idle is what it holds and uses afterwards while nobody is connected."""
    with context.start() as broker:
        time.sleep(1)
        cpu_s = broker.cpu_s()
        time.sleep(_IDLE_S)
        return {
            "ready s": broker.start_s,
            "idle MB": broker.resident_mb(),
            "idle CPU %": (broker.cpu_s() - cpu_s) / _IDLE_S * 100,
        }


def _many_partitions(context: Context) -> Row:
    topics = [f"many-{index}" for index in range(_MANY // _TOPIC_PARTITIONS)]
    with tempfile.TemporaryDirectory(prefix="bench-") as data:
        with context.start(data=data) as broker:
            admin = admin_of(broker)
            began = time.perf_counter()
            for first in range(0, len(topics), _TOPICS_AT_ONCE):
                some = topics[first : first + _TOPICS_AT_ONCE]
                create_topics(admin, [NewTopic(name, _TOPIC_PARTITIONS, 1) for name in some])
            _wait_topics(broker, topics)
            created_s, full_mb = time.perf_counter() - began, broker.resident_mb()
            del admin
        began = time.perf_counter()
        with context.start(data=data) as broker:
            _wait_topics(broker, topics)
            restarted_s = time.perf_counter() - began
    return {"create s": created_s, "full MB": full_mb, "restart s": restarted_s}


def _wait_topics(broker: Running, topics: list[str]) -> None:
    for name in topics:
        wire.wait_topic(broker.address, name, _TOPIC_PARTITIONS, timeout_s=180)


WORKLOADS = (
    Workload("start in a new folder", "footprint", BY_HAND, each_round(_start), seconds=11, quick=True),
    Workload("10,000 partitions", "footprint", LIBRDKAFKA, each_round(_many_partitions), seconds=90),
)
