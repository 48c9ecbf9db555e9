"""What a broker costs by being there: start, memory, many partitions, and the way back after SIGKILL."""

from __future__ import annotations

import tempfile
import time

from confluent_kafka.admin import NewTopic

from bench import rdkafka, wire
from bench.brokers import Running
from bench.workloads.model import Context, Row, Workload, admin_of, create_topics

_IDLE_S = 3
_MANY = 10_000
_TOPIC_PARTITIONS = 100
_TOPICS_AT_ONCE = 20
"""Kafka's controller refuses 10,000 partitions in one request."""
_LOG_MB, _FULL_LOG_MB = 1_000, 10_000
_LOG_PARTITIONS = 12
_CLIENT = "Metadata by hand"


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


def _restart_after_kill(context: Context) -> Row:
    """Until every partition answers for its end, with all of its log still in the page cache."""
    megabytes = _FULL_LOG_MB if context.scale > 1 else context.scaled(_LOG_MB)
    with tempfile.TemporaryDirectory(prefix="bench-") as data:
        with context.start(data=data) as broker:
            create_topics(admin_of(broker), [NewTopic("log", _LOG_PARTITIONS, 1)])
            wire.wait_topic(broker.address, "log", _LOG_PARTITIONS)
            task = rdkafka.Task(
                broker.address,
                "log",
                _LOG_PARTITIONS,
                megabytes * 1_000_000 // 1024,
                1024,
                properties={"acks": 1, "batch.size": 16_384},
            )
            rdkafka.together((rdkafka.produce, task))
            broker.crash()
        began = time.perf_counter()
        with context.start(data=data) as broker:
            wire.wait_topic(broker.address, "log", _LOG_PARTITIONS, timeout_s=300)
            took_s = time.perf_counter() - began
            with wire.Connection(broker.address) as connection:
                recovered = sum(wire.end_offsets(connection, "log", _LOG_PARTITIONS))
        if recovered != task.records:
            raise RuntimeError(f"{recovered} of {task.records} records are there after SIGKILL")
    return {"restart s": took_s, "log GB": megabytes / 1000}


WORKLOADS = (
    Workload("start in a new folder", "footprint", _CLIENT, _start, quick=True),
    Workload("10,000 partitions", "footprint", "librdkafka", _many_partitions, max_rounds=1),
    Workload("restart after SIGKILL", "footprint", "librdkafka", _restart_after_kill, max_rounds=2),
)
