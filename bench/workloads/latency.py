"""End-to-end latency: at fixed rates with librdkafka, and one record at a time with EndToEndLatency."""

from __future__ import annotations

from bench import rdkafka
from bench.kafka import tools
from bench.results import percentile
from bench.workloads.model import LIBRDKAFKA, Context, Row, Workload

_SECONDS = 6
_WARM_SHARE = 0.2
_PARTITIONS = 3


def _at_rate(context: Context, rate: int) -> Row:
    records = int(rate * max(2.0, _SECONDS * context.scale))
    with context.topic(_PARTITIONS) as topic:
        task = rdkafka.Task(
            context.broker.address,
            topic,
            _PARTITIONS,
            records,
            100,
            properties={"linger.ms": 0, "acks": "all"},
            rate=rate,
        )
        reading = rdkafka.Task(context.broker.address, topic, _PARTITIONS, records, 100)
        load = rdkafka.together((rdkafka.consume_stamped, reading), (rdkafka.produce_at_rate, task))
    kept = sorted(load.latencies_ms[int(records * _WARM_SHARE) :])
    return {
        "p50 ms": percentile(kept, 50),
        "p99 ms": percentile(kept, 99),
        "p99.9 ms": percentile(kept, 99.9),
        "max ms": kept[-1],
    }


def _end_to_end(context: Context) -> Row:
    with context.topic(1) as topic:
        result = tools.end_to_end(
            context.kafka, context.broker.address, topic, records=context.scaled(3000), acks="all"
        )
    # Its percentiles are whole milliseconds, so only what they can show is kept.
    return {
        "average ms": result.average_ms,
        "p99 ms, whole": result.p99_ms,
        "p99.9 ms, whole": result.p999_ms,
    }


WORKLOADS = (
    Workload(
        "latency at 1,000/s", "latency", LIBRDKAFKA, lambda context: _at_rate(context, 1_000), quick=True
    ),
    Workload("latency at 20,000/s", "latency", LIBRDKAFKA, lambda context: _at_rate(context, 20_000)),
    Workload("latency, one at a time", "latency", "EndToEndLatency", _end_to_end, java=True),
)
