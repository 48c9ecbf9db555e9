"""`python -m bench streams`: Ottla's streams beside Kafka Streams, Quix Streams and Faust."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from bench import brokers, machine, source
from bench.brokers import Running
from bench.kafka.broker import kafka
from bench.kafka.install import KafkaUnavailableError, cache_folder, install
from bench.results import Results
from bench.streams import page
from bench.streams.task import USERS, Task
from bench.workloads.model import Start, delete_topics, new_topic

OTTLA, JAVA, QUIX, FAUST = "ottla", "kafka streams", "quix", "faust"
SYSTEMS = (OTTLA, JAVA, QUIX, FAUST)
"""Faust is measured only where it is asked for: its agents got no record after they had joined."""
PARTITIONS = 4
RATE = "records/CPU s"
_JAVA = Path(__file__).with_name("java")
_PACKAGES = {QUIX: "quixstreams==3.28.1", FAUST: "faust-streaming==0.15.3"}
_SHARES = {OTTLA: 1.0, JAVA: 1.0, QUIX: 0.1, FAUST: 0.05}
"""Of a row's records: some take so long."""
_KAFKA_VERSION = "4.4.0"
_CACHE = 10 * 1024 * 1024
_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Row:
    """One work. `goals`: how many times a system's rate Ottla's is to be. `cache`: bytes for updates that are
    held back, in those that do that."""

    name: str
    job: str
    records: int
    goals: tuple[tuple[str, float], ...]
    cache: int = 0
    systems: tuple[str, ...] = SYSTEMS

    def job_of(self, system: str) -> str:
        """The others' functions are functions whatever Ottla's are."""
        return self.job if system == OTTLA else self.job.removesuffix(" by functions")


_BY_EXPRESSIONS = ((JAVA, 1.0), (QUIX, 8.0))
_BY_FUNCTIONS = ((QUIX, 2.0),)
ROWS = (
    Row("filter and map, expressions; no state", "filter", 2_000_000, _BY_EXPRESSIONS),
    Row("filter and map, functions; no state", "filter by functions", 1_000_000, _BY_FUNCTIONS),
    Row("windowed sum by key, expressions; cache on", "window", 2_000_000, _BY_EXPRESSIONS, _CACHE),
    Row("windowed sum by key, expressions; cache off", "window", 1_000_000, _BY_EXPRESSIONS),
    Row("windowed sum by key, functions; cache off", "window by functions", 1_000_000, _BY_FUNCTIONS),
    Row("stream-table join, expressions; cache on", "join", 2_000_000, _BY_EXPRESSIONS, _CACHE),
    Row("stream-table join, functions; cache on", "join by functions", 1_000_000, _BY_FUNCTIONS, _CACHE),
    Row("restore of a table; cache off", "restore", 1_000_000, ((QUIX, 2.0),), systems=(OTTLA, QUIX)),
)


def main(given: list[str]) -> int:
    """Measure what is asked for, and print the page."""
    parser = argparse.ArgumentParser(prog="python -m bench streams", description=__doc__)
    parser.add_argument("rows", nargs="*", help="parts of names (default: all; see --list)")
    parser.add_argument("--list", action="store_true", help="print the rows and end")
    parser.add_argument(
        "--rounds", type=int, default=3, help="rounds of which medians are shown (default: 3)"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the records (default: 1)")
    parser.add_argument("--systems", default=",".join(SYSTEMS[:3]), help="which of them, by commas")
    parser.add_argument("--broker", choices=("ottla", "kafka"), default="ottla", help="what they work on")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples; kept up to date")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="of the samples in FILE; nothing is measured"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write docs/streams-performance.md")
    options = parser.parse_args(given)
    rows = [each for each in ROWS if not options.rows or any(part in each.name for part in options.rows)]
    if options.list:
        print("\n".join(each.name for each in rows))
        return 0
    if options.page is not None:
        results = Results.load(options.page)
    else:
        about = machine.about(None, f"python -m bench streams {' '.join(given)}".strip(), "")
        results = Results(SYSTEMS, about | {"form": f"records x {options.share:g}, {options.rounds} rounds"})
        _measure(results, rows, options)
    text = page.markdown(results, {each.name: each for each in ROWS})
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text)
    return 1 if results.failures else 0


def _measure(results: Results, rows: list[Row], options: argparse.Namespace) -> None:
    with contextlib.ExitStack() as stack:
        code = stack.enter_context(source.snapshot())
        commands = _commands(results, options.systems.split(","), stack)
        start: Start = functools.partial(brokers.ottla, source=code)
        if options.broker == "kafka":
            start = functools.partial(kafka, install())
        broker = stack.enter_context(start())
        place = Place(broker, code, commands)
        began = time.monotonic()
        for row in rows:
            with _input(place, row, options.share) as topics:
                for number in range(options.rounds):
                    _round(results, row, place, topics, options.share, number)
                    results.about["took"] = f"{(time.monotonic() - began) / 60:.0f} minutes"
                    if options.json is not None:
                        results.save(options.json)


@dataclass(frozen=True, slots=True)
class Place:
    """A broker, the source of Ottla's streams, and how each system is started."""

    broker: Running
    code: Path
    commands: dict[str, list[str]]


def _round(
    results: Results, row: Row, place: Place, topics: tuple[str, str], share: float, number: int
) -> None:
    systems = [each for each in row.systems if each in place.commands]
    for system in systems[:: -1 if number % 2 else 1]:
        _say(f"{row.name}: {system}")
        records = _records(row, system, share)
        try:
            done = _one(row, system, records, place, topics)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            results.failures.append(f"{row.name} with {system}: {error}")
            continue
        rates = {RATE: done["records"] / done["cpu_s"], "records/s": done["records"] / done["elapsed_s"]}
        results.add(row.name, OTTLA, JAVA, system, rates)
        _say(f"    {rates[RATE]:,.0f} records for each CPU second")


