"""`python -m bench connect`: file source, file sink and a database's sink, in Ottla's worker and in Kafka's.

Both work on one Ottla broker, in turn; a tenth of the records goes first through each connector, so that a
JVM has compiled what it runs. Debezium's JdbcSinkConnector stands for Kafka's side of databases.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from bench import brokers, source
from bench.connect.workers import Worker, jars, postgresql, query, wait_for, worker
from bench.kafka.install import KafkaUnavailableError
from bench.processes import cpu_s, resident_mb

SYSTEMS = ("ottla", "kafka")
_SCHEMA = {
    "type": "struct",
    "fields": [{"type": "int32", "field": "id"}, {"type": "string", "field": "name"},
               {"type": "double", "field": "price"}],
}  # fmt: skip
_JSON = {"value.converter": "org.apache.kafka.connect.json.JsonConverter"}


@dataclass(frozen=True, slots=True)
class Place:
    address: str
    folder: Path
    database: int


def main(given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench connect", description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"which of {', '.join(_ROWS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="of which medians are shown (default: 3)")
    parser.add_argument("--records", type=int, default=500_000, help="of a row (default: 500000)")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="which of them, by commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples")
    options = parser.parse_args(given)
    unknown = [each for each in options.rows if each not in _ROWS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(_ROWS)}")
    rows = options.rows or list(_ROWS)
    samples: dict[str, dict[str, list[float]]] = {}
    with contextlib.ExitStack() as stack:
        code = stack.enter_context(source.snapshot())
        broker = stack.enter_context(brokers.ottla(source=code))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(postgresql()) if "jdbc-sink" in rows else 0
        place = Place(broker.address, folder, database)
        for number in range(options.rounds):
            for name in options.systems.split(",")[:: -1 if number % 2 else 1]:
                try:
                    _round(samples, name, place, code, rows, options.records, number)
                except KafkaUnavailableError as reason:
                    print(f"{name}: {reason}", file=sys.stderr)
    if options.json is not None:
        options.json.write_text(json.dumps(samples, indent=2))
    _print(samples)
    return 0


def _round(
    samples: dict[str, dict[str, list[float]]],
    name: str,
    place: Place,
    code: Path,
    rows: list[str],
    records: int,
    number: int,
) -> None:
    def note(row: str, value: float) -> None:
        samples.setdefault(row, {}).setdefault(name, []).append(value)

    kafka = None
    if name == "kafka":
        try:
            kafka = jars(databases="jdbc-sink" in rows)
        except KafkaUnavailableError as reason:
            print(f"without Debezium: {reason}", file=sys.stderr)
            rows, kafka = [row for row in rows if row != "jdbc-sink"], jars(databases=False)
    with worker(name, place.address, code, kafka) as running:
        note("start s", running.start_s)
        note("idle MB", resident_mb(running.pid))
        for row in rows:
            for count in (records // 10, records):
                topic = f"bench-{name}-{row}-{number}-{count}"
                with _ROWS[row](place, running, topic, count) as (config, done):
                    cpu, began = cpu_s(running.pid), time.monotonic()
                    running.create(topic, config)
                    wait_for(lambda: _is_done(running, topic, done), f"{name}: {row}")  # noqa: B023
                    took, used = time.monotonic() - began, cpu_s(running.pid) - cpu
                    running.delete(topic)
            note(f"{row} records/s", records / took)
            note(f"{row} CPU us a record", used / records * 1e6)


def _is_done(running: Worker, connector: str, done: Callable[[], bool]) -> bool:
    if done():
        return True
    failure = running.failure(connector)
    if failure is not None:
        raise RuntimeError(f"{running.name}: {failure}")
    return False


_Row = tuple[dict[str, str], Callable[[], bool]]


def _line(number: int) -> str:
    return f"{number:012d} {'x' * 87}"


@contextlib.contextmanager
def _topic(place: Place, topic: str) -> Iterator[Callable[[], int]]:
    """A topic of one partition; gives what it holds."""
    admin = AdminClient({"bootstrap.servers": place.address})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    consumer = Consumer({"bootstrap.servers": place.address, "group.id": "bench"})
    try:
        yield lambda: int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)[1])
    finally:
        consumer.close()
        admin.delete_topics([topic])[topic].result()


def _fill(place: Place, topic: str, values: Iterator[bytes]) -> None:
    producer = Producer({"bootstrap.servers": place.address, "linger.ms": 20})
    for value in values:
        while True:
            try:
                producer.produce(topic, value)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


@contextlib.contextmanager
def _file_source(place: Place, _worker: Worker, topic: str, count: int) -> Iterator[_Row]:
    file = place.folder / topic
    with file.open("w") as out:
        out.writelines(f"{_line(number)}\n" for number in range(count))
    with _topic(place, topic) as held:
        config = {
            "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "file": str(file),
            "topic": topic, "tasks.max": "1",
        }  # fmt: skip
        yield config, lambda: held() >= count
    file.unlink()


@contextlib.contextmanager
def _file_sink(place: Place, _worker: Worker, topic: str, count: int) -> Iterator[_Row]:
    file = place.folder / topic
    size = len(_line(0)) + 1
    with _topic(place, topic):
        _fill(place, topic, (_line(number).encode() for number in range(count)))
        config = {
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "file": str(file),
            "topics": topic, "tasks.max": "1",
        }  # fmt: skip
        yield config, lambda: file.exists() and file.stat().st_size >= count * size
    file.unlink()


@contextlib.contextmanager
def _jdbc_sink(place: Place, running: Worker, topic: str, count: int) -> Iterator[_Row]:
    def value(number: int) -> bytes:
        payload = {"id": number, "name": f"name {number}", "price": number * 1.25}
        return json.dumps({"schema": _SCHEMA, "payload": payload}).encode()

    table = topic.replace("-", "_")
    query(place.database, f"CREATE TABLE {table} (id INTEGER NOT NULL, name TEXT, price DOUBLE PRECISION)")
    url = f"jdbc:postgresql://127.0.0.1:{place.database}/postgres"
    common = {"topics": topic, "tasks.max": "1", "connection.url": url, "insert.mode": "insert", **_JSON,
              "consumer.override.max.poll.records": "2000", "batch.size": "2000"}  # fmt: skip
    if running.name == "kafka":
        config = common | {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "connection.username": "postgres", "connection.password": "", "collection.name.format": table,
            "primary.key.mode": "none",
            "schema.evolution": "none",
        }  # fmt: skip
    else:
        config = common | {
            "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "connection.user": "postgres",
            "table.name.format": table,
        }  # fmt: skip
    with _topic(place, topic):
        _fill(place, topic, map(value, range(count)))
        yield config, lambda: (query(place.database, f"SELECT count(*) FROM {table}") or 0) >= count
    query(place.database, f"DROP TABLE {table}")


_ROWS: dict[str, Callable[[Place, Worker, str, int], contextlib.AbstractContextManager[_Row]]] = {
    "file-source": _file_source,
    "file-sink": _file_sink,
    "jdbc-sink": _jdbc_sink,
}


def _print(samples: dict[str, dict[str, list[float]]]) -> None:
    print(f"{'':34}{'ottla':>14}{'kafka':>14}   ottla : kafka")
    for row, by_system in samples.items():
        medians = {name: statistics.median(values) for name, values in by_system.items()}
        shown = "".join(f"{medians[each]:14,.2f}" if each in medians else f"{'':14}" for each in SYSTEMS)
        both = all(each in medians for each in SYSTEMS) and medians["kafka"]
        print(f"{row:34}{shown}{medians['ottla'] / medians['kafka']:13.2f}" if both else f"{row:34}{shown}")
