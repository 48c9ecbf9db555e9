"""`python -m bench clients`: what Kafka's clients take of a processor, each in a process of its own."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from bench import brokers, load, machine, source
from bench.brokers import Running
from bench.clients import page
from bench.clients.events import MADE
from bench.clients.task import BATCH_ROWS, PARTITIONS, Task
from bench.clients.worker import MODULES
from bench.kafka.broker import kafka
from bench.kafka.install import KafkaUnavailableError, install
from bench.results import Results
from bench.workloads.model import Start, delete_topics, new_topic, verify

OTTLA = "ottla"
CONFLUENT = "confluent-kafka"
AIOKAFKA = "aiokafka"
CLIENTS = tuple(MODULES)
_SHARES = {OTTLA: 1.0, CONFLUENT: 0.5}
"""Of a row's records; others take a tenth, as they take so long."""
_TIMEOUT_S = 600

RATE = "records/CPU s"
GROWN = "MB grown"


@dataclass(frozen=True, slots=True)
class Row:
    """One job. `reference` is whose rate Ottla's is `goal` times of."""

    name: str
    job: str
    records: int
    record_bytes: int
    reference: str = CONFLUENT
    goal: float | None = None
    clients: tuple[str, ...] = CLIENTS

    @property
    def reads(self) -> str | None:
        """The kind of topic that is read; None where one is written."""
        if self.job.startswith("produce"):
            return None
        if not self.job.startswith("sum"):
            return f"{self.record_bytes} B"
        kind = f"events, {self.job.removeprefix('sum ')}"
        return kind if kind in MADE else "events"


_WITHOUT_PLAIN = tuple(each for each in CLIENTS if each != "ottla, plain")
_OF_SCHEMAS = tuple(each for each in CLIENTS if each.startswith(OTTLA) or each == CONFLUENT)
ROWS = (
    Row("consume 100 B to columns", "consume columns", 3_000_000, 100, goal=4),
    Row("consume 1 KB to columns", "consume columns", 600_000, 1024, goal=4),
    Row("consume 100 B record by record", "consume records", 1_000_000, 100, goal=1),
    Row("consume 1 KB record by record", "consume records", 400_000, 1024, goal=1),
    Row("produce 100 B from columns", "produce columns", 2_000_000, 100, goal=3),
    Row("produce 1 KB from columns", "produce columns", 400_000, 1024, goal=3),
    Row("produce 100 B record by record", "produce records", 400_000, 100, AIOKAFKA, 1),
    Row("produce 1 KB record by record", "produce records", 200_000, 1024, AIOKAFKA, 1),
    Row("filter and sum JSON by the minute, schema given", "sum", 400_000, 0, goal=5),
    Row("filter and sum JSON, all five fields in the schema", "sum all", 400_000, 0, goal=5),
    Row("filter and sum JSON, schema inferred", "sum inferred", 400_000, 0),
    Row("filter and sum Avro by the minute", "sum avro", 400_000, 0, goal=3, clients=_OF_SCHEMAS),
    Row("filter and sum Protobuf by the minute", "sum protobuf", 400_000, 0, goal=3, clients=_OF_SCHEMAS),
    Row("lag: 10,000 records a second of 1 KB", "lag", 30_000, 1024, clients=_WITHOUT_PLAIN),
)


def main(given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench clients", description=__doc__)
    parser.add_argument("rows", nargs="*", help="parts of names (default: all; see --list)")
    parser.add_argument("--list", action="store_true", help="print the rows and end")
    parser.add_argument("--quick", action="store_true", help="a tenth of the records, one round")
    parser.add_argument("--rounds", type=int, help="rounds of which medians are shown (default: 5)")
    parser.add_argument("--share", type=float, help="of the records (default: 1)")
    parser.add_argument("--only", choices=("ottla", "kafka"), help="one broker instead of both")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples; kept up to date")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="of the samples in FILE; nothing is measured"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write docs/client-performance.md")
    options = parser.parse_args(given)
    rows = [each for each in ROWS if not options.rows or any(part in each.name for part in options.rows)]
    if options.list:
        print("\n".join(each.name for each in rows))
        return 0
    if options.page is not None:
        results = Results.load(options.page)
    else:
        about = machine.about(None, f"python -m bench clients {' '.join(given)}".strip(), "")
        results = Results(CLIENTS, about | _versions())
        share, rounds = (0.1, 1) if options.quick else (1.0, 5)
        _measure(results, rows, options.share or share, options.rounds or rounds, options.only, options.json)
    text = page.markdown(results, {each.name: each for each in ROWS})
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text)
    return 1 if results.failures else 0


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    about = {name: version(name) for name in (AIOKAFKA, "kafka-python", "pyarrow")}
    return {**about, "loop": "uvloop" if _has_uvloop() else "asyncio's own"}


def _has_uvloop() -> bool:
    from importlib.util import find_spec

    return find_spec("uvloop") is not None