def _records(row: Row, system: str, share: float) -> int:
    whole = 1.0 if row.job == "restore" else _SHARES[system]
    return max(20_000, int(row.records * share * whole) // 1000 * 1000)


def _one(row: Row, system: str, records: int, place: Place, topics: tuple[str, str]) -> dict[str, Any]:
    orders, users = topics
    out = new_topic(place.broker, PARTITIONS)
    application = f"bench-{time.monotonic_ns()}"
    job, address = row.job_of(system), place.broker.address
    try:
        if job == "restore":
            _run(
                place, Task(system, "table", address, application, orders, users, out, records, row.cache, "")
            )
            _fill(address, users, PARTITIONS, lambda number: _user(number, PARTITIONS))
        return _run(
            place, Task(system, job, address, application, orders, users, out, records, row.cache, "")
        )
    finally:
        delete_topics(place.broker, [out])


def _run(place: Place, task: Task) -> dict[str, Any]:
    os.sync()
    with tempfile.TemporaryDirectory(prefix="ottla-bench-streams-") as state:
        task = replace(task, state=state)
        arguments = [json.dumps(asdict(task))]
        if task.system == JAVA:
            arguments = [task.job, task.address, task.application, task.orders, task.users, task.out]
            arguments += [str(task.records), str(task.cache), state]
        ran = subprocess.run(
            [*place.commands[task.system], *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            cwd=source.ROOT,
            env=brokers.environment(PYTHONPATH=f"{place.code}{os.pathsep}{source.ROOT}"),
        )
    line = next((each for each in ran.stdout.splitlines() if each.startswith("{")), None)
    if line is None:
        raise RuntimeError((ran.stderr.strip().splitlines() or ["it failed"])[-1][:300])
    done: dict[str, Any] = json.loads(line)
    return done


def _commands(results: Results, systems: list[str], stack: contextlib.ExitStack) -> dict[str, list[str]]:
    """How each is started; what cannot be had is said and left out."""
    commands: dict[str, list[str]] = {}
    for system in systems:
        try:
            if system == OTTLA:
                commands[system] = [sys.executable, "-m", "bench.streams.ottla_app"]
            elif system == JAVA:
                commands[system] = _java(results, stack)
            else:
                python = _environment(system)
                commands[system] = [str(python), "-m", f"bench.streams.{system}_app"]
                results.about[system] = _PACKAGES[system]
        except (KafkaUnavailableError, subprocess.CalledProcessError) as reason:
            results.failures.append(f"{system} is left out: {reason}")
    return commands


def _java(results: Results, stack: contextlib.ExitStack) -> list[str]:
    release = install(_KAFKA_VERSION, pom=_JAVA / "pom.xml", name="kafka-streams")
    results.about[JAVA] = release.version
    classes = stack.enter_context(tempfile.TemporaryDirectory(prefix="ottla-bench-classes-"))
    jars = f"{release.jars}/*"
    compile_it = ["javac", "-nowarn", "-cp", jars, "-d", classes, str(_JAVA / "StreamsWork.java")]
    subprocess.run(compile_it, check=True, timeout=300)
    return ["java", "-Xmx1G", "-Dlog4j2.level=ERROR", "-cp", f"{classes}:{jars}", "StreamsWork"]


def _environment(system: str) -> Path:
    """An interpreter that has the package, which wants other versions than Ottla's tests do."""
    package = _PACKAGES[system]
    folder = cache_folder() / package.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        _say(f"installing {package}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", package], check=True, timeout=900)
        (folder / ".ready").touch()
    return python


@contextlib.contextmanager
def _input(place: Place, row: Row, share: float) -> Iterator[tuple[str, str]]:
    """The topics of orders and of users."""
    orders, users = (new_topic(place.broker, PARTITIONS) for _ in range(2))
    _say(f"filling {place.broker.name}: {row.name}")
    most = _records(row, OTTLA, share)
    if row.job == "restore":
        _fill(place.broker.address, users, most, lambda number: _user(number, most))
        _fill(place.broker.address, orders, PARTITIONS, _order)
    else:
        _fill(place.broker.address, users, USERS, lambda number: _user(number, USERS))
        _fill(place.broker.address, orders, most, _order)
    try:
        yield orders, users
    finally:
        delete_topics(place.broker, [orders, users])


_EPOCH_MS = (int(time.time()) // 3600 - 7) * 3_600_000
"""So long ago that the last orders are not of the future, and not so long that retention takes the first."""


def _order(number: int) -> tuple[str, str, int]:
    """Key, value, time: by a thousand users, one each 10 ms."""
    user = f"user-{number * 7919 % USERS}"
    return user, f'{{"user":"{user}","amount":{number * 7 % 1000}}}', _EPOCH_MS + number * 10


def _user(number: int, count: int) -> tuple[str, str, int]:
    name = f"user-{number % count}"
    return name, f'{{"user":"{name}","city":"city-{number % 97}"}}', _EPOCH_MS - 1000


def _fill(address: str, topic: str, count: int, made: Any) -> None:
    producer = Producer(
        {"bootstrap.servers": address, "batch.size": 65_536, "linger.ms": 50, "partitioner": "murmur2_random"}
    )
    for number in range(count):
        key, value, at = made(number)
        while True:
            try:
                producer.produce(topic, value, key, timestamp=at)
                break
            except BufferError:
                producer.poll(0.01)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("records were not delivered")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
