"""Produce throughput: record size, batch, acks, codec, partitions and producers, one varied at a time."""

from __future__ import annotations

import functools
import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cramjam

from bench import floor, load, machine, rdkafka
from bench.kafka import tools
from bench.requests import batched
from bench.workloads.model import LIBRDKAFKA, Context, Row, Workload, each_round, throughput, verify

_MEGABYTES = {100: 75, 1024: 300, 10_240: 450}
"""Of each record size in the full form: one to four seconds at the rates of a small machine."""
_CODEC_SHARE = 0.3
"""A codec costs the client more than the broker; a third of the bytes takes it as long."""
_TOOL_SHARE = 2.0
_TOOL_WARMING = 3
"""A third of what ProducerPerformance sends warms its JVM, and is not part of the rate."""
LARGE_BATCH = 1_000_000
_COMPRESSORS: dict[str, Callable[[bytes], object]] = {
    "gzip": zlib.compress,
    "snappy": cramjam.snappy.compress_raw,
    "lz4": cramjam.lz4.compress_block,
    "zstd": cramjam.zstd.compress,
}


@functools.cache
def compressed_share(codec: str, record_bytes: int) -> float:
    """What a codec leaves of the payload of a batch of 16 KB, about: its own framing is left out."""
    if codec == "none":
        return 1.0
    data = b"".join(itertools.islice(itertools.cycle(load.values(record_bytes)), batched(record_bytes)))
    return len(bytes(_COMPRESSORS[codec](data))) / len(data)  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True)
class _Case:
    record_bytes: int = 1024
    batch_bytes: int = 16_384
    acks: str = "1"
    codec: str = "none"
    partitions: int = 12
    producers: int = 1
    tool: bool = False

    @property
    def name(self) -> str:
        size = f"{self.record_bytes} B" if self.record_bytes < 1024 else f"{self.record_bytes // 1024} KB"
        batch = "1 MB" if self.batch_bytes == LARGE_BATCH else "16 KB"
        base = f"produce {size}, batch {batch}, acks {self.acks}"
        varied = [
            self.codec if self.codec != "none" else "",
            f"{self.partitions} partition{'s' * (self.partitions > 1)}" if self.partitions != 12 else "",
            f"{self.producers} producers" if self.producers != 1 else "",
            "ProducerPerformance" if self.tool else "",
        ]
        return ", ".join([base, *filter(None, varied)])

    def records(self, scale: float) -> int:
        share = (1.0 if self.codec == "none" else _CODEC_SHARE) * (_TOOL_SHARE if self.tool else 1.0)
        wanted = int(_MEGABYTES[self.record_bytes] * scale * share * 1e6) // self.record_bytes
        return max(self.producers, wanted // self.producers * self.producers)


def _librdkafka(case: _Case, context: Context) -> Row:
    records, broker = case.records(context.scale), context.broker
    properties = {"acks": case.acks, "batch.size": case.batch_bytes, "compression.type": case.codec}
    with context.topic(case.partitions) as topic:
        task = load.Task(
            broker.address,
            topic,
            case.partitions,
            records // case.producers,
            case.record_bytes,
            properties=properties,
        )
        machine.touch_free_memory(records * case.record_bytes)
        cpu_s = broker.cpu_s()
        done = load.together(*[(rdkafka.produce, task)] * case.producers)
        row = throughput(broker, records * case.record_bytes / 1e6, done.elapsed_s, cpu_s)
        verify(broker, topic, case.partitions, records)
    return {**row, **done.row()}


def _producer_performance(case: _Case, context: Context) -> Row:
    records, broker = case.records(context.scale), context.broker
    with context.topic(case.partitions) as topic:
        machine.touch_free_memory(records * case.record_bytes)
        cpu_s = broker.cpu_s()
        result, usage = tools.produce(
            context.kafka,
            broker.address,
            topic,
            records=records,
            warming=records // _TOOL_WARMING,
            payloads=context.payload_file(case.record_bytes),
            acks=case.acks,
            batch_size=case.batch_bytes,
            compression_type=case.codec,
        )
        megabytes = records * case.record_bytes / 1e6
        row = throughput(broker, megabytes, megabytes / result.mb_per_s, cpu_s)
        verify(broker, topic, case.partitions, records)
    return {**row, **usage.row()}


def _floor(case: _Case, round_number: int) -> Row:
    """In MB/s of payload: with a codec the floor moves what that leaves."""
    share = compressed_share(case.codec, case.record_bytes)
    moved = floor.produce_rate(case.batch_bytes, round_number)
    return {metric: rate / share for metric, rate in moved.items()}


def _workload(case: _Case, seconds: float, *, quick: bool = False) -> Workload:
    return Workload(
        name=case.name,
        subject="produce",
        client="ProducerPerformance" if case.tool else LIBRDKAFKA,
        prepare=each_round(functools.partial(_producer_performance if case.tool else _librdkafka, case)),
        seconds=seconds,
        quick=quick,
        java=case.tool,
        floor=functools.partial(_floor, case),
    )


WORKLOADS = (
    _workload(_Case(100), 6),
    _workload(_Case(), 8, quick=True),
    _workload(_Case(10_240), 14),
    _workload(_Case(100, LARGE_BATCH), 4),
    _workload(_Case(1024, LARGE_BATCH), 6),
    _workload(_Case(10_240, LARGE_BATCH), 6),
    _workload(_Case(acks="all"), 8),
    _workload(_Case(100, acks="all"), 4),
    _workload(_Case(partitions=1), 8),
    _workload(_Case(partitions=200), 18),
    _workload(_Case(producers=8), 9),
    _workload(_Case(codec="gzip"), 9),
    *(_workload(_Case(codec=codec), 4) for codec in ("snappy", "lz4", "zstd")),
    _workload(_Case(100, tool=True), 16),
    _workload(_Case(tool=True), 17),
    _workload(_Case(10_240, tool=True), 20),
    _workload(_Case(1024, LARGE_BATCH, tool=True), 15),
    _workload(_Case(acks="all", tool=True), 17),
)
