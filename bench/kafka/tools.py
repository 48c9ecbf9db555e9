"""Apache Kafka's own load generators, against any broker, and what they print."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.kafka.install import Kafka

_MEBI = 1024 * 1024 / 1e6
_TOTAL = re.compile(
    r"(?P<records>\d+) records sent, (?P<rate>[\d.]+) records/sec \((?P<mebi>[\d.]+) MB/sec\), "
    r"(?P<average>[\d.]+) ms avg latency, (?P<worst>[\d.]+) ms max latency, "
    r"(?P<p50>\d+) ms 50th, \d+ ms 95th, (?P<p99>\d+) ms 99th, (?P<p999>\d+) ms 99\.9th\."
)


class ToolError(Exception):
    """A tool ended with an error, or printed what we cannot read."""


@dataclass(frozen=True, slots=True)
class ProducerResult:
    """What ProducerPerformance says at its end."""

    records: int
    records_per_s: float
    mb_per_s: float
    average_ms: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class ConsumerResult:
    """What ConsumerPerformance says at its end."""

    records: int
    mb: float
    mb_per_s: float
    """While fetching, without the time it took to join its group."""


@dataclass(frozen=True, slots=True)
class LatencyResult:
    """What EndToEndLatency says; its percentiles are whole milliseconds."""

    average_ms: float
    p50_ms: float
    p99_ms: float
    p999_ms: float


def parse_producer(output: str) -> ProducerResult:
    """The last total in the output of ProducerPerformance."""
    totals = list(_TOTAL.finditer(output))
    if not totals:
        raise ToolError(f"no total in the output of ProducerPerformance: {output[-500:]!r}")
    found = totals[-1]
    return ProducerResult(
        records=int(found["records"]),
        records_per_s=float(found["rate"]),
        mb_per_s=float(found["mebi"]) * _MEBI,
        average_ms=float(found["average"]),
        p50_ms=float(found["p50"]),
        p99_ms=float(found["p99"]),
        p999_ms=float(found["p999"]),
        max_ms=float(found["worst"]),
    )


def parse_consumer(output: str) -> ConsumerResult:
    """The line of ten columns in the output of ConsumerPerformance."""
    for line in reversed(output.splitlines()):
        columns = line.split(", ")
        if len(columns) == 10 and columns[4].isdigit():
            return ConsumerResult(int(columns[4]), float(columns[2]) * _MEBI, float(columns[8]) * _MEBI)
    raise ToolError(f"no result in the output of ConsumerPerformance: {output[-500:]!r}")


def parse_latency(output: str) -> LatencyResult:
    """The two last lines of EndToEndLatency."""
    average = re.search(r"Avg latency: ([\d.]+) ms", output)
    percentiles = re.search(r"50th = (\d+), 99th = (\d+), 99\.9th = (\d+)", output)
    if average is None or percentiles is None:
        raise ToolError(f"no result in the output of EndToEndLatency: {output[-500:]!r}")
    p50, p99, p999 = (float(each) for each in percentiles.groups())
    return LatencyResult(float(average[1]), p50, p99, p999)


def produce(
    release: Kafka, address: str, topic: str, *, records: int, payloads: Path, **properties: object
) -> ProducerResult:
    """Run ProducerPerformance as fast as it goes, over the lines of `payloads`."""
    pairs = [f"{name.replace('_', '.')}={value}" for name, value in properties.items()]
    output = _run(
        release, "org.apache.kafka.tools.ProducerPerformance",
        "--bootstrap-server", address, "--topic", topic, "--num-records", str(records),
        "--payload-file", str(payloads), "--throughput", "-1", "--command-property", *pairs,
    )  # fmt: skip
    result = parse_producer(output)
    if result.records != records:
        raise ToolError(f"ProducerPerformance sent {result.records} of {records} records")
    return result


def consume(release: Kafka, address: str, topic: str, *, records: int) -> ConsumerResult:
    """Run ConsumerPerformance from the start of the topic."""
    output = _run(
        release, "org.apache.kafka.tools.ConsumerPerformance",
        "--bootstrap-server", address, "--topic", topic, "--num-records", str(records), "--hide-header",
    )  # fmt: skip
    result = parse_consumer(output)
    if result.records < records:
        raise ToolError(f"ConsumerPerformance read {result.records} of {records} records")
    return result


def end_to_end(release: Kafka, address: str, topic: str, *, records: int, acks: str) -> LatencyResult:
    """Run EndToEndLatency: send one record, wait for it, and again."""
    output = _run(
        release, "org.apache.kafka.tools.EndToEndLatency",
        "--bootstrap-server", address, "--topic", topic, "--num-records", str(records),
        "--producer-acks", acks, "--record-size", "100",
    )  # fmt: skip
    return parse_latency(output)


def _run(release: Kafka, main_class: str, *arguments: str) -> str:
    done = subprocess.run(
        release.command(main_class, *arguments), check=False, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise ToolError(f"{main_class} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout
