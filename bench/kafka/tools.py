"""Apache Kafka's own load generators, against any broker, and what they print."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.kafka.install import Kafka

_MEBI = 1024 * 1024 / 1e6
_STEADY = re.compile(
    r"(?P<records>\d+) steady state records sent, (?P<rate>[\d.]+) records/sec "
    r"\((?P<mebi>[\d.]+) MB/sec\), .* 99\.9th\."
)
_TIMEOUT_S = 300
_WATCH_S = 0.1
_OF_THE_JVM = ("C1 ", "C2 ", "G1 ", "GC ", "VM ")


class ToolError(Exception):
    """A tool ended with an error, or printed what we cannot read."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tool's process took while it was measured, without the start of its JVM."""

    cores: float
    """Kept busy on average."""
    busiest_thread: float
    """The share of a core that its busiest thread took, compiler and collector threads apart."""

    def row(self) -> dict[str, float]:
        """The metrics that say what the client took."""
        return {"client cores": self.cores, "client thread": self.busiest_thread}


class Watched:
    """CPU seconds of a process's threads, looked at several times a second."""

    def __init__(self) -> None:
        self._looks: list[tuple[float, dict[tuple[int, str], float]]] = []
        self._printed = self._result = 0

    def look(self, pid: int, printed: int) -> None:
        """Note what the threads have used by the time that `printed` bytes were printed; nothing once the
        process has ended."""
        threads = processes.thread_cpu_s(pid)
        if not threads:
            return
        ended = self._looks[-1][1] if self._looks else {}
        self._looks.append((time.monotonic(), ended | threads))
        if printed > self._printed:
            self._printed, self._result = printed, len(self._looks) - 1

    def before_result(self, seconds: float) -> Usage:
        """What it took in the `seconds` before it last printed something: there the tools end to measure, and
        then still wait for the JVM's compiler."""
        ended_s, used = self._looks[self._result]
        began_s, before = next(look for look in self._looks if look[0] >= ended_s - seconds)
        took = {thread: cpu_s - before.get(thread, 0.0) for thread, cpu_s in used.items()}
        own = [cpu_s for (_, name), cpu_s in took.items() if not name.startswith(_OF_THE_JVM)]
        measured_s = max(ended_s - began_s, _WATCH_S)
        return Usage(sum(took.values()) / measured_s, max(own, default=0.0) / measured_s)


@dataclass(frozen=True, slots=True)
class ProducerResult:
    """What ProducerPerformance says at its end of the records after its warm-up."""

    records: int
    mb_per_s: float
    seconds: float


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
    records = int(found["records"])
    return ProducerResult(records, float(found["mebi"]) * _MEBI, records / float(found["rate"]))


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
    output, watched = _run(
        release, "org.apache.kafka.tools.ProducerPerformance",
        "--bootstrap-server", address, "--topic", topic, "--num-records", str(records),
        "--warmup-records", str(warming), "--payload-file", str(payloads), "--throughput", "-1",
        "--command-property", *pairs,
    )  # fmt: skip
    result = parse_producer(output)
    if result.records != records - warming:
        raise ToolError(f"ProducerPerformance sent {result.records} of {records - warming} records")
    return result, watched.before_result(result.seconds)


def consume(release: Kafka, address: str, topic: str, *, records: int) -> tuple[ConsumerResult, Usage]:
    """Run ConsumerPerformance from the start of the topic."""
    output, watched = _run(
        release, "org.apache.kafka.tools.ConsumerPerformance",
        "--bootstrap-server", address, "--topic", topic, "--num-records", str(records), "--hide-header",
    )  # fmt: skip
    result = parse_consumer(output)
    if result.records < records:
        raise ToolError(f"ConsumerPerformance read {result.records} of {records} records")
    return result, watched.before_result(result.mb / result.mb_per_s)


def end_to_end(release: Kafka, address: str, topic: str, *, records: int, acks: str) -> LatencyResult:
    """Run EndToEndLatency: send one record, wait for it, and again."""
    output, _ = _run(
        release, "org.apache.kafka.tools.EndToEndLatency",
        "--bootstrap-server", address, "--topic", topic, "--num-records", str(records),
        "--producer-acks", acks, "--record-size", "100",
    )  # fmt: skip
    return parse_latency(output)


def _run(release: Kafka, main_class: str, *arguments: str) -> tuple[str, Watched]:
    began, watched = time.monotonic(), Watched()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        command = release.command(main_class, *arguments)
        with subprocess.Popen(command, stdout=output, stderr=errors) as process:
            while process.poll() is None:
                watched.look(process.pid, os.fstat(output.fileno()).st_size)
                if time.monotonic() - began > _TIMEOUT_S:
                    process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_WATCH_S)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise ToolError(f"{main_class} ended with {process.returncode}: {errors.read()[-500:]}")
        return output.read(), watched
