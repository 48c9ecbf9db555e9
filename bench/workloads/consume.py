"""Consume throughput from the page cache: one consumer, a group, and one topic to several groups."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

from bench import floor, load, rdkafka
from bench.kafka import tools
from bench.workloads.model import LIBRDKAFKA, Context, Row, Workload, each_round, throughput

_MEGABYTES = {100: 300, 1024: 1_000, 10_240: 1_000}
_PARTITIONS = 12
_groups = itertools.count()


def _filled(context: Context, record_bytes: int) -> tuple[str, int]:
    return context.filled(record_bytes, _MEGABYTES[record_bytes], _PARTITIONS)


def _together(context: Context, record_bytes: int, jobs: Sequence[tuple[load.Job, load.Task]]) -> Row:
    cpu_s = context.broker.cpu_s()
    done = load.together(*jobs)
    row = throughput(context.broker, done.records * record_bytes / 1e6, done.elapsed_s, cpu_s)
    return {**row, **done.row()}


def _read(readers: int, record_bytes: int, context: Context) -> Row:
    """Every reader reads everything."""
    topic, records = _filled(context, record_bytes)
    task = load.Task(context.broker.address, topic, _PARTITIONS, records, record_bytes)
    return _together(context, record_bytes, [(rdkafka.consume, task)] * readers)


def _read_in_group(members: int, record_bytes: int, context: Context) -> Row:
    topic, records = _filled(context, record_bytes)
    group = f"bench-{next(_groups)}"
    counts = [records // members + (index < records % members) for index in range(members)]
    jobs = [
        (
            rdkafka.consume_in_group,
            load.Task(context.broker.address, topic, _PARTITIONS, count, record_bytes, group=group),
        )
        for count in counts
    ]
    return _together(context, record_bytes, jobs)


def _consumer_performance(record_bytes: int, context: Context) -> Row:
    topic, records = _filled(context, record_bytes)
    cpu_s = context.broker.cpu_s()
    result, usage = tools.consume(context.kafka, context.broker.address, topic, records=records)
    row = throughput(context.broker, result.mb, result.mb / result.mb_per_s, cpu_s)
    return {**row, **usage.row()}


def _workload(
    name: str,
    run: Callable[[int, Context], Row],
    record_bytes: int,
    seconds: float,
    *,
    quick: bool = False,
    tool: bool = False,
) -> Workload:
    size = f"{record_bytes} B" if record_bytes < 1024 else f"{record_bytes // 1024} KB"
    return Workload(
        name=f"consume {size}, {name}",
        subject="consume",
        client="ConsumerPerformance" if tool else LIBRDKAFKA,
        prepare=each_round(functools.partial(run, record_bytes)),
        seconds=seconds,
        quick=quick,
        java=tool,
        floor=floor.consume_rate,
    )


WORKLOADS = (
    _workload("one consumer", functools.partial(_read, 1), 100, 9),
    _workload("one consumer", functools.partial(_read, 1), 1024, 6, quick=True),
    _workload("one consumer", functools.partial(_read, 1), 10_240, 6),
    _workload("group of 4", functools.partial(_read_in_group, 4), 1024, 14),
    _workload("fan-out to 5", functools.partial(_read, 5), 1024, 16),
    _workload("ConsumerPerformance", _consumer_performance, 100, 17, tool=True),
    _workload("ConsumerPerformance", _consumer_performance, 1024, 18, tool=True),
    _workload("ConsumerPerformance", _consumer_performance, 10_240, 15, tool=True),
)
