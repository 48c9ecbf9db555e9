"""Produce throughput: record size, batch, acks, codec, partitions and producers, one varied at a time."""

from __future__ import annotations

from dataclasses import dataclass

from bench import floor, rdkafka, wire
from bench.kafka import tools
from bench.workloads.model import LIBRDKAFKA, Context, Row, Workload, throughput

_MEGABYTES = {100: 50, 1024: 200, 10_240: 300}
"""Of each record size in the default form: one to three seconds at the rates of a small machine."""
LARGE_BATCH = 1_000_000


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
        # A codec costs the client more than the broker; a third of the bytes takes it as long.
        share = 1.0 if self.codec == "none" else 0.35
        wanted = int(_MEGABYTES[self.record_bytes] * scale * share * 1e6) // self.record_bytes
        return max(self.producers, wanted // self.producers * self.producers)


def _librdkafka(context: Context, case: _Case) -> Row:
    records = case.records(context.scale)
    properties = {"acks": case.acks, "batch.size": case.batch_bytes, "compression.type": case.codec}
    with context.topic(case.partitions) as topic:
        task = rdkafka.Task(
            context.broker.address,
            topic,
            case.partitions,
            records // case.producers,
            case.record_bytes,
            properties=properties,
        )
        cpu_s = context.broker.cpu_s()
        load = rdkafka.together(*[(rdkafka.produce, task)] * case.producers)
        row = throughput(context, records * case.record_bytes / 1e6, load.elapsed_s, cpu_s)
        _verify(context, topic, case.partitions, records)
    return {**row, "client cores": load.client_cores}


def _producer_performance(context: Context, case: _Case) -> Row:
    records = case.records(context.scale)
    with context.topic(case.partitions) as topic:
        cpu_s = context.broker.cpu_s()
        result = tools.produce(
            context.kafka,
            context.broker.address,
            topic,
            records=records,
            payloads=context.payload_file(case.record_bytes),
            acks=case.acks,
            batch_size=case.batch_bytes,
            compression_type=case.codec,
        )
        megabytes = records * case.record_bytes / 1e6
        row = throughput(context, megabytes, megabytes / result.mb_per_s, cpu_s)
        _verify(context, topic, case.partitions, records)
    return row


def _verify(context: Context, topic: str, partitions: int, records: int) -> None:
    with wire.Connection(context.broker.address) as connection:
        stored = sum(wire.end_offsets(connection, topic, partitions))
    if stored != records:
        raise RuntimeError(f"{stored} of {records} records are in the log")


def _workload(case: _Case, *, quick: bool = False) -> Workload:
    run = _producer_performance if case.tool else _librdkafka
    bytes_in_scale = case.record_bytes * case.records(1)
    return Workload(
        name=case.name,
        subject="produce",
        client="ProducerPerformance" if case.tool else LIBRDKAFKA,
        run=lambda context: run(context, case),
        quick=quick,
        java=case.tool,
        floor=None
        if case.codec != "none"
        else lambda scale: floor.produce(
            max(case.batch_bytes, int(bytes_in_scale * scale)), case.batch_bytes
        ),
    )


WORKLOADS = (
    *(_workload(_Case(size), quick=size == 1024) for size in (100, 1024, 10_240)),
    *(_workload(_Case(size, LARGE_BATCH)) for size in (100, 1024, 10_240)),
    _workload(_Case(acks="all")),
    _workload(_Case(100, acks="all")),
    _workload(_Case(partitions=1)),
    _workload(_Case(partitions=200)),
    _workload(_Case(producers=8)),
    *(_workload(_Case(codec=codec)) for codec in ("gzip", "snappy", "lz4", "zstd")),
    *(_workload(_Case(size, tool=True), quick=size == 1024) for size in (100, 1024, 10_240)),
    _workload(_Case(1024, LARGE_BATCH, tool=True)),
    _workload(_Case(acks="all", tool=True)),
)
