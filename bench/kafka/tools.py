"""Apache Kafka's own load generators, against any broker, and what they print."""

from __future__ import annotations

import contextlib
import re
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.kafka.install import Kafka

_MEBI = 1024 * 1024 / 1e6
_STEADY = re.compile(
    r"(?P<records>\d+) steady state records sent, [\d.]+ records/sec "
    r"\((?P<mebi>[\d.]+) MB/sec\), .* 99\.9th\."
)
_TIMEOUT_S = 300
_WATCH_S = 0.1
_OF_THE_JVM = ("C1 ", "C2 ", "G1 ", "GC ", "VM ")


class ToolError(Exception):
    """A tool ended with an error, or printed what we cannot read."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tool's process took over the whole of its life, the start of its JVM included."""

    cores: float
    """Kept busy on average."""
    busiest_thread: float
    """The share of a core that its busiest thread took, compiler and collector threads apart."""

    def row(self) -> dict[str, float]:
        """The metrics that say what the client took."""
        return {"client cores": self.cores, "client thread": self.busiest_thread}


@dataclass(frozen=True, slots=True)
class ProducerResult:
    """What ProducerPerformance says at its end of the records after its warm-up."""

    records: int
    mb_per_s: float


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
    """The steady state in the output of ProducerPerformance."""
    found = _STEADY.search(output)
    if found is None:
        raise ToolError(f"no steady state in the output of ProducerPerformance: {output[-500:]!r}")
    return ProducerResult(int(found["records"]), float(found["mebi"]) * _MEBI)


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
    release: Kafka,
    address: str,
    topic: str,
    *,
    records: int,
    warming: int,
    payloads: Path,
    **properties: object,
) -> tuple[ProducerResult, Usage]:
    """Run ProducerPerformance as fast as it goes, over the lines of `payloads`; the first `warming` of the
    records are sent as well, but are no part of the result."""
    pairs = [f"{name.replace('_', '.')}={value}" for name, value in properties.items()]
    output, usage = _run(
        release, "org.apache.kafka.tools.ProducerPerformance",
        "--bootstrap-server", address, "--topic", topic, "--num-records", str(records),
        "--warmup-records", str(warming), "--payload-file", str(payloads), "--throughput", "-1",
        "--command-property", *pairs,
    )  # fmt: skip
    result = parse_producer(output)
    if result.records != records - warming:
        raise ToolError(f"ProducerPerformance sent {result.records} of {records - warming} records")
    return result, usage


def consume(release: Kafka, address: str, topic: str, *, records: int) -> tuple[ConsumerResult, Usage]:
    """Run ConsumerPerformance from the start of the topic."""
    output, usage = _run(
        release, "org.apache.kafka.tools.ConsumerPerformance",
        "--bootstrap-server", address, "--topic", topic, "--num-records", str(records), "--hide-header",
    )  # fmt: skip
    result = parse_consumer(output)
    if result.records < records:
        raise ToolError(f"ConsumerPerformance read {result.records} of {records} records")
    return result, usage


def end_to_end(
    release: Kafka, address: str, topic: str, *, records: int, acks: str
) -> tuple[LatencyResult, Usage]:
    """Run EndToEndLatency: send one record, wait for it, and again."""
    output, usage = _run(
        release, "org.apache.kafka.tools.EndToEndLatency",
        "--bootstrap-server", address, "--topic", topic, "--num-records", str(records),
        "--producer-acks", acks, "--record-size", "100",
    )  # fmt: skip
    return parse_latency(output), usage


def _run(release: Kafka, main_class: str, *arguments: str) -> tuple[str, Usage]:
    threads: dict[tuple[int, str], float] = {}
    began, cpu_s = time.monotonic(), _children_cpu_s()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        command = release.command(main_class, *arguments)
        with subprocess.Popen(command, stdout=output, stderr=errors) as process:
            while process.poll() is None:
                threads |= processes.thread_cpu_s(process.pid)
                if time.monotonic() - began > _TIMEOUT_S:
                    process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_WATCH_S)
        took_s = time.monotonic() - began
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise ToolError(f"{main_class} ended with {process.returncode}: {errors.read()[-500:]}")
        of_the_client = [used for (_, name), used in threads.items() if not name.startswith(_OF_THE_JVM)]
        busiest_s = max(of_the_client, default=0.0)
        return output.read(), Usage((_children_cpu_s() - cpu_s) / took_s, busiest_s / took_s)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