def _measure(
    results: Results, rows: list[Row], scale: float, rounds: int, only: str | None, to: Path | None
) -> None:
    with contextlib.ExitStack() as stack:
        code = stack.enter_context(source.snapshot())
        starts: dict[str, Start] = {"ottla": functools.partial(brokers.ottla, source=code)}
        if only != "ottla":
            try:
                release = install()
                starts["kafka"] = functools.partial(kafka, release)
                results.about["kafka"] = release.version
            except KafkaUnavailableError as reason:
                print(f"Apache Kafka is left out: {reason}", file=sys.stderr)
        results.about["form"] = f"records x {scale:g}, {rounds} rounds"
        began = time.monotonic()
        for name, start in starts.items():
            if only not in (None, name):
                continue
            with start() as broker, _topics(broker, rows, scale) as topics:
                for row in rows:
                    _say(f"[{(time.monotonic() - began) / 60:4.1f} min] {row.name} on {name}")
                    _row(results, row, Place(broker, topics, code), scale, rounds)
                    results.about["took"] = f"{(time.monotonic() - began) / 60:.0f} minutes"
                    if to is not None:
                        results.save(to)


@dataclass(frozen=True, slots=True)
class Place:
    """Where clients work: a broker, its topics by kind, and the source of Ottla's client."""

    broker: Running
    topics: dict[str, str]
    code: Path


def _row(results: Results, row: Row, place: Place, scale: float, rounds: int) -> None:
    """Client after client, round after round. All have to come to the same answer."""
    broker = place.broker
    answers: dict[str, dict[str, int]] = {}
    for _ in range(rounds):
        for client in row.clients:
            records = _records(row, client, scale)
            try:
                done = _one(row, client, records, place)
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                results.failures.append(f"{row.name} on {broker.name} with {client}: {error}")
                continue
            answers[client] = done["answer"]
            sample = {RATE: done["records"] / done["cpu_s"], "records/s": done["records"] / done["elapsed_s"]}
            if row.job == "lag":
                sample = {GROWN: done["grown_mb"]}
            results.add(f"{row.name}, {broker.name}", broker.name, row.reference, client, sample)
    first = next(iter(answers.values()), {})
    for client, answer in answers.items():
        if answer != first:
            results.failures.append(f"{row.name} on {broker.name}: {client} came to another answer")


def _records(row: Row, client: str, scale: float) -> int:
    """Sums are of the whole topic, and a lag lasts as long for all."""
    share = 1.0 if row.reads in MADE or row.job == "lag" else _SHARES.get(client, 0.1)
    return max(20_000, int(row.records * scale * share) // 20_000 * 20_000)


def _one(row: Row, client: str, records: int, place: Place) -> dict[str, Any]:
    broker = place.broker
    topic = place.topics[row.reads] if row.reads is not None else new_topic(broker, PARTITIONS)
    task = Task(client, row.job, broker.address, topic, records, records // 10, row.record_bytes)
    command = [sys.executable, "-m", "bench.clients.worker", json.dumps(asdict(task))]
    added = {"OTTLA_COLUMNS": "plain"} if client == "ottla, plain" else {}
    os.sync()
    ran = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        cwd=source.ROOT,
        env=brokers.environment(PYTHONPATH=f"{place.code}{os.pathsep}{source.ROOT}", **added),
    )
    if ran.returncode:
        raise RuntimeError(ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else "it failed")
    done: dict[str, Any] = json.loads(ran.stdout)
    if row.reads is None:
        delete_topics(broker, [topic])
    return done


@contextlib.contextmanager
def _topics(broker: Running, rows: list[Row], scale: float) -> Iterator[dict[str, str]]:
    """By kind, each with as much as the row that takes most."""
    topics: dict[str, str] = {}
    for kind in dict.fromkeys(row.reads for row in rows if row.reads is not None):
        most = max(_records(row, OTTLA, scale) for row in rows if row.reads == kind)
        is_lagged = any(row.job == "lag" for row in rows if row.reads == kind)
        # Whoever takes many at a time takes more than it is told to.
        count = most if kind in MADE else max(most + most // 10 + 4 * BATCH_ROWS, 300_000 * is_lagged)
        _say(f"filling {broker.name} with {count} records: {kind}")
        topics[kind] = new_topic(broker, PARTITIONS)
        made = MADE.get(kind) or functools.partial(_value, load.values(int(kind.split()[0])))
        fill(broker.address, topics[kind], count, made)
        verify(broker, topics[kind], PARTITIONS, count)
    try:
        yield topics
    finally:
        delete_topics(broker, list(topics.values()))


def _value(pool: list[bytes], number: int) -> bytes:
    return pool[number % len(pool)]


def fill(address: str, topic: str, count: int, value: Callable[[int], bytes]) -> None:
    """In batches of 16 KB, as Java's producers make them."""
    producer = Producer({"bootstrap.servers": address, "batch.size": 16_384, "linger.ms": 50})
    for number in range(count):
        while True:
            try:
                producer.produce(topic, value(number), partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.01)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("records were not delivered")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
