"""End-to-end latency: at fixed rates with librdkafka, and one record at a time with EndToEndLatency."""

from __future__ import annotations

from bench import load, rdkafka
from bench.kafka import tools
from bench.results import percentile
from bench.workloads.model import LIBRDKAFKA, Context, Row, Workload, each_round

_SECONDS = 6
_WARM_SHARE = 0.2
_PARTITIONS = 3


def _at_rate(context: Context, rate: int) -> Row:
    records = int(rate * max(2.0, _SECONDS * context.scale))
    with context.topic(_PARTITIONS) as topic:
        task = load.Task(
            context.broker.address,
            topic,
            _PARTITIONS,
            records,
            100,
            properties={"linger.ms": 0, "acks": "all"},
            rate=rate,
        )
        reading = load.Task(context.broker.address, topic, _PARTITIONS, records, 100)
        done = load.together((rdkafka.consume_stamped, reading), (rdkafka.produce_at_rate, task))
    kept = sorted(done.latencies_ms[int(records * _WARM_SHARE) :])
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
        "latency at 1,000/s",
        "latency",
        LIBRDKAFKA,
        each_round(lambda context: _at_rate(context, 1_000)),
        seconds=16,
        quick=True,
    ),
    Workload(
        "latency at 20,000/s",
        "latency",
        LIBRDKAFKA,
        each_round(lambda context: _at_rate(context, 20_000)),
        seconds=16,
    ),
    Workload(
        "latency, one at a time", "latency", "EndToEndLatency", each_round(_end_to_end), seconds=12, java=True
    ),
)
