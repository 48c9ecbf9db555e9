"""Consume throughput from the page cache: one consumer, a group, and one topic to several groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from bench import floor, rdkafka
from bench.kafka import tools
from bench.workloads.model import LIBRDKAFKA, Context, Row, Workload, throughput

_MEGABYTES = {100: 50, 1024: 300, 10_240: 500}
_PARTITIONS = 12
_groups = itertools.count()


def _filled(context: Context, record_bytes: int) -> tuple[str, int]:
    return context.filled(record_bytes, _MEGABYTES[record_bytes], _PARTITIONS)


def _read(context: Context, record_bytes: int, readers: int) -> Row:
    """Every reader reads everything."""
    topic, records = _filled(context, record_bytes)
    task = rdkafka.Task(context.broker.address, topic, _PARTITIONS, records, record_bytes)
    cpu_s = context.broker.cpu_s()
    load = rdkafka.together(*[(rdkafka.consume, task)] * readers)
    row = throughput(context, load.records * record_bytes / 1e6, load.elapsed_s, cpu_s)
    return {**row, "client cores": load.client_cores}


def _read_in_group(context: Context, record_bytes: int, members: int) -> Row:
    topic, records = _filled(context, record_bytes)
    group = f"bench-{next(_groups)}"
    counts = [records // members + (index < records % members) for index in range(members)]
    jobs = [
        (
            rdkafka.consume_in_group,
            rdkafka.Task(context.broker.address, topic, _PARTITIONS, count, record_bytes, group=group),
        )
        for count in counts
    ]
    cpu_s = context.broker.cpu_s()
    load = rdkafka.together(*jobs)
    row = throughput(context, load.records * record_bytes / 1e6, load.elapsed_s, cpu_s)
    return {**row, "client cores": load.client_cores}


def _consumer_performance(context: Context, record_bytes: int) -> Row:
    topic, records = _filled(context, record_bytes)
    cpu_s = context.broker.cpu_s()
    result = tools.consume(context.kafka, context.broker.address, topic, records=records)
    return throughput(context, result.mb, result.mb / result.mb_per_s, cpu_s)


def _workload(
    name: str,
    run: Callable[[Context, int], Row],
    record_bytes: int,
    *,
    quick: bool = False,
    tool: bool = False,
) -> Workload:
    size = f"{record_bytes} B" if record_bytes < 1024 else f"{record_bytes // 1024} KB"
    megabytes = _MEGABYTES[record_bytes]
    return Workload(
        name=f"consume {size}, {name}",
        subject="consume",
        client="ConsumerPerformance" if tool else LIBRDKAFKA,
        run=lambda context: run(context, record_bytes),
        quick=quick,
        java=tool,
        floor=lambda scale: floor.consume(int(megabytes * scale * 1e6)),
    )


WORKLOADS = (
    *(
        _workload("one consumer", lambda context, size: _read(context, size, 1), size, quick=size == 1024)
        for size in _MEGABYTES
    ),
    _workload("group of 4", lambda context, size: _read_in_group(context, size, 4), 1024),
    _workload("fan-out to 5", lambda context, size: _read(context, size, 5), 1024),
    *(
        _workload("ConsumerPerformance", _consumer_performance, size, quick=size == 1024, tool=True)
        for size in _MEGABYTES
    ),
)
