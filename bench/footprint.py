"""What a broker costs when it does nothing: time to ready, idle memory, and both with 10,000 partitions."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient, NewTopic

from bench import brokers


@dataclass(frozen=True, slots=True)
class Footprint:
    """Seconds and MB."""

    start_s: float
    idle_mb: float
    create_s: float
    full_mb: float
    restart_s: float
    restarted_mb: float


def measure(partitions: int = 10_000) -> Footprint:
    """Start empty, create topics of 100 partitions each, stop, start again."""
    with tempfile.TemporaryDirectory(prefix="ottla-bench-") as data:
        with brokers.ottla(data=data) as broker:
            time.sleep(0.3)
            start_s, idle_mb = broker.start_s, broker.resident_mb()
            admin = AdminClient({"bootstrap.servers": broker.address})
            began = time.perf_counter()
            topics = [NewTopic(f"many-{number}", 100, 1) for number in range(partitions // 100)]
            for future in admin.create_topics(topics, operation_timeout=120, request_timeout=120).values():
                future.result(120)
            create_s = time.perf_counter() - began
            full_mb = broker.resident_mb()
            del admin
        with brokers.ottla(data=data) as broker:
            time.sleep(0.3)
            return Footprint(start_s, idle_mb, create_s, full_mb, broker.start_s, broker.resident_mb())
